"""Ranking of windows: one of a text scores higher than the same with another word in its middle."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from ...errors import BadInput
from ..config import TrainConfig
from ..data import Dataset
from ..data.tagging import HIDDEN
from ..tasks import Objective
from ..tasks.tagging import SCORE, TAGS, WINDOW
from .fitting import FitOverrides
from .minimise import joiner
from .register import Networks


class Ranked(keras.Model):
    """A window net run over sentences, at each place on the window as it is and with another word in its middle.

    The other word is the true one's id plus a step: drawn for each window in training, half the vocabulary elsewhere,
    so that an epoch is always judged alike.
    """

    def __init__(self, window: keras.Model, vocabulary: int, seed: int):
        super().__init__(name="ranked")
        self.window, self.vocabulary = window, vocabulary
        self.steps = keras.random.SeedGenerator(seed)
        self.supports_jit = True
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return what the loss takes.  Shapes: words (N, T) -> score, score of the other, tags: (N, T, 2 + K)."""
        length, size = inputs.shape[1], self.window.inputs[0].shape[1]
        half = size // 2
        padded: Any = ops.pad(inputs, [(0, 0), (half, half)])
        true: Any = ops.stack([padded[:, k : k + length] for k in range(size)], axis=-1)  # (N, T, w)
        step = self.vocabulary // 2
        if training:
            step = keras.random.randint(ops.shape(inputs), 1, self.vocabulary, seed=self.steps)
        other = (inputs + step) % self.vocabulary
        false = ops.concatenate([true[..., :half], other[..., None], true[..., half + 1 :]], axis=-1)
        told, untold = (self.window(ops.reshape(each, (-1, size)), training=training) for each in (true, false))
        answers: Any = ops.concatenate([told[SCORE], untold[SCORE], told[TAGS]], axis=-1)
        return ops.reshape(answers, (-1, length, answers.shape[-1]))


@keras.saving.register_keras_serializable("edgewright")
class WindowRanking(keras.losses.Loss):
    """max(0, 1 - s + s') of a window's score and a corrupted one's, and the cross-entropy of the middle word's tag.

    Shapes: tags (N, T), HIDDEN for padding; answers (N, T, 2 + K): s, s', logits of the tags.
    Source: Collobert and Weston 2008, A unified architecture for natural language processing, section 4.
    """

    def __init__(self, name: str = "window_ranking"):
        super().__init__(name=name)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each sentence, a mean over its words (N,)."""
        tags = ops.cast(y_true, "int32")
        told: Any = ops.cast(tags != HIDDEN, y_pred.dtype)
        ranking: Any = ops.relu(1 - y_pred[..., 0] + y_pred[..., 1])
        surprise: Any = keras.losses.sparse_categorical_crossentropy(
            ops.maximum(tags, 0), y_pred[..., 2:], from_logits=True
        )
        words: Any = ops.sum(told, axis=-1)
        return ops.sum((ranking + surprise) * told, axis=-1) / words

    def get_config(self):
        """Return the name."""
        return {"name": self.name}


def _by_rank(model: keras.Model, dataset: Dataset, task: Objective, config: TrainConfig) -> FitOverrides:
    return FitOverrides(loss=WindowRanking(), targets=lambda split: split.y)


@joiner("window_ranking", _by_rank)
def window_ranking(networks: Networks, dataset: Dataset, config: TrainConfig) -> dict[str, keras.Model]:
    """Rank true windows above corrupted ones, and tell the tags of their middle words.

    networks: "window", words (N, w) -> "score" (N, 1), "tags" (N, K). dataset: sentences.
    Raises: BadInput for other networks.
    """
    if set(networks) != {WINDOW}:
        raise BadInput(f"learner 'window_ranking' trains {WINDOW}, got {', '.join(networks)}")
    return {"ranked": Ranked(networks[WINDOW], dataset.vocabulary, config.seed)}

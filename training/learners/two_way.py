"""Language models of both directions, learned together."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from ...errors import BadInput
from ..config import TrainConfig
from ..data import Dataset
from ..tasks import Objective
from ..tasks.two_way import SOFTMAX, VECTORS, both_ways
from .fitting import FitOverrides
from .minimise import joiner
from .register import Networks


class TwoWay(keras.Model):
    """Vectors, and the logits of the words after and before that their halves give."""

    def __init__(self, networks: Networks):
        super().__init__(name="two_way")
        self.vectors, self.softmax = networks[VECTORS], networks[SOFTMAX]
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the logits.  Shapes: tokens (N, T) -> (N, T, 2, K)."""
        vectors = self.vectors(inputs, training=training)
        halves = ops.reshape(vectors, (-1, vectors.shape[1], 2, vectors.shape[2] // 2))
        return ops.matmul(halves, ops.transpose(ops.convert_to_tensor(self.softmax.weights[0])))


def _both_ways(model: keras.Model, dataset: Dataset, task: Objective, config: TrainConfig) -> FitOverrides:
    return FitOverrides(targets=both_ways)


@joiner("two_way", _both_ways)
def two_way(networks: Networks, dataset: Dataset, config: TrainConfig) -> dict[str, keras.Model]:
    """Minimise the cross-entropy of the word after by the first half of vectors, of the word before by the second.

    networks: "vectors", tokens (N, T) -> (N, T, 2 d), and "softmax", the table of words (K, d).
    Source: Peters 2018, arXiv:1802.05365, section 3.1.  Raises: BadInput for other networks.
    """
    if set(networks) != {VECTORS, SOFTMAX}:
        raise BadInput(f"learner 'two_way' trains {VECTORS} and {SOFTMAX}, got {', '.join(networks)}")
    return {"two_way": TwoWay(networks)}

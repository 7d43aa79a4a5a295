"""Translation by one network that says all tokens at once, and how many of them count."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ... import metrics
from ...errors import BadInput
from ...metrics import Metric, Scores
from ...runners import Arrays, Judge, Runner
from ..answers import outputs_of
from ..data import Dataset, Shown, Split, calibration, load
from ..data.translation import EOS, text_of
from ..losses import PaddedCrossentropy, TokenAccuracy
from ..presented import by_name, takes
from .objective import Objective
from .register import Bound, Networks, enter
from .supervised import shown


@dataclass(frozen=True, kw_only=True)
class ParallelTranslation(Objective):
    """Sentences said at once, judged by corpus BLEU.

    The network: source (N, S) -> logits (N, S, K), the first of how many tokens the translation has, the others of its
    tokens. The unit is a sentence.
    """

    @property
    def metric(self) -> Metric:
        """BLEU of the whole test text."""
        return metrics.get("bleu")

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return sources, and as targets the number of tokens and the tokens, in as many kinds as the network tells.

        Raises: BadInput if it tells fewer tokens apart than the pairs have, or fewer than a sentence may be long.
        """
        name, network = next(iter(networks.items()))
        known, width = takes(network), network.outputs[0].shape[-1]
        (length,) = known["input_shape"]
        shape = {"source": (length,), "target": (length,)}
        pairs = load(data, input_shape=shape, dtype="int32", task="translation", vocabulary=width, **asked)
        if length > pairs.classes:
            raise BadInput(f"{name!r} says up to {length} tokens, and has no class for each length: data "
                           f"{pairs.name!r} has {pairs.classes} tokens")  # fmt: skip
        splits = {part: with_lengths(split) for part, split in pairs.splits.items()}
        told = f"{pairs.preprocessing}; targets without </s>, the number of their tokens in front"
        presented = Shown(network=name, inputs=known["inputs"], outputs=outputs_of(network))
        return replace(pairs, task=self.name, preprocessing=told, shown=presented, **splits)

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n training sources."""
        return by_name(shown(dataset), calibration(dataset, n, seed))

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score each test sentence by what BLEU counts of it, (N, 10)."""
        network = shown(dataset)
        (logits,) = run(network.network, by_name(network, dataset.test.x)).values()
        said, truth = np.asarray(logits).argmax(-1), np.asarray(dataset.test.y)
        texts = [[text_of(row[1 : 1 + row[0]], dataset.labels) for row in rows] for rows in (said, truth)]
        return Scores.by_row(self.metric.scores(*texts))

    def right(self, answers: np.ndarray, targets: np.ndarray, threshold: float) -> np.ndarray:
        """Return the share of each sentence's tokens, its length among them, that are the likeliest, (N,)."""
        there = targets != 0
        return ((answers.argmax(-1) == targets) & there).sum(-1) / np.maximum(there.sum(-1), 1)

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)


def with_lengths(split: Split) -> Split:
    """Return sources alone, and targets (N, T) as the number of their tokens and these, without the end."""
    tokens = np.where(split.y == EOS, 0, split.y)[:, :-1]
    counts = (tokens != 0).sum(1, keepdims=True)
    return Split(x=split.x["source"], y=np.concatenate([counts, tokens], axis=1).astype(np.int32))


def _logged(threshold: float) -> list[Any]:
    return [TokenAccuracy()]


enter(ParallelTranslation(name="parallel_translation", loss=PaddedCrossentropy, logs=_logged, labelled=True))

"""Language models in both directions: each word by those before it, and by those behind it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from ...errors import BadInput
from ...metrics import Scores
from ...runners import Arrays, Runner
from ..data import Dataset, load
from ..data.dataset import Split, subset
from ..presented import takes
from .language import LanguageModel
from .register import Networks, enter

VECTORS, SOFTMAX = "vectors", "softmax"  # the networks: what goes to a device, the table of words
NONE = -1  # in the place of a word that is not there


@dataclass(frozen=True, kw_only=True)
class TwoWayLanguageModel(LanguageModel):
    """Words by vectors of which one half saw those before, the other those behind; judged by perplexity.

    Networks: "vectors", tokens (N, T) -> (N, T, 2 d), and "softmax", a table (K, d) of the host's: logits of the next
    word are products with the first half, of the word before with the second. The unit is a text.
    """

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return texts as the vectors' network takes them.

        Raises: BadInput if there is no such network, or the table tells fewer words apart than the texts have.
        """
        if missing := [name for name in (VECTORS, SOFTMAX) if name not in networks]:
            raise BadInput(f"task {self.name!r} needs a network {missing[0]!r}, got {', '.join(networks)}")
        known, width = takes(networks[VECTORS]), networks[SOFTMAX].weights[0].shape[0]
        dataset = load(data, input_shape=known["input_shape"], dtype="int32", task="language_model", classes=width,
                       **asked)  # fmt: skip
        if not rebuilt and width < dataset.classes:
            raise BadInput(f"{SOFTMAX!r} knows {width} words, data {dataset.name!r} has {dataset.classes}; build it "
                           f"with classes={dataset.classes}")  # fmt: skip
        return replace(dataset, task=self.name)

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n training texts."""
        return {"tokens": np.asarray(subset(dataset.train, n, seed, stratify=False).x)}

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score each word of the test texts by its negative log-likelihood, once by each direction, (M, 1)."""
        (vectors,) = run(VECTORS, {"tokens": np.asarray(dataset.test.x)}).values()
        vectors, table, targets = np.asarray(vectors), run.table(SOFTMAX), both_ways(dataset.test)
        halves = np.split(vectors, 2, axis=-1)
        rows, units = [], []
        for way, half in enumerate(halves):
            told = targets[..., way] != NONE
            rows.append(self.metric.scores(half[told] @ table.T, targets[..., way][told]))
            units.append(np.nonzero(told)[0])
        return Scores(np.concatenate(rows), np.concatenate(units))


def both_ways(split: Split) -> np.ndarray:
    """Return the words after and before each of a text's.  Shapes: (N, T, 2) int32, NONE where there is none."""
    before = np.pad(np.asarray(split.x)[:, :-1], [(0, 0), (1, 0)], constant_values=NONE)
    return np.stack([split.y, before], axis=-1).astype(np.int32)


def _of_words(smoothing: float) -> keras.losses.Loss:
    """Return the cross-entropy of words both ways, those left out that are not there."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=NONE)


enter(TwoWayLanguageModel(name="two_way_language_model", loss=_of_words, labelled=True))

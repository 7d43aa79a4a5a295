"""Language models: the probability of each token given those before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ... import metrics
from ...errors import BadInput
from ...metrics import Metric, Scores
from ...runners import Arrays, Judge, Runner
from ..data import Dataset, load
from ..data.dataset import subset
from ..presented import takes
from .objective import Objective
from .register import Bound, Networks, enter

SEQUENCE, STEP = "sequence", "step"  # the networks: the one that is trained, the one that runs
TOKEN, LOGITS = "token", "logits"  # of the step


@dataclass(frozen=True, kw_only=True)
class LanguageModel(Objective):
    """The next token of texts, judged by the perplexity of a step network that is told the true ones on the way.

    Networks: "sequence", tokens (N, T) -> logits (N, T, K), which is trained; "step", "token" (N, 1) and states ->
    "logits" (N, 1, K) and states. The unit is a text.
    """

    @property
    def metric(self) -> Metric:
        """Perplexity."""
        return metrics.get("perplexity")

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return texts as the sequence net takes them, and what follows each of their tokens.

        Of words as many kinds as it tells apart.
        Raises: BadInput if there is no such net, or it tells fewer characters apart than the texts have.
        """
        if SEQUENCE not in networks:
            raise BadInput(f"task {self.name!r} is for a network {SEQUENCE!r}, got {', '.join(networks)}")
        network = networks[SEQUENCE]
        known, width = takes(network), network.outputs[0].shape[-1]
        dataset = load(data, input_shape=known["input_shape"], dtype="int32", task=self.name, classes=width, **asked)
        if not rebuilt and width < dataset.classes:
            raise BadInput(f"{SEQUENCE!r} knows {width} tokens, data {dataset.name!r} has {dataset.classes}; build it "
                           f"with classes={dataset.classes}")  # fmt: skip
        return dataset

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n training texts: of the sequence net by its input, of the step a token a time step, (n, T, 1)."""
        tokens = subset(dataset.train, n, seed, stratify=False).x
        assert isinstance(tokens, np.ndarray)
        return {TOKEN: tokens[..., None]} if network == STEP else {"tokens": tokens}

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score each token of the test texts by its negative log-likelihood, (N T, 1)."""
        tokens = np.asarray(dataset.test.x)
        logits = np.asarray(run.unroll(STEP, {TOKEN: tokens[..., None]})[LOGITS])
        logits = logits.reshape(*tokens.shape, -1)  # (N, T, K)
        rows = self.metric.scores(logits, dataset.test.y)
        return Scores(rows.reshape(-1, 1), np.repeat(np.arange(len(tokens)), tokens.shape[1]))

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)


def continued(run: Runner, tokens: np.ndarray, steps: int) -> np.ndarray:
    """Return the most likely tokens behind a first one each, one after the other.  Shapes: (N,) -> (N, steps)."""
    first = {TOKEN: np.asarray(tokens, np.int32)[:, None]}
    logits = np.asarray(run.unroll(STEP, {}, first=first, steps=steps, feed={LOGITS: TOKEN})[LOGITS])
    return logits.reshape(len(tokens), steps, -1).argmax(-1)


def _of_tokens(smoothing: float) -> keras.losses.Loss:
    """Return the cross-entropy of the next token; smoothed targets would be paid for in perplexity."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


enter(LanguageModel(name="language_model", loss=_of_tokens, labelled=True))

"""Walks: samples that are said again with noise, over and over, judged by how likely they make what was never seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ... import metrics
from ...metrics import Metric, Scores
from ...runners import Runner
from ..data import Dataset
from ..data.dataset import subset
from ..losses import loss_of_logits, squared_error
from .autoencoding import NOISE_SEED, Autoencoding
from .energy import on
from .generative import DRAWN, parzen
from .register import enter
from .supervised import SHOWN

CHAINS = 100  # that are walked at once, each from a training sample
SKIPPED = 20  # steps that are left out, in which they still know where they began


@dataclass(frozen=True, kw_only=True)
class Walk(Autoencoding):
    """Samples of walks, judged by the Parzen-window log-likelihood of the test samples in nats per value.

    Networks: "encoder", sample and "noise" -> code; "decoder", code -> values, or their logits. A step is both. All
    runners walk with the same noise. The unit is a sample. Multiplied by the number of values it is the figure of the
    literature, but for fewer samples, which make it lower.
    sampled: values are drawn, 1 or 0 by their logits, before the next step; else they go on in [0, 1] as they are.
    Source: Bengio 2013, arXiv:1306.1091, section 4; Breuleux 2011.
    """

    sampled: bool

    @property
    def metric(self) -> Metric:
        """The mean log-likelihood."""
        return metrics.get("log_likelihood")

    def drawn(self, made: np.ndarray) -> np.ndarray:
        """Return answers of the decoder as values in [0, 1]."""
        return 1 / (1 + np.exp(-made)) if self.sampled else np.clip(made, 0, 1)

    def walked(self, run: Runner, dataset: Dataset, x: np.ndarray, steps: int) -> np.ndarray:
        """Return the values that walks from samples come to at each step, (steps, N, ...)."""
        found, random = [], np.random.default_rng(NOISE_SEED)
        for step in range(steps):
            found.append(self.drawn(self.through(run, dataset, x, NOISE_SEED + step)[""]))
            x = on(found[-1], random) if self.sampled else found[-1]
        return np.stack(found)

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score the test samples under what walks from training samples draw; validation chooses the width."""
        x = np.asarray(subset(dataset.train, CHAINS, NOISE_SEED, stratify=False).x)
        kernels = self.walked(run, dataset, x, SKIPPED + DRAWN // len(x))[SKIPPED:].reshape(-1, x[0].size)
        validation, test = (np.asarray(s.x).reshape(len(s), -1) for s in (dataset.validation, dataset.test))
        return Scores.by_row(parzen(test, validation, kernels)[:, None] / test.shape[1])

    def pictures(self, run: Runner, dataset: Dataset) -> Mapping[str, np.ndarray]:
        """Return test samples, the same said again, and where walks from them have come to."""
        x = np.asarray(dataset.test.x)[:SHOWN]
        return {**super().pictures(run, dataset), "drawn": self.walked(run, dataset, x, SKIPPED)[-1]}


enter(Walk(name="walk", loss=squared_error, sampled=False))
enter(Walk(name="sampled_walk", loss=loss_of_logits, sampled=True))

"""Walks: samples that are said again with noise, over and over, judged by how likely they make what was never seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ... import metrics
from ...metrics import Metric, Scores
from ...runners import Arrays, Runner
from ..data import Dataset
from ..data.dataset import subset
from ..losses import loss_of_logits, squared_error
from .autoencoding import NOISE, NOISE_SEED, Autoencoding
from .energy import on
from .generative import DRAWN, best_width, parzen
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
    spreads: of the noise; that under which the validation samples are likeliest is walked with, whatever a net's
    weights are scaled by: a pruned one moves less by the same noise.
    Source: Bengio 2013, arXiv:1306.1091, section 4; Breuleux 2011.
    """

    sampled: bool
    spreads: tuple[float, ...] = (1.0,)

    @property
    def metric(self) -> Metric:
        """The mean log-likelihood."""
        return metrics.get("log_likelihood")

    def drawn(self, made: np.ndarray) -> np.ndarray:
        """Return answers of the decoder as values in [0, 1]."""
        return 1 / (1 + np.exp(-made)) if self.sampled else np.clip(made, 0, 1)

    def read(self, dataset: Dataset, x: np.ndarray, seed: int, spread: float | None = None) -> Arrays:
        """Return what the encoder reads: samples, and noise of a spread, by default of the widest that is walked with:
        by that ranges are calibrated.
        """
        given = super().read(dataset, x, seed)
        return {**given, NOISE: given[NOISE] * np.float32(max(self.spreads) if spread is None else spread)}

    def walked(self, run: Runner, dataset: Dataset, x: np.ndarray, steps: int, spread: float = 1.0) -> np.ndarray:
        """Return the values that walks from samples come to at each step, (steps, N, ...)."""
        found, random = [], np.random.default_rng(NOISE_SEED)
        for step in range(steps):
            said = self.through(run, dataset, x, NOISE_SEED + step, spread=spread)
            found.append(self.drawn(said[""]))
            x = on(found[-1], random) if self.sampled else found[-1]
        return np.stack(found)

    def kernels(self, run: Runner, dataset: Dataset, count: int, skipped: int = SKIPPED) -> np.ndarray:
        """Return the values, (count, n), that walks from training samples come to after the steps that are skipped, at
        the spread under which they make the validation samples likeliest.
        """
        x = np.asarray(subset(dataset.train, CHAINS, NOISE_SEED, stratify=False).x)
        steps = skipped + -(-count // len(x))
        tried = [
            self.walked(run, dataset, x, steps, spread)[skipped:].reshape(-1, x[0].size)[:count]
            for spread in self.spreads
        ]
        validation = np.asarray(dataset.validation.x).reshape(len(dataset.validation), -1)
        return max(tried, key=lambda kernels: best_width(validation, kernels)[1])

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score the test samples under what walks draw; validation chooses the width of kernels too."""
        kernels = self.kernels(run, dataset, DRAWN)
        validation, test = (np.asarray(s.x).reshape(len(s), -1) for s in (dataset.validation, dataset.test))
        return Scores.by_row(parzen(test, validation, kernels)[:, None] / test.shape[1])

    def pictures(self, run: Runner, dataset: Dataset) -> Mapping[str, np.ndarray]:
        """Return test samples, the same said again, and where walks from them have come to."""
        x = np.asarray(dataset.test.x)[:SHOWN]
        again = self.drawn(self.through(run, dataset, x, spread=1.0)[""])
        return {"samples": x, "reconstructions": again, "drawn": self.walked(run, dataset, x, SKIPPED)[-1]}


enter(Walk(name="walk", loss=squared_error, sampled=False, spreads=(0.7, 1.0, 1.4, 2.0, 2.8, 4.0)))
enter(Walk(name="sampled_walk", loss=loss_of_logits, sampled=True))

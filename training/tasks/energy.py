"""Energy models: samples by way of their hidden units, and a Gibbs chain over whatever computes the conditionals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...runners import Arrays, Runner
from ..data import Dataset
from ..losses import squared_error
from .autoencoding import CODE, DECODER, ENCODER, Autoencoding, read
from .register import enter
from .supervised import SHOWN

ENERGY = "energy"
STEPS = 200  # of the chain behind what is drawn
SEED = 20_020_801  # of the chain


@dataclass(frozen=True, kw_only=True)
class EnergyModel(Autoencoding):
    """Samples in [0, 1], judged by the share of their variance that P(v | P(h | v)) explains.

    Networks: "encoder", v -> P(h | v), and "decoder", h -> P(v | h); of one that tells it, "energy", v -> free energy.
    Of a stack h are the units on top, and what lies between goes on as probabilities. The unit is a sample.
    """

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n training samples for encoder and energy; for the decoder see `observed`."""
        return super().samples(dataset, ENCODER if network == ENERGY else network, n, seed)

    def observed(self, run: Runner, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return what `network` reads as n training samples go through encoder and decoder."""
        return super().observed(run, dataset, ENCODER if network == ENERGY else network, n, seed)

    def pictures(self, run: Runner, dataset: Dataset) -> Mapping[str, np.ndarray]:
        """Return test samples, the same said again, and where a chain from noise has come to, the same for all."""
        shape, random = np.asarray(dataset.test.x)[:SHOWN].shape, np.random.default_rng(SEED)
        (given,) = read(dataset, np.zeros(shape, np.float32), 0)
        v = probable = (random.random(shape) < 0.5).astype(np.float32)
        for _ in range(STEPS):
            v, probable = gibbs(run, given, v, random)
        return {**super().pictures(run, dataset), "drawn": probable}


def gibbs(run: Runner, given: str, v: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the next state of a chain, and the probabilities that it was drawn by, (N, n) each.

    given: the name of the encoder's input. A unit is on where a uniform number of `random` lies below its probability.
    """
    hidden = on(run(ENCODER, {given: v})[CODE], random)
    (probable,) = run(DECODER, {CODE: hidden}).values()
    return on(probable, random), np.asarray(probable)


def on(probable: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return 1 where a uniform number lies below the probability, else 0, float32."""
    return (random.random(probable.shape, np.float32) < probable).astype(np.float32)


enter(EnergyModel(name="energy", loss=squared_error))

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
from .supervised import SHOWN, shown

ENERGY, SWEEP = "energy", "sweep"
STATE, UNIFORM = "state", "uniform"  # of a sweep
STEPS = 200  # of the chain behind what is drawn
SEED = 20_020_801  # of the chain


@dataclass(frozen=True, kw_only=True)
class EnergyModel(Autoencoding):
    """Samples in [0, 1], judged by the share of their variance that P(v | P(h | v)) explains.

    Networks: "encoder", v -> P(h | v), and "decoder", h -> P(v | h); of one that tells it, "energy", v -> free energy.
    Of a stack h are the units on top, and what lies between goes on as probabilities. The unit is a sample.
    connected: all units see each other: both say chances by mean field, and "sweep", the "state" of all units, the
    visible ones first, and "uniform" numbers -> the next state, is what a chain is made of.
    """

    connected: bool = False

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n training samples for encoder and energy, states for the sweep; for the decoder see `observed`."""
        if network == SWEEP:
            random, v = np.random.default_rng(seed), super().samples(dataset, ENCODER, n, seed)
            (v,) = v.values()
            return states(on(v, random), random.random((len(v), *code_shape(dataset)), np.float32) < 0.5, random)
        return super().samples(dataset, ENCODER if network == ENERGY else network, n, seed)

    def observed(self, run: Runner, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return what `network` reads as n training samples go through encoder and decoder, or are swept."""
        if network == SWEEP:
            random, given = np.random.default_rng(seed), super().samples(dataset, ENCODER, n, seed)
            (v,) = given.values()
            return states(on(v, random), on(run(ENCODER, given)[CODE], random), random)
        return super().observed(run, dataset, ENCODER if network == ENERGY else network, n, seed)

    def pictures(self, run: Runner, dataset: Dataset) -> Mapping[str, np.ndarray]:
        """Return test samples, the same said again, and where a chain from noise has come to, the same for all."""
        shape, random = np.asarray(dataset.test.x)[:SHOWN].shape, np.random.default_rng(SEED)
        (given,) = read(dataset, np.zeros(shape, np.float32), 0)
        v = probable = (random.random(shape) < 0.5).astype(np.float32)
        if self.connected:
            probable = self._swept(run, dataset, v, random)
        else:
            for _ in range(STEPS):
                v, probable = gibbs(run, given, v, random)
        return {**super().pictures(run, dataset), "drawn": probable}

    def _swept(self, run: Runner, dataset: Dataset, v: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Return the chances of visible units given the hidden ones that a chain has come to."""
        state = np.concatenate([v, np.zeros((len(v), *code_shape(dataset)), np.float32)], axis=1)
        for _ in range(STEPS):
            (state,) = run(SWEEP, {STATE: state, UNIFORM: random.random(state.shape, np.float32)}).values()
        (probable,) = run(DECODER, {CODE: np.asarray(state)[:, v.shape[1] :]}).values()
        return np.asarray(probable)


def code_shape(dataset: Dataset) -> tuple[int, ...]:
    """Return the shape of what the encoder answers to a sample."""
    return tuple(size or 1 for size in shown(dataset).outputs[0].shape)


def states(v: np.ndarray, h: np.ndarray, random: np.random.Generator) -> Arrays:
    """Return what a sweep reads of visible and hidden units."""
    state = np.concatenate([v, h], axis=1).astype(np.float32)
    return {STATE: state, UNIFORM: random.random(state.shape, np.float32)}


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
enter(EnergyModel(name="connected_energy", loss=squared_error, connected=True))

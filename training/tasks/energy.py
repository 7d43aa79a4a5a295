"""Energy models: samples by way of their hidden units, and a Gibbs chain over whatever computes the conditionals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...runners import Arrays, Runner
from ..data import Dataset
from ..losses import squared_error
from .autoencoding import CODE, DECODER, ENCODER, NOISE_SEED, Autoencoding
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
    connected: all units see each other, and the decoder tells the visible ones from the "state" of all, the visible
    ones first; "sweep", state and "uniform" numbers -> the next state, is what a chain is made of.
    """

    connected: bool = False

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n training samples for encoder and energy; codes and states are made up: `observed` has true ones."""
        if self.connected and network != ENCODER:
            (v,), random = super().samples(dataset, ENCODER, n, seed).values(), np.random.default_rng(seed)
            h = random.random((len(v), *code_shape(dataset)), np.float32) < 0.5
            return states(network, np.concatenate([on(v, random), h], axis=1), random)
        return super().samples(dataset, ENCODER if network == ENERGY else network, n, seed)

    def observed(self, run: Runner, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return what `network` reads as n training samples go through encoder and decoder, or are swept."""
        if network == SWEEP:
            given, random = super().samples(dataset, ENCODER, n, seed), np.random.default_rng(seed)
            state = np.concatenate([*given.values(), run(ENCODER, given)[CODE]], axis=1)
            return states(network, on(state, random), random)
        return super().observed(run, dataset, ENCODER if network == ENERGY else network, n, seed)

    def through(
        self, run: Runner, dataset: Dataset, x: np.ndarray, seed: int = NOISE_SEED, **noise: Any
    ) -> dict[str, np.ndarray]:
        """Return what the encoder says of samples, and as "" what the decoder makes of that: of units drawn by it."""
        if not self.connected:
            return super().through(run, dataset, x, seed, **noise)
        said = dict(run(ENCODER, self.read(dataset, x, seed)))
        state = np.concatenate([x, on(np.asarray(said[CODE]), np.random.default_rng(seed))], axis=1)
        (made,) = run(DECODER, {STATE: state}).values()
        return {**said, "": np.asarray(made)}

    def pictures(self, run: Runner, dataset: Dataset) -> Mapping[str, np.ndarray]:
        """Return test samples, the same said again, and where a chain from noise has come to, the same for all."""
        shape, random = np.asarray(dataset.test.x)[:SHOWN].shape, np.random.default_rng(SEED)
        (given,) = self.read(dataset, np.zeros(shape, np.float32), 0)
        v = probable = (random.random(shape) < 0.5).astype(np.float32)
        if self.connected:
            probable = self._swept(run, dataset, v, random)
        else:
            for _ in range(STEPS):
                v, probable = gibbs(run, given, v, random)
        return {**super().pictures(run, dataset), "drawn": probable}

    def _swept(self, run: Runner, dataset: Dataset, v: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Return the chances of visible units given the state that a chain has come to."""
        state = np.concatenate([v, np.zeros((len(v), *code_shape(dataset)), np.float32)], axis=1)
        for _ in range(STEPS):
            (state,) = run(SWEEP, {STATE: state, UNIFORM: random.random(state.shape, np.float32)}).values()
        (probable,) = run(DECODER, {STATE: state}).values()
        return np.asarray(probable)


def code_shape(dataset: Dataset) -> tuple[int, ...]:
    """Return the shape of what the encoder answers to a sample."""
    return tuple(size or 1 for size in shown(dataset).outputs[0].shape)


def states(network: str, state: np.ndarray, random: np.random.Generator) -> Arrays:
    """Return what decoder or sweep read of a state."""
    uniform = {UNIFORM: random.random(state.shape, np.float32)} if network == SWEEP else {}
    return {STATE: state.astype(np.float32), **uniform}


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

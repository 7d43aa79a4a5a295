"""Energy models by contrastive divergence: what data make likely is raised, what a short chain from them makes is sunk.

A gradient of no loss: statistics of units that are on together, with the data and behind the chain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import keras
import numpy as np
from scipy.special import expit

from ...errors import BadInput
from ...keras_internals import dense_in
from ..config import TrainConfig
from ..data import Dataset
from ..state import Row
from ..tasks.autoencoding import DECODER, ENCODER
from ..tasks.energy import ENERGY, on
from .register import Networks
from .solved import solver

START = 0.01  # deviation of the first weights
DECAY = 2e-4  # of weights
MOMENTUM = 0.9


@dataclass(frozen=True, kw_only=True)
class Chains:
    """Options of contrastive divergence.

    steps: of the chain (CD-k).  Raises: BadInput for less than one.
    """

    steps: int = 1

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise BadInput(f"steps={self.steps}: a chain has at least 1")


@dataclass(kw_only=True)
class Machine:
    """Weights of a restricted Boltzmann machine, or a step of them: kernel (n, m), visible (n,), hidden (m,)."""

    kernel: np.ndarray
    visible: np.ndarray
    hidden: np.ndarray

    def up(self, v: np.ndarray) -> np.ndarray:
        """Return P(h = 1 | v).  Shapes: (N, n) -> (N, m)."""
        return expit(v @ self.kernel + self.hidden)

    def down(self, h: np.ndarray) -> np.ndarray:
        """Return P(v = 1 | h).  Shapes: (N, m) -> (N, n)."""
        return expit(h @ self.kernel.T + self.visible)


def contrast(machine: Machine, v: np.ndarray, steps: int, random: np.random.Generator) -> Machine:
    """Return the estimate of the log-likelihood's gradient by chains of `steps` from the samples v (N, n).

    The last hidden units are told by their probabilities.  Source: Hinton 2002; its guide of 2010, section 3.
    """
    first = told = machine.up(v)
    seen = v
    for _ in range(steps):
        seen = on(machine.down(on(told, random)), random)
        told = machine.up(seen)
    return Machine(
        kernel=(v.T @ first - seen.T @ told) / len(v),
        visible=(v - seen).mean(0),
        hidden=(first - told).mean(0),
    )


def descend(
    machine: Machine, alive: Machine, x: np.ndarray, config: TrainConfig, options: Chains, random: np.random.Generator
) -> list[float]:
    """Change the machine by contrastive divergence where weights are alive; the rate falls to 0.

    x: (N, n) in [0, 1], probabilities of which binary samples are drawn anew each time.
    Returns: for each epoch the mean squared error of P(v | P(h | v)) before it.
    """
    moving = Machine(**{each.name: np.zeros_like(getattr(machine, each.name)) for each in fields(Machine)})
    size, errors = config.batch_for(len(x)), []
    epochs = config.epochs_for(max(1, len(x) // size) * config.passes)
    for epoch in range(epochs):
        errors.append(float(((machine.down(machine.up(x)) - x) ** 2).mean()))
        rate = config.learning_rate * (1 - epoch / epochs)
        for order in (random.permutation(len(x)) for _ in range(config.passes)):
            for start in range(0, len(x) - size + 1, size):
                slope = contrast(machine, on(x[order[start : start + size]], random), options.steps, random)
                slope.kernel -= DECAY * machine.kernel
                for name in ("kernel", "visible", "hidden"):
                    step = MOMENTUM * getattr(moving, name) + rate * getattr(slope, name)
                    setattr(moving, name, step)
                    setattr(machine, name, (getattr(machine, name) + step) * getattr(alive, name))
    return errors


@solver("contrastive_divergence", again=True, options=Chains)
def contrastive_divergence(
    networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, *, support: Mapping[int, Any], options: Chains
) -> list[Row]:
    """Fit each layer as a machine of its own, the lowest first, on what those below make of samples.

    networks: "encoder" and "decoder", Dense layers in mirrored order, and of a lone machine perhaps "energy". A weight
    that pruning took in one of them is none in any.
    Source: Hinton 2006, A fast learning algorithm for deep belief nets.
    Raises: BadInput for samples outside [0, 1].
    """
    x = np.asarray(dataset.train.x, np.float32).reshape(len(dataset.train), -1)
    if x.min() < 0 or x.max() > 1:
        raise BadInput(f"data {dataset.name!r}: values from {x.min():g} to {x.max():g}; units have chances in [0, 1]")
    random, rows = np.random.default_rng(config.seed), []
    halves = dense_in(networks[ENCODER]), dense_in(networks[DECODER])[::-1]
    for up, down in zip(*halves, strict=True):
        whole = networks.get(ENERGY) if len(halves[0]) == 1 else None
        alive = _alive(up, down, whole, support)
        machine = _held(up, down) if support else _fresh(x, up.units, random)
        errors = descend(machine, alive, x, config, options, random)
        _assign(machine, up, down, whole)
        rows += [{"loss": error} for error in errors]
        x = machine.up(x)
    return rows


def _fresh(x: np.ndarray, units: int, random: np.random.Generator) -> Machine:
    """Return a machine that knows how often each visible unit is on: Hinton 2010, section 8."""
    share = np.clip(x.mean(0), 0.01, 0.99)
    kernel = START * random.standard_normal((x.shape[1], units), np.float32)
    return Machine(kernel=kernel, visible=np.log(share / (1 - share)), hidden=np.zeros(units, np.float32))


def _held(up: Any, down: Any) -> Machine:
    """Return the machine as pruning left it."""
    kernel, hidden, visible = (np.array(keras.ops.convert_to_numpy(each)) for each in (up.kernel, up.bias, down.bias))
    return Machine(kernel=kernel, visible=visible, hidden=hidden)


def _alive(up: Any, down: Any, whole: Any, support: Mapping[int, Any]) -> Machine:
    """Return where weights may be other than zero, 1 or 0."""
    kernel = _kept(up.kernel, support) * _kept(down.kernel, support).T
    visible: Any = np.ones(kernel.shape[0], np.float32)
    if whole is not None:
        kernel = kernel * _kept(whole.get_layer("code").kernel, support)
        visible = _kept(whole.get_layer("visible").kernel, support)[:, 0]
    return Machine(kernel=kernel, visible=visible, hidden=np.ones(kernel.shape[1], np.float32))


def _kept(variable: Any, support: Mapping[int, Any]) -> np.ndarray:
    return np.asarray(support.get(id(variable), np.ones(variable.shape)), np.float32)


def _assign(machine: Machine, up: Any, down: Any, whole: Any) -> None:
    pairs: Sequence[tuple[Any, np.ndarray]] = (
        (up.kernel, machine.kernel), (up.bias, machine.hidden), (down.kernel, machine.kernel.T),
        (down.bias, machine.visible),
    )  # fmt: skip
    if whole is not None:
        code = whole.get_layer("code")
        pairs = (*pairs, (code.kernel, machine.kernel), (code.bias, machine.hidden),
                 (whole.get_layer("visible").kernel, -machine.visible[:, None]))  # fmt: skip
    for variable, values in pairs:
        variable.assign(values.astype(np.float32))

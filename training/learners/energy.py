"""Energy models by contrastive divergence: what data make likely is raised, what a short chain from them makes is sunk.

A gradient of no loss: statistics of units that are on together, with the data and behind the chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import keras
import numpy as np
from scipy.special import expit

from ...errors import BadInput
from ...keras_internals import dense_in, layers_in
from ...progress import tracked
from ..config import TrainConfig
from ..data import Dataset
from ..state import Row
from ..tasks.autoencoding import DECODER, ENCODER
from ..tasks.energy import ENERGY, SWEEP, on
from .register import Networks
from .solved import solver

START = 0.01  # deviation of the first weights
DECAY = 2e-4  # of weights
MOMENTUM = 0.9


@dataclass(frozen=True, kw_only=True)
class Chains:
    """Options of contrastive divergence.

    steps: of the chain (CD-k), or sweeps of it.  Raises: BadInput for less than one.
    """

    steps: int = 1

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise BadInput(f"steps={self.steps}: a chain has at least 1")


@dataclass(kw_only=True)
class Machine:
    """Weights of a Boltzmann machine, or a step of them: kernel (n, m), visible (n,), hidden (m,).

    among_visible (n, n), among_hidden (m, m): symmetric, between units of one kind; None of a restricted machine.
    rounds: of the mean field by which it tells hidden units that see each other.
    """

    kernel: np.ndarray
    visible: np.ndarray
    hidden: np.ndarray
    among_visible: np.ndarray | None = None
    among_hidden: np.ndarray | None = None
    rounds: int = 0

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The weights that there are."""
        return {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}

    def up(self, v: np.ndarray) -> np.ndarray:
        """Return P(h = 1 | v), half way, `rounds` times, to what hidden units that see each other say by mean field.

        Shapes: (N, n) -> (N, m).
        """
        told = v @ self.kernel + self.hidden
        found = expit(told)
        for _ in range(self.rounds):
            found = (found + expit(told + found @ self.among_hidden)) / 2
        return found

    def down(self, h: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return P(v = 1 | h), and the other visible units v if they see each other.  Shapes: (N, m) -> (N, n)."""
        seen = 0.0 if self.among_visible is None else v @ self.among_visible
        return expit(h @ self.kernel.T + self.visible + seen)

    def joined(self) -> tuple[np.ndarray, np.ndarray]:
        """Return kernel (n + m, n + m) and biases (n + m,) of all units."""
        kernel = np.block([[self.among_visible, self.kernel], [self.kernel.T, self.among_hidden]])
        return kernel, np.concatenate([self.visible, self.hidden])


def swept(machine: Machine, state: np.ndarray, units: Iterable[int], random: np.random.Generator) -> np.ndarray:
    """Return the state (N, n + m) in which these units were drawn anew, each given all others as they are by then."""
    kernel, bias = machine.joined()
    state = state.copy()
    for unit in units:
        state[:, unit] = on(expit(state @ kernel[:, unit] + bias[unit]), random)
    return state


def contrast(machine: Machine, v: np.ndarray, steps: int, random: np.random.Generator) -> Machine:
    """Return the estimate of the log-likelihood's gradient by chains of `steps` from the samples v (N, n).

    The last hidden units are told by their probabilities. Where units of one kind see each other, `steps` sweeps draw
    the hidden ones for the samples, and as many draw all.  Source: Hinton 2002; its guide of 2010, section 3; Ackley
    1985, A learning algorithm for Boltzmann machines.
    """
    if machine.among_hidden is not None:
        return _contrast_of_all(machine, v, steps, random)
    first = told = machine.up(v)
    seen = v
    for _ in range(steps):
        seen = on(machine.down(on(told, random), seen), random)
        told = machine.up(seen)
    return Machine(
        kernel=(v.T @ first - seen.T @ told) / len(v),
        visible=(v - seen).mean(0),
        hidden=(first - told).mean(0),
    )


def _contrast_of_all(machine: Machine, v: np.ndarray, steps: int, random: np.random.Generator) -> Machine:
    visible, count = v.shape[1], v.shape[1] + len(machine.hidden)
    state = np.concatenate([v, on(machine.up(v), random)], axis=1)
    for _ in range(steps):
        state = swept(machine, state, range(visible, count), random)
    given = state
    for _ in range(steps):
        state = swept(machine, state, range(count), random)
    together = (given.T @ given - state.T @ state) / len(v)
    np.fill_diagonal(together, 0)
    alone = (given - state).mean(0)
    return Machine(
        kernel=together[:visible, visible:],
        visible=alone[:visible],
        hidden=alone[visible:],
        among_visible=together[:visible, :visible],
        among_hidden=together[visible:, visible:],
    )


def descend(
    machine: Machine, alive: Machine, x: np.ndarray, config: TrainConfig, options: Chains, random: np.random.Generator
) -> list[float]:
    """Change the machine by contrastive divergence where weights are alive; the rate falls to 0.

    x: (N, n) in [0, 1], probabilities of which binary samples are drawn anew each time.
    Returns: for each epoch the mean squared error of P(v | P(h | v)) before it, and given the other v if they are seen.
    """
    moving = {name: np.zeros_like(value) for name, value in machine.arrays.items()}
    size, errors = config.batch_for(len(x)), []
    epochs = config.epochs_for(max(1, len(x) // size) * config.passes)
    passes = tracked("contrastive divergence", range(epochs * config.passes))
    for epoch in range(epochs):
        errors.append(float(((machine.down(machine.up(x), x) - x) ** 2).mean()))
        rate = config.learning_rate * (1 - epoch / epochs)
        for order in (random.permutation(len(x)) for _ in islice(passes, config.passes)):
            for start in range(0, len(x) - size + 1, size):
                slope = contrast(machine, on(x[order[start : start + size]], random), options.steps, random)
                for name, value in machine.arrays.items():
                    decay = DECAY * value if value.ndim > 1 else 0.0
                    moving[name] = MOMENTUM * moving[name] + rate * (slope.arrays[name] - decay)
                    setattr(machine, name, (value + moving[name]) * alive.arrays[name])
    return errors


@solver("contrastive_divergence", again=True, options=Chains)
def contrastive_divergence(
    networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, *, support: Mapping[int, Any], options: Chains
) -> list[Row]:
    """Fit each layer as a machine of its own, the lowest first, on what those below make of samples.

    networks: "encoder" and "decoder", Dense layers in mirrored order, and of a lone machine perhaps "energy". Of one
    whose units all see each other the encoder has a layer of mean field, with "kernel" and "rounds", the decoder reads
    all units, and "sweep" has a layer of that name, with the kernel of all units, and "bias". A weight that pruning
    took in one of them is none in any.
    Source: Hinton 2006, A fast learning algorithm for deep belief nets.
    Raises: BadInput for samples outside [0, 1].
    """
    x = np.asarray(dataset.train.x, np.float32).reshape(len(dataset.train), -1)
    if x.min() < 0 or x.max() > 1:
        raise BadInput(f"data {dataset.name!r}: values from {x.min():g} to {x.max():g}; units have chances in [0, 1]")
    random, rows = np.random.default_rng(config.seed), []
    halves = dense_in(networks[ENCODER]), dense_in(networks[DECODER])[::-1]
    for up, down in zip(*halves, strict=True):
        alone = len(halves[0]) == 1
        whole, among = (networks.get(ENERGY), Among.of(networks)) if alone else (None, None)
        alive = _alive(up, down, whole, support, among)
        machine = _held(up, down, among) if support else _fresh(x, up.units, random, among)
        errors = descend(machine, alive, x, config, options, random)
        _assign(machine, up, down, whole, among)
        rows += [{"loss": error} for error in errors]
        x = machine.up(x)
    return rows


@dataclass(frozen=True, kw_only=True)
class Among:
    """Layers that know what units of one kind are to each other: of mean field, and the one that sweeps."""

    field: Any
    sweep: Any

    @classmethod
    def of(cls, networks: Networks) -> Among | None:
        """Return those of a machine whose units all see each other, None of a restricted one."""
        if SWEEP not in networks:
            return None
        field = next(layer for layer in layers_in(networks[ENCODER]) if hasattr(layer, "rounds"))
        return cls(field=field, sweep=networks[SWEEP].get_layer(SWEEP))


def _fresh(x: np.ndarray, units: int, random: np.random.Generator, among: Among | None = None) -> Machine:
    """Return a machine that knows how often each visible unit is on: Hinton 2010, section 8."""
    share = np.clip(x.mean(0), 0.01, 0.99)
    kernel = START * random.standard_normal((x.shape[1], units), np.float32)
    machine = Machine(kernel=kernel, visible=np.log(share / (1 - share)), hidden=np.zeros(units, np.float32))
    if among is not None:
        machine.rounds = among.field.rounds
        machine.among_visible, machine.among_hidden = (np.zeros((n, n), np.float32) for n in kernel.shape)
    return machine


def _held(up: Any, down: Any, among: Among | None = None) -> Machine:
    """Return the machine as pruning left it."""
    kernel, visible, hidden = (np.array(keras.ops.convert_to_numpy(each)) for each in (up.kernel, down.bias, up.bias))
    machine = Machine(kernel=kernel, visible=visible, hidden=hidden)
    if among is not None:
        whole = np.array(keras.ops.convert_to_numpy(among.sweep.kernel))
        machine.rounds, units = among.field.rounds, len(visible)
        machine.among_visible, machine.among_hidden = whole[:units, :units], whole[units:, units:]
    return machine


def _alive(up: Any, down: Any, whole: Any, support: Mapping[int, Any], among: Among | None = None) -> Machine:
    """Return where weights may be other than zero, 1 or 0."""
    kernel, back = _kept(up.kernel, support), _kept(down.kernel, support)
    units, visible = len(kernel), np.ones(len(kernel), np.float32)
    alive = Machine(kernel=kernel * back[-kernel.shape[1] :].T, visible=visible, hidden=np.ones_like(kernel[0]))
    if whole is not None:
        alive.kernel = alive.kernel * _kept(whole.get_layer("code").kernel, support)
        alive.visible = _kept(whole.get_layer("visible").kernel, support)[:, 0]
    if among is not None:
        both = _kept(among.sweep.kernel, support) * _kept(among.sweep.kernel, support).T
        alive.kernel = alive.kernel * both[:units, units:]
        alive.among_visible = back[:units] * back[:units].T * both[:units, :units]
        own = _kept(among.field.kernel, support)
        alive.among_hidden = own * own.T * both[units:, units:]
    return alive


def _kept(variable: Any, support: Mapping[int, Any]) -> np.ndarray:
    return np.asarray(support.get(id(variable), np.ones(variable.shape)), np.float32)


def _assign(machine: Machine, up: Any, down: Any, whole: Any, among: Among | None = None) -> None:
    back: Any = np.concatenate([*([] if machine.among_visible is None else [machine.among_visible]), machine.kernel.T])
    pairs: list[tuple[Any, Any]] = [
        (up.kernel, machine.kernel), (up.bias, machine.hidden), (down.kernel, back), (down.bias, machine.visible),
    ]  # fmt: skip
    if whole is not None:
        code, visible = whole.get_layer("code"), whole.get_layer("visible")
        pairs += [(code.kernel, machine.kernel), (code.bias, machine.hidden)]
        pairs += [(visible.kernel, -machine.visible[:, None])]
    if among is not None:
        kernel, bias = machine.joined()
        pairs += [(among.field.kernel, machine.among_hidden), (among.sweep.kernel, kernel), (among.sweep.bias, bias)]
    for variable, values in pairs:
        variable.assign(values.astype(np.float32))

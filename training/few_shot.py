"""Episodes of a few samples a class, and what a host makes of them for the head of a network, by names of its inputs.

The same functions serve training, through whose gradients they go, and evaluation: they take what computes networks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import BadInput
from ..untyped import ops
from .data import Split

EMBEDDING, HEAD, BASE = "embedding", "head", "base"  # networks; the last tells classes of training apart
START, RATES, OPTIMIZER = "start", "rates", "optimizer"  # of a head whose weights are inputs
IMAGE, VECTOR, QUERY = "image", "vector", "query"
PROTOTYPES, SUPPORT, KERNEL, BIAS = "prototypes", "support", "kernel", "bias"  # what a head is given of new classes
WEIGHTS, GRADIENT, TOLD, NEXT = "weights", "gradient", "told", "_out"  # of a learned optimizer, beside its states
UPDATES = 5  # of a learned optimizer
SMALL = 10.0  # gradients below exp(-SMALL) are told as they are, others by their logarithm

Ask = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]  # network, inputs by name -> outputs by name
Table = Callable[[str], Any]


@dataclass(frozen=True, kw_only=True)
class Episodes:
    """Which samples of a split make up episodes.  Shapes: support (E, ways, shots), queries (E, ways * queries)."""

    support: np.ndarray
    queries: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """The class of each query within its episode, (E, Q) int32: queries of one class lie together."""
        count, ways, _ = self.support.shape
        each = np.repeat(np.arange(ways, dtype=np.int32), self.queries.shape[1] // ways)
        return np.tile(each, (count, 1))


def episodes(
    split: Split, *, ways: int, shots: int, queries: int, count: int, random: np.random.Generator
) -> Episodes:  # fmt: skip
    """Draw episodes of `ways` classes each, where samples are of groups all of one group; `queries` a class.

    Raises: BadInput where too few classes have shots + queries samples.
    """
    labels, asked = np.asarray(split.y), shots + queries
    groups = np.zeros(len(labels), int) if split.group is None else np.asarray(split.group)
    pools: list[list[np.ndarray]] = []
    for group in np.unique(groups):
        inside = np.flatnonzero(groups == group)
        members = [inside[labels[inside] == label] for label in np.unique(labels[inside])]
        pools.append([each for each in members if len(each) >= asked])
    pools = [pool for pool in pools if len(pool) >= ways]
    if not pools:
        raise BadInput(f"{ways} ways of {asked} samples: the data have fewer classes of as many; ask for fewer")
    chosen = np.empty((count, ways, asked), int)
    for episode in chosen:
        pool = pools[random.integers(len(pools))]
        for place, kind in enumerate(random.permutation(len(pool))[:ways]):
            episode[place] = random.permutation(pool[kind])[:asked]
    return Episodes(support=chosen[..., :shots], queries=chosen[..., shots:].reshape(count, -1))


@dataclass(frozen=True, kw_only=True)
class Host:
    """What learns new classes beside a device. ask, table: compute networks and read tables, as of a runner.

    networks: the names of all. wanted: names of the head's inputs. states: of a learned optimizer, how wide each is.
    """

    ask: Ask
    table: Table
    networks: Collection[str]
    wanted: Collection[str]
    states: Mapping[str, int]

    def learned(self, support: Any) -> dict[str, Any]:
        """Return what the head is given of new classes, by name of its inputs.

        Shapes: support (E, ways, shots, ...) vectors -> "prototypes" (E, ways, ...), "support" as it is, "kernel"
        (E, d, ways) and "bias" (E, ways).
        """
        if PROTOTYPES in self.wanted:
            return {PROTOTYPES: ops.mean(support, axis=2)}
        if SUPPORT in self.wanted:
            return {SUPPORT: support}
        ways, width = support.shape[1], support.shape[-1]
        start = self.table(START) if START in self.networks else np.zeros((width + 1, ways), np.float32)
        if OPTIMIZER in self.networks:
            weights = self.optimized(support, start)
        else:
            weights = descended(support, start, self.table(RATES))
        return {KERNEL: weights[:, :-1], BIAS: weights[:, -1]}

    def optimized(self, support: Any, start: Any) -> Any:
        """Return weights after updates of a network, one row a weight, which is told loss and gradient.

        No gradient of training goes through what it is told.  Shapes: as of `descended`.
        """
        samples, truth = _rows(support)
        size, weights = start.shape[0] * start.shape[1], ops.zeros_like(samples[:, :1, :1]) + start
        nothing = ops.zeros_like(ops.reshape(weights, (-1, size, 1)))
        states = {name: ops.repeat(nothing, width, axis=-1) for name, width in self.states.items()}
        for _ in range(UPDATES):
            loss, gradient = map(ops.stop_gradient, loss_and_gradient(samples, truth, weights))
            flat = ops.reshape(gradient, (-1, size, 1))
            of_loss = nothing + ops.reshape(loss, (-1, 1, 1))
            told = ops.concatenate([*readable(flat), *readable(of_loss)], axis=-1)  # (E, size, 4)
            given = {WEIGHTS: ops.reshape(weights, (-1, size, 1)), GRADIENT: flat, TOLD: told, **states}
            answers = self.ask(OPTIMIZER, given)
            states = {name: answers[f"{name}{NEXT}"] for name in states}
            weights = ops.reshape(answers[f"{WEIGHTS}{NEXT}"], (-1, *start.shape))
        return weights


def descended(support: Any, start: Any, rates: Any) -> Any:
    """Return weights after steps of gradient descent on the support's cross-entropy.

    Shapes: support (E, ways, shots, d), start (d + 1, ways), rates (steps, 1) -> (E, d + 1, ways), the biases last.
    """
    samples, truth = _rows(support)
    weights = ops.zeros_like(samples[:, :1, :1]) + start
    for step in range(rates.shape[0]):
        weights = weights - rates[step, 0] * loss_and_gradient(samples, truth, weights)[1]
    return weights


def _rows(support: Any) -> tuple[Any, np.ndarray]:
    """Return samples with a 1 behind them, (E, ways * shots, d + 1), and their classes, one-hot."""
    _, ways, shots, width = support.shape
    rows = ops.reshape(support, (-1, ways * shots, width))
    truth = np.repeat(np.eye(ways, dtype=np.float32), shots, axis=0)
    return ops.concatenate([rows, ops.ones_like(rows[..., :1])], axis=-1), truth


def loss_and_gradient(samples: Any, truth: Any, weights: Any) -> tuple[Any, Any]:
    """Return the mean cross-entropy of a last layer, (E,), and its gradient, as it is written down.

    Shapes: samples (E, n, d + 1), truth (n, ways) one-hot, weights (E, d + 1, ways) -> (E, d + 1, ways).
    """
    likely = ops.log_softmax(ops.matmul(samples, weights), axis=-1)  # (E, n, ways)
    wrong = ops.exp(likely) - truth
    loss = -ops.mean(ops.sum(likely * truth, axis=-1), axis=-1)
    return loss, ops.matmul(ops.swapaxes(samples, 1, 2), wrong) / len(truth)


def readable(x: Any) -> tuple[Any, Any]:
    """Return numbers of any size as two of about 1: logarithm and sign.  Source: Andrychowicz 2016, appendix A."""
    size = ops.absolute(x)
    told = size >= float(np.exp(-SMALL))
    logarithm = ops.log(ops.maximum(size, float(np.exp(-SMALL)))) / SMALL
    return ops.where(told, logarithm, -1.0), ops.where(told, ops.sign(x), float(np.exp(SMALL)) * x)

"""Vectors of nodes by descent: products are to be large of a node and its neighbours, on edges or on walks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import BadInput
from ...models.tables import LOOKUP, ROW, SCORER
from ...untyped import ops
from .. import rows
from ..config import TrainConfig
from ..data import Dataset
from ..data.links import adjacency_of
from ..optimizers import optimizer
from ..state import Row, RunDir
from .games import Epochs, Move
from .register import Networks, best_by_metric, learner, validate_by_metric
from .solved import changed

ASKED = "asked"  # numbers of the rows that are scored for a node
POWER = 0.75  # of degrees, by which others are drawn: Mikolov 2013, arXiv:1310.4546, section 2.2


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """Who is near, and what a product is to be.

    walk: nodes in a walk, of which those at most `window` apart are near; 0 for the ends of an edge alone. p, q: going
    back has a weight of 1 / p, going to where the node before has no edge 1 / q. negatives: others drawn for a node.
    squared: 1 for squared distances from 1 and 0, 0 for log-likelihoods of yes and no. tied: 1 if both sides have one
    table, until pruning or quantization makes two of it.  Raises: BadInput for a number outside its range.
    """

    walk: int = 0
    window: int = 5
    p: float = 1.0
    q: float = 1.0
    negatives: int = 5
    squared: int = 0
    tied: int = 0

    def __post_init__(self) -> None:
        for name, holds, allowed in (
            ("walk", self.walk == 0 or self.walk > 1, "0 or an integer from 2"),
            ("window", self.window >= 1, "an integer from 1"),
            ("p", self.p > 0, "a number above 0"),
            ("q", self.q > 0, "a number above 0"),
            ("negatives", self.negatives >= 1, "an integer from 1"),
        ):
            if not holds:
                raise BadInput(f"{name}={getattr(self, name)!r}: allowed is {allowed}")


@learner("neighbours", options=Neighbours, starts_over=True)
def neighbours(
    networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, run: RunDir, *, options: Neighbours
) -> list[Row]:
    """Move vectors of nodes to those of their neighbours and away from others; keep the epoch of the best metric.

    networks: "lookup" and "scorer". A batch is of edges, from whose first ends walks start. Negatives are drawn by
    degree^0.75, where the authors of DeepWalk have a tree of softmaxes.
    Source: Ahmed 2013, Distributed large-scale natural graph factorization; Perozzi 2014, arXiv:1403.6652; Grover 2016,
    arXiv:1607.00653.
    """
    starts, ends = np.asarray(dataset.train.x)[:, 0], np.asarray(dataset.train.y)
    draws = Draws(adjacency_of(dataset), options)
    batch = config.batch_for(len(starts))
    steps = len(starts) // batch * config.passes
    epochs = config.epochs_for(steps)
    tied = options.tied and not any(map(changed, networks.values()))
    learning = [LOOKUP] if tied else [LOOKUP, SCORER]
    rate = optimizer(config, epochs * steps, epoch=steps)
    move = Move("nearing", networks, learning, _tied if tied else _scored)
    move.prepare(_squared if options.squared else _likely, rate, config)

    def epoch(number: int) -> Row:
        random, losses = np.random.default_rng([config.seed, number]), []
        for _ in range(config.passes):
            for chosen in random.permutation(len(starts))[: len(starts) // batch * batch].reshape(-1, batch):
                nodes, asked, truth = draws.draw(starts[chosen], ends[chosen], random)
                losses.append(move.make({ROW: nodes[:, None], ASKED: asked}, truth))
        if tied:
            rows.follow(networks[LOOKUP], networks[SCORER])
        return {"loss": float(np.mean(losses))}

    game = Epochs(networks, {"optimizer": move.optimizer.variables}, config, run)
    return game.play(epochs, epoch, dataset, task, validate_by_metric, best_by_metric)


def _scored(players: Networks, given: Mapping[str, Any]) -> Any:
    """Return products with rows of the scorer, (N, asked)."""
    query = players[LOOKUP](given[ROW], training=True)
    return ops.take_along_axis(players[SCORER](query, training=True), given[ASKED], axis=1)


def _tied(players: Networks, given: Mapping[str, Any]) -> Any:
    """Return products with rows of the lookup, (N, asked)."""
    both = ops.concatenate([given[ROW], given[ASKED]], axis=1)  # (N, 1 + asked)
    found = players[LOOKUP](ops.reshape(both, (-1, 1)), training=True)
    vectors = ops.reshape(found, (-1, both.shape[1], found.shape[-1]))
    return ops.sum(vectors[:, :1] * vectors[:, 1:], axis=-1)


def _likely(truth: Any, products: Any) -> Any:
    """Return minus the log-likelihood of yes and no, a sum over what is asked: 1, 0, or -1 for what is not."""
    told = ops.cast(truth >= 0, products.dtype)
    surprise = ops.softplus(products) - products * ops.maximum(truth, 0)
    return ops.sum(surprise * told, axis=-1)


def _squared(truth: Any, products: Any) -> Any:
    """Return half of the squared distances from 1 and 0, a sum over what is asked."""
    return ops.sum((products - truth) ** 2 * ops.cast(truth >= 0, products.dtype), axis=-1) / 2


class Draws:
    """Draws who is asked for at nodes.  edges: (nodes, nodes)."""

    def __init__(self, edges: np.ndarray, options: Neighbours):
        self.edges, self.options = edges, options
        self._chances = np.cumsum(edges.sum(1) ** POWER)

    def draw(self, starts: np.ndarray, ends: np.ndarray, random: np.random.Generator):
        """Return nodes (N,), which rows are asked for at each (N, asked), and their truth: 1, 0, or -1 for nothing."""
        if self.options.walk:
            paths = walks(self.edges, starts, self.options.walk, random, self.options.p, self.options.q)
            nodes, near, there = near_on(paths, self.options.window)
        else:
            nodes, near, there = starts, ends[:, None], np.ones((len(ends), 1), bool)
        drawn = random.random((len(nodes), self.options.negatives)) * self._chances[-1]
        others = np.searchsorted(self._chances, drawn, side="right")
        truth = np.concatenate([np.where(there, 1, -1), np.zeros(others.shape)], axis=1)
        return nodes.astype(np.int32), np.concatenate([near, others], axis=1).astype(np.int32), truth.astype(np.float32)


def near_on(paths: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each place of walks, the nodes at most `window` places from it, and which of these there are.

    Shapes: paths (N, L) -> (N * L,), (N * L, 2 window), bool.
    """
    length = paths.shape[1]
    steps = np.array([step for step in range(-window, window + 1) if step])
    at = np.arange(length)[:, None] + steps  # (L, 2 window)
    there = (at >= 0) & (at < length)
    near = paths[:, np.clip(at, 0, length - 1)]  # (N, L, 2 window)
    return paths.reshape(-1), near.reshape(-1, len(steps)), np.tile(there, (len(paths), 1))


def walks(
    edges: np.ndarray, starts: np.ndarray, length: int, random: np.random.Generator, p: float = 1.0, q: float = 1.0
) -> np.ndarray:
    """Return a walk from each start, (N, length)."""
    paths = [starts]
    for _ in range(length - 1):
        chances = transitions(edges, paths[-2] if len(paths) > 1 else None, paths[-1], p, q)
        below = np.cumsum(chances, axis=1)
        paths.append((below > random.random((len(starts), 1)) * below[:, -1:]).argmax(1))
    return np.stack(paths, axis=1)


def transitions(edges: np.ndarray, before: np.ndarray | None, now: np.ndarray, p: float, q: float) -> np.ndarray:
    """Return the chances of the next node, (N, nodes), of walks that came from `before` to `now`, (N,) each.

    Back to `before` has a weight of 1 / p, a neighbour of it 1, what is further 1 / q; all alike in the first step.
    Source: Grover 2016, arXiv:1607.00653, section 3.2.2.
    """
    weights = edges[now]
    if before is not None and (p, q) != (1, 1):
        bias = np.where(edges[before] > 0, 1.0, 1 / q)
        bias[np.arange(len(before)), before] = 1 / p
        weights = weights * bias
    return weights / weights.sum(1, keepdims=True)

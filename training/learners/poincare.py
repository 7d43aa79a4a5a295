"""Points of the Poincare ball, moved by Riemannian gradient descent until what is related is near."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import BadInput
from ...models.tables import LOOKUP, SCORER, SCORES
from ...progress import tracked
from .. import rows
from ..config import TrainConfig
from ..data import Dataset
from ..state import Row
from .register import Networks
from .solved import solver

START = 0.001  # the first points are this near to the origin in each direction
BURN_IN, SLOW = 10, 0.1  # rounds in which points find their direction, and the share of the rate in them


@dataclass(frozen=True, kw_only=True)
class Ball:
    """How points are moved.

    rounds: over all pairs. negatives: others that a node is to be further from. edge: how far points stay from the edge
    of the ball; the heights of the hyperboloid go up to 1 / edge, and what integers make of products of two with it.
    Raises: BadInput for a number outside its range.
    """

    rounds: int = 100
    negatives: int = 10
    edge: float = 1e-5

    def __post_init__(self) -> None:
        if not 0 < self.edge < 1:
            raise BadInput(f"edge={self.edge}: allowed is a number in (0, 1)")
        for name in ("rounds", "negatives"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name}={getattr(self, name)}: allowed is an integer from 1")


@solver("poincare", options=Ball)
def poincare(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, *, options: Ball) -> list[Row]:
    """Fit points to pairs of nodes; networks get them on the hyperboloid, where a distance is a product.

    Scores are -cosh(distance).  Source: Nickel and Kiela 2017, Poincare embeddings for learning hierarchical
    representations, arXiv:1705.08039.
    """
    pairs = np.column_stack([np.asarray(dataset.train.x)[:, 0], dataset.train.y])
    width = networks[SCORER].inputs[0].shape[-1] - 1
    points, losses = fitted(pairs, dataset.classes, width, config, options)
    vectors = lifted(points)
    rows.matrix_of(networks[LOOKUP]).assign(vectors.astype(np.float32))
    signed = vectors * np.append(np.ones(width), -1)
    networks[SCORER].get_layer(SCORES).kernel.assign(signed.T.astype(np.float32))
    return [{"loss": loss} for loss in losses]


def fitted(
    pairs: np.ndarray, count: int, width: int, config: TrainConfig, options: Ball, curved: bool = True
) -> tuple[np.ndarray, list[float]]:
    """Return points (count, width) of the ball, or of flat space, and the mean loss of each round.

    The loss is a softmax: minus the log of the related node's share of exp(-distance), among negatives.
    """
    random, losses = np.random.default_rng(config.seed), []
    points = random.uniform(-START, START, (count, width))
    related = np.eye(count, dtype=bool)
    related[pairs[:, 0], pairs[:, 1]] = True
    batch = config.batch_for(len(pairs))
    for number in tracked("place nodes", range(options.rounds)):
        rate = config.learning_rate * (SLOW if number < BURN_IN else 1.0)
        loss = 0.0
        for chosen in np.array_split(random.permutation(len(pairs)), -(-len(pairs) // batch)):
            node, other = pairs[chosen].T
            drawn = random.integers(0, count, (len(chosen), options.negatives))
            asked = np.column_stack([other, drawn])
            out = np.column_stack([np.zeros(len(chosen), bool), related[node[:, None], drawn]])
            found, slope = gradients(points, node, asked, out, curved)
            loss += found
            factor = (1 - (points**2).sum(1, keepdims=True)) ** 2 / 4 if curved else 1.0
            points = points - rate * factor * slope
            if curved:
                points = inside(points, options.edge)
        losses.append(loss / len(pairs))
    return points, losses


def gradients(
    points: np.ndarray, node: np.ndarray, asked: np.ndarray, out: np.ndarray, curved: bool = True
) -> tuple[float, np.ndarray]:
    """Return the summed loss, and its Euclidean gradient by all points.

    Shapes: points (rows, width), node (N,), asked (N, 1 + negatives), the related one first; out: which are none.
    """
    u, v = points[node][:, None], points[asked]  # (N, 1, width), (N, k, width)
    away, by_u, by_v = _apart(u, v) if curved else _flat(u, v)
    likely = np.where(out, 0, np.exp(-(away - away.min(1, keepdims=True))))
    likely /= likely.sum(1, keepdims=True)
    pull = -likely
    pull[:, 0] += 1  # of the loss by each distance
    slope = np.zeros_like(points)
    np.add.at(slope, node, (pull[..., None] * by_u).sum(1))
    np.add.at(slope, asked, pull[..., None] * by_v)
    return float(-np.log(np.maximum(likely[:, 0], 1e-300)).sum()), slope


def _apart(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return distances in the ball and their gradients by both: equation 4 of the paper."""
    alpha, beta = (1 - (one**2).sum(-1, keepdims=True) for one in (u, v))
    gamma = 1 + 2 * ((u - v) ** 2).sum(-1, keepdims=True) / (alpha * beta)
    steep = 4 / np.sqrt(np.maximum(gamma**2 - 1, 1e-12))
    both = (u * v).sum(-1, keepdims=True)
    by_u = steep / beta * (((1 - beta) - 2 * both + 1) / alpha**2 * u - v / alpha)
    by_v = steep / alpha * (((1 - alpha) - 2 * both + 1) / beta**2 * v - u / beta)
    return np.arccosh(gamma)[..., 0], by_u, by_v


def _flat(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Euclidean distances and their gradients by both."""
    away = np.sqrt(((u - v) ** 2).sum(-1, keepdims=True))
    slope = (u - v) / np.maximum(away, 1e-12)
    return away[..., 0], slope, -slope


def inside(points: np.ndarray, edge: float) -> np.ndarray:
    """Return points, those nearer than `edge` to the edge of the ball or beyond it drawn back so far."""
    return points * np.minimum(1, (1 - edge) / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12))


def lifted(points: np.ndarray) -> np.ndarray:
    """Return points of the ball on the hyperboloid, their height last: -cosh(distance) is x.y less product of heights.

    Shapes: (N, width) -> (N, width + 1).
    """
    squared = (points**2).sum(1, keepdims=True)
    return np.append(2 * points, 1 + squared, axis=1) / (1 - squared)

"""Vectors of nodes in closed form: eigenvectors and singular vectors of what says how near nodes are."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from ...errors import BadInput
from ...models.tables import LOOKUP, SCORER
from .. import rows
from ..config import TrainConfig
from ..data import Dataset
from ..data.links import adjacency_of
from .register import Networks
from .solved import solver

KINDS = ("laplacian", "katz", "transitions")


@dataclass(frozen=True, kw_only=True)
class Proximity:
    """What nearness is.

    of: "laplacian", neighbours alone; "katz", all paths, each edge of one a factor; "transitions", walks of each length
    up to `steps`. decay: of katz, the factor as a share of the largest that has a sum.  Raises: BadInput for others.
    """

    of: str = KINDS[0]
    decay: float = 0.5
    steps: int = 4

    def __post_init__(self) -> None:
        if self.of not in KINDS:
            raise BadInput(f"of={self.of!r}: allowed are {', '.join(KINDS)}")
        if not 0 < self.decay < 1:
            raise BadInput(f"decay={self.decay}: allowed is a share in (0, 1)")
        if self.steps < 1:
            raise BadInput(f"steps={self.steps}: allowed is an integer from 1")


@solver("proximity", options=Proximity)
def proximity(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, *, options: Proximity) -> None:
    """Fill a lookup, and a scorer that answers how near a node is to all others.

    networks: "lookup" and "scorer"; that of "laplacian" has a bias. Products answer, of "laplacian" minus half the
    squared distance, but for what is the same for all rows.
    """
    edges, width = adjacency_of(dataset), networks[SCORER].inputs[0].shape[-1]
    if options.of == "laplacian":
        vectors = eigenmaps(edges, width)
        rows.assign(networks[LOOKUP], vectors, networks[SCORER])
        networks[SCORER].get_layer("scores").bias.assign(-(vectors**2).sum(1).astype(np.float32) / 2)
    elif options.of == "katz":
        rows.assign(networks[LOOKUP], *_around(networks, factors(katz(edges, options.decay), width)))
    else:
        parts = [factors(each, width // options.steps) for each in log_transitions(edges, options.steps)]
        both = tuple(np.concatenate(sides, axis=1) for sides in zip(*parts, strict=True))
        rows.assign(networks[LOOKUP], *_around(networks, both))


def _around(networks: Networks, both: Any) -> tuple[np.ndarray, Any, np.ndarray]:
    return both[0], networks[SCORER], both[1]


def eigenmaps(edges: np.ndarray, width: int) -> np.ndarray:
    """Return the eigenvectors of L y = value D y behind the constant one, of mean square 1, (nodes, width).

    Source: Belkin and Niyogi 2003, Laplacian eigenmaps for dimensionality reduction and data representation.
    """
    from scipy.linalg import eigh

    degrees = edges.sum(1)
    root = 1 / np.sqrt(np.maximum(degrees, 1))
    _, found = eigh(np.eye(len(edges)) - root[:, None] * edges * root, subset_by_index=[1, width])
    vectors = root[:, None] * found
    return vectors / np.sqrt((vectors**2).mean(0))


def katz(edges: np.ndarray, decay: float) -> np.ndarray:
    """Return Katz's index, the sum over k from 1 of (factor A)^k, as (I - factor A)^-1 factor A.  Shapes: as edges.

    decay: the factor as a share of 1 / the largest eigenvalue.  Source: Ou 2016, Asymmetric transitivity preserving
    graph embedding, equation 4.
    """
    factor = decay / np.abs(np.linalg.eigvals(edges)).max()
    return np.linalg.solve(np.eye(len(edges)) - factor * edges, factor * edges)


def log_transitions(edges: np.ndarray, steps: int) -> list[np.ndarray]:
    """Return for walks of 1 to `steps` steps log(P^k / its column's mean), 0 where that is negative.

    Source: Cao 2015, GraRep: learning graph representations with global structural information, algorithm 1.
    """
    once = edges / np.maximum(edges.sum(1, keepdims=True), 1)
    return [np.log(np.maximum(power / np.maximum(power.mean(0), 1e-12), 1)) for power in hops(once, steps)]


def hops(edges: np.ndarray, steps: int) -> list[np.ndarray]:
    """Return the powers from 1 to `steps` of a matrix of edges or transitions: of walks of as many steps."""
    return list(accumulate([edges] * steps, np.matmul))


def factors(matrix: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return U root(S) and V root(S) of the largest singular values: their product is the nearest of rank `width`."""
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    scale = np.sqrt(values[:width])
    return left[:, :width] * scale, right[:width].T * scale

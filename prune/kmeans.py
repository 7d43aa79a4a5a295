"""k-means of numbers: on a line clusters are intervals, so a step takes a search in sorted values and no distances."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

STARTS = 20  # of k-means++, of which the best is kept
DRAWN_FROM = 1 << 16  # values, evenly spaced in their order, that k-means++ draws from
MOST_STEPS = 300


def kmeans(values: np.ndarray, clusters: int, init: str = "kmeans++", seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return at most `clusters` centroids, ascending, (K,) in float64, and for each of `values` the number of its own.

    init: where Lloyd's steps start from, see INITS.
    """
    line = Line(values)
    distinct = np.unique(line.values)
    if len(distinct) <= clusters:
        return distinct, np.searchsorted(distinct, values.reshape(-1)).reshape(values.shape)
    settled = [line.settled(start) for start in INITS[init](line.values, clusters, seed)]
    centroids = min(settled, key=line.cost)
    centroids = centroids[np.diff(line.bounds(centroids)) > 0]
    return centroids, np.searchsorted(_between(centroids), values, side="right")


class Line:
    """Numbers in their order, with sums from the left."""

    def __init__(self, values: np.ndarray):
        self.values = np.sort(values.reshape(-1).astype(np.float64))
        self.sums = np.concatenate([[0.0], np.cumsum(self.values)])
        self.squares = np.concatenate([[0.0], np.cumsum(self.values**2)])

    def bounds(self, centroids: np.ndarray) -> np.ndarray:
        """Return where the interval of each centroid begins, and the end: (K + 1,)."""
        return np.concatenate([[0], np.searchsorted(self.values, _between(centroids)), [len(self.values)]])

    def settled(self, centroids: np.ndarray) -> np.ndarray:
        """Return the centroids that Lloyd's steps end at; one that no value is near stays where it is."""
        for _ in range(MOST_STEPS):
            bounds = self.bounds(centroids)
            counts = np.diff(bounds)
            moved = np.where(counts > 0, np.diff(self.sums[bounds]) / np.maximum(counts, 1), centroids)
            if np.array_equal(moved, centroids):
                break
            centroids = np.sort(moved)
        return centroids

    def cost(self, centroids: np.ndarray) -> float:
        """Return the sum of squared distances to the nearest centroid."""
        bounds = self.bounds(centroids)
        parts = np.diff(self.squares[bounds]) - centroids * (
            2 * np.diff(self.sums[bounds]) - centroids * np.diff(bounds)
        )
        return float(parts.sum())


def _between(centroids: np.ndarray) -> np.ndarray:
    return (centroids[1:] + centroids[:-1]) / 2


def _plus_plus(values: np.ndarray, clusters: int, seed: int) -> Iterable[np.ndarray]:
    """Draw each start with a chance that grows by its squared distance to those there are.

    Source: Arthur and Vassilvitskii 2007, k-means++.
    """
    few = values[:: max(1, len(values) // DRAWN_FROM)]
    random = np.random.default_rng(seed)
    for _ in range(STARTS):
        chosen = [random.choice(few)]
        squared = (few - chosen[0]) ** 2
        while len(chosen) < clusters and (total := squared.sum()) > 0:
            chosen.append(random.choice(few, p=squared / total))
            squared = np.minimum(squared, (few - chosen[-1]) ** 2)
        yield np.sort(chosen)


# How to start: by chance, far from each other; evenly spaced from the least to the largest value, which keeps large
# weights best (Han 2016, section 3.2); or with as many values between each two.
INITS: dict[str, Callable[[np.ndarray, int, int], Iterable[np.ndarray]]] = {
    "kmeans++": _plus_plus,
    "linear": lambda values, clusters, seed: [np.linspace(values[0], values[-1], clusters)],
    "density": lambda values, clusters, seed: [np.quantile(values, (np.arange(clusters) + 0.5) / clusters)],
}

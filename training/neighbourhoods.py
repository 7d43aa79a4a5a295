"""Neighbourhoods of a fixed size, drawn by seed: a node, some of its neighbours, and some of theirs.

Source: Hamilton 2017, Inductive representation learning on large graphs, arXiv:1706.02216, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..runners import Arrays

NOBODY = -1  # in the place of a neighbour that is not there
TARGET, NEAR, FAR = "target", "near", "far"
WEIGHTS = {NEAR: "near_weights", FAR: "far_weights"}


@dataclass(frozen=True, kw_only=True)
class Neighbourhoods:
    """A graph to draw of. features (nodes, F) float32; table (nodes, most), each row's neighbours and NOBODY behind.

    sizes: how many neighbours are drawn, and of each of them how many.
    """

    features: np.ndarray
    table: np.ndarray
    sizes: tuple[int, int]

    @classmethod
    def of(cls, features: np.ndarray, edges: np.ndarray, sizes: tuple[int, int]) -> Neighbourhoods:
        """Return those of a graph.  Shapes: (nodes, F), edges (nodes, nodes)."""
        table = np.full((len(edges), int((edges > 0).sum(1).max())), NOBODY, np.int32)
        for node, row in enumerate(edges):
            neighbours = np.flatnonzero(row)
            table[node, : len(neighbours)] = neighbours
        return cls(features=features.astype(np.float32), table=table, sizes=sizes)

    def drawn(self, nodes: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
        """Return who is around nodes: target (n,), near (n, k1), far (n, k1, k2) int32.

        No neighbour is drawn twice; where there are fewer than asked for, all are there, and NOBODY.
        """
        near = self._some(nodes, self.sizes[0], random)
        far = self._some(near.ravel(), self.sizes[1], random).reshape(*near.shape, -1)
        return {TARGET: nodes.astype(np.int32), NEAR: near, FAR: far}

    def _some(self, nodes: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
        rows = np.where(nodes[:, None] == NOBODY, NOBODY, self.table[nodes])
        keys = np.where(rows == NOBODY, 2.0, random.uniform(size=rows.shape))  # those who are not there come last
        chosen = np.take_along_axis(rows, np.argsort(keys, axis=1, kind="stable")[:, :count], 1)
        return np.pad(chosen, [(0, 0), (0, count - chosen.shape[1])], constant_values=NOBODY)

    def walked(self, nodes: np.ndarray, steps: int, random: np.random.Generator) -> np.ndarray:
        """Return where a walk of 1 to `steps` steps from each node ends, (n,); one without neighbours stays."""
        lengths, here = random.integers(1, steps + 1, len(nodes)), nodes.astype(np.int32)
        for step in range(steps):
            there = self._some(here, 1, random)[:, 0]
            here = np.where((step < lengths) & (there != NOBODY), there, here)
        return here

    def arrays(self, drawn: Arrays) -> dict[str, np.ndarray]:
        """Return what a network reads of those drawn: features, zero of nobody, and weights, of which 1 is the sum."""
        shown = {name: self.features[nodes] * (nodes != NOBODY)[..., None] for name, nodes in drawn.items()}
        return {**shown, **{WEIGHTS[name]: weights(drawn[name]) for name in (NEAR, FAR)}}


def weights(nodes: np.ndarray) -> np.ndarray:
    """Return the share of each who is there, along the last axis; zero of nobody.  Shapes: (..., k) float32."""
    there = (nodes != NOBODY).astype(np.float32)
    return there / np.maximum(there.sum(-1, keepdims=True), 1)

"""Colour refinement: nodes get colours by those of their neighbours, again and again (Weisfeiler and Leman 1968)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Colours:
    """A table of colours, which grows as graphs are refined: graphs can be compared that were refined by the same.

    own: a new colour is told by a node's colour and its neighbours', which is usual; else by the neighbours' alone.
    """

    own: bool = True
    numbers: dict[tuple[int, ...], int] = field(default_factory=dict)

    def refined(self, edges: np.ndarray, labels: np.ndarray, rounds: int) -> list[np.ndarray]:
        """Return the colours of nodes at first and after each round: rounds + 1 of (n,).

        Shapes: (n, n), (n,) int.
        """
        colours = [np.array([self._number((0, int(label))) for label in labels])]
        for round_ in range(1, rounds + 1):
            last = colours[-1]
            told = [
                (round_, int(last[node]) if self.own else -1, *np.sort(last[edges[node] > 0]).tolist())
                for node in range(len(edges))
            ]
            colours.append(np.array([self._number(each) for each in told]))
        return colours

    def counts(self, edges: np.ndarray, labels: np.ndarray, rounds: int) -> Counter[int]:
        """Return how many nodes have each colour, those of all rounds together."""
        return Counter(int(colour) for each in self.refined(edges, labels, rounds) for colour in each)

    def _number(self, told: tuple[int, ...]) -> int:
        return self.numbers.setdefault(told, len(self.numbers))


def parted(one: np.ndarray, other: np.ndarray, *labels: np.ndarray, own: bool = True) -> bool:
    """Tell if refinement parts two graphs, which are then not isomorphic; if not, nobody knows.

    Shapes: edges (n, n), (m, m); labels (n,), (m,) int, left out for graphs whose nodes are alike.
    """
    table, rounds = Colours(own), max(len(one), len(other))
    alike = labels or tuple(np.zeros(len(edges), int) for edges in (one, other))
    return table.counts(one, alike[0], rounds) != table.counts(other, alike[1], rounds)

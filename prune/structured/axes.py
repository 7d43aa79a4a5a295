"""What the axes of a graph's tensors have to do with each other, index by index.

Each index of an axis has a number. Linked numbers are one: a channel that passes through an activation, or that two
branches are added in, goes everywhere or nowhere. A product says that a flat axis was folded of several: its index
(h, d) goes exactly if h goes or d goes. Whoever needs an index where it is (an output of the model, a softmax, a
window) freezes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ...quantize.graph.nodes import Tensor

Axis = np.ndarray | None  # a number for each index; None of a batch, and of what has one index only
Axes = tuple[Axis, ...]


@dataclass(eq=False)
class Product:
    """A flat axis seen as a grid: `flat[h, d]` goes if `factors[0][h]` goes or `factors[1][d]` does."""

    flat: np.ndarray
    factors: tuple[np.ndarray, ...]
    where: str


@dataclass(eq=False)
class AxisTable:
    """The axes of all tensors, and what links them."""

    of: dict[int, Axes] = field(default_factory=dict)  # by id of a tensor
    products: list[Product] = field(default_factory=list)
    _links: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    _frozen: list[tuple[np.ndarray, str]] = field(default_factory=list)
    _count: int = 0

    def fresh(self, size: int | None) -> Axis:
        """Return an axis of numbers that nothing is linked to."""
        if size is None or size == 1:
            return None
        self._count += size
        return np.arange(self._count - size, self._count)

    def fresh_axes(self, shape: Sequence[int | None]) -> Axes:
        """Return fresh axes for a tensor of `shape`."""
        return tuple(self.fresh(size) for size in shape)

    def link(self, *axes: Axis, why: str) -> Axis:
        """Let axes be one, and return it. Where one of them can lose nothing, none can."""
        known = [axis for axis in axes if axis is not None]
        for axis in known[1:]:
            if axis is not known[0]:
                self._links.append((known[0].ravel(), axis.ravel()))
        if len(known) < len(axes):
            self.freeze(*known, why=why)
        return known[0] if known else None

    def freeze(self, *axes: Axis, why: str) -> None:
        """Let nothing go from `axes`."""
        self._frozen += [(axis.ravel(), why) for axis in axes if axis is not None and axis.size]

    def multiply(self, flat: np.ndarray, factors: Sequence[np.ndarray], where: str) -> None:
        """Let a flat axis, as a grid, be the product of `factors`."""
        self.products.append(Product(flat, tuple(factors), where))

    def axes_of(self, tensor: Tensor) -> Axes:
        """Return the axes of a tensor; of a weight or constant those that it gets at its first use."""
        if id(tensor) not in self.of:
            self.of[id(tensor)] = self.fresh_axes(tensor.shape)
        return self.of[id(tensor)]

    def solve(self) -> Classes:
        """Return the classes of linked numbers."""
        pairs = np.concatenate([np.stack(pair) for pair in self._links], axis=1) if self._links else np.zeros((2, 0))
        rows, columns = pairs.astype(np.int64)
        links = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(self._count, self._count))
        count, numbers = connected_components(links, directed=False)
        reasons: dict[int, str] = {}
        for axis, why in self._frozen:
            for each in np.unique(numbers[axis]).tolist():
                reasons.setdefault(each, why)
        return Classes(numbers, count, reasons)


@dataclass(eq=False)
class Classes:
    """The class of each number, and why some of the classes must stay."""

    number: np.ndarray
    count: int
    reasons: dict[int, str]

"""A kernel as groups of units, of which a pattern lets some go: there and back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backends import at_once
from ..layouts import Layout
from ..untyped import ops
from .patterns import Pattern


class Grid:
    """The units of a kernel of `shape` under a pattern: `groups` of `size` units each.

    first: rows of the matrix (inputs, outputs) before this one take no part. Nor does what is left of rows and columns
    that fill no unit, or no group: `outside` weights in all, always kept.
    """

    def __init__(self, shape: tuple[int, ...], layout: Layout, pattern: Pattern, first: int = 0):
        self.shape, self.first = shape, first
        self._axes = (*layout.apart, *layout.inputs, *layout.outputs)
        sizes = [math.prod(shape[axis] for axis in axes) for axes in (layout.apart, layout.inputs, layout.outputs)]
        self._matrices, self._inputs, self._outputs = sizes
        self._rows, self._columns = pattern.unit[0], pattern.unit[1] or self._outputs
        self._down, self._across = (self._inputs - first) // self._rows, self._outputs // self._columns
        if pattern.group:
            self._down -= self._down % pattern.group
        count = self._matrices * self._across * self._down
        self.size = pattern.group or count
        self.groups = count // self.size if self.size else 0
        self.unit = self._rows * self._columns
        self.outside = math.prod(shape) - count * self.unit
        self._plain = not pattern.group and self.unit == 1 and not first

    def units(self, values: Any) -> Any:
        """Return the sum of `values`, of the kernel's shape, over each unit: (groups, size)."""
        if self._plain:
            return ops.reshape(values, (1, self.size))
        matrices = ops.reshape(ops.transpose(values, self._axes), (self._matrices, self._inputs, self._outputs))
        whole = matrices[:, self.first : self.first + self._down * self._rows, : self._across * self._columns]
        parted = (self._matrices, self._down, self._rows, self._across, self._columns)
        sums = ops.sum(ops.reshape(whole, parted), axis=(2, 4))  # (matrices, down, across)
        return ops.reshape(ops.transpose(sums, (0, 2, 1)), (self.groups, self.size))

    def spread(self, kept: Any) -> Any:
        """Return a mask of the kernel's shape from one of its units, (groups, size); what takes no part is kept."""
        if self._plain:
            return ops.reshape(kept, self.shape)
        mask = ops.reshape(ops.cast(kept, "int8"), (self._matrices, self._across, self._down))
        mask = ops.repeat(ops.repeat(ops.transpose(mask, (0, 2, 1)), self._rows, axis=1), self._columns, axis=2)
        below = self._inputs - self.first - self._down * self._rows
        beside = self._outputs - self._across * self._columns
        mask = ops.pad(mask, ((0, 0), (self.first, below), (0, beside)), constant_values=1)
        mask = ops.reshape(mask, [self.shape[axis] for axis in self._axes])
        return ops.cast(ops.transpose(mask, np.argsort(self._axes).tolist()), "bool")


@at_once()
def largest(scores: Any, count: Any, ties: Any = None) -> Any:
    """Return a mask of (groups, size), False at the `count` smallest of each group: exactly as many, whatever is tied.

    ties: numbers that decide between equal scores, smaller ones go first; then those that lie first.
    """
    groups, size = scores.shape
    order = ops.argsort(scores if ties is None else ties, axis=-1)
    if ties is not None:  # both sorts are stable
        order = ops.take_along_axis(order, ops.argsort(ops.take_along_axis(scores, order, axis=-1), axis=-1), axis=-1)
    order = ops.cast(order, "int32")
    place = order + size * ops.expand_dims(ops.arange(groups, dtype="int32"), -1)
    rank = ops.broadcast_to(ops.arange(size, dtype="int32"), (groups, size))
    rank = ops.scatter(ops.reshape(place, (-1, 1)), ops.reshape(rank, (-1,)), (groups * size,))
    return ops.reshape(rank, (groups, size)) >= count

"""Operations that only move values: where each index of an axis comes to lie is found by moving numbers.

Reshape, transpose, concatenation, slices, splits, padding, tiles, flips and whatever else makes no new values need no
rule each. The values of an input are numbered, the operation is run on the numbers, and each place of the result tells
which index of each axis it came from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...quantize.graph.nodes import Node, Tensor
from ...untyped import ops
from .axes import Axes, AxisTable

MOVING = frozenset(
    ["BroadcastTo", "Concatenate", "Diagonal", "ExpandDims", "Flip", "GetItem", "Moveaxis", "Pad", "Ravel", "Repeat",
     "Reshape", "Roll", "Slice", "Split", "Squeeze", "Stack", "Swapaxes", "Take", "Tile", "Transpose", "Unstack"]
)  # fmt: skip


@dataclass
class _Source:
    """Where the values of an input lie in one output.

    index: for each axis of the input the index of what lies at a place, -1 where another's value lies; of one entry
    along the axes of the output that it does not vary along. lies: for each axis of the output, where any lie.
    """

    axes: Axes
    sizes: tuple[int, ...]
    index: list[np.ndarray]
    lies: list[np.ndarray]


def moved(node: Node, table: AxisTable) -> list[Axes]:
    """Return the axes of what `node` makes, which moves values and no more."""
    sources = [leaf for leaf in dict.fromkeys(node.inputs) if not _is_index(leaf, node)]
    try:
        placed = _sources(node, sources, _batch(node, sources), table)
    except Exception:  # numbers take no way that values would: what is not understood stays
        for leaf in node.inputs:
            table.freeze(*table.axes_of(leaf), why=f"{node.name} ({node.op_type}) is not understood")
        return [_frozen(out.shape, table, node) for out in node.outputs]
    return [_Output(node, out.shape, each, table).axes() for out, each in zip(node.outputs, placed, strict=True)]


def _is_index(leaf: Tensor, node: Node) -> bool:
    """Tell whether an input says where to read rather than what to move."""
    return leaf.is_constant and leaf.dtype.startswith("int") and leaf is not node.inputs[0]


def _frozen(shape: Sequence[int | None], table: AxisTable, node: Node) -> Axes:
    axes = table.fresh_axes(shape)
    table.freeze(*axes, why=f"{node.name} ({node.op_type}) is not understood")
    return axes


def _batch(node: Node, sources: list[Tensor]) -> int:
    """Return a size of the batch that the operation takes: a batch of steps may be folded into samples again."""
    if node.op_type != "Reshape" or sources[0].shape[:1] != (None,):
        return 1
    given, made = (math.prod(size or 1 for size in leaf.shape) for leaf in (sources[0], node.output))
    return made // math.gcd(given, made)


def _sources(node: Node, leaves: list[Tensor], batch: int, table: AxisTable) -> list[list[_Source]]:
    """Return for each output where the values of each of `leaves` come to lie in it: all are numbered, and moved."""
    sizes = [tuple(batch if size is None else size for size in leaf.shape) for leaf in leaves]
    ends = np.cumsum([1, *map(math.prod, sizes)]).tolist()
    numbers = {
        id(leaf): np.arange(start, end, dtype=np.int32).reshape(shape)
        for leaf, shape, start, end in zip(leaves, sizes, ends[:-1], ends[1:], strict=True)
    }

    def value(tensor: Tensor) -> Any:
        return ops.convert_to_tensor(numbers.get(id(tensor), tensor.value))

    places = [np.asarray(ops.convert_to_numpy(result)) for result in node.run(value, batch=batch)]
    return [
        [
            _Source(table.axes_of(leaf), shape, *_located(place, start, end, shape))
            for leaf, shape, start, end in zip(leaves, sizes, ends[:-1], ends[1:], strict=True)
        ]
        for place in places
    ]


def _located(place: np.ndarray, start: int, end: int, sizes: tuple[int, ...]) -> tuple[list, list]:
    """Return `_Source.index` and `_Source.lies` of the input of shape `sizes` whose numbers are from `start`."""
    is_here = (place >= start) & (place < end)
    lies = [np.asarray(is_here.any(axis=_others(place.ndim, axis))) for axis in range(place.ndim)]
    index = _in_a_box(place, start, sizes, lies) if is_here.any() else None
    if index is None:
        index = [np.where(is_here, each, -1) for each in _unravelled(place - start, sizes)]
    return index, lies


def _in_a_box(place: np.ndarray, start: int, sizes: tuple[int, ...], lies: list[np.ndarray]) -> list[np.ndarray] | None:
    """Return `_Source.index` where numbers fill a box and each axis of the output adds to them on its own, else None.

    It is so of nearly all that moves values, and needs no arrays of the size of the output.
    """
    box = place[np.ix_(*lies)] if not all(each.all() for each in lies) else place
    rank, first = place.ndim, box[(0,) * place.ndim]
    steps = [box[tuple(slice(None) if each == axis else slice(1) for each in range(rank))] - first
             for axis in range(rank)]  # fmt: skip
    if not np.array_equal(sum(steps, first), box):  # another's numbers may lie in the box as well
        return None
    origin = [each.item() for each in _unravelled(first - start, sizes)]
    moves = [[each - at for each, at in zip(_unravelled(first - start + step, sizes), origin, strict=True)]
             for step in steps]  # fmt: skip
    index = []
    for axis, (at, size) in enumerate(zip(origin, sizes, strict=True)):
        low, high = (at + sum(int(end(move[axis])) for move in moves) for end in (np.min, np.max))
        if low < 0 or high >= size:  # one axis carries over into another
            return None
        along = [to for to, move in enumerate(moves) if move[axis].any()]
        found = np.asarray(sum((moves[to][axis] for to in along), np.full([1] * rank, at)))
        index.append(_with_gaps(found, [each if to in along else None for to, each in enumerate(lies)]))
    return index


def _with_gaps(index: np.ndarray, lies: list[np.ndarray | None]) -> np.ndarray:
    """Return `index` with -1 in the places of some axes where nothing lies."""
    wanted = [np.ones(size, bool) if each is None else each for size, each in zip(index.shape, lies, strict=True)]
    if all(each.all() for each in wanted):
        return index
    made = np.full([len(each) for each in wanted], -1)
    made[np.ix_(*wanted)] = index
    return made


def _others(rank: int, axis: int) -> tuple[int, ...]:
    return tuple(each for each in range(rank) if each != axis)


def _unravelled(place: Any, sizes: tuple[int, ...]) -> list[Any]:
    strides = [math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
    return [place // stride % size for stride, size in zip(strides, sizes, strict=True)]


class _Output:
    """One output of an operation that moves values, whose axes are put together from those of the inputs."""

    def __init__(self, node: Node, shape: tuple[int | None, ...], sources: list[_Source], table: AxisTable):
        self.shape, self.sources, self.table = shape, sources, table
        self.where, self.why = node.name, f"{node.name} ({node.op_type}) needs it where it is"
        self.made: list[np.ndarray | None] = [
            None if size is None or size == 1 else np.full(size, -1) for size in shape
        ]  # -1: not known yet
        self.products: list[tuple[np.ndarray, list[int]]] = []

    def axes(self) -> Axes:
        """Return the axes, linked with those of the inputs."""
        blocks = [(source, *block) for source in self.sources for block in _blocks(source, self.made)]
        for source, taken, given in blocks:
            if len(taken) == 1 and len(given) == 1:
                self._pass(source, taken[0], given[0])
        self._fill()
        for source, taken, given in blocks:
            if len(taken) != 1 or len(given) != 1:
                self._fold(source, taken, given)
        return tuple(self.made)

    def _pass(self, source: _Source, axis: int, to: int) -> None:
        """Let the indices of one axis lie along one of the output's."""
        numbers, made = source.axes[axis], self.made[to]
        index = source.index[axis].max(axis=_others(len(self.shape), to))
        if made is None or numbers is None:
            self.table.freeze(numbers, why=self.why)
            return
        if (made < 0).all() and np.array_equal(index, np.arange(len(numbers))):
            self.made[to] = numbers  # the very axis: nothing to link
            return
        here = index >= 0
        both = here & (made >= 0)
        if both.any():
            self.table.link(made[both], numbers[index[both]], why=self.why)
        fresh = here & (made < 0)
        self.made[to] = made = made.copy()
        made[fresh] = numbers[index[fresh]]

    def _fill(self) -> None:
        """Number what came of no axis that can lose anything: padding is free to go, the rest stays."""
        for axis, made in enumerate(self.made):
            if made is None or (made >= 0).all():
                continue
            empty = made < 0
            fresh = self.table.fresh(len(made))
            assert fresh is not None
            held = np.zeros(len(made), bool)
            for source in self.sources:
                lies = source.lies[axis]
                if not lies.all():  # a part of several, which one index stands for
                    held |= lies
            self.table.freeze(fresh[empty & held], why=self.why)
            self.made[axis] = np.where(empty, fresh, made)

    def _fold(self, source: _Source, taken: list[int], given: list[int]) -> None:
        """Let one axis be the product of several, or freeze what is picked by position or mixed."""
        before = [axis for each in taken if (axis := source.axes[each]) is not None]
        after = [axis for each in given if (axis := self.made[each]) is not None]
        grid = _grid(source, taken, given)
        if grid is None or len(before) < len(taken) or len(after) < len(given):
            self.table.freeze(*before, *after, why=self.why)
        elif len(taken) == 1:
            self.table.multiply(before[0][grid], after, self.where)
        else:
            self.table.multiply(after[0][grid], before, self.where)


def _blocks(source: _Source, made: list[np.ndarray | None]) -> list[tuple[list[int], list[int]]]:
    """Return the axes of an input with those of the output that they lie along, those that share one together."""
    blocks: list[tuple[list[int], list[int]]] = []
    for axis, size in enumerate(source.sizes):
        if size == 1:
            continue
        along = [to for to in range(len(made)) if _varies(source.index[axis], to)]
        touched = [block for block in blocks if set(block[1]) & set(along)]
        merged = ([axis], along)
        for block in touched:
            blocks.remove(block)
            merged = ([*block[0], *merged[0]], sorted({*block[1], *merged[1]}))
        blocks.append(merged)
    return blocks


def _varies(index: np.ndarray, axis: int) -> bool:
    """Tell whether the index differs from place to place along `axis`, where it is one."""
    if index.shape[axis] < 2:
        return False
    high = index.max(axis=axis)
    low = np.where(index < 0, index.max(initial=0) + 1, index).min(axis=axis)
    return bool((low < high).any())


def _grid(source: _Source, taken: list[int], given: list[int]) -> np.ndarray | None:
    """Return the indices of the flat axis as a grid over the others; None if there is none, or it has holes."""
    others = tuple(axis for axis in range(len(source.lies)) if axis not in given)
    if len(taken) == 1 and len(given) > 1:
        index = source.index[taken[0]].max(axis=others, initial=-1)
        return index if (index >= 0).all() else None
    if len(given) != 1:
        return None
    sizes = [source.sizes[axis] for axis in taken]
    coordinates = [source.index[axis].max(axis=others, initial=-1) for axis in taken]
    grid = np.full(sizes, -1)
    if all((each >= 0).all() for each in coordinates) and len(coordinates[0]) == math.prod(sizes):
        grid[tuple(coordinates)] = np.arange(len(coordinates[0]))
    return grid if (grid >= 0).all() else None

"""What can leave a model: units, each the indices that go together, and groups of units that are alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ...quantize.graph.nodes import Tensor
from ...quantize.graph.tracing import Trace
from .axes import Axes, AxisTable, Classes
from .rules import WINDOW, axes_of_graph


@dataclass(eq=False)
class Group:
    """Units of one kind: the channels of a layer and of all that is added to it, or the heads of an attention.

    units: for each the classes of linked indices that go with it. index: for each place (a tensor's number among
    `Anatomy.tensors`, an axis), the indices that each unit has there: (units, indices), all have as many.
    """

    name: str
    units: list[tuple[int, ...]]
    index: dict[tuple[int, int], np.ndarray]

    @cached_property
    def classes(self) -> frozenset[int]:
        """All classes of its units."""
        return frozenset(each for unit in self.units for each in unit)

    def __len__(self) -> int:
        return len(self.units)


@dataclass(frozen=True)
class Left:
    """A weight's axis that nothing can be cut from, and why."""

    name: str
    size: int
    reason: str


class Anatomy:
    """The groups of a traced model, and where their indices lie."""

    def __init__(self, trace: Trace):
        self.graph, self.trace = trace.graph, trace
        weights = {id(leaf) for leaf in trace.weights.values()}
        self.table: AxisTable = axes_of_graph(trace.graph, weights)
        self.classes: Classes = self.table.solve()
        self.tensors = [leaf for leaf in trace.graph.constants if id(leaf) in weights]
        self._axes: dict[int, np.ndarray] = {}
        held = [axis for leaf in self.tensors for axis in self.axes_of(leaf) if axis is not None]
        units = _Closure(self.table, self.classes).units(np.unique(np.concatenate([*held, np.zeros(0, np.int64)])))
        self.refused = units.refused
        self.groups = self._groups(units.accepted)

    def axes_of(self, tensor: Tensor) -> tuple[np.ndarray | None, ...]:
        """Return the class of each index of each axis; None of an axis that loses none."""
        return tuple(None if axis is None else self.class_of(axis) for axis in self.table.of.get(id(tensor), ()))

    def class_of(self, axis: np.ndarray) -> np.ndarray:
        """Return the class of each index of an axis of the table."""
        if id(axis) not in self._axes:
            self._axes[id(axis)] = self.classes.number[axis]
        return self._axes[id(axis)]

    def left(self) -> list[Left]:
        """Return each axis of a trainable kernel that no unit lies along, and why."""
        free = frozenset().union(*(group.classes for group in self.groups))
        rows = []
        for leaf in self.tensors:
            for axis, classes in enumerate(self.axes_of(leaf)):
                if leaf.trainable and classes is not None and not free & set(classes.tolist()):
                    why = self._why(classes)
                    rows += [Left(place(leaf, axis), len(classes), why)] if why != WINDOW else []
        return rows

    def _why(self, classes: np.ndarray) -> str:
        told = (self.classes.reasons.get(each) or self.refused.get(each) for each in classes.tolist())
        return next((why for why in told if why), "its indices do not go one by one")

    def _groups(self, units: Sequence[tuple[int, ...]]) -> list[Group]:
        """Put units that lie along the same axes, in as many indices, into one group."""
        owners = _Owners(units, self.classes.count)
        kind, kinds = np.zeros(len(units), np.int64), 1
        places: dict[tuple[int, int], Any] = {}
        for tensor, leaf in enumerate(self.tensors):
            for axis, classes in enumerate(self.axes_of(leaf)):
                if classes is not None:
                    unit, first, count, index = places[tensor, axis] = owners.along(classes)
                    _, finer = np.unique(kind[unit] * (len(classes) + 1) + count, return_inverse=True)
                    kind[unit] = kinds + finer
                    kinds += len(unit)
        members = {int(each): np.flatnonzero(kind == each) for each in np.unique(kind[kind > 0])}
        index_of: dict[int, dict[tuple[int, int], np.ndarray]] = {each: {} for each in members}
        for where, (unit, first, count, index) in places.items():
            for each in np.unique(kind[unit]).tolist():
                at = np.searchsorted(unit, members[each])
                index_of[each][where] = index[first[at][:, None] + np.arange(int(count[at[0]]))]
        return [self._group([units[each] for each in members[one].tolist()], index_of[one])
                for one in sorted(members, key=lambda one: int(members[one][0]))]  # fmt: skip

    def _group(self, units: list[tuple[int, ...]], index: dict[tuple[int, int], np.ndarray]) -> Group:
        tensor, axis = min(index)
        return Group(place(self.tensors[tensor], axis), units, index)


class _Owners:
    """Tells which units a class goes with."""

    def __init__(self, units: Sequence[tuple[int, ...]], classes: int):
        owned = np.fromiter((each for unit in units for each in unit), np.int64)
        number = np.repeat(np.arange(len(units)), [len(unit) for unit in units])
        self.number = number[np.argsort(owned, kind="stable")]
        self.start = np.concatenate([[0], np.cumsum(np.bincount(owned, minlength=classes))])

    def along(self, classes: np.ndarray) -> tuple[Any, ...]:
        """Return the units along an axis; where the indices of each start, how many they are, and the indices."""
        count = self.start[classes + 1] - self.start[classes]
        skipped = np.repeat(self.start[classes] - (np.cumsum(count) - count), count)
        unit = self.number[skipped + np.arange(len(skipped))]
        index = np.repeat(np.arange(len(classes)), count)[np.argsort(unit, kind="stable")]
        return *np.unique(np.sort(unit), return_index=True, return_counts=True), index


def place(tensor: Tensor, axis: int) -> str:
    """Return the name of a weight's axis: conv/kernel[3]."""
    return f"{tensor.name.replace('.', '/')}[{axis}]"


@dataclass(eq=False)
class _Units:
    accepted: list[tuple[int, ...]]
    refused: dict[int, str]


class _Closure:
    """Finds what goes with a class: whole slices of the grids that it is a factor of, factors of what went whole."""

    def __init__(self, table: AxisTable, classes: Classes):
        self.classes = classes
        number = classes.number
        self.gone = np.zeros(classes.count, bool)
        self.grids = [number[product.flat] for product in table.products]
        self.factors = [[number[each] for each in product.factors] for product in table.products]
        self.where = [product.where for product in table.products]
        self.as_factor: dict[int, set[tuple[int, int, int]]] = defaultdict(set)
        self.in_grid: dict[int, set[int]] = defaultdict(set)
        for at, (grid, factors) in enumerate(zip(self.grids, self.factors, strict=True)):
            for axis, factor in enumerate(factors):
                for index, each in enumerate(factor.tolist()):
                    self.as_factor[each].add((at, axis, index))
            for each in np.unique(grid).tolist():
                self.in_grid[each].add(at)

    def units(self, held: np.ndarray) -> _Units:
        """Return the smallest sets of classes that can go, each from one class. held: the classes that weights have."""
        accepted: dict[tuple[int, ...], None] = {}
        refused: dict[int, str] = {}
        frozen = self.classes.reasons
        for seed in self.as_factor:
            if seed in frozen:
                continue
            unit, why = self._close(seed)
            if why:
                refused.update(dict.fromkeys(unit, why))
            else:
                accepted[tuple(sorted(unit))] = None
        bound = frozen.keys() | self.as_factor.keys() | self.in_grid.keys()
        alone = [(each,) for each in held.tolist() if each not in bound]
        return _Units(sorted([*alone, *_smallest(accepted)]), refused)

    def _close(self, seed: int) -> tuple[list[int], str]:
        """Return what goes with `seed`, and why it cannot go, "" if it can."""
        unit, done = [seed], 0
        self.gone[seed] = True
        try:
            while done < len(unit):
                for each in unit[done:]:
                    if each in self.classes.reasons:
                        return unit, self.classes.reasons[each]
                    done += 1
                    self._add(unit, self._slices(each))
                if done == len(unit):
                    self._add(unit, self._whole(unit))
            return unit, next((self._partly(at) for at in self._touched(unit) if not self._is_whole(at)), "")
        finally:
            self.gone[unit] = False

    def _add(self, unit: list[int], more: Iterable[int]) -> None:
        for each in more:
            if not self.gone[each]:
                self.gone[each] = True
                unit.append(each)

    def _touched(self, unit: list[int]) -> set[int]:
        return {at for each in unit for at in self.in_grid.get(each, ())}

    def _slices(self, each: int) -> Iterable[int]:
        """Return the slices of grids that go with a factor's index."""
        return [
            one
            for at, axis, index in self.as_factor.get(each, ())
            for one in np.take(self.grids[at], index, axis=axis).ravel().tolist()
        ]

    def _whole(self, unit: list[int]) -> Iterable[int]:
        """Return the factors' indices whose whole slices have gone."""
        whole: list[int] = []
        for at in self._touched(unit):
            mask = self.gone[self.grids[at]]
            for axis, factor in enumerate(self.factors[at]):
                others = tuple(other for other in range(mask.ndim) if other != axis)
                whole += factor[mask.all(axis=others)].tolist()
        return whole

    def _is_whole(self, at: int) -> bool:
        """Tell whether what is gone of a grid is whole slices and no more."""
        mask = self.gone[self.grids[at]]
        expected = np.zeros_like(mask)
        for axis, factor in enumerate(self.factors[at]):
            shape = [1] * mask.ndim
            shape[axis] = len(factor)
            expected |= self.gone[factor].reshape(shape)
        return bool((mask == expected).all())

    def _partly(self, at: int) -> str:
        return f"{self.where[at]} folds or unfolds it otherwise than what it goes with"


def _smallest(units: Iterable[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Leave out a unit that holds another one whole: it is that and something else."""
    kept: list[tuple[int, ...]] = []
    holding: dict[int, list[set[int]]] = defaultdict(list)
    for unit in sorted(units, key=len):
        if not any(small <= set(unit) for each in unit for small in holding[each]):
            kept.append(unit)
            small = set(unit)
            for each in unit:
                holding[each].append(small)
    return sorted(kept)


__all__ = ["Anatomy", "Axes", "Group", "Left", "place"]

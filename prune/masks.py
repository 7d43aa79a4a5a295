"""Which weights of a kernel are kept: the one decision that all criteria, patterns and schedules come down to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from ..keras_internals import value_of
from ..untyped import ops
from .config import PruneConfig
from .evidence import Evidence
from .grid import largest
from .schedules import Schedule
from .selection import Chosen


def smallest_cut(one: Chosen) -> Any:
    """Return the mask of a kernel at its final sparsity, False where its least units by magnitude are."""
    weight = value_of(one.kernel)
    return one.grid.spread(largest(one.grid.units(ops.abs(weight)), one.zeros))


class Mask:
    """The mask of one kernel, False where it is zero, as variables of the model that is being pruned.

    By magnitude what is zero once stays so, unless `regrow` brings it back. By a score of training the mask is chosen
    anew from all weights each time, for those under it keep their values; zeros of an earlier pruning stay.
    """

    def __init__(self, owner: keras.Model, one: Chosen, config: PruneConfig, number: int):
        self.kernel, self._grid, self._zeros = one.kernel, one.grid, one.zeros
        self.schedule = Schedule(config)
        name = f"{one.kernel.path.replace('/', '.')}.mask"
        shape = one.kernel.shape
        self.keep = owner.add_weight(shape=shape, initializer="ones", trainable=False, dtype="bool", name=name)
        self.keep.assign(value_of(one.kernel) != 0)  # zeros of an earlier pruning
        sign = config.criterion if config.criterion != "magnitude" else {"gradient": "growth"}.get(config.regrow or "")
        self._evidence = Evidence(owner, one.kernel, sign) if sign else None
        self._scored = config.criterion != "magnitude"
        self._seed = (config.seed * 4096 + number) % 2**31
        self._origin = None
        if config.regrow:  # on JAX a forward pass cannot set a kernel: one that starts at zero is counted from here on
            self._origin = owner.add_weight(shape=shape, initializer="zeros", trainable=False, name=f"{name}_origin")

    @property
    def looks(self) -> bool:
        """Tell if the mask looks at gradients."""
        return self._evidence is not None

    def gather(self) -> None:
        """Take in what the last step said."""
        if self._evidence:
            self._evidence.gather()

    def follow(self, chosen: Any) -> None:
        """Take the mask `chosen`; what it lets grow starts from what its weight is now."""
        if self._origin is not None:
            grown = ops.logical_and(chosen, ops.logical_not(value_of(self.keep)))
            here = ops.stop_gradient(value_of(self.kernel))  # on JAX an assigned value keeps its gradient
            self._origin.assign(ops.where(grown, here, value_of(self._origin)))
        self.keep.assign(chosen)

    def in_training(self, step: Any) -> Any:
        """Return the masked kernel as training sees it at its step `step`, counted from 0."""
        keep, weight = value_of(self.keep), self._weight()

        def masked(values: Any) -> Any:
            return zeroed(values, keep)

        return masked(weight) if self._evidence is None else self._evidence.watch(weight, masked, keep, step)

    def at_inference(self, keep: Any) -> Any:
        """Return the kernel under the mask `keep`, as inference sees it."""
        return zeroed(self._weight(), keep)

    def _weight(self) -> Any:
        weight = value_of(self.kernel)
        return weight if self._origin is None else weight - value_of(self._origin)

    def chosen(self, step: Any) -> Any:
        """Return the mask that is due after `step` steps."""
        count = ops.cast(ops.round(self.schedule.share(step) * self._zeros), "int32")
        if self._origin is None:
            return self._least_cut(count)
        left = ops.cast(self._grid.size - count, "float32")
        exchanged = ops.cast(ops.round(self.schedule.regrown(step) * left), "int32")
        kept = self._least_cut(count + exchanged)
        return ops.logical_or(kept, self._grown(kept, exchanged, step))

    def final(self) -> Any:
        """Return the mask at full sparsity, of the weights as they are."""
        return self._least_cut(self._zeros)

    def _least_cut(self, count: Any) -> Any:
        """Return the mask without the `count` least units of each group, first of all those with nothing alive."""
        weight, grid = self._weight(), self._grid
        size = ops.abs(weight)
        alive = weight != 0 if self._scored else value_of(self.keep)
        score = self._evidence.score() if self._scored and self._evidence else size
        score = ops.where(grid.units(ops.cast(alive, "float32")) > 0, grid.units(zeroed(score, alive)), float("-inf"))
        ties = grid.units(size) if self._scored else None  # no score yet, or of what has no gradient
        return ops.logical_and(grid.spread(largest(score, count, ties)), alive)

    def _grown(self, kept: Any, count: Any, step: Any) -> Any:
        """Return where weights grow: in each group `count` of the units that are not kept."""
        grid = self._grid
        if self._evidence:
            growth = grid.units(self._evidence.score())
        else:
            growth = keras.random.uniform((grid.groups, grid.size), seed=_Drawn(self._seed, step))
        growth = ops.where(grid.units(ops.cast(kept, "float32")) > 0, float("-inf"), growth)
        return ops.logical_and(grid.spread(largest(growth, grid.size - count)), self._inside())

    def _inside(self) -> Any:
        """Return True where a weight takes part in the pattern; what does not is kept by `kept` already."""
        return ops.logical_not(self._grid.spread(ops.zeros((self._grid.groups, self._grid.size), "bool")))


def advance(masks: Sequence[Mask], step: Any) -> None:
    """Take in what the last step said, and choose all masks anew if that is due after `step` steps.

    It is due for all at once, and one branch of a graph is traced in a fraction of the time of one a mask.
    """
    if not masks:
        return
    for mask in masks:
        mask.gather()
    due = masks[0].schedule.due(step)
    chosen = ops.cond(due, lambda: [mask.chosen(step) for mask in masks], lambda: _kept(masks))
    for mask, keep in zip(masks, chosen, strict=True):
        mask.follow(keep)


def at_inference(masks: Sequence[Mask], step: Any) -> list[Any]:
    """Return the masked kernels at full sparsity, which the schedule may still be on its way to."""
    if not masks:
        return []
    over = step > masks[0].schedule.last
    final = ops.cond(over, lambda: _kept(masks), lambda: [mask.final() for mask in masks])
    return [mask.at_inference(keep) for mask, keep in zip(masks, final, strict=True)]


def _kept(masks: Sequence[Mask]) -> list[Any]:
    return [value_of(mask.keep) for mask in masks]


class _Drawn(keras.random.SeedGenerator):
    """A seed that is a function of the step, so that no state is kept and a training that resumes draws the same."""

    def __init__(self, seed: int, step: Any):
        self._pair = seed, step

    def next(self, ordered: bool = True) -> Any:
        """Return the two numbers that the backend draws from."""
        dtype = "uint32" if keras.backend.backend() == "jax" else "int32"
        return ops.stack([ops.cast(each, dtype) for each in self._pair])


def zeroed(weight: Any, keep: Any) -> Any:
    """Return `weight` with zeros where `keep` is False."""
    return ops.where(keep, weight, ops.zeros_like(weight))  # a product would leave zeros of either sign


__all__ = ["Mask", "advance", "at_inference", "smallest_cut", "zeroed"]

"""Which weights are pruned, how far, in which pattern, and why the others are not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from ..errors import BadInput, nearest
from ..keras_internals import layers_in, own_trainable
from ..layouts import layout_of
from .config import PruneConfig, PruneReport, agreed, matches
from .grid import Grid
from .patterns import Pattern

# What the default sparsity leaves alone; asked for by name or type it is pruned all the same.
FEW = 8
_DEPTHWISE = "a depthwise kernel has few weights, and each filter is all that its channel has"
_NORM = "scales of a normalisation are few and matter"
SPARED: dict[type, str] = {
    keras.layers.Embedding: "a table is looked up, not multiplied: zeros save no work and hit rare words first; "
    "pattern 'row' takes whole rows",
    keras.layers.DepthwiseConv1D: _DEPTHWISE,
    keras.layers.DepthwiseConv2D: _DEPTHWISE,
    keras.layers.BatchNormalization: _NORM,
    keras.layers.LayerNormalization: _NORM,
    keras.layers.GroupNormalization: _NORM,
    keras.layers.PReLU: "slopes are few and matter",
}


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A kernel to prune: its units under a pattern, and how many of each group become zero in the end."""

    kernel: keras.Variable
    grid: Grid
    zeros: int

    @property
    def sparsity(self) -> float:
        """The share of the kernel's weights that become zero."""
        return self.zeros * self.grid.groups * self.grid.unit / math.prod(self.kernel.shape)


def select(model: keras.Model, config: PruneConfig) -> tuple[PruneReport, list[Chosen]]:
    """Return a report of all trainable weights, and those to prune, in the model's order.

    Raises: BadInput for an entry of `by_name`, `by_type` or `patterns` that means no weight, and for a sparsity that
    contradicts a weight's pattern.
    """
    rows, chosen = [], []
    for layer, weight in _weights(model):
        pattern = config.pattern_for(weight.path, type(layer).__name__)
        sparsity, reason = _decide(layer, weight, config, pattern)
        row = {"name": weight.path, "shape": tuple(weight.shape), "sparsity": sparsity, "reason": reason}
        if sparsity is not None:
            one = _choose(layer, weight, sparsity, pattern)
            if one.grid.groups:
                chosen.append(one)
                row |= {"sparsity": sparsity if one.grid.size == math.prod(weight.shape) else one.sparsity}
                row |= {"reason": _kept(layer, weight, one), "pattern": pattern.name}
            else:
                row |= {"sparsity": None, "reason": f"it is too small for the pattern {pattern.name}"}
        rows.append(row)
    paths, classes = [row["name"] for row in rows], {type(layer).__name__ for layer, _ in _weights(model)}
    refuse_idle(config, paths, classes)
    _refuse_idle_patterns(config, paths, classes)
    return PruneReport(tuple(rows)), chosen


def zeros(sparsity: float, size: int) -> int:
    """Return how many of `size` units are zeroed; at least one is kept, for a layer of zeros computes nothing."""
    return min(round(sparsity * size), size - 1)


def _weights(model: keras.Model) -> list[tuple[keras.Layer, keras.Variable]]:
    """Return each weight that could be trained, once, with the layer that holds it."""
    held = [(layer, weight) for layer in layers_in(model) for weight in own_trainable(layer)]
    return list({id(weight): (layer, weight) for layer, weight in reversed(held)}.values())[::-1]


def _decide(
    layer: keras.Layer, weight: keras.Variable, config: PruneConfig, pattern: Pattern
) -> tuple[float | None, str]:
    """Return the sparsity of `weight`, or None and the reason why it is skipped."""
    sparsity, asked_by = config.asked_for(weight.path, type(layer).__name__)
    reasons = _objections(layer, weight, pattern, asked=asked_by is not None)
    if reason := next(reasons, None):
        return None, reason
    if sparsity is None:
        return None, f"PruneConfig.{asked_by or 'sparsity'} is None"
    if asked_by is None and pattern.sparsity is not None:
        return pattern.sparsity, ""
    return agreed(asked_by or "sparsity", sparsity, pattern), ""


def _objections(layer: keras.Layer, weight: keras.Variable, pattern: Pattern, *, asked: bool) -> Iterator[str]:
    """Yield why `weight` is left alone. asked: it was asked for by name or type."""
    table = _is_table(layer, weight)
    if len(weight.shape) < 2 or weight.name.endswith("bias"):
        yield "biases, scales and offsets are few and matter"
    if not weight.trainable:
        yield "frozen: its layer is not trainable"
    if pattern.of_tables and not table:
        yield f"{pattern.name!r} is a pattern of embeddings; whole inputs and outputs go with prune_channels"
    spared = next((SPARED[each] for each in type(layer).__mro__ if each in SPARED), None)
    if spared and not asked and not (pattern.of_tables and table):
        yield spared
    if table and pattern.of_products:
        yield f"a table is looked up, not multiplied: {pattern.name} saves nothing; give it the pattern 'row'"
    if math.prod(weight.shape) < FEW and not asked:
        yield f"fewer than {FEW} weights: zeros save nothing, and each of them matters"


def _is_table(layer: keras.Layer, weight: keras.Variable) -> bool:
    return isinstance(layer, keras.layers.Embedding) and weight.name == "embeddings"


def _choose(layer: keras.Layer, weight: keras.Variable, sparsity: float, pattern: Pattern) -> Chosen:
    first = int(pattern.of_tables and _padding(layer))
    grid = Grid(tuple(weight.shape), layout_of(layer, weight), pattern, first)
    return Chosen(kernel=weight, grid=grid, zeros=zeros(sparsity, grid.size) if grid.groups else 0)


def _padding(layer: keras.Layer) -> bool:
    """Tell if row 0 of a table means that there is nothing."""
    return bool(getattr(layer, "mask_zero", False))


def _kept(layer: keras.Layer, weight: keras.Variable, one: Chosen) -> str:
    """Return what of a pruned weight is kept whatever the criterion says, and what else a zero does."""
    said = []
    if one.grid.first:
        said.append("row 0 is the padding and stays")
    elif one.grid.outside:
        said.append(f"{one.grid.outside} of {math.prod(weight.shape)} weights fill no whole group and stay")
    if _is_table(layer, weight) and getattr(layer, "tie_weights", False):
        said.append("it is the output projection too: a word whose row goes scores zero")
    return "; ".join(said)


def refuse_idle(config: Any, paths: list[str], classes: set[str]) -> None:
    """Refuse entries of `by_name` and `by_type` that mean no weight of the model.  Raises: BadInput naming one."""
    kind_of = type(config).__name__
    for pattern in config.by_name:
        if not any(matches(path, pattern) for path in paths):
            layers = sorted({path.rpartition("/")[0] for path in paths})
            raise BadInput(f"{kind_of}: by_name[{pattern!r}] names no weight of the model; {nearest(pattern, layers)}")
    for kind in config.by_type:
        if kind not in classes:
            near = nearest(kind, sorted(classes))
            raise BadInput(f"{kind_of}: by_type[{kind!r}] is the class of no layer with weights; {near}")


def _refuse_idle_patterns(config: PruneConfig, paths: list[str], classes: set[str]) -> None:
    for name in config.patterns:
        if name not in classes and not any(matches(path, name) for path in paths):
            near = nearest(name, sorted({*classes, *(path.rpartition("/")[0] for path in paths)}))
            raise BadInput(f"PruneConfig: patterns[{name!r}] names no layer with weights and no class of one; {near}")

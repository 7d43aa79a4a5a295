"""Which weights are pruned, how far, and why the others are not."""

from __future__ import annotations

import math

import keras

from ..errors import BadInput, nearest
from ..keras_internals import layers_in, own_trainable
from .config import PruneConfig, PruneReport, matches

# What the default sparsity leaves alone; asked for by name or type it is pruned all the same.
FEW = 8
_DEPTHWISE = "a depthwise kernel has few weights, and each filter is all that its channel has"
_NORM = "scales of a normalisation are few and matter"
SPARED: dict[type, str] = {
    keras.layers.Embedding: "a table is looked up, not multiplied: zeros save no work and hit rare words first",
    keras.layers.DepthwiseConv1D: _DEPTHWISE,
    keras.layers.DepthwiseConv2D: _DEPTHWISE,
    keras.layers.BatchNormalization: _NORM,
    keras.layers.LayerNormalization: _NORM,
    keras.layers.GroupNormalization: _NORM,
    keras.layers.PReLU: "slopes are few and matter",
}


def select(model: keras.Model, config: PruneConfig) -> tuple[PruneReport, list[tuple[keras.Variable, float]]]:
    """Return a report of all trainable weights, and those to prune with their final sparsity, in the model's order.

    Raises: BadInput for an entry of `by_name` or `by_type` that means no weight.
    """
    rows, chosen = [], []
    for layer, weight in _weights(model):
        sparsity, reason = _decide(layer, weight, config)
        rows.append({"name": weight.path, "shape": tuple(weight.shape), "sparsity": sparsity, "reason": reason})
        if sparsity is not None:
            chosen.append((weight, sparsity))
    _refuse_idle(config, [row["name"] for row in rows], {type(layer).__name__ for layer, _ in _weights(model)})
    return PruneReport(tuple(rows)), chosen


def _weights(model: keras.Model) -> list[tuple[keras.Layer, keras.Variable]]:
    """Return each weight that could be trained, once, with the layer that holds it."""
    held = [(layer, weight) for layer in layers_in(model) for weight in own_trainable(layer)]
    return list({id(weight): (layer, weight) for layer, weight in reversed(held)}.values())[::-1]


def _decide(layer: keras.Layer, weight: keras.Variable, config: PruneConfig) -> tuple[float | None, str]:
    """Return the sparsity of `weight`, or None and the reason why it is skipped."""
    sparsity, asked_by = config.asked_for(weight.path, type(layer).__name__)
    if len(weight.shape) < 2 or weight.name.endswith("bias"):
        return None, "biases, scales and offsets are few and matter"
    if not weight.trainable:
        return None, "frozen: its layer is not trainable"
    spared = next((SPARED[kind] for kind in type(layer).__mro__ if kind in SPARED), None)
    if spared and asked_by is None:
        return None, spared
    if math.prod(weight.shape) < FEW and asked_by is None:
        return None, f"fewer than {FEW} weights: zeros save nothing, and each of them matters"
    if sparsity is None:
        return None, f"PruneConfig.{asked_by or 'sparsity'} is None"
    return sparsity, ""


def _refuse_idle(config: PruneConfig, paths: list[str], classes: set[str]) -> None:
    for pattern in config.by_name:
        if not any(matches(path, pattern) for path in paths):
            layers = sorted({path.rpartition("/")[0] for path in paths})
            raise BadInput(
                f"PruneConfig: by_name[{pattern!r}] names no weight of the model; {nearest(pattern, layers)}"
            )
    for kind in config.by_type:
        if kind not in classes:
            near = nearest(kind, sorted(classes))
            raise BadInput(f"PruneConfig: by_type[{kind!r}] is the class of no layer with weights; {near}")

"""Layers whose bodies are opened by a rule of their own rather than by running their `call`.

A rule is a function `(layer, *args, **kwargs)` written in `keras.ops`; it sees the layer's variables as symbolic
tensors. `training` and `mask` arguments are not passed on: the traced graph is the inference graph.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
from keras import ops

from ..errors import BadInput


def layer_rule(layer: keras.Layer) -> Callable | None:
    """Return the rule that opens `layer`, or None if its own `call` does."""
    for kind in type(layer).__mro__:
        if kind in LAYERS:
            return partial(_without_context, LAYERS[kind], layer)
    return None


def _without_context(
    rule: Callable, layer: keras.Layer, *args: Any, training: Any = None, mask: Any = None, **kwargs: Any
) -> Any:
    return rule(layer, *args, **kwargs)


def _identity(layer, x):
    return x


def _reshape(layer, x):
    return ops.reshape(x, (-1, *layer.compute_output_shape(x.shape)[1:]))


def _batch_normalization(layer, x):
    """Normalise with the moving statistics: x * scale + offset, both computed from weights alone."""
    scale = ops.rsqrt(layer.moving_variance + layer.epsilon)
    if layer.scale:
        scale = scale * layer.gamma
    offset = -layer.moving_mean * scale
    if layer.center:
        offset = offset + layer.beta
    axis = layer.axis % len(x.shape)
    if axis != len(x.shape) - 1:
        broadcast = [1] * len(x.shape)
        broadcast[axis] = x.shape[axis]
        scale, offset = ops.reshape(scale, broadcast), ops.reshape(offset, broadcast)
    return x * scale + offset


def _layer_normalization(layer, x):
    """Normalise over `layer.axis` (Ba et al. 2016) without negation, which has no int8 kernel in LiteRT."""
    centred = x if layer.rms_scaling else x - ops.mean(x, axis=layer.axis, keepdims=True)
    power = ops.mean(ops.square(centred), axis=layer.axis, keepdims=True)
    y = centred * ops.rsqrt(power + layer.epsilon)
    if layer.gamma is not None:
        y = y * layer.gamma
    return y if layer.beta is None else y + layer.beta


def _recurrent(layer, x, initial_state=None):
    """Unroll a recurrence over its static number of steps; all steps share their weights and their scales."""
    steps = x.shape[1]
    if steps is None:
        raise BadInput(
            f"layer {layer.name!r} runs over an unknown number of steps: "
            "give the model a static sequence length to quantize it"
        )
    cell = layer.cell
    states = list(initial_state or cell.get_initial_state(batch_size=1))
    frames = ops.unstack(x, steps, axis=1)
    outputs = []
    for frame in reversed(frames) if layer.go_backwards else frames:
        y, states = cell(frame, states)
        outputs.append(y)
    result = ops.stack(outputs, axis=1) if layer.return_sequences else outputs[-1]
    return (result, *states) if layer.return_state else result


LAYERS: dict[type, Callable] = {
    keras.layers.InputLayer: _identity,
    keras.layers.ActivityRegularization: _identity,
    keras.layers.Reshape: _reshape,
    keras.layers.Flatten: _reshape,
    keras.layers.BatchNormalization: _batch_normalization,
    keras.layers.LayerNormalization: _layer_normalization,
    keras.layers.RNN: _recurrent,
}

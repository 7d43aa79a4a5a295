"""Layers whose bodies are opened by a rule of their own rather than by running their `call`.

A rule is a function `(layer, *args, **kwargs)` written in `keras.ops`; it sees the layer's variables as symbolic
tensors. `training` and `mask` arguments are not passed on: the traced graph is the inference graph. Needed where a
`call` keeps state, asks for values, or computes with a backend's functions, which take no symbolic tensors.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from ...errors import BadInput
from ...keras_internals import layers_in, takes_mask
from ...untyped import ops, tree
from .operations import NEVER, Constant, FusedLSTM, GroupedConv

# Random in training, nothing at inference; Keras versions differ in what they have of them.
LEAVES: tuple[type[keras.Layer], ...] = tuple(
    getattr(keras.layers, name) for name in (
        "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "SpatialDropout1D", "SpatialDropout2D",
        "SpatialDropout3D",
        "AugMix", "CutMix", "MixUp", "RandAugment", "RandomBrightness", "RandomColorDegeneration", "RandomColorJitter",
        "RandomContrast", "RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomGaussianBlur",
        "RandomGrayscale", "RandomHue", "RandomInvert", "RandomPerspective", "RandomPosterization", "RandomRotation",
        "RandomSaturation", "RandomSharpness", "RandomShear", "RandomTranslation", "RandomZoom",
    ) if hasattr(keras.layers, name)
)  # fmt: skip


def leaf_of(layer: Any) -> type | None:
    """Return which of `LEAVES` `layer` is: it does nothing at inference. A subclass with a `call` of its own may."""
    return next((leaf for leaf in LEAVES if isinstance(layer, leaf) and _has_keras_call(layer)), None)


def random_part(layer: keras.Layer) -> str:
    """Return what of `layer` is random in training, itself or a layer inside it; "" if nothing is."""
    for part in layers_in(layer):
        rates = [getattr(part, name, 0) for name in ("dropout", "recurrent_dropout")]
        drops = any(isinstance(rate, (int, float)) and rate > 0 for rate in rates)
        if leaf_of(part) or (drops and hasattr(part, "state_size")):
            return "it" if part is layer else f"{part.name!r} inside it"
    return ""


def _has_keras_call(layer: keras.Layer) -> bool:
    """Tell whether the `call` of `layer` is Keras' own."""
    owner = next(kind for kind in type(layer).__mro__ if "call" in vars(kind))
    return owner.__module__.startswith("keras.")


def layer_rule(layer: keras.Layer, rules: Mapping[type, Callable] = MappingProxyType({})) -> Callable | None:
    """Return the rule that opens `layer`, one of `rules` before others, or None if its own `call` does."""
    for kind in type(layer).__mro__:
        rule = rules.get(kind) or LAYERS.get(kind)
        if rule is not None:
            return partial(_without_context, rule, layer) if _has_keras_call(layer) else None
    return None


def symbolic(function: Any) -> Any:
    """Return `function`, or for an activation that computes with a backend's functions the same one in `keras.ops`."""
    return ACTIVATIONS.get(function, function) if callable(function) else function


def _without_context(rule: Callable, layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
    """Call `rule` with the arguments by the names that `call` has for them, but for what the rule is blind to."""
    kind: Any = type(layer)
    given = _signature(kind).bind(layer, *args, **kwargs).arguments
    del given[next(iter(given))]  # the layer itself
    given = {**given, **given.pop("kwargs", {})}
    first, *others = given.items()
    blind = {"training"} if rule in _SEES_MASKS else {"training", "mask"}
    return rule(layer, first[1], **{name: value for name, value in others if name not in blind})


@functools.cache
def _signature(kind: type) -> inspect.Signature:
    return inspect.signature(kind.call)


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


def _rescaling(layer, x):
    return ops.cast(x, layer.compute_dtype) * np.float32(layer.scale) + np.float32(layer.offset)


def _normalization(layer, x):
    deviation = np.maximum(np.sqrt(np.asarray(layer.variance)), keras.config.epsilon())
    mean = np.asarray(layer.mean)
    return x * deviation + mean if layer.invert else (x - mean) * (1 / deviation)


def _up_sampling(layer, x):
    """Nearest neighbours as one operation; Keras repeats axis by axis."""
    if layer.interpolation != "nearest" or layer.data_format != "channels_last":
        return layer.call(x)
    (height, width), (rows, columns) = x.shape[1:3], layer.size
    return ops.image.resize(x, (height * rows, width * columns), interpolation="nearest", data_format="channels_last")


def _conv(layer, x):
    if layer.groups == 1:
        return layer.call(x)
    is_first = layer.data_format == "channels_first"
    if layer.padding == "causal":
        before = layer.dilation_rate[0] * (layer.kernel_size[0] - 1)
        x = ops.pad(x, ((0, 0), (0, 0), (before, 0)) if is_first else ((0, 0), (before, 0), (0, 0)))
    padding = "valid" if layer.padding == "causal" else layer.padding
    y = GroupedConv(layer.strides, padding, layer.data_format, layer.dilation_rate)(x, layer.kernel)
    if layer.bias is not None:
        y = y + (ops.reshape(layer.bias, (-1, *(1,) * (len(x.shape) - 2))) if is_first else layer.bias)
    return y if layer.activation is None else layer.activation(y)


def _group_normalization(layer, x):
    """Normalise each group of channels by its own mean and variance. Source: arXiv:1803.08494."""
    rank = len(x.shape)
    if layer.axis % rank != rank - 1:
        return layer.call(x)
    inner = [*x.shape[1:-1], layer.groups, x.shape[-1] // layer.groups]
    grouped = ops.reshape(x, (-1, *inner))
    axes = [axis for axis in range(1, rank + 1) if axis != rank - 1]
    centred = grouped - ops.mean(grouped, axis=axes, keepdims=True)
    power = ops.mean(ops.square(centred), axis=axes, keepdims=True)
    y = ops.reshape(centred * ops.rsqrt(power + layer.epsilon), (-1, *x.shape[1:]))
    y = y * layer.gamma if layer.scale else y
    return y + layer.beta if layer.center else y


def _steps(layer, x):
    if x.shape[1] is None:
        raise BadInput(
            f"layer {layer.name!r} runs over an unknown number of steps: "
            "give the model a static sequence length to quantize it"
        )
    return x.shape[1]


def _category_encoding(layer, x, count_weights=None):
    """Encode numbers of categories, without the bins that Keras counts by.  Shapes: (N, k) -> (N, tokens)."""
    if count_weights is not None or layer.output_mode not in ("one_hot", "multi_hot"):
        return layer.call(x)
    encoded = ops.one_hot(ops.cast(x, "int32"), layer.num_tokens)  # (N, ..., tokens)
    if layer.output_mode == "multi_hot":
        return ops.max(encoded, axis=-2) if len(x.shape) > 1 else encoded
    return ops.squeeze(encoded, -2) if len(x.shape) > 1 and x.shape[-1] == 1 else encoded


def _time_distributed(layer, x, mask=None):
    """Take each step of each sample for a sample: the layer runs once, whatever it is."""
    steps = _steps(layer, x)
    kwargs = {}
    if mask is not None and len(mask.shape) > 2 and takes_mask(layer.layer):
        kwargs["mask"] = ops.reshape(mask, (-1, *mask.shape[2:]))
    outputs = layer.layer(ops.reshape(x, (-1, *x.shape[2:])), **kwargs)
    return tree.map_structure(lambda one: ops.reshape(one, (-1, steps, *one.shape[1:])), outputs)


def _recurrent(layer, x, initial_state=None, mask=None):
    """Unroll a recurrence over its static number of steps; all steps share their weights and their scales.

    A masked step leaves the states as they were and repeats the last output, or gives zero if the layer says so.
    """
    if layer.stateful:
        raise BadInput(
            f"layer {layer.name!r} is stateful: in a file the states of a stream are inputs and outputs. Build it "
            "with stateful=False and call streaming(model) for its step"
        )
    steps = _steps(layer, x)
    cell = layer.cell
    started = tree.map_structure(_constant, layer.get_initial_state(batch_size=1))
    states = _as_list(started if initial_state is None else initial_state)
    frames = ops.unstack(x, steps, axis=1)
    valid = [None] * steps if mask is None else ops.unstack(ops.expand_dims(_one_mask(mask), -1), steps, axis=1)
    order = range(steps - 1, -1, -1) if layer.go_backwards else range(steps)
    outputs = []
    for index in order:
        y, new = cell(frames[index], states)
        if mask is not None:
            zero = ops.zeros((1, *y.shape[1:]), y.dtype)
            kept = [ops.where(valid[index], *pair) for pair in zip(new, states, strict=True)]
            last = zero if layer.zero_output_for_mask or not outputs else outputs[-1]
            repeats_state = y is new[0] and not layer.zero_output_for_mask and initial_state is None
            y, new = kept[0] if repeats_state else ops.where(valid[index], y, last), kept
        states = new
        outputs.append(y)
    result = ops.stack(outputs, axis=1) if layer.return_sequences else outputs[-1]
    return (result, *states) if layer.return_state else result


def _as_list(states):
    return list(states) if isinstance(states, (list, tuple)) else [states]


def _constant(value):
    return Constant().symbolic_call(value)


def _fused_lstm(layer, x, initial_state=None, mask=None):
    """A recurrence as one operator. LiteRT's kernel knows the textbook cell, started from zero and unmasked."""
    cell = layer.cell
    obstacles = {
        "a mask": mask is not None,
        "an initial state": initial_state is not None and len(_as_list(initial_state)) > 0,
        "return_state": layer.return_state,
        "an activation other than tanh": cell.activation is not keras.activations.tanh,
        "a recurrent activation other than sigmoid": cell.recurrent_activation is not keras.activations.sigmoid,
    }
    for obstacle, there in obstacles.items():
        if there:
            raise BadInput(
                f"layer {layer.name!r} has {obstacle}, which no fused operator knows: "
                "use QatConfig(recurrence='unrolled')"
            )
    x = ops.flip(x, axis=1) if layer.go_backwards else x
    kernels, recurrent = (
        ops.split(ops.transpose(weight), 4, axis=0) for weight in (cell.kernel, cell.recurrent_kernel)
    )
    biases = ops.split(cell.bias, 4, axis=0) if cell.use_bias else [ops.zeros((cell.units,))] * 4
    fused: Any = FusedLSTM()
    outputs, _ = fused(x, *kernels, *recurrent, *biases)
    return outputs if layer.return_sequences else outputs[:, -1]


_MERGES: dict[str | None, Callable] = {
    "concat": lambda a, b: ops.concatenate([a, b], axis=-1),
    "sum": lambda a, b: a + b,
    "ave": lambda a, b: (a + b) * 0.5,
    "mul": lambda a, b: a * b,
    None: lambda a, b: (a, b),
}


def _one_mask(mask):
    return mask[0] if isinstance(mask, (list, tuple)) else mask


def _bidirectional(layer, x, initial_state=None, mask=None):
    states = list(initial_state or ())
    half = len(states) // 2
    forward = layer.forward_layer(x, initial_state=states[:half] or None, mask=mask)
    backward = layer.backward_layer(x, initial_state=states[half:] or None, mask=mask)
    forward, *forward_states = forward if layer.return_state else (forward,)
    backward, *backward_states = backward if layer.return_state else (backward,)
    if layer.return_sequences:
        backward = ops.flip(backward, axis=1)
    merged = _MERGES[layer.merge_mode](forward, backward)
    if not layer.return_state:
        return merged
    return (*(merged if isinstance(merged, tuple) else (merged,)), *forward_states, *backward_states)


def _softmax(layer, x, mask=None):
    """Softmax of what the mask leaves; zero for the rest, also where it leaves nothing."""
    axis = layer.axis[0] if isinstance(layer.axis, (list, tuple)) and len(layer.axis) == 1 else layer.axis
    if mask is None:
        return ops.softmax(x, axis=axis)
    mask = mask if mask.dtype == "bool" else ops.greater(mask, 0.5)
    return ops.where(mask, ops.softmax(ops.where(mask, x, NEVER), axis=axis), 0.0)


def _hard_silu(x):
    return x * ops.hard_sigmoid(x)


def _mish(x):
    return x * ops.tanh(ops.softplus(x))


ACTIVATIONS: dict[Any, Callable] = {keras.activations.hard_silu: _hard_silu, keras.activations.mish: _mish}
_SEES_MASKS = (_recurrent, _fused_lstm, _bidirectional, _softmax, _time_distributed)
# How layers are opened, by the name of a form: LSTM layers as one operator each, or all step by step.
RECURRENCES: dict[str, dict[type, Callable]] = {"unrolled": {}, "fused": {keras.layers.LSTM: _fused_lstm}}
LAYERS: dict[type, Callable] = {
    keras.layers.InputLayer: _identity,
    keras.layers.ActivityRegularization: _identity,
    keras.layers.RandomCrop: _identity,  # at inference; Keras 3.15 announces the cropped shape all the same
    keras.layers.Reshape: _reshape,
    keras.layers.Flatten: _reshape,
    keras.layers.BatchNormalization: _batch_normalization,
    keras.layers.LayerNormalization: _layer_normalization,
    keras.layers.GroupNormalization: _group_normalization,
    keras.layers.Rescaling: _rescaling,
    keras.layers.Normalization: _normalization,
    keras.layers.CategoryEncoding: _category_encoding,
    keras.layers.Softmax: _softmax,
    keras.layers.UpSampling2D: _up_sampling,
    keras.layers.Conv1D: _conv,
    keras.layers.Conv2D: _conv,
    keras.layers.RNN: _recurrent,
    keras.layers.Bidirectional: _bidirectional,
    keras.layers.TimeDistributed: _time_distributed,
}

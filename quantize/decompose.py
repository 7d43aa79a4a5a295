"""Operations written in terms of others that int8 kernels cover.

Each entry of `OPERATIONS` is a function `(op, *args, **kwargs)` in `keras.ops`; `op` carries the operation's static
attributes. It is traced on symbolic tensors and its nodes take the place of the operation's node, again and again until
nothing is left to decompose. What is mathematically equal is computed equal: a decomposition approximates nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from ..errors import BadInput
from .graph import Graph, splice
from .operations import NEVER, Batched, TransposedConv

Decomposition = Callable[..., Any]


def decompose(graph: Graph) -> None:
    """Replace every node that has a decomposition, in place."""
    pending = list(graph.nodes)
    while pending:
        node = pending.pop()
        rule = OPERATIONS.get(node.kind)
        if rule is not None:
            pending += splice(graph, node, lambda *args, rule=rule, node=node, **kwargs: rule(node.op, *args, **kwargs))


# ---------------------------------------------------------------- activations


def _silu(op, x):
    return x * ops.sigmoid(x)


def _hard_sigmoid(op, x):
    return ops.relu6(x + 3.0) * (1 / 6)


def _hard_silu(op, x):
    return x * _hard_sigmoid(op, x)


def _glu(op, x):
    value, gate = ops.split(x, 2, axis=op.axis)
    return value * ops.sigmoid(gate)


def _softmax(op, x):
    """Softmax over the last axis only: LiteRT knows no other."""
    rank = len(x.shape)
    axes = (op.axis,) if isinstance(op.axis, int) else tuple(op.axis)
    if axes in ((-1,), (rank - 1,)):
        return NotImplemented
    if len(axes) > 1:
        raise BadInput(f"softmax over axes {axes}: reshape so that it runs over one")
    swapped = ops.swapaxes(x, axes[0] % rank, rank - 1)
    return ops.swapaxes(ops.softmax(swapped, axis=-1), axes[0] % rank, rank - 1)


# ---------------------------------------------------------------- convolutions and pools in one dimension or three


def _one(value: Any) -> int:
    return value if isinstance(value, int) else value[0]


LAST = "channels_last"


def _channels_last(decomposition: Decomposition) -> Decomposition:
    """Do what has its channels first with the channels last, between two transposes; all else is `decomposition`'s."""

    def decomposed(op, x, *kernels):
        if op.data_format != "channels_first":
            return decomposition(op, x, *kernels)
        rank = len(x.shape)
        turned = type(op).from_config({**op.get_config(), "data_format": LAST})
        result = turned(ops.transpose(x, (0, *range(2, rank), 1)), *kernels)
        return ops.transpose(result, (0, rank - 1, *range(1, rank - 1)))

    return decomposed


@_channels_last
def _conv(op, x, kernel):
    """A convolution in one dimension is one in two over an image of height 1."""
    if len(x.shape) != 3:
        return NotImplemented
    strides, rate = _one(op.strides), (1, _one(op.dilation_rate))  # of a height of 1 no stride skips anything
    wide = type(op)((strides, strides), op.padding, LAST, rate)
    return ops.squeeze(wide(ops.expand_dims(x, 1), ops.expand_dims(kernel, 0)), 1)


@_channels_last
def _conv_transpose(op, x, kernel):
    if len(x.shape) != 3:
        return TransposedConv(op.strides, op.padding, op.output_padding, op.dilation_rate)(x, kernel)
    extra = None if op.output_padding is None else (0, _one(op.output_padding))
    wide = TransposedConv((1, _one(op.strides)), op.padding, extra, (1, _one(op.dilation_rate)))
    return ops.squeeze(wide(ops.expand_dims(x, 1), ops.expand_dims(kernel, 0)), 1)


def _separable_conv(op, x, depthwise, pointwise):
    spread = ops.depthwise_conv(x, depthwise, op.strides, op.padding, op.data_format, op.dilation_rate)
    return ops.conv(spread, pointwise, 1, "valid", op.data_format)


def _pool(pool: Callable) -> Decomposition:
    @_channels_last
    def decomposed(op, x):
        if len(x.shape) not in (3, 5):
            return NotImplemented
        if len(x.shape) == 5:
            return NotImplemented if None in x.shape[1:] else _pool_volume(pool, op, x)
        size, strides = _one(op.pool_size), _one(op.strides or op.pool_size)
        return ops.squeeze(pool(ops.expand_dims(x, 1), (1, size), (1, strides), op.padding, LAST), 1)

    return decomposed


def _pool_volume(pool: Callable, op, x):
    """A pool of volumes is one along their width, then one over depth and height with the width among the channels.

    Shapes: (N, D, H, W, C) -> (N, D', H', W', C).
    """
    sizes, strides = (
        (each,) * 3 if isinstance(each, int) else tuple(each) for each in (op.pool_size, op.strides or op.pool_size)
    )
    depth, height, width, channels = x.shape[1:]
    x = ops.reshape(x, (-1, depth * height, width, channels))
    x = pool(x, (1, sizes[2]), (1, strides[2]), op.padding, LAST)
    width = x.shape[2]
    x = pool(ops.reshape(x, (-1, depth, height, width * channels)), sizes[:2], strides[:2], op.padding, LAST)
    return ops.reshape(x, (-1, *x.shape[1:3], width, channels))


def _max(op, x):
    """The largest over all of an image is a max-pool of its size."""
    rank = len(x.shape)
    axes = sorted(axis % rank for axis in (op.axis if op.axis is not None else range(rank)))
    if op.initial is not None or axes not in ([1], [1, 2]) or rank - len(axes) != 2:
        return NotImplemented
    size = [x.shape[axis] for axis in axes]
    pooled = ops.max_pool(x, tuple(size), tuple(size), "valid", LAST)  # strides of None fail on JAX
    return pooled if op.keepdims else ops.squeeze(pooled, tuple(axes))


# ---------------------------------------------------------------- products


def _einsum(op, left, right):
    """A sum of products as one matrix product between transposes and reshapes."""
    terms, _, out = op.subscripts.replace(" ", "").partition("->")
    a, b = terms.split(",")
    a, b, out = _spell_out_ellipsis(a, b, out, left, right)
    if len(set(a)) < len(a) or len(set(b)) < len(b) or set(out) - set(a + b) or (set(a) ^ set(b)) - set(out):
        raise BadInput(f"einsum {op.subscripts!r}: sums over one operand alone are not covered; use ops.sum first")
    batch = [name for name in a if name in b and name in out]
    summed = [name for name in a if name in b and name not in out]
    rows = [name for name in a if name not in b]
    columns = [name for name in b if name not in a]
    size = {**dict(zip(b, right.shape, strict=True)), **dict(zip(a, left.shape, strict=True))}

    def merged(x, names, apart, *groups):
        """Bring the axes into order, those of each group merged into one."""
        x = _transposed(x, names, [*apart, *(name for group in groups for name in group)])
        return _reshaped(x, [*(_known(size[name]) for name in apart), *(_product(size, group) for group in groups)])

    left = merged(left, a, batch, rows, summed) if batch else merged(left, a, rows, summed)
    right = merged(right, b, batch, summed, columns)
    product = ops.matmul(left, right)
    product = _reshaped(product, [_known(size[name]) for name in [*batch, *rows, *columns]])
    return _transposed(product, [*batch, *rows, *columns], out)


def _spell_out_ellipsis(a, b, out, left, right):
    if "..." not in a + b + out:
        return a, b, out
    count = max(len(x.shape) - len(names) + 3 for x, names in ((left, a), (right, b)) if "..." in names)
    letters = "".join(chr(code) for code in range(ord("A"), ord("Z")) if chr(code) not in a + b)[:count]
    return a.replace("...", letters), b.replace("...", letters), out.replace("...", letters)


def _reshape(op, x):
    """A layer that asks its input for the size of the batch gets None while it is traced."""
    return ops.reshape(x, tuple(map(_known, op.newshape))) if None in op.newshape else NotImplemented


def _broadcast_to(op, x):
    """A weight that is repeated for each sample: a class token for one."""
    batch, *shape = op.shape
    if batch is not None or None in shape:
        return NotImplemented
    x = _reshaped(x, (*(1,) * (len(op.shape) - len(x.shape)), *x.shape))
    return Batched()(x if tuple(x.shape) == (1, *shape) else ops.broadcast_to(x, (1, *shape)))


def _known(size: int | None) -> int:
    return -1 if size is None else size


def _product(size: dict, names: list[str]) -> int:
    sizes = [size[name] for name in names]
    return -1 if None in sizes else math.prod(sizes)


def _transposed(x, names, order):
    order = [list(names).index(name) for name in order]
    return x if order == sorted(order) else ops.transpose(x, order)


def _reshaped(x, shape):
    return x if list(shape) == [_known(size) for size in x.shape] else ops.reshape(x, tuple(shape))


def _attention(op, query, key, value, *, bias=None, mask=None, scale=None, **kwargs):
    """Scaled dot-product attention.  Shapes: (N, T, heads, d), (N, S, heads, d) twice -> (N, T, heads, d)."""
    if op.attn_logits_soft_cap is not None:
        raise BadInput("attention with soft-capped logits has no int8 form: leave attn_logits_soft_cap out")
    groups = query.shape[2] // key.shape[2]
    if groups > 1:
        key, value = ops.repeat(key, groups, axis=2), ops.repeat(value, groups, axis=2)
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    query, key, value = (ops.transpose(x, (0, 2, 1, 3)) for x in (query * scale, key, value))
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2))  # (N, heads, T, S)
    if bias is not None:
        scores = scores + bias
    if op.is_causal:
        scores = ops.where(np.tril(np.ones(scores.shape[-2:], bool)), scores, NEVER)
    if mask is not None:
        scores = ops.where(ops.cast(mask, "bool"), scores, NEVER)
    return ops.transpose(ops.matmul(ops.softmax(scores), value), (0, 2, 1, 3))


# ---------------------------------------------------------------- statistics


def _moments(op, x):
    mean = ops.mean(x, axis=op.axes, keepdims=True)
    variance = ops.mean(ops.square(x - mean), axis=op.axes, keepdims=True)
    return (mean, variance) if op.keepdims else (ops.squeeze(mean, op.axes), ops.squeeze(variance, op.axes))


def _variance(op, x):
    mean = ops.mean(x, axis=op.axis, keepdims=True)
    return ops.mean(ops.square(x - mean), axis=op.axis, keepdims=op.keepdims)


def _deviation(op, x):
    return ops.sqrt(_variance(op, x))


def _rms_norm(op, x, scale=None):
    power = ops.mean(ops.square(x), axis=op.axis, keepdims=True)
    y = x * ops.rsqrt(power + (keras.config.epsilon() if op.epsilon is None else op.epsilon))
    return y if scale is None else y * scale


def _layer_norm(op, x, gamma=None, beta=None):
    centred = x if op.rms_scaling else x - ops.mean(x, axis=op.axis, keepdims=True)
    power = ops.mean(ops.square(centred), axis=op.axis, keepdims=True)
    y = centred * ops.rsqrt(power + (keras.config.epsilon() if op.epsilon is None else op.epsilon))
    y = y if gamma is None else y * gamma
    return y if beta is None else y + beta


def _normalize(op, x):
    if op.order != 2:
        return NotImplemented
    epsilon = keras.config.epsilon() if op.epsilon is None else op.epsilon
    return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis=op.axis, keepdims=True), epsilon**2))


# ---------------------------------------------------------------- arithmetic and movement


def _negative(op, x):
    return x * -1.0


def _divide(op, x, divisor):
    """LiteRT divides no int8: multiply by the reciprocal."""
    if isinstance(divisor, (int, float)):
        return x * (1 / divisor)
    return x * ops.reciprocal(divisor)


def _power(op, x, exponent):
    if isinstance(exponent, (int, float)) and exponent == 2:
        return ops.square(x)
    return NotImplemented


def _repeat(op, x):
    if not isinstance(op.repeats, int) or op.axis is None:
        return NotImplemented
    axis = op.axis % len(x.shape)
    copies = ops.concatenate([ops.expand_dims(x, axis + 1)] * op.repeats, axis=axis + 1)
    shape = [_known(size) for size in x.shape]
    shape[axis] = -1 if shape[axis] == -1 else shape[axis] * op.repeats
    return ops.reshape(copies, shape)


def _tile(op, x):
    repeats = [1] * (len(x.shape) - len(op.repeats)) + list(op.repeats)
    for axis, count in enumerate(repeats):
        if count > 1:
            x = ops.concatenate([x] * count, axis=axis)
    return x


def _flip(op, x):
    rank = len(x.shape)
    axes = range(rank) if op.axis is None else (op.axis,) if isinstance(op.axis, int) else op.axis
    backwards = {axis % rank for axis in axes}
    return x[tuple(slice(None, None, -1) if axis in backwards else slice(None) for axis in range(rank))]


def _get_item(op, x, key):
    """Write an index with an ellipsis or new axes as slices, then a reshape."""
    parts = list(key) if isinstance(key, tuple) else [key]
    if not any(part is None or part is Ellipsis for part in parts):
        return NotImplemented
    rest = [slice(None)] * (len(x.shape) - sum(part is not None and part is not Ellipsis for part in parts))
    where = next((index for index, part in enumerate(parts) if part is Ellipsis), len(parts))
    parts[where : where + 1] = rest
    plain = tuple(part for part in parts if part is not None)
    y = x if all(part == slice(None) for part in plain) else x[plain]
    for axis, part in enumerate(part for part in parts if not isinstance(part, int)):
        y = ops.expand_dims(y, axis) if part is None else y
    return y


OPERATIONS: dict[str, Decomposition] = {
    "Silu": _silu,
    "HardSigmoid": _hard_sigmoid,
    "HardSilu": _hard_silu,
    "Glu": _glu,
    "Softmax": _softmax,
    "Conv": _conv,
    "DepthwiseConv": _conv,
    "GroupedConv": _conv,
    "ConvTranspose": _conv_transpose,
    "SeparableConv": _separable_conv,
    "MaxPool": _pool(ops.max_pool),
    "AveragePool": _pool(ops.average_pool),
    "Reshape": _reshape,
    "BroadcastTo": _broadcast_to,
    "Max": _max,
    "Amax": _max,
    "Einsum": _einsum,
    "DotProductAttention": _attention,
    "Moments": _moments,
    "Var": _variance,
    "Std": _deviation,
    "RMSNorm": _rms_norm,
    "LayerNorm": _layer_norm,
    "Normalize": _normalize,
    "Negative": _negative,
    "Divide": _divide,
    "TrueDivide": _divide,
    "Power": _power,
    "Repeat": _repeat,
    "Tile": _tile,
    "Flip": _flip,
    "GetItem": _get_item,
}

__all__ = ["OPERATIONS", "decompose"]

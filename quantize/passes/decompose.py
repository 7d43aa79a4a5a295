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

from ...errors import BadInput
from ...untyped import ops
from ..graph.nodes import Graph, splice
from ..graph.operations import NEVER, TransposedConv
from ..operators import axes
from .movement import LAST, MOVEMENTS, Decomposition, along, channels_last, known, reshaped


def decompose(graph: Graph) -> None:
    """Replace every node that has a decomposition, in place."""
    pending = list(graph.nodes)
    while pending:
        node = pending.pop()
        rule = OPERATIONS.get(node.op_type)
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
    """Softmax over the last axis only: LiteRT knows no other. Several are made one."""
    rank = len(x.shape)
    over = axes(op.axis, rank)
    if over == (rank - 1,):
        return NotImplemented
    order = [*(axis for axis in range(rank) if axis not in over), *over]
    moved = ops.transpose(x, order)
    shape = [known(size) for size in moved.shape]
    flat = reshaped(moved, [*shape[: -len(over)], math.prod(shape[-len(over) :])])
    return ops.transpose(reshaped(ops.softmax(flat), shape), np.argsort(order).tolist())


# ---------------------------------------------------------------- convolutions and pools in one dimension or three


def _one(value: Any) -> int:
    return value if isinstance(value, int) else value[0]


@channels_last
def _conv(op, x, kernel):
    """A convolution in one dimension is one in two over an image of height 1."""
    if len(x.shape) != 3:
        return NotImplemented
    strides, rate = _one(op.strides), (1, _one(op.dilation_rate))  # of a height of 1 no stride skips anything
    wide = type(op)((strides, strides), op.padding, LAST, rate)
    return ops.squeeze(wide(ops.expand_dims(x, 1), ops.expand_dims(kernel, 0)), 1)


@channels_last
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
    @channels_last
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


def _adaptive_pool(pool: Callable) -> Decomposition:
    """A pool of as many windows as are asked for, where they are equally large."""

    def decomposed(op, x):
        sides = x.shape[2:] if op.data_format == "channels_first" else x.shape[1:-1]
        counts = (op.output_size,) * len(sides) if isinstance(op.output_size, int) else tuple(op.output_size)
        if None in sides or any(side % count for side, count in zip(sides, counts, strict=True)):
            return NotImplemented
        size = tuple(side // count for side, count in zip(sides, counts, strict=True))
        return pool(x, size, size, "valid", op.data_format)

    return decomposed


def _max(op, x):
    """The largest over all of an image is a max-pool of its size."""
    rank = len(x.shape)
    over = axes(op.axis, rank)
    if op.initial is not None or over not in ((1,), (1, 2)) or rank - len(over) != 2:
        return NotImplemented
    size = [x.shape[axis] for axis in over]
    pooled = ops.max_pool(x, tuple(size), tuple(size), "valid", LAST)  # strides of None fail on JAX
    return pooled if op.keepdims else ops.squeeze(pooled, over)


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
        return reshaped(x, [*(known(size[name]) for name in apart), *(_product(size, group) for group in groups)])

    left = merged(left, a, batch, rows, summed) if batch else merged(left, a, rows, summed)
    right = merged(right, b, batch, summed, columns)
    product = ops.matmul(left, right)
    product = reshaped(product, [known(size[name]) for name in [*batch, *rows, *columns]])
    return _transposed(product, [*batch, *rows, *columns], out)


def _tensordot(op, left, right):
    """A sum of products over the last axes of one operand and the first of the other, or over named ones."""
    axes: Any = op.axes
    pairs = (range(-axes, 0), range(axes)) if isinstance(axes, int) else axes
    return _contracted(left, right, *([over] if isinstance(over, int) else over for over in pairs))


def _dot(op, left, right):
    if not left.shape or not right.shape:
        return left * right
    return _contracted(left, right, [-1], [max(len(right.shape) - 2, 0)])


def _inner(op, left, right):
    return _contracted(left, right, [-1], [-1]) if left.shape and right.shape else left * right


def _contracted(left, right, left_axes, right_axes):
    names = iter("abcdefghijklmnopqrstuvwxyz")
    a, b = ([next(names) for _ in operand.shape] for operand in (left, right))
    for one, other in zip(left_axes, right_axes, strict=True):
        b[other] = a[one]
    out = [name for name in a + b if (name in a) != (name in b)]
    return ops.einsum(f"{''.join(a)},{''.join(b)}->{''.join(out)}", left, right)


def _cumsum(op, x):
    """A product with a triangle of ones, which has an integer kernel."""
    if op.axis is None or op.axis % len(x.shape) == 0 or not x.dtype.startswith("float"):
        return NotImplemented
    axis, last, size = op.axis % len(x.shape), len(x.shape) - 1, x.shape[op.axis]
    if size is None:
        return NotImplemented
    ones = np.triu(np.ones((size, size), x.dtype))
    return (
        ops.matmul(x, ones) if axis == last else ops.swapaxes(ops.matmul(ops.swapaxes(x, axis, last), ones), axis, last)
    )


@channels_last
def _grey(op, x):
    return ops.matmul(x, np.array([[0.2989], [0.587], [0.114]], x.dtype))  # ITU-R BT.601


def _spell_out_ellipsis(a, b, out, left, right):
    if "..." not in a + b + out:
        return a, b, out
    count = max(len(x.shape) - len(names) + 3 for x, names in ((left, a), (right, b)) if "..." in names)
    letters = "".join(chr(code) for code in range(ord("A"), ord("Z")) if chr(code) not in a + b)[:count]
    return a.replace("...", letters), b.replace("...", letters), out.replace("...", letters)


def _product(size: dict, names: list[str]) -> int:
    sizes = [size[name] for name in names]
    return -1 if None in sizes else math.prod(sizes)


def _transposed(x, names, order):
    order = [list(names).index(name) for name in order]
    return x if order == sorted(order) else ops.transpose(x, order)


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
    return _root(_variance(op, x))


def _root(power):
    """The square root of a sum of squares; at nothing its slope is infinite, which no training survives."""
    return ops.sqrt(ops.maximum(power, 1e-14))


def _beside(values, axis, x):
    """Lay out one value for each place along an axis of `x`, so that they broadcast to it."""
    return ops.reshape(values, [-1 if one == axis % len(x.shape) else 1 for one in range(len(x.shape))])


def _average(op, x, weights=None):
    if weights is None:
        return ops.mean(x, axis=op.axis)
    if op.axis is not None and len(weights.shape) == 1:
        weights = _beside(weights, op.axis, x)
    return ops.sum(x * weights, axis=op.axis) / ops.sum(weights, axis=op.axis)


def _norm(op, x):
    """The Euclidean norm, of one axis or a matrix, or the sum or the largest of magnitudes along an axis."""
    if op.axis is None:
        return NotImplemented
    over = tuple(op.axis)
    if op.ord in (None, "fro") or (op.ord == 2 and len(over) == 1):
        return _root(ops.sum(ops.square(x), axis=over, keepdims=op.keepdims))
    reduce = {1: ops.sum, math.inf: ops.max, -math.inf: ops.min}.get(op.ord)
    if reduce is None or len(over) > 1:
        return NotImplemented
    return reduce(ops.abs(x), axis=over, keepdims=op.keepdims)


def _log_sum_exp(op, x):
    if op.axis is None:
        return NotImplemented
    largest = ops.max(x, axis=op.axis, keepdims=True)
    total = ops.log(ops.sum(ops.exp(x - largest), axis=op.axis, keepdims=True)) + largest
    return total if op.keepdims else ops.squeeze(total, op.axis)


def _batch_norm(op, x, mean, variance, offset=None, scale=None):
    factor = ops.rsqrt(variance + op.epsilon) * (1.0 if scale is None else scale)
    y = (x - _beside(mean, op.axis, x)) * _beside(factor, op.axis, x)
    return y if offset is None else y + _beside(offset, op.axis, x)


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


# ---------------------------------------------------------------- arithmetic


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


def _log_add_exp(op, x, y):
    return ops.maximum(x, y) + ops.log1p(ops.exp(-ops.abs(x - y)))


def _difference(op, x):
    axis = op.axis % len(x.shape)
    if axis == 0:
        return NotImplemented
    for _ in range(op.n):
        x = along(x, axis, 1, None) - along(x, axis, -1)
    return x


def _one_hot(op, x):
    if op.sparse:
        return NotImplemented
    axis = op.axis % (len(x.shape) + 1)
    places = np.arange(op.num_classes, dtype=x.dtype).reshape([-1, *[1] * (len(x.shape) - axis)])
    return ops.cast(ops.equal(ops.expand_dims(x, axis), places), op.dtype or keras.config.floatx())


def _cast(op, x):
    return ops.not_equal(x, 0) if op.dtype == "bool" != x.dtype else NotImplemented


def _select(op, conditions, choices, default=0):
    """Take the first choice whose condition holds."""
    for condition, choice in reversed(list(zip(conditions, choices, strict=True))):
        default = ops.where(condition, choice, default)
    return default


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
    "AdaptiveAveragePool": _adaptive_pool(ops.average_pool),
    "AdaptiveMaxPool": _adaptive_pool(ops.max_pool),
    "Max": _max,
    "Amax": _max,
    "Amin": lambda op, x: ops.min(x, axis=op.axis, keepdims=op.keepdims),
    "Einsum": _einsum,
    "Tensordot": _tensordot,
    "Dot": _dot,
    "Inner": _inner,
    "Cumsum": _cumsum,
    "RGBToGrayscale": _grey,
    "DotProductAttention": _attention,
    "Moments": _moments,
    "Var": _variance,
    "Std": _deviation,
    "Average": _average,
    "Norm": _norm,
    "Logsumexp": _log_sum_exp,
    "BatchNorm": _batch_norm,
    "RMSNorm": _rms_norm,
    "LayerNorm": _layer_norm,
    "Normalize": _normalize,
    "Negative": _negative,
    "Divide": _divide,
    "TrueDivide": _divide,
    "Power": _power,
    "Fmax": lambda op, x, y: ops.maximum(x, y),
    "Fmin": lambda op, x, y: ops.minimum(x, y),
    "Hypot": lambda op, x, y: _root(ops.square(x) + ops.square(y)),
    "Logaddexp": _log_add_exp,
    "NanToNum": lambda op, x: x,
    "Diff": _difference,
    "OneHot": _one_hot,
    "Cast": _cast,
    "Select": _select,
    **MOVEMENTS,
}

__all__ = ["OPERATIONS", "decompose"]

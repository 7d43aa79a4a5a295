"""Movements of values, written as slices, transposes, reshapes and concatenations: what int8 kernels do exactly.

`MOVEMENTS` is a part of `decompose.OPERATIONS`, and has its form. What moves values from sample to sample is not in it:
an exported file holds one sample.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...untyped import ops
from ..graph.operations import Batched
from ..operators import axes, pair

Decomposition = Callable[..., Any]
LAST = "channels_last"


def channels_last(decomposition: Decomposition) -> Decomposition:
    """Do what has its channels first with the channels last, between two transposes; all else is `decomposition`'s."""

    def decomposed(op, x, *kernels):
        if op.data_format != "channels_first":
            return decomposition(op, x, *kernels)
        rank = len(x.shape)
        turned = type(op).from_config({**op.get_config(), "data_format": LAST})
        result = turned(ops.transpose(x, (0, *range(2, rank), 1)), *kernels)
        return ops.transpose(result, (0, rank - 1, *range(1, rank - 1)))

    return decomposed


def known(size: int | None) -> int:
    """Return a size as `ops.reshape` wants it."""
    return -1 if size is None else size


def reshaped(x: Any, shape: Sequence[int]) -> Any:
    """Reshape `x`, if that changes anything."""
    return x if list(shape) == [known(size) for size in x.shape] else ops.reshape(x, tuple(shape))


def along(x: Any, axis: int, *bounds: int | None) -> Any:
    """Return the slice of `x` between `bounds` of one axis."""
    return x[(*(slice(None),) * axis, slice(*bounds))]


# ---------------------------------------------------------------- order


def _move_axes(op, x):
    rank = len(x.shape)
    sources, places = ([axis % rank for axis in several] for several in (op.source, op.destination))
    order = [axis for axis in range(rank) if axis not in sources]
    for place, source in sorted(zip(places, sources, strict=True)):
        order.insert(place, source)
    return ops.transpose(x, order)


def _flip(op, x):
    rank = len(x.shape)
    backwards = axes(op.axis, rank)
    return x[tuple(slice(None, None, -1) if axis in backwards else slice(None) for axis in range(rank))]


def _rotate(op, x):
    first, second = (axis % len(x.shape) for axis in op.axes)
    if 0 in (first, second) or op.k % 2 == 0:  # Keras 3.15 on TensorFlow gets half a turn wrong
        return NotImplemented
    return ops.flip(ops.swapaxes(x, first, second), first if op.k % 4 == 1 else second)


def _roll(op, x):
    if 0 in axes(op.axis, len(x.shape)):
        return NotImplemented
    turned = [op.axis] if isinstance(op.axis, int) else op.axis
    shifts = [op.shift] * len(turned) if isinstance(op.shift, int) else op.shift
    for axis, shift in zip((one % len(x.shape) for one in turned), shifts, strict=True):
        if start := -shift % x.shape[axis]:
            x = ops.concatenate([along(x, axis, start, None), along(x, axis, start)], axis=axis)
    return x


# ---------------------------------------------------------------- parts and copies


def _joined(axis: int) -> Decomposition:
    return lambda op, xs: ops.concatenate(xs, axis=axis) if len(xs[0].shape) > axis else NotImplemented


def _parts(axis_of: Callable[[Any], int]) -> Decomposition:
    """Cut `x` along an axis, as numpy does: at indices, or into parts of which the first may be one longer."""

    def decomposed(op, x):
        axis, where = axis_of(op) % len(x.shape), op.indices_or_sections
        if axis == 0 or x.shape[axis] is None:
            return NotImplemented
        if isinstance(where, int):
            where = np.cumsum([len(part) for part in np.array_split(range(x.shape[axis]), where)])[:-1]
        return [along(x, axis, *map(int, ends)) for ends in itertools.pairwise([0, *where, x.shape[axis]])]

    return decomposed


def _repeat(op, x):
    if op.repeats is None and op.axis == 0 and x.shape[0] == 1:
        return Batched()(x)
    if not isinstance(op.repeats, int) or op.axis is None:
        return NotImplemented
    axis = op.axis % len(x.shape)
    copies = ops.concatenate([ops.expand_dims(x, axis + 1)] * op.repeats, axis=axis + 1)
    shape = [known(size) for size in x.shape]
    shape[axis] = -1 if shape[axis] == -1 else shape[axis] * op.repeats
    return ops.reshape(copies, shape)


def _tile(op, x):
    repeats = [1] * (len(x.shape) - len(op.repeats)) + list(op.repeats)
    x = reshaped(x, [1] * (len(repeats) - len(x.shape)) + [known(size) for size in x.shape])
    for axis, count in enumerate(repeats):
        if count is None and (axis or x.shape[0] is None):
            return NotImplemented
        if count is not None and count > 1:
            x = ops.concatenate([x] * count, axis=axis)
    return Batched()(x) if repeats[0] is None else x


def _broadcast_to(op, x):
    """A weight that is repeated for each sample: a class token for one. What has samples already is copied."""
    batch, *shape = op.shape
    if batch is not None or None in shape:
        return NotImplemented
    x = reshaped(x, (*(1,) * (len(op.shape) - len(x.shape)), *map(known, x.shape)))
    if x.shape[0] is not None:
        return Batched()(x if tuple(x.shape) == (1, *shape) else ops.broadcast_to(x, (1, *shape)))
    for axis, (size, wanted) in enumerate(zip(x.shape[1:], shape, strict=True), 1):
        if size != wanted:
            x = ops.concatenate([x] * wanted, axis=axis)
    return x


def _slice(op, x, start):
    """A slice of static size from a static place."""
    if not isinstance(start, (list, tuple)) or not all(isinstance(place, int) for place in start):
        return NotImplemented
    ends = zip(start, op.shape, strict=True)
    return x[tuple(slice(None) if size is None else slice(place, place + size) for place, size in ends)]


def _reshape(op, x):
    """A layer that asks its input for the size of the batch gets None while it is traced."""
    return ops.reshape(x, tuple(map(known, op.newshape))) if None in op.newshape else NotImplemented


def _get_item(op, x, key):
    """Write an index with an ellipsis or new axes as slices, then a reshape.

    Of a model that was loaded it is a list, since files have no tuples; one of integers alone means something else.
    """
    if isinstance(key, list) and any(part is Ellipsis or isinstance(part, slice) for part in key):
        return x[tuple(key)]
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


# ---------------------------------------------------------------- borders


def _pad(op, x, constant_values=None):
    """Continue the values beyond the border by their mirror image, with the border itself (symmetric) or without."""
    widths = op.pad_width * len(x.shape) if len(op.pad_width) == 1 else op.pad_width
    if op.mode not in ("reflect", "symmetric") or any(widths[0]):
        return NotImplemented
    skipped = 1 if op.mode == "reflect" else 0
    for axis, (before, after) in enumerate(widths):
        size = x.shape[axis]
        if before or after:
            if size is None or max(before, after) > size - skipped:
                return NotImplemented
            left = ops.flip(along(x, axis, skipped, before + skipped), axis)
            right = ops.flip(along(x, axis, size - after - skipped, size - skipped), axis)
            x = ops.concatenate([*[left] * (before > 0), x, *[right] * (after > 0)], axis=axis)
    return x


def _borders(op: Any, x: Any, kind: str) -> list[tuple[int, int]]:
    """Return what is added to height and width at both ends, or cut off: of the two and the new size, two say it."""
    found = []
    for ends, target, size in (
        ("top bottom", op.target_height, x.shape[1]),
        ("left right", op.target_width, x.shape[2]),
    ):
        near, far = (getattr(op, f"{end}_{kind}") for end in ends.split())
        both = abs((target or 0) - size)
        near = both - far if near is None else near
        found.append((near, both - near if far is None else far))
    return found


@channels_last
def _pad_images(op, x):
    return ops.pad(x, ((0, 0), *_borders(op, x, "padding"), (0, 0))) if len(x.shape) == 4 else NotImplemented


@channels_last
def _crop_images(op, x):
    if len(x.shape) != 4:
        return NotImplemented
    (top, bottom), (left, right) = _borders(op, x, "cropping")
    return x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]


def _triangle(keep: Callable) -> Decomposition:
    def decomposed(op, x):
        if None in x.shape[-2:] or not x.dtype.startswith("float"):
            return NotImplemented
        return ops.where(keep(np.ones(x.shape[-2:], bool), op.k), x, 0.0)

    return decomposed


# ---------------------------------------------------------------- windows


@channels_last
def _depth_to_space(op, x):
    """Lay out channels (i, j, c) as blocks of pixels.  Shapes: (N, H, W, b b C) -> (N, b H, b W, C)."""
    block, (height, width, channels) = op.block_size, x.shape[1:]
    x = ops.reshape(x, (-1, width, block, channels // block))  # (N H, W, i, j c)
    return ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, height * block, width * block, channels // block**2))


def _space_to_depth(op, x):
    if op.data_format == "channels_first":  # Keras 3.15 puts channels in one order on TensorFlow, in another on JAX
        return NotImplemented
    return _blocks(x, (op.block_size, op.block_size))


def _blocks(x, size):
    """Put each block of pixels into one.  Shapes: (N, H, W, C) -> (N, H // h, W // w, h w C)."""
    (height, width), (*sides, channels) = size, x.shape[1:]
    rows, columns = sides[0] // height, sides[1] // width
    x = reshaped(x[:, : rows * height, : columns * width], (-1, height, columns, width * channels))
    return ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, rows, columns, height * width * channels))


@channels_last
def _patches(op, x):
    """Cut images into windows.  Shapes: (N, H, W, C) -> (N, H', W', h w C)."""
    if op.is_3d or len(x.shape) != 4 or None in x.shape[1:]:
        return NotImplemented
    size, strides, rates = pair(op.size), pair(op.strides), pair(op.dilation_rate)
    reach = [rate * (window - 1) + 1 for window, rate in zip(size, rates, strict=True)]
    if op.padding == "same":
        missing = [
            max((math.ceil(side / stride) - 1) * stride + far - side, 0)
            for side, stride, far in zip(x.shape[1:3], strides, reach, strict=True)
        ]
        if any(missing):
            x = ops.pad(x, ((0, 0), *((count // 2, count - count // 2) for count in missing), (0, 0)))
    if size == strides and rates == (1, 1):
        return _blocks(x, size)
    return ops.concatenate([x[:, rows, columns] for rows, columns in _windows(x.shape[1:3], size, strides, rates)], -1)


def _unfold(op, x):
    """Cut images, their channels first, into windows.  Shapes: (N, C, H, W) -> (N, C h w, H' W')."""
    size, strides, rates, border = (pair(value) for value in (op.kernel_size, op.stride, op.dilation, op.padding))
    if None in x.shape[1:]:
        return NotImplemented
    if any(border):
        x = ops.pad(x, ((0, 0), (0, 0), *((width, width) for width in border)))
    channels = x.shape[1]
    windows = [x[:, :, rows, columns] for rows, columns in _windows(x.shape[2:], size, strides, rates)]
    seen = windows[0].shape[2] * windows[0].shape[3]
    joined = ops.concatenate([ops.reshape(one, (-1, channels, 1, seen)) for one in windows], axis=2)
    return ops.reshape(joined, (-1, channels * len(windows), seen))


def _windows(sides, size, strides, rates):
    """Yield, for each place in a window, the rows and columns that lie there as the window moves."""
    ends = [
        (side - rate * (window - 1) - 1) // stride * stride + 1
        for side, window, stride, rate in zip(sides, size, strides, rates, strict=True)
    ]
    for place in itertools.product(*map(range, size)):
        starts = [rate * index for rate, index in zip(rates, place, strict=True)]
        yield tuple(slice(at, at + end, stride) for at, end, stride in zip(starts, ends, strides, strict=True))


MOVEMENTS: dict[str, Decomposition] = {
    "Moveaxis": _move_axes,
    "Flip": _flip,
    "Fliplr": lambda op, x: ops.flip(x, 1),
    "Rot90": _rotate,
    "Roll": _roll,
    "Hstack": _joined(1),
    "Dstack": _joined(2),
    "ArraySplit": _parts(lambda op: op.axis),
    "Hsplit": _parts(lambda op: 1),
    "Dsplit": _parts(lambda op: 2),
    "Repeat": _repeat,
    "Tile": _tile,
    "BroadcastTo": _broadcast_to,
    "Slice": _slice,
    "Reshape": _reshape,
    "GetItem": _get_item,
    "Pad": _pad,
    "PadImages": _pad_images,
    "CropImages": _crop_images,
    "Tril": _triangle(np.tril),
    "Triu": _triangle(np.triu),
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "ExtractPatches": _patches,
    "Unfold": _unfold,
}

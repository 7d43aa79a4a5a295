"""From a row of the operator table to operators of the program: the forms that hold the integers of training.

Some kernels round otherwise than training did, or delegates do not know them; such a row is written as what does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from ..quantize.graph.operations import NEVER
from ..quantize.operators import NOTHING
from . import program
from .constants import rounded
from .program import Array, Operator

ACTIVATIONS: dict[str | None, program.Activation | None] = {None: None, "RELU": "relu", "RELU6": "relu6"}


@dataclass(frozen=True)
class Operands:
    """A row of the table with its arrays. options: what the row reads off the operation; fused: the activation that the
    kernel applies.
    """

    builtin_op: str
    inputs: list[Array]
    outputs: list[Array]
    options: Mapping[str, Any]
    fused: str | None = None

    @property
    def ends(self) -> tuple[list[Array], list[Array]]:
        """All that goes in and comes out."""
        return self.inputs, self.outputs

    @property
    def activation(self) -> program.Activation | None:
        """The fused activation as the program has it."""
        return ACTIVATIONS[self.fused]


def translate(row: Operands) -> Sequence[Operator]:
    """Return the operators of a row, in order."""
    made = TRANSLATE[row.builtin_op](row)
    return [made] if isinstance(made, Operator) else made


# ---------------------------------------------------------------- products


def _conv(row: Operands) -> Operator:
    options = row.options
    return program.Conv2D(
        *row.ends, strides=options["strides"], padding=options["padding"], dilation=options["dilation"],
        activation=row.activation,
    )  # fmt: skip


def _depthwise(row: Operands) -> Operator:
    """Write a depthwise convolution; without a kernel it is an average, a kernel of ones at scale 1 / count."""
    options, inputs = row.options, row.inputs
    if window := options.get("average_over"):
        inputs = [*inputs, *_averaging(window, row.inputs[0], row.outputs[0])]
    return program.DepthwiseConv2D(
        inputs, row.outputs, strides=options["strides"], padding=options["padding"], dilation=options["dilation"],
        activation=row.activation,
    )  # fmt: skip


def _averaging(window: tuple[int, int], data: Array, out: Array) -> list[Array]:
    """Return the kernel and bias of a depthwise convolution that averages over `window`."""
    channels, share = out.shape[-1], np.float32(1 / np.prod(window))
    shape = (*window, channels, 1)
    names = f"{out.name}.window", f"{out.name}.bias"
    if out.scale is None:
        kernel = Array(names[0], shape, "float32", data=np.full(shape, share))
        return [kernel, Array(names[1], (channels,), "float32", data=np.zeros(channels, np.float32))]
    scale = np.full(channels, share)
    wide = "int32" if data.dtype == "int8" else "int64"
    kernel = Array(names[0], shape, "int8", scale, data=np.ones(shape, np.int8))
    return [kernel, Array(names[1], (channels,), wide, data.steps * scale, data=np.zeros(channels, wide))]


def _transposed_conv(row: Operands) -> Operator:
    return program.TransposedConv2D(*row.ends, strides=row.options["strides"], padding=row.options["padding"])


def _fully_connected(row: Operands) -> Operator:
    return program.FullyConnected(*row.ends, activation=row.activation)


def _batch_matmul(row: Operands) -> Operator:
    return program.BatchMatmul(*row.ends, transposed=row.options["transposed"])


# ---------------------------------------------------------------- elementwise


def _binary(function: Any) -> Callable[[Operands], Operator]:
    return lambda row: program.Binary(*row.ends, function=function, activation=row.activation)


def _add(row: Operands) -> Operator:
    """Write a sum. One with a constant below a thousandth of a step is a change of scale, which delegates know."""
    out = row.outputs[0]
    constants = [array for array in row.inputs if array.data is not None and array.scale is not None]
    if len(constants) == 1 and out.dtype == "int8" and row.fused is None:
        (constant,) = constants
        largest = np.abs(constant.values.astype(np.float64) - constant.zero_point).max() * constant.steps[0]
        (data,) = (array for array in row.inputs if array is not constant)
        if largest < out.steps[0] / NOTHING and data.shape == out.shape:
            return program.Quantize([data], row.outputs)
    return _binary("add")(row)


def _multiply(row: Operands) -> Operator:
    """Write a product; of one input it is a square."""
    factors = row.inputs if len(row.inputs) == 2 else row.inputs * 2
    return program.Binary(factors, row.outputs, function="multiply", activation=row.activation)


def _unary(function: Any) -> Callable[[Operands], Operator]:
    return lambda row: program.Unary(*row.ends, function=function)


def _clip(function: Any, top: float) -> Callable[[Operands], Operator]:
    def write(row: Operands) -> Operator:
        """Write a clip that the range of its output performs already as a change of scale: delegates know that one."""
        out = row.outputs[0]
        if out.dtype == "int8" and out.zero_point == -128 and 255 * out.steps[0] < top + out.steps[0] / 2:
            return program.Quantize(*row.ends)
        return program.Unary(*row.ends, function=function)

    return write


def _tabulated(function: Callable[[Any], Any], row: Operands) -> Operator:
    """Tabulate a function at all 256 inputs, rounded as the fake-quantizer rounds."""
    (source,), (target,) = row.ends
    values = (np.arange(-128, 128) - source.zero_point).astype(np.float32) * np.float32(source.steps[0])
    integers = rounded(_defined(np.asarray(function(values))), target.steps[0], target.zero_point)
    entries = Array(f"{target.name}.table", (256,), "int8", target.scale, target.zero_point, data=integers)
    return program.Table([source, entries], row.outputs)


def _defined(values: np.ndarray) -> np.ndarray:
    """Return values, with the nearest where there is none: a table has an integer for 0 / 0, which no sample asks."""
    there = np.flatnonzero(~np.isnan(values))
    if len(there) in (0, len(values)):
        return values
    return values[there[np.abs(there - np.arange(len(values))[:, None]).argmin(axis=1)]]


def _table(row: Operands) -> Operator:
    return _tabulated(row.options["function"], row)


def _rsqrt(row: Operands) -> Operator:
    """Tabulate it in int8 where that is wanted: the kernel of its name is a step off on up to 3 of 256 integers."""
    if row.options["tabulated"] and row.inputs[0].dtype == "int8" == row.outputs[0].dtype:
        return _tabulated(ops.rsqrt, row)
    return _unary("rsqrt")(row)


def _compare(function: Any) -> Callable[[Operands], Operator]:
    return lambda row: program.Compare(*row.ends, function=function)


def _select(row: Operands) -> Operator:
    """Write a choice; what is masked gets the lowest step of the scores' scale."""
    if len(row.inputs) == 3:
        return program.Select(*row.ends)
    scores, mask = row.inputs
    lowest = np.array([NEVER if scores.scale is None else np.iinfo(scores.dtype).min], scores.dtype)
    floor = Array(f"{row.outputs[0].name}.floor", (1,), scores.dtype, scores.scale, scores.zero_point, lowest)
    return program.Select([mask, scores, floor], row.outputs)


# ---------------------------------------------------------------- reductions and pools


def _pool(function: Any) -> Callable[[Operands], Operator]:
    return lambda row: program.Pool2D(
        *row.ends, function=function, pool_size=row.options["pool_size"], strides=row.options["strides"],
        padding=row.options["padding"],
    )  # fmt: skip


def _reduce(function: Any) -> Callable[[Operands], Operator]:
    return lambda row: program.Reduce(
        *row.ends, function=function, axes=row.options["axes"], keepdims=row.options["keepdims"]
    )


def _arg_reduce(function: Any) -> Callable[[Operands], Sequence[Operator]]:
    def write(row: Operands) -> Sequence[Operator]:
        """Write where along an axis the extreme is; that axis is dropped, and put back where it is to stay."""
        (data,), (out,) = row.ends
        axis = row.options["axis"]
        if not row.options["keepdims"]:
            return [program.ArgReduce([data], [out], function=function, axis=axis)]
        dropped = Array(f"{out.name}.dropped", (*out.shape[:axis], *out.shape[axis + 1 :]), out.dtype)
        return [
            program.ArgReduce([data], [dropped], function=function, axis=axis),
            program.Reshape([dropped], [out], shape=out.shape),
        ]

    return write


def _resize(function: Any) -> Callable[[Operands], Operator]:
    def write(row: Operands) -> Operator:
        height, width = row.outputs[0].shape[1:3]
        return program.Resize2D(*row.ends, function=function, size=(height, width))

    return write


# ---------------------------------------------------------------- movement


def _reshape(row: Operands) -> Operator:
    return program.Reshape(row.inputs[:1], row.outputs, shape=row.outputs[0].shape)


def _transpose(row: Operands) -> Operator:
    return program.Transpose(*row.ends, axes=tuple(row.options["axes"]))


def _along(kind: Callable[..., Operator]) -> Callable[[Operands], Operator]:
    return lambda row: kind(*row.ends, axis=row.options["axis"])


def _gather(row: Operands) -> Operator:
    numbers = row.options["indices"]  # plain numbers of the call
    indices = None if numbers is None else np.asarray(numbers, np.int32)
    return program.Gather(*row.ends, axis=row.options["axis"], indices=indices)


def _pad(row: Operands) -> Operator:
    return program.Pad(*row.ends, pads=tuple((before, behind) for before, behind in row.options["pads"]))


def _strided_slice(row: Operands) -> Operator:
    """Write a static Python index as begin, end and stride; an integer drops its axis."""
    shape, key = row.inputs[0].shape, row.options["key"]
    begin, end, strides, dropped = [], [], [], []
    for axis, (part, size) in enumerate(zip([*key, *[slice(None)] * (len(shape) - len(key))], shape, strict=True)):
        if isinstance(part, int):
            part = slice(part % size, part % size + 1)
            dropped.append(axis)
        start, stop, stride = part.indices(size)
        begin.append(start)
        end.append(-size - 1 if stop < 0 else stop)  # backwards past the first: -1 would mean the last
        strides.append(stride)
    return program.StridedSlice(
        row.inputs[:1], row.outputs, begin=tuple(begin), end=tuple(end), strides=tuple(strides), dropped=tuple(dropped)
    )


# ---------------------------------------------------------------- recurrences


def _lstm(row: Operands) -> Operator:
    """Write the states that the kernel keeps."""
    outputs, cells = row.outputs
    states = [
        Array(f"{array.name}.state", (1, outputs.shape[-1]), array.dtype, array.scale, array.zero_point, is_state=True)
        for array in (outputs, cells)
    ]
    return program.LSTM([*row.inputs, *states], [outputs])


COMPARISONS = (
    "EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "LOGICAL_AND", "LOGICAL_OR",
)  # fmt: skip
TRANSLATE: dict[str, Callable[[Operands], Operator | Sequence[Operator]]] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "TRANSPOSE_CONV": _transposed_conv,
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _batch_matmul,
    "ADD": _add,
    "SUB": _binary("subtract"),
    "MUL": _multiply,
    "MAXIMUM": _binary("maximum"),
    "MINIMUM": _binary("minimum"),
    "RELU": _clip("relu", np.inf),
    "RELU6": _clip("relu6", 6.0),
    "RELU_N1_TO_1": _unary("hard_tanh"),
    "LEAKY_RELU": lambda row: program.LeakyRelu(*row.ends, alpha=row.options["alpha"]),
    "ELU": _unary("elu"),
    "GELU": lambda row: program.Gelu(*row.ends, approximate=row.options["approximate"]),
    "TABLE": _table,
    "LOGISTIC": _unary("sigmoid"),
    "TANH": _unary("tanh"),
    "SOFTMAX": _unary("softmax"),
    "LOG_SOFTMAX": _unary("log_softmax"),
    "RSQRT": _rsqrt,
    **{name: _compare(name.lower()) for name in COMPARISONS},
    "LOGICAL_NOT": _unary("logical_not"),
    "SELECT_V2": _select,
    "CAST": lambda row: program.Cast(*row.ends),
    "QUANTIZE": lambda row: program.Quantize(*row.ends),
    "MAX_POOL_2D": _pool("max"),
    "AVERAGE_POOL_2D": _pool("average"),
    "MEAN": _reduce("mean"),
    "SUM": _reduce("sum"),
    "REDUCE_MAX": _reduce("max"),
    "REDUCE_MIN": _reduce("min"),
    "REDUCE_ANY": _reduce("any"),
    "REDUCE_ALL": _reduce("all"),
    "ARG_MAX": _arg_reduce("argmax"),
    "ARG_MIN": _arg_reduce("argmin"),
    "RESIZE_NEAREST_NEIGHBOR": _resize("nearest"),
    "RESIZE_BILINEAR": _resize("bilinear"),
    "RESHAPE": _reshape,
    "TRANSPOSE": _transpose,
    "CONCATENATION": _along(program.Concatenate),
    "PACK": _along(program.Stack),
    "UNPACK": _along(program.Unstack),
    "SPLIT": _along(program.Split),
    "STRIDED_SLICE": _strided_slice,
    "PAD": _pad,
    "GATHER": _gather,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
}

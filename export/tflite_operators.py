"""How LiteRT spells the operators of the program: names, inputs in its order, kernel layouts, options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import program
from .flatbuffer import Table, number, table
from .program import Array, Operator

# Operators by their class in the program, and by their function where that has several.
NAMES: dict[type[Operator] | tuple[type[Operator], str], str] = {
    program.Conv2D: "CONV_2D",
    program.DepthwiseConv2D: "DEPTHWISE_CONV_2D",
    program.TransposedConv2D: "TRANSPOSE_CONV",
    program.FullyConnected: "FULLY_CONNECTED",
    program.BatchMatmul: "BATCH_MATMUL",
    (program.Binary, "add"): "ADD",
    (program.Binary, "subtract"): "SUB",
    (program.Binary, "multiply"): "MUL",
    (program.Binary, "maximum"): "MAXIMUM",
    (program.Binary, "minimum"): "MINIMUM",
    (program.Unary, "relu"): "RELU",
    (program.Unary, "relu6"): "RELU6",
    (program.Unary, "hard_tanh"): "RELU_N1_TO_1",
    (program.Unary, "elu"): "ELU",
    (program.Unary, "sigmoid"): "LOGISTIC",
    (program.Unary, "tanh"): "TANH",
    (program.Unary, "rsqrt"): "RSQRT",
    (program.Unary, "softmax"): "SOFTMAX",
    (program.Unary, "log_softmax"): "LOG_SOFTMAX",
    (program.Unary, "logical_not"): "LOGICAL_NOT",
    program.LeakyRelu: "LEAKY_RELU",
    program.Gelu: "GELU",
    program.Table: "TABLE",
    (program.Compare, "equal"): "EQUAL",
    (program.Compare, "not_equal"): "NOT_EQUAL",
    (program.Compare, "greater"): "GREATER",
    (program.Compare, "greater_equal"): "GREATER_EQUAL",
    (program.Compare, "less"): "LESS",
    (program.Compare, "less_equal"): "LESS_EQUAL",
    (program.Compare, "logical_and"): "LOGICAL_AND",
    (program.Compare, "logical_or"): "LOGICAL_OR",
    program.Select: "SELECT_V2",
    program.Cast: "CAST",
    program.Quantize: "QUANTIZE",
    program.Dequantize: "DEQUANTIZE",
    (program.Pool2D, "max"): "MAX_POOL_2D",
    (program.Pool2D, "average"): "AVERAGE_POOL_2D",
    (program.Reduce, "mean"): "MEAN",
    (program.Reduce, "sum"): "SUM",
    (program.Reduce, "max"): "REDUCE_MAX",
    (program.Reduce, "min"): "REDUCE_MIN",
    (program.Reduce, "any"): "REDUCE_ANY",
    (program.Reduce, "all"): "REDUCE_ALL",
    (program.ArgReduce, "argmax"): "ARG_MAX",
    (program.ArgReduce, "argmin"): "ARG_MIN",
    (program.Resize2D, "nearest"): "RESIZE_NEAREST_NEIGHBOR",
    (program.Resize2D, "bilinear"): "RESIZE_BILINEAR",
    program.Reshape: "RESHAPE",
    program.Transpose: "TRANSPOSE",
    program.Concatenate: "CONCATENATION",
    program.Stack: "PACK",
    program.Unstack: "UNPACK",
    program.Split: "SPLIT",
    program.StridedSlice: "STRIDED_SLICE",
    program.Pad: "PAD",
    program.Gather: "GATHER",
    program.LSTM: "UNIDIRECTIONAL_SEQUENCE_LSTM",
}


def _by_rows(op: program.BatchMatmul) -> bool:
    """Tell whether a product is with rows of a table, as of embeddings: LiteRT takes them for weights of a layer, which
    it packs once rather than at every inference.
    """
    rows = op.inputs[1]
    is_table = op.transposed and rows.data is not None and len(rows.shape) == 2
    return is_table and rows.dtype != "int16" and not rows.zero_point


def name_of(operator: Operator) -> str:
    """Return what LiteRT calls an operator; of a fragment what Keras calls it."""
    if isinstance(operator, program.Fragment):
        return operator.op_type
    function = getattr(operator, "function", None)
    if isinstance(operator, program.BatchMatmul) and _by_rows(operator):
        return NAMES[program.FullyConnected]
    return NAMES[(type(operator), function) if function else type(operator)]


@dataclass(frozen=True)
class Layout:
    """How a kernel lies: what puts it so, and the axis of its output channels then."""

    arrange: Callable[[np.ndarray], np.ndarray]
    channels: int = 0


@dataclass(frozen=True)
class Kernel:
    """A kernel, to be written in a layout."""

    array: Array
    layout: Layout


@dataclass(frozen=True)
class Numbers:
    """Integers that LiteRT takes as a tensor: a shape, axes, paddings."""

    values: np.ndarray


Operand = Array | Kernel | Numbers | None  # None for an optional input that is absent


@dataclass(frozen=True, kw_only=True)
class Spelled:
    """An operator as LiteRT has it. options: its table; intermediates: tensors that only say a scale."""

    name: str
    inputs: Sequence[Operand]
    outputs: Sequence[Array]
    options: Table = None
    intermediates: Sequence[Array] = ()


def spell(operator: Operator) -> list[Spelled]:
    """Return the operators that LiteRT has for one of the program."""
    if isinstance(operator, program.Table):
        return _table(operator)
    if isinstance(operator, program.LeakyRelu) and operator.inputs[0].dtype == "int8":
        return _leaky_relu(operator)
    spelled = SPELL.get(type(operator), _plain)(operator)
    return [spelled]


def numbers(values: Any) -> Numbers:
    """Return integers of 32 bits."""
    return Numbers(np.asarray(values, np.int32))


def _spelled(operator: Operator, inputs: Sequence[Operand] | None = None, options: Table = None) -> Spelled:
    given = operator.inputs if inputs is None else inputs
    return Spelled(name=name_of(operator), inputs=given, outputs=operator.outputs, options=options)


def _plain(operator: Operator) -> Spelled:
    return _spelled(operator, options=table(OPTIONS[name_of(operator)]) if name_of(operator) in OPTIONS else None)


# Tables of options that stay as they are, for operators that are spelled as they stand.
OPTIONS = {
    "DEQUANTIZE": "DequantizeOptions",
    "LOG_SOFTMAX": "LogSoftmaxOptions",
    "QUANTIZE": "QuantizeOptions",
    "SELECT_V2": "SelectV2Options",
}


def _type(array: Array) -> int:
    return number("TensorType", array.dtype.upper())


def _fused(activation: str | None) -> int:
    return number("ActivationFunctionType", activation.upper() if activation else "NONE")


def _window(strides: program.Pair, padding: str) -> dict[str, int]:
    """Return what convolutions and pools have in common."""
    return {"strideH": strides[0], "strideW": strides[1], "padding": number("Padding", padding.upper())}


# ---------------------------------------------------------------- products

OUTPUTS_FIRST = Layout(lambda kernel: kernel.transpose(3, 0, 1, 2))
DEPTHWISE = Layout(lambda kernel: kernel.reshape(1, *kernel.shape[:2], -1), channels=3)
TRANSPOSED = Layout(lambda kernel: kernel.transpose(2, 0, 1, 3))
ROWS = Layout(lambda kernel: kernel.T)


def _wide_bias(bias: Array) -> dict[str, int]:
    """Return the option that says of which type accumulators are where there is a choice: of 16-bit activations."""
    return {"quantizedBiasType": _type(bias)} if bias.dtype == "int64" else {}


def _convolution_options(op: program.Conv2D | program.DepthwiseConv2D) -> dict[str, int]:
    dilation = {"dilationHFactor": op.dilation[0], "dilationWFactor": op.dilation[1]}
    return {**_window(op.strides, op.padding), **dilation, "fusedActivationFunction": _fused(op.activation)}


def _conv(op: program.Conv2D) -> Spelled:
    data, kernel, bias = op.inputs
    options = table("Conv2DOptions", **_convolution_options(op), **_wide_bias(bias))
    return _spelled(op, [data, Kernel(kernel, OUTPUTS_FIRST), bias], options)


def _depthwise(op: program.DepthwiseConv2D) -> Spelled:
    data, kernel, bias = op.inputs
    options = table("DepthwiseConv2DOptions", **_convolution_options(op), depthMultiplier=kernel.shape[-1])
    return _spelled(op, [data, Kernel(kernel, DEPTHWISE), bias], options)


def _transposed_conv(op: program.TransposedConv2D) -> Spelled:
    data, kernel, bias = op.inputs
    options = table("TransposeConvOptions", **_window(op.strides, op.padding), **_wide_bias(bias))
    return _spelled(op, [numbers(op.outputs[0].shape), Kernel(kernel, TRANSPOSED), data, bias], options)


def _fully_connected(op: program.FullyConnected) -> Spelled:
    data, kernel, bias = op.inputs
    keeps = {"keepNumDims": len(data.shape) > 2, **_wide_bias(bias)}
    options = table("FullyConnectedOptions", fusedActivationFunction=_fused(op.activation), **keeps)
    return _spelled(op, [data, Kernel(kernel, ROWS), bias], options)


def _batch_matmul(op: program.BatchMatmul) -> Spelled:
    data, rows = op.inputs
    if not _by_rows(op):
        return _spelled(op, options=table("BatchMatMulOptions", adjY=op.transposed))
    options = table("FullyConnectedOptions", keepNumDims=len(data.shape) > 2)
    return _spelled(op, [data, rows, None], options)  # rows as they are: (out, in)


# ---------------------------------------------------------------- elementwise


def _binary(op: program.Binary) -> Spelled:
    """Spell it. Of scales that are powers of two older kernels shift 16-bit sums instead of multiplying."""
    kinds = {"add": "AddOptions", "subtract": "SubOptions", "multiply": "MulOptions"}
    if op.function not in kinds:
        return _spelled(op, options=table("MaximumMinimumOptions"))
    options = table(kinds[op.function], fusedActivationFunction=_fused(op.activation))
    if op.function != "multiply":
        options.potScaleInt16 = op.inputs[0].dtype != "int16"
    return _spelled(op, options=options)


def _unary(op: program.Unary) -> Spelled:
    return _spelled(op, options=table("SoftmaxOptions", beta=1.0)) if op.function == "softmax" else _plain(op)


def _cast(op: program.Cast) -> Spelled:
    options = table("CastOptions", inDataType=_type(op.inputs[0]), outDataType=_type(op.outputs[0]))
    return _spelled(op, options=options)


def _table(op: program.Table) -> list[Spelled]:
    """Spell a look-up: the int8 value, shifted to 0..255, indexes a gather."""
    source, entries = op.inputs
    wide, index = (Array(f"{op.outputs[0].name}.{part}", source.shape, "int32") for part in ("wide", "index"))
    shift = Array("table_shift", (), "int32", data=np.array(128, np.int32))
    return [
        _cast(program.Cast([source], [wide])),
        _binary(program.Binary([wide, shift], [index], function="add")),
        _gather(program.Gather([entries, index], op.outputs, axis=0)),
    ]


def _leaky_relu(op: program.LeakyRelu) -> list[Spelled]:
    """Spell it in int8 as the larger, of a slope above 1 the smaller, of two products.

    The kernel of that name multiplies by 256ths, a step off on up to 7% of values; that of products rounds once. On
    XNNPACK the three take 0.4 ns a value, the one 0.2 ns, a table 4 ns.
    """
    (source,), (target,), slope = op.inputs, op.outputs, op.alpha
    products, spelled = [], []
    for name, factor in (("whole", 1.0), ("leak", slope)):
        scale = np.array([abs(factor) / 127], np.float32)
        factor_127 = np.array([np.sign(factor) * 127], np.int8)
        constant = Array(f"{target.name}.{name}", (1,), "int8", scale, data=factor_127)
        products.append(Array(f"{target.name}.by_{name}", target.shape, "int8", target.scale, target.zero_point))
        spelled.append(_binary(program.Binary([source, constant], [products[-1]], function="multiply")))
    joined = program.Binary(products, [target], function="maximum" if slope <= 1 else "minimum")
    return [*spelled, _binary(joined)]


# ---------------------------------------------------------------- reductions and pools


def _pool(op: program.Pool2D) -> Spelled:
    height, width = op.pool_size
    window = _window(op.strides, op.padding)
    return _spelled(op, options=table("Pool2DOptions", **window, filterHeight=height, filterWidth=width))


def _reduce(op: program.Reduce) -> Spelled:
    return _spelled(op, [*op.inputs, numbers(op.axes)], table("ReducerOptions", keepDims=op.keepdims))


def _arg_reduce(op: program.ArgReduce) -> Spelled:
    kind = {"argmax": "ArgMaxOptions", "argmin": "ArgMinOptions"}[op.function]
    return _spelled(op, [*op.inputs, numbers(op.axis)], table(kind, outputType=_type(op.outputs[0])))


def _resize(op: program.Resize2D) -> Spelled:
    kind = {"nearest": "ResizeNearestNeighborOptions", "bilinear": "ResizeBilinearOptions"}[op.function]
    return _spelled(op, [*op.inputs, numbers(op.size)], table(kind, halfPixelCenters=True))


# ---------------------------------------------------------------- movement


def _reshape(op: program.Reshape) -> Spelled:
    options = table("ReshapeOptions", newShape=np.array(op.shape, np.int32))
    return _spelled(op, [*op.inputs, numbers(op.shape)], options)


def _concatenate(op: program.Concatenate) -> Spelled:
    return _spelled(op, options=table("ConcatenationOptions", axis=op.axis))


def _stack(op: program.Stack) -> Spelled:
    return _spelled(op, options=table("PackOptions", valuesCount=len(op.inputs), axis=op.axis))


def _unstack(op: program.Unstack) -> Spelled:
    return _spelled(op, options=table("UnpackOptions", num=len(op.outputs), axis=op.axis))


def _split(op: program.Split) -> Spelled:
    return _spelled(op, [numbers(op.axis), *op.inputs], table("SplitOptions", numSplits=len(op.outputs)))


def _strided_slice(op: program.StridedSlice) -> Spelled:
    places = [numbers(values) for values in (op.begin, op.end, op.strides)]
    options = table("StridedSliceOptions", shrinkAxisMask=sum(1 << axis for axis in op.dropped))
    return _spelled(op, [*op.inputs, *places], options)


def _gather(op: program.Gather) -> Spelled:
    places = [] if op.indices is None else [numbers(op.indices)]
    return _spelled(op, [*op.inputs, *places], table("GatherOptions", axis=op.axis))


# ---------------------------------------------------------------- recurrences


def _lstm(op: program.LSTM) -> Spelled:
    """Leave out peepholes, projection and layer normalization, each by its slots: runtimes for microcontrollers and
    compilers for NPUs count them. The integer kernel also wants to know the scale of its output before a projection,
    from a tensor that holds nothing.
    """
    out = op.outputs[0]
    hidden = Array(f"{out.name}.hidden", (0,), out.dtype, out.scale, out.zero_point)
    weights, biases, states = op.inputs[:9], op.inputs[9:13], op.inputs[13:]
    return Spelled(
        name=name_of(op),
        inputs=[*weights, *_absent(3), *biases, *_absent(2), *states, *_absent(4)],
        outputs=op.outputs,
        options=table("UnidirectionalSequenceLSTMOptions", fusedActivationFunction=_fused("tanh")),
        intermediates=[hidden] * 5,
    )


def _absent(count: int) -> list[None]:
    return [None] * count


SPELL: dict[type[Operator], Callable[[Any], Spelled]] = {
    program.Conv2D: _conv,
    program.DepthwiseConv2D: _depthwise,
    program.TransposedConv2D: _transposed_conv,
    program.FullyConnected: _fully_connected,
    program.BatchMatmul: _batch_matmul,
    program.Binary: _binary,
    program.Unary: _unary,
    program.LeakyRelu: lambda op: _spelled(op, options=table("LeakyReluOptions", alpha=op.alpha)),
    program.Gelu: lambda op: _spelled(op, options=table("GeluOptions", approximate=op.approximate)),
    program.Cast: _cast,
    program.Pool2D: _pool,
    program.Reduce: _reduce,
    program.ArgReduce: _arg_reduce,
    program.Resize2D: _resize,
    program.Reshape: _reshape,
    program.Transpose: lambda op: _spelled(op, [*op.inputs, numbers(op.axes)], table("TransposeOptions")),
    program.Concatenate: _concatenate,
    program.Stack: _stack,
    program.Unstack: _unstack,
    program.Split: _split,
    program.StridedSlice: _strided_slice,
    program.Pad: lambda op: _spelled(op, [*op.inputs, numbers(op.pads)], table("PadOptions")),
    program.Gather: _gather,
    program.LSTM: _lstm,
}

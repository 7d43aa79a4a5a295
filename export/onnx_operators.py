"""How ONNX spells the operators of the program: float operators, whose results `OnnxGraph.write` rounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from . import program
from .layouts import TO_FIRST
from .onnx_graph import FIRST, LAST, OnnxGraph, onnx_dtype, stored_as
from .onnx_halves import are_often_halfway, halves_away_from_zero, halves_to_even_integers, halves_up
from .program import Array, Operator

# ---------------------------------------------------------------- products


def _conv(graph: OnnxGraph, op: program.Conv2D) -> None:
    data, kernel, _ = op.inputs
    _convolve(graph, op, kernel.values.transpose(3, 2, 0, 1), groups=data.shape[-1] // kernel.shape[2])


def _depthwise(graph: OnnxGraph, op: program.DepthwiseConv2D) -> None:
    data, kernel, _ = op.inputs
    flat = kernel.values.reshape(*kernel.shape[:2], 1, -1)
    _convolve(graph, op, flat.transpose(3, 2, 0, 1), groups=data.shape[-1])


def _convolve(graph: OnnxGraph, op: program.Conv2D | program.DepthwiseConv2D, kernel: np.ndarray, groups: int) -> None:
    """Write a convolution. kernel: (out, in / groups, height, width)."""
    data, weights, bias = op.inputs
    out, window = op.outputs[0], (kernel.shape[2], kernel.shape[3])
    inputs = [graph.read(data, FIRST), graph.weights(weights, kernel), graph.weights(bias, bias.values)]
    result = graph.node(
        "Conv",
        inputs,
        f"{out.name}.conv",
        strides=op.strides,
        dilations=op.dilation,
        kernel_shape=window,
        group=groups,
        pads=_pads(data.shape[1:3], window, op),
    )
    graph.write(out, graph.activate(op.activation, result, out.name), FIRST)


def _pads(sides: Sequence[int], window: program.Pair, op: program.Conv2D | program.DepthwiseConv2D) -> list[int]:
    """Return the zeros before each side, then those behind. Spelled out: auto_pad knows no dilation (ONNX Runtime)."""
    if op.padding != "same":
        return [0, 0, 0, 0]
    totals = [
        max(0, (-(-side // stride) - 1) * stride + (size - 1) * dilation + 1 - side)
        for side, size, stride, dilation in zip(sides, window, op.strides, op.dilation, strict=True)
    ]
    return [total // 2 for total in totals] + [total - total // 2 for total in totals]


def _transposed_conv(graph: OnnxGraph, op: program.TransposedConv2D) -> None:
    data, kernel, bias = op.inputs
    out = op.outputs[0]
    weights = graph.weights(kernel, kernel.values.transpose(3, 2, 0, 1), axis=1)  # (in, out, height, width)
    before, behind, extra = [], [], []
    for stride, size, given, made in zip(op.strides, kernel.shape[:2], data.shape[1:3], out.shape[1:3], strict=True):
        excess = (given - 1) * stride + size - made
        before.append(max(excess, 0) // 2)
        behind.append(max(excess, 0) - before[-1])
        extra.append(max(-excess, 0))
    result = graph.node(
        "ConvTranspose",
        [graph.read(data, FIRST), weights, graph.weights(bias, bias.values)],
        f"{out.name}.conv_transpose",
        strides=op.strides,
        pads=[*before, *behind],
        output_padding=extra,
    )
    graph.write(out, result, FIRST)


def _fully_connected(graph: OnnxGraph, op: program.FullyConnected) -> None:
    """Gemm takes matrices: leading axes are folded into the rows and unfolded after, at the scale they have."""
    (data, kernel, bias), (out,) = op.inputs, op.outputs
    source = graph.read(data)
    if len(data.shape) != 2:
        rows = _rows(data)
        graph.write(rows, graph.reshape(source, rows.shape, rows.name))
        source = graph.read(rows)
    inputs = [source, graph.weights(kernel, kernel.values.T), graph.weights(bias, bias.values)]
    result = graph.activate(op.activation, graph.node("Gemm", inputs, f"{out.name}.gemm", transB=1), out.name)
    if len(out.shape) != 2:
        rows = _rows(out)
        graph.write(rows, result)
        result = graph.reshape(graph.read(rows), out.shape, f"{out.name}.unfolded")
    graph.write(out, result)


def _rows(array: Array) -> Array:
    """Return an array of the same scale with all axes but the last folded into one."""
    shape = (int(np.prod(array.shape[:-1])), array.shape[-1])
    return Array(f"{array.name}.rows", shape, array.dtype, array.scale, array.zero_point)


def _batch_matmul(graph: OnnxGraph, op: program.BatchMatmul) -> None:
    name = op.outputs[0].name
    left, right = (graph.read(array) for array in op.inputs)
    if op.transposed:
        *batch, rows, columns = range(len(op.inputs[1].shape))
        right = graph.node("Transpose", [right], f"{name}.transposed", perm=[*batch, columns, rows])
    graph.write(op.outputs[0], graph.node("MatMul", [left, right], f"{name}.matmul"))


# ---------------------------------------------------------------- elementwise


def _binary(graph: OnnxGraph, op: program.Binary) -> None:
    op_type, out = BINARY[op.function], op.outputs[0]
    layout = graph.layout_of(op.inputs)
    values = [graph.read(array, layout) for array in op.inputs]
    result = graph.node(op_type, values, f"{out.name}.{op_type.lower()}")
    graph.write(out, graph.activate(op.activation, result, out.name), layout)


BINARY = {"add": "Add", "subtract": "Sub", "multiply": "Mul", "maximum": "Max", "minimum": "Min"}

# What computes values of one input: graph, input, the name of the output -> result.
Function = Callable[[OnnxGraph, str, str], str]


def _of_each_value(graph: OnnxGraph, op: Operator, function: Function) -> None:
    """Write a function of each value, in whichever layout these are at hand."""
    layout = graph.layout_of(op.inputs)
    out = op.outputs[0]
    graph.write(out, function(graph, graph.read(op.inputs[0], layout), out.name), layout)


def _as(op_type: str, **attributes: Any) -> Function:
    return lambda graph, x, name: graph.node(op_type, [x], f"{name}.{op_type.lower()}", **attributes)


def _clipped(low: float, high: float) -> Function:
    return lambda graph, x, name: graph.clip(x, low, high, name)


def _reciprocal_root(graph: OnnxGraph, x: str, name: str) -> str:
    return graph.node("Reciprocal", [graph.node("Sqrt", [x], f"{name}.sqrt")], f"{name}.reciprocal")


def _gelu(approximate: bool) -> Function:
    """x P(X <= x), spelled out: the operator came with opset 20.  Source: arXiv:1606.08415."""

    def write(graph: OnnxGraph, x: str, out: str) -> str:
        name = f"{out}.gelu"

        def times(source: str, factor: float, part: str) -> str:
            return graph.node("Mul", [source, graph.number(f"{name}.number", factor)], f"{name}.{part}")

        if approximate:
            cube = graph.node("Pow", [x, graph.number(f"{name}.number", 3)], f"{name}.cube")
            inner = graph.node("Add", [x, times(cube, 0.044715, "scaled")], f"{name}.inner")
            curve = graph.node("Tanh", [times(inner, np.sqrt(2 / np.pi), "arg")], f"{name}.tanh")
        else:
            curve = graph.node("Erf", [times(x, np.sqrt(0.5), "arg")], f"{name}.erf")
        above = graph.node("Add", [curve, graph.number(f"{name}.number", 1)], f"{name}.plus")
        return graph.node("Mul", [x, times(above, 0.5, "share")], name)

    return write


UNARY: dict[str, Function] = {
    "relu": _as("Relu"),
    "relu6": _clipped(0.0, 6.0),
    "hard_tanh": _clipped(-1.0, 1.0),
    "elu": _as("Elu"),
    "sigmoid": _as("Sigmoid"),
    "tanh": _as("Tanh"),
    "rsqrt": _reciprocal_root,
}


def _unary(graph: OnnxGraph, op: program.Unary) -> None:
    if op.function in UNARY:
        _of_each_value(graph, op, UNARY[op.function])
    else:
        ROWWISE[op.function](graph, op)


def _softmax(graph: OnnxGraph, op: program.Unary) -> None:
    """Write a softmax. Over one entry it is 1 whatever that is: ONNX Runtime's integer kernel says 0."""
    out = op.outputs[0]
    if out.shape[-1] == 1:
        graph.write(out, graph.constant(f"{out.name}.ones", np.ones(out.shape, np.float32)))
    else:
        graph.write(out, graph.node("Softmax", [graph.read(op.inputs[0])], f"{out.name}.softmax", axis=-1))


def _log_softmax(graph: OnnxGraph, op: program.Unary) -> None:
    name = f"{op.outputs[0].name}.log_softmax"
    graph.write(op.outputs[0], graph.node("LogSoftmax", [graph.read(op.inputs[0])], name, axis=-1))


def _logical_not(graph: OnnxGraph, op: program.Unary) -> None:
    graph.write(op.outputs[0], graph.node("Not", [graph.read(op.inputs[0])], f"{op.outputs[0].name}.not"))


ROWWISE: dict[str, Callable[[OnnxGraph, program.Unary], None]] = {  # functions that want their channels last
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "logical_not": _logical_not,
}


def _table(graph: OnnxGraph, op: program.Table) -> None:
    """Index the table's integers by those of the input."""
    (source, entries), (target,) = op.inputs, op.outputs
    layout = graph.layout_of([source])
    integers = graph.node(
        "QuantizeLinear", [graph.read(source, layout), *graph.quantization(source)], f"{target.name}.integers"
    )
    index = graph.node("Cast", [integers], f"{target.name}.index", to=TensorProto.INT32)
    table = graph.constant(entries.name, stored_as(entries, entries.values))
    entry = graph.node("Gather", [table, index], f"{target.name}.found", axis=0)
    graph.names[target, layout] = graph.node(
        "DequantizeLinear", [entry, *graph.quantization(target)], f"{target.name}.dequantized"
    )


def _compare(graph: OnnxGraph, op: program.Compare) -> None:
    """Write a comparison or a connective: its inputs may be real values, its output is boolean."""
    negated = op.function == "not_equal"
    op_type = "Equal" if negated else COMPARE[op.function]
    name = f"{op.outputs[0].name}.{op_type.lower()}"
    result = graph.node(op_type, [graph.read(array) for array in op.inputs], name)
    graph.write(op.outputs[0], graph.node("Not", [result], f"{name}.not") if negated else result)


COMPARE = {
    "equal": "Equal",
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
    "less": "Less",
    "less_equal": "LessOrEqual",
    "logical_and": "And",
    "logical_or": "Or",
}


def _select(graph: OnnxGraph, op: program.Select) -> None:
    inputs = [graph.read(array) for array in op.inputs]
    graph.write(op.outputs[0], graph.node("Where", inputs, f"{op.outputs[0].name}.where"))


def _cast(graph: OnnxGraph, op: program.Cast) -> None:
    out = op.outputs[0]
    graph.write(out, graph.node("Cast", [graph.read(op.inputs[0])], f"{out.name}.cast", to=onnx_dtype(out)))


def _border(graph: OnnxGraph, op: program.Quantize | program.Dequantize) -> None:
    """Cross between float and integers, or between two scales: the values go on, `write` rounds them.

    Of two scales in a row ONNX Runtime makes one, and values are rounded once instead of twice; what lies in float
    between integers it makes an integer operator. A maximum that changes nothing keeps it from both, and so does what
    pushes halves up.
    """
    source, target = op.inputs[0], op.outputs[0]
    layout = graph.layout_of([source])
    values = graph.read(source, layout)
    if source.scale is not None and source.data is None:
        if target.scale is not None:
            values = halves_up(graph, target, values)
        elif target in graph.inner:
            least = graph.number(f"{target.name}.least", float(np.finfo(np.float32).min))
            values = graph.node("Max", [values, least], f"{target.name}.same")
    graph.write(target, values, layout)


# ---------------------------------------------------------------- reductions and pools


def _pool(graph: OnnxGraph, op: program.Pool2D) -> None:
    out = op.outputs[0]
    op_type, extra = {"max": ("MaxPool", {}), "average": ("AveragePool", {"count_include_pad": 0})}[op.function]
    result = graph.node(
        op_type,
        [graph.read(op.inputs[0], FIRST)],
        f"{out.name}.pool",
        kernel_shape=op.pool_size,
        strides=op.strides,
        auto_pad="SAME_UPPER" if op.padding == "same" else "VALID",
        **extra,
    )
    if op.function == "average" and out.scale is not None:
        result = halves_away_from_zero(graph, out, result)
    graph.write(out, result, FIRST)


def _reduce(graph: OnnxGraph, op: program.Reduce) -> None:
    data, out = op.inputs[0], op.outputs[0]
    name = f"{out.name}.{REDUCE[op.function].lower()}"
    layout, chosen = graph.layout_of([data]), list(op.axes)
    stays_first = layout == FIRST and op.keepdims
    if stays_first or (layout == FIRST and sorted(chosen) == [1, 2]):
        chosen = [TO_FIRST.index(axis) for axis in chosen]
    else:
        layout = LAST  # the remaining axes would come out in another order
    axes = graph.integers(f"{name}.axes", chosen)
    result = graph.node(REDUCE[op.function], [graph.read(data, layout), axes], name, keepdims=int(op.keepdims))
    if op.function in ("mean", "sum") and out.scale is not None:
        count = np.prod([data.shape[axis] for axis in op.axes]) if op.function == "mean" else 1
        if are_often_halfway(data.steps[0] / out.steps[0] / count):
            result = halves_to_even_integers(graph, out, result)
    graph.write(out, result, FIRST if stays_first else LAST)


def _reduce_truths(graph: OnnxGraph, op: program.Reduce) -> None:
    """Reduce truths as numbers: ONNX reduces nothing else."""
    data, out = op.inputs[0], op.outputs[0]
    name = f"{out.name}.{REDUCE[op.function].lower()}"
    numbers = graph.node("Cast", [graph.read(data)], f"{name}.numbers", to=TensorProto.INT32)
    axes = graph.integers(f"{name}.axes", op.axes)
    result = graph.node(REDUCE[op.function], [numbers, axes], name, keepdims=int(op.keepdims))
    graph.write(out, graph.node("Cast", [result], f"{name}.boolean", to=TensorProto.BOOL))


REDUCE = {
    "mean": "ReduceMean", "sum": "ReduceSum", "max": "ReduceMax", "min": "ReduceMin", "any": "ReduceMax",
    "all": "ReduceMin",
}  # fmt: skip


def _arg_reduce(graph: OnnxGraph, op: program.ArgReduce) -> None:
    op_type = {"argmax": "ArgMax", "argmin": "ArgMin"}[op.function]
    name = f"{op.outputs[0].name}.{op_type.lower()}"
    places = graph.node(op_type, [graph.read(op.inputs[0])], name, axis=op.axis, keepdims=0)
    graph.write(op.outputs[0], graph.node("Cast", [places], f"{name}.narrow", to=TensorProto.INT32))


def _resize(graph: OnnxGraph, op: program.Resize2D) -> None:
    data, out = op.inputs[0], op.outputs[0]
    sizes = graph.integers(f"{out.name}.sizes", [1, data.shape[3], *op.size])
    modes = {"nearest": {"mode": "nearest", "nearest_mode": "round_prefer_ceil"}, "bilinear": {"mode": "linear"}}
    inputs = [graph.read(data, FIRST), "", "", sizes]
    result = graph.node(
        "Resize", inputs, f"{out.name}.resize", coordinate_transformation_mode="half_pixel", **modes[op.function]
    )
    if op.function == "bilinear" and out.scale is not None:
        result = halves_up(graph, out, result)
    graph.write(out, result, FIRST)


# ---------------------------------------------------------------- movement


def _reshape(graph: OnnxGraph, op: program.Reshape) -> None:
    out = op.outputs[0]
    graph.write(out, graph.reshape(graph.read(op.inputs[0]), op.shape, f"{out.name}.reshape"))


def _transpose(graph: OnnxGraph, op: program.Transpose) -> None:
    name = f"{op.outputs[0].name}.transpose"
    graph.write(op.outputs[0], graph.node("Transpose", [graph.read(op.inputs[0])], name, perm=op.axes))


def _concatenate(graph: OnnxGraph, op: program.Concatenate) -> None:
    layout = graph.layout_of(op.inputs)
    axis = TO_FIRST.index(op.axis) if layout == FIRST else op.axis
    values = [graph.read(array, layout) for array in op.inputs]
    graph.write(op.outputs[0], graph.node("Concat", values, f"{op.outputs[0].name}.concat", axis=axis), layout)


def _stack(graph: OnnxGraph, op: program.Stack) -> None:
    widened = []
    for array in op.inputs:
        axes = graph.integers(f"{array.name}.axes", [op.axis])
        widened.append(graph.node("Unsqueeze", [graph.read(array), axes], f"{array.name}.unsqueezed"))
    graph.write(op.outputs[0], graph.node("Concat", widened, f"{op.outputs[0].name}.concat", axis=op.axis))


def _unstack(graph: OnnxGraph, op: program.Unstack) -> None:
    for index, array in enumerate(op.outputs):
        place = graph.integers(f"{array.name}.index", index)
        part = graph.node("Gather", [graph.read(op.inputs[0]), place], f"{array.name}.gather", axis=op.axis)
        graph.write(array, part)


def _split(graph: OnnxGraph, op: program.Split) -> None:
    names = [graph.unique(f"{array.name}.split") for array in op.outputs]
    source = graph.read(op.inputs[0])
    graph.nodes.append(helper.make_node("Split", [source], names, name=names[0], axis=op.axis, num_outputs=len(names)))
    for array, name in zip(op.outputs, names, strict=True):
        graph.write(array, name)


def _gather(graph: OnnxGraph, op: program.Gather) -> None:
    table, name = graph.read(op.inputs[0]), op.outputs[0].name
    if op.indices is None:
        places = graph.read(op.inputs[1])
    else:
        places = graph.constant(program.name_of_numbers(op.indices), op.indices)
    graph.write(op.outputs[0], graph.node("Gather", [table, places], f"{name}.gather", axis=op.axis))


def _strided_slice(graph: OnnxGraph, op: program.StridedSlice) -> None:
    name = op.outputs[0].name
    parts = (op.begin, op.end, range(len(op.begin)), op.strides)
    places = [graph.integers(f"{name}.slice_{index}", part) for index, part in enumerate(parts)]
    result = graph.node("Slice", [graph.read(op.inputs[0]), *places], f"{name}.slice")
    graph.write(op.outputs[0], graph.reshape(result, op.outputs[0].shape, f"{name}.squeezed"))


def _pad(graph: OnnxGraph, op: program.Pad) -> None:
    name = op.outputs[0].name
    amounts = graph.integers(f"{name}.pads", [*(before for before, _ in op.pads), *(after for _, after in op.pads)])
    graph.write(op.outputs[0], graph.node("Pad", [graph.read(op.inputs[0]), amounts], f"{name}.pad"))


def _reducing(graph: OnnxGraph, op: program.Reduce) -> None:
    (_reduce_truths if op.function in ("any", "all") else _reduce)(graph, op)


WRITE: dict[type[Operator], Callable[[OnnxGraph, Any], None]] = {
    program.Conv2D: _conv,
    program.DepthwiseConv2D: _depthwise,
    program.TransposedConv2D: _transposed_conv,
    program.FullyConnected: _fully_connected,
    program.BatchMatmul: _batch_matmul,
    program.Binary: _binary,
    program.Unary: _unary,
    program.LeakyRelu: lambda graph, op: _of_each_value(graph, op, _as("LeakyRelu", alpha=float(op.alpha))),
    program.Gelu: lambda graph, op: _of_each_value(graph, op, _gelu(op.approximate)),
    program.Table: _table,
    program.Compare: _compare,
    program.Select: _select,
    program.Cast: _cast,
    program.Quantize: _border,
    program.Dequantize: _border,
    program.Pool2D: _pool,
    program.Reduce: _reducing,
    program.ArgReduce: _arg_reduce,
    program.Resize2D: _resize,
    program.Reshape: _reshape,
    program.Transpose: _transpose,
    program.Concatenate: _concatenate,
    program.Stack: _stack,
    program.Unstack: _unstack,
    program.Split: _split,
    program.StridedSlice: _strided_slice,
    program.Pad: _pad,
    program.Gather: _gather,
}

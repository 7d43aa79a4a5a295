"""Writes a `Program` as ONNX in QDQ form: float operators between QuantizeLinear and DequantizeLinear.

The integers, scales and zero points are those of the program, so an ONNX file and a TFLite file of one model hold the
same quantization. ONNX convolutions want channels first: a tensor is kept in either layout and transposed only where
its reader needs the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..errors import BadInput, EdgewrightError
from ..quantize.fake_quant import PUSH
from .convert import convert
from .lower import Array, Operator, Program

OPSET, OPSET_OF_INT16 = 18, 21
LAST, FIRST = "channels_last", "channels_first"
_TO_FIRST, _TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


def write_onnx(program: Program) -> bytes:
    """Return the program as the bytes of a checked .onnx file.

    Raises: BadInput for a program that keeps states; EdgewrightError where the file is not valid ONNX.
    """
    if program.is_stateful:
        raise BadInput("ONNX knows no fused int8 recurrence: use QatConfig(recurrence='unrolled') for it")
    return _Writer(program).run()


class _Writer:
    def __init__(self, program: Program):
        self.program = program
        self.nodes: list[Any] = []
        self.initializers: dict[str, Any] = {}
        self.names: dict[tuple[Array, str], str] = {}
        self.taken: dict[str, int] = {}
        self.inner = {array for one in program.operators for array in one.inputs}

    def run(self) -> bytes:
        for array in self.program.inputs:
            self.names[array, LAST] = self.unique(array.name)
        inputs = [_value(self.names[array, LAST], array) for array in self.program.inputs]
        for one in self.program.operators:
            _fragment(self, one) if one.fragment else WRITE[one.name](self, one)
        outputs = []
        for array in self.program.outputs:
            self.nodes.append(helper.make_node("Identity", [self.read(array)], [array.name]))
            outputs.append(_value(array.name, array))
        graph = helper.make_graph(self.nodes, self.program.name, inputs, outputs, list(self.initializers.values()))
        wide = any(array.dtype == "int16" for one in self.program.operators for array in one.outputs)
        opset = helper.make_opsetid("", OPSET_OF_INT16 if wide else OPSET)
        model = helper.make_model(
            graph, opset_imports=[opset], producer_name="edgewright", ir_version=10 if wide else 9
        )
        try:
            onnx.checker.check_model(model, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            reason = str(error).strip().splitlines()[0]
            raise EdgewrightError(f"model {self.program.name!r} cannot be written as ONNX: {reason}") from error
        return model.SerializeToString(deterministic=True)

    def unique(self, name: str) -> str:
        name = name.replace(":", "_")
        self.taken[name] = self.taken.get(name, 0) + 1
        return name if self.taken[name] == 1 else f"{name}__{self.taken[name]}"

    def constant(self, name: str, values: np.ndarray) -> str:
        name = self.unique(name)
        self.initializers[name] = numpy_helper.from_array(np.array(values, order="C"), name)
        return name

    def node(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        output = self.unique(name)
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def read(self, array: Array, layout: str = LAST) -> str:
        """Return the name of the real values of `array` in `layout`."""
        if (array, layout) not in self.names:
            if array.data is not None:
                self.names[array, layout] = self.read_constant(array, array.data, layout)
            else:
                other = FIRST if layout == LAST else LAST
                order = _TO_FIRST if layout == FIRST else _TO_LAST
                source = self.names[array, other]
                self.names[array, layout] = self.node("Transpose", [source], f"{array.name}_{layout}", perm=order)
        return self.names[array, layout]

    def read_constant(self, array: Array, values: np.ndarray, layout: str = LAST) -> str:
        if layout == FIRST and values.ndim and values.shape != (1,):
            values = values.reshape((1,) * (4 - values.ndim) + values.shape).transpose(_TO_FIRST)
        return self.dequantized(array, values, symmetric=False)

    def dequantized(self, array: Array, values: np.ndarray, symmetric: bool = True, axis: int = 0) -> str:
        """Store a constant's integers and return the name of their real values."""
        if array.scale is None:
            return self.constant(array.name, values)
        if values.dtype == np.int64:  # accumulators of 16-bit activations; the values fit
            values = values.astype(np.int32)
        per_channel = len(array.scale) > 1
        scale = array.scale if per_channel else array.scale[0]
        if symmetric:
            stored, zero = self.constant(array.name, values), np.zeros(scale.shape, values.dtype)
        else:
            stored, zero = self.constant(array.name, _stored(array, values)), _stored(array, array.zero_point)
        parameters = [self.constant(f"{array.name}.scale", scale), self.constant(f"{array.name}.zero_point", zero)]
        return self.node(
            "DequantizeLinear",
            [stored, *parameters],
            f"{array.name}.dequantized",
            **({"axis": axis} if per_channel else {}),
        )

    def write(self, array: Array, source: str, layout: str = LAST) -> None:
        """Record `source` as the values of `array`, rounded to its scale if it has one."""
        if array.scale is not None:
            scale = self.constant(f"{array.name}.scale", array.scale[0])
            zero = self.constant(f"{array.name}.zero_point", _stored(array, array.zero_point))
            rounded = self.node("QuantizeLinear", [source, scale, zero], f"{array.name}.quantized")
            source = self.node("DequantizeLinear", [rounded, scale, zero], f"{array.name}.dequantized")
        self.names[array, layout] = source

    def layout_of(self, arrays: list[Array]) -> str:
        """Return channels first if that saves transposes: every 4-D activation is at hand in it."""
        varying = [array for array in arrays if array.data is None]
        is_first = all(len(array.shape) == 4 and (array, FIRST) in self.names for array in varying)
        return FIRST if varying and is_first else LAST

    def activate(self, one: Operator, source: str) -> str:
        activation = one.options.get("activation")
        if activation == "RELU":
            return self.node("Relu", [source], f"{one.outputs[0].name}.relu")
        if activation == "RELU6":
            return self.clip(source, 0.0, 6.0, one.outputs[0].name)
        return source

    def clip(self, source: str, low: float, high: float, name: str) -> str:
        limits = [self.constant(f"{name}.{end}", np.float32(value)) for end, value in (("low", low), ("high", high))]
        return self.node("Clip", [source, *limits], f"{name}.clip")

    def reshape(self, source: str, shape: tuple[int, ...], name: str) -> str:
        return self.node("Reshape", [source, self.constant(f"{name}.shape", np.array(shape, np.int64))], name)


def _stored(array: Array, integers: Any) -> np.ndarray:
    """Shift int8 to uint8: on x86 ONNX Runtime has integer kernels only for unsigned activations, signed weights."""
    wide = np.asarray(integers, np.int16)
    return wide if array.dtype == "int16" else (wide + 128).astype(np.uint8)


def _value(name: str, array: Array) -> Any:
    # borders with a scale keep real values outside: the Q/DQ pair next to them holds it
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(array.dtype if array.scale is None else "float32"))
    return helper.make_tensor_value_info(name, kind, array.shape)


def _fragment(self: _Writer, one: Operator) -> None:
    """Convert a frozen graph and put its nodes among ours; of its names only the ends meet."""
    converted = onnx.load_from_string(convert(one.fragment, "onnx", what=one.described))
    prefix = f"{self.unique(one.outputs[0].name)}/"
    graph = onnx.compose.add_prefix_graph(converted.graph, prefix)
    for index, array in enumerate(one.inputs):
        self.nodes.append(helper.make_node("Identity", [self.read(array)], [f"{prefix}input_{index}:0"]))
    self.nodes += graph.node
    self.initializers |= {entry.name: entry for entry in graph.initializer}
    for array, value in zip(one.outputs, graph.output, strict=True):
        self.write(array, value.name)


def _convolution(self: _Writer, one: Operator) -> None:
    data, kernel, bias = one.inputs
    depthwise = one.name == "DEPTHWISE_CONV_2D"
    order = (3, 0, 1, 2) if depthwise else (0, 3, 1, 2)  # to (out, in / groups, height, width)
    inputs = [
        self.read(data, FIRST),
        self.dequantized(kernel, kernel.data.transpose(order)),
        self.dequantized(bias, bias.data),
    ]
    height, width = (kernel.shape[1], kernel.shape[2])
    result = self.node(
        "Conv",
        inputs,
        f"{one.outputs[0].name}.conv",
        strides=one.options["strides"],
        dilations=one.options["dilation"],
        kernel_shape=(height, width),
        group=data.shape[-1] if depthwise else data.shape[-1] // kernel.shape[-1],
        pads=_pads(data.shape[1:3], (height, width), one.options),
    )
    self.write(one.outputs[0], self.activate(one, result), FIRST)


def _pads(sides: tuple[int, ...], window: tuple[int, ...], options: Mapping[str, Any]) -> list[int]:
    """Return the zeros before each side, then those behind. Spelled out: auto_pad knows no dilation (ONNX Runtime)."""
    if options["padding"] != "same":
        return [0, 0, 0, 0]
    totals = [
        max(0, (-(-side // step) - 1) * step + (size - 1) * dilation + 1 - side)
        for side, size, step, dilation in zip(sides, window, options["strides"], options["dilation"], strict=True)
    ]
    return [total // 2 for total in totals] + [total - total // 2 for total in totals]


def _pool(self: _Writer, one: Operator) -> None:
    kind, extra = ("MaxPool", {}) if one.name == "MAX_POOL_2D" else ("AveragePool", {"count_include_pad": 0})
    result = self.node(
        kind,
        [self.read(one.inputs[0], FIRST)],
        f"{one.outputs[0].name}.pool",
        kernel_shape=one.options["pool_size"],
        strides=one.options["strides"],
        auto_pad="SAME_UPPER" if one.options["padding"] == "same" else "VALID",
        **extra,
    )
    if extra and one.outputs[0].scale is not None:
        result = _halves_away_from_zero(self, one.outputs[0], result)
    self.write(one.outputs[0], result, FIRST)


def _halves_away_from_zero(self: _Writer, out: Array, result: str) -> str:
    """Push the means that lie halfway between two steps to the integer that LiteRT takes; ONNX would take the even."""
    scale = np.float32(out.scale[0])
    origin = self.constant(f"{out.name}.origin", scale * np.float32(out.zero_point))
    push = self.constant(f"{out.name}.push", scale * np.float32(PUSH))
    sign = self.node("Sign", [self.node("Add", [result, origin], f"{out.name}.integer")], f"{out.name}.sign")
    return self.node("Add", [result, self.node("Mul", [sign, push], f"{out.name}.offset")], f"{out.name}.pushed")


def _fully_connected(self: _Writer, one: Operator) -> None:
    """Gemm takes matrices: leading axes are folded into the rows and unfolded after, at the scale they have."""
    data, kernel, bias = one.inputs
    out = one.outputs[0]
    source = self.read(data)
    rows = int(np.prod(data.shape[:-1]))
    if len(data.shape) != 2:
        flat = Array(f"{data.name}.rows", (rows, data.shape[-1]), data.dtype, data.scale, data.zero_point)
        self.write(flat, self.reshape(source, flat.shape, flat.name))
        source = self.read(flat)
    inputs = [source, self.dequantized(kernel, kernel.data), self.dequantized(bias, bias.data)]
    result = self.activate(one, self.node("Gemm", inputs, f"{out.name}.gemm", transB=1))
    if len(out.shape) != 2:
        flat = Array(f"{out.name}.rows", (rows, out.shape[-1]), out.dtype, out.scale, out.zero_point)
        self.write(flat, result)
        result = self.reshape(self.read(flat), out.shape, f"{out.name}.unfolded")
    self.write(out, result)


def _elementwise(kind: str) -> Callable[[_Writer, Operator], None]:
    def write(self: _Writer, one: Operator) -> None:
        layout = self.layout_of(one.inputs)
        result = self.node(
            kind, [self.read(array, layout) for array in one.inputs], f"{one.outputs[0].name}.{kind.lower()}"
        )
        self.write(one.outputs[0], self.activate(one, result), layout)

    return write


def _batch_matmul(self: _Writer, one: Operator) -> None:
    left, right = (self.read(array) for array in one.inputs)
    if one.options["transposed"]:
        rank = len(one.inputs[1].shape)
        order = [*range(rank - 2), rank - 1, rank - 2]
        right = self.node("Transpose", [right], f"{one.outputs[0].name}.transposed", perm=order)
    self.write(one.outputs[0], self.node("MatMul", [left, right], f"{one.outputs[0].name}.matmul"))


def _softmax(self: _Writer, one: Operator) -> None:
    """Write a softmax. Over one entry it is 1 whatever that is: ONNX Runtime's integer kernel says 0."""
    out = one.outputs[0]
    if out.shape[-1] == 1:
        self.write(out, self.constant(f"{out.name}.ones", np.ones(out.shape, np.float32)))
    else:
        self.write(out, self.node("Softmax", [self.read(one.inputs[0])], f"{out.name}.softmax", axis=-1))


def _log_softmax(self: _Writer, one: Operator) -> None:
    name = f"{one.outputs[0].name}.log_softmax"
    self.write(one.outputs[0], self.node("LogSoftmax", [self.read(one.inputs[0])], name, axis=-1))


def _activation(kind: str, attributes: Callable[[dict], dict] = lambda options: {}) -> Callable:
    def write(self: _Writer, one: Operator) -> None:
        layout = self.layout_of(one.inputs)
        name = f"{one.outputs[0].name}.{kind.lower()}"
        self.write(
            one.outputs[0], self.node(kind, [self.read(one.inputs[0], layout)], name, **attributes(one.options)), layout
        )

    return write


def _gelu(self: _Writer, one: Operator) -> None:
    """x P(X <= x), spelled out: the operator came with opset 20.  Source: arXiv:1606.08415."""
    layout = self.layout_of(one.inputs)
    x, name = self.read(one.inputs[0], layout), f"{one.outputs[0].name}.gelu"

    def number(value: float) -> str:
        return self.constant(f"{name}.number", np.float32(value))

    if one.options["approximate"]:
        cube = self.node("Pow", [x, number(3)], f"{name}.cube")
        inner = self.node("Add", [x, self.node("Mul", [cube, number(0.044715)], f"{name}.scaled")], f"{name}.inner")
        curve = self.node(
            "Tanh", [self.node("Mul", [inner, number(np.sqrt(2 / np.pi))], f"{name}.arg")], f"{name}.tanh"
        )
    else:
        curve = self.node("Erf", [self.node("Mul", [x, number(np.sqrt(0.5))], f"{name}.arg")], f"{name}.erf")
    share = self.node("Mul", [self.node("Add", [curve, number(1)], f"{name}.plus"), number(0.5)], f"{name}.share")
    self.write(one.outputs[0], self.node("Mul", [x, share], name), layout)


def _relu_n1_to_1(self: _Writer, one: Operator) -> None:
    layout = self.layout_of(one.inputs)
    self.write(one.outputs[0], self.clip(self.read(one.inputs[0], layout), -1.0, 1.0, one.outputs[0].name), layout)


def _table(self: _Writer, one: Operator) -> None:
    """Index the table's integers by those of the input."""
    source, entries = one.inputs
    target = one.outputs[0]
    layout = self.layout_of([source])

    def parameters(array: Array) -> list[str]:
        scale = self.constant(f"{array.name}.scale", array.scale[0])
        return [scale, self.constant(f"{array.name}.zero_point", _stored(array, array.zero_point))]

    integers = self.node("QuantizeLinear", [self.read(source, layout), *parameters(source)], f"{target.name}.integers")
    index = self.node("Cast", [integers], f"{target.name}.index", to=TensorProto.INT32)
    table = self.constant(entries.name, _stored(entries, entries.data))
    found = self.node("Gather", [table, index], f"{target.name}.found", axis=0)
    self.names[target, layout] = self.node(
        "DequantizeLinear", [found, *parameters(target)], f"{target.name}.dequantized"
    )


def _transpose_conv(self: _Writer, one: Operator) -> None:
    _, kernel, data, bias = one.inputs
    out = one.outputs[0]
    weights = self.dequantized(kernel, kernel.data.transpose(3, 0, 1, 2), axis=1)  # (in, out, height, width)
    pads, extra = [[], []], []
    for axis in (0, 1):
        stride, size = one.options["strides"][axis], kernel.shape[1 + axis]
        excess = (data.shape[1 + axis] - 1) * stride + size - out.shape[1 + axis]
        pads[0].append(max(excess, 0) // 2)
        pads[1].append(max(excess, 0) - max(excess, 0) // 2)
        extra.append(max(-excess, 0))
    result = self.node(
        "ConvTranspose",
        [self.read(data, FIRST), weights, self.dequantized(bias, bias.data)],
        f"{out.name}.conv_transpose",
        strides=one.options["strides"],
        pads=[*pads[0], *pads[1]],
        output_padding=extra,
    )
    self.write(out, result, FIRST)


def _resize(self: _Writer, one: Operator) -> None:
    data, size = one.inputs
    out = one.outputs[0]
    sizes = self.constant(f"{out.name}.sizes", np.array([1, data.shape[3], *size.data], np.int64))
    nearest = one.name == "RESIZE_NEAREST_NEIGHBOR"
    mode = {"mode": "nearest", "nearest_mode": "round_prefer_ceil"} if nearest else {"mode": "linear"}
    inputs = [self.read(data, FIRST), "", "", sizes]
    result = self.node("Resize", inputs, f"{out.name}.resize", coordinate_transformation_mode="half_pixel", **mode)
    self.write(out, result, FIRST)


def _rsqrt(self: _Writer, one: Operator) -> None:
    root = self.node("Sqrt", [self.read(one.inputs[0])], f"{one.outputs[0].name}.sqrt")
    self.write(one.outputs[0], self.node("Reciprocal", [root], f"{one.outputs[0].name}.reciprocal"))


def _relu6(self: _Writer, one: Operator) -> None:
    layout = self.layout_of(one.inputs)
    self.write(one.outputs[0], self.clip(self.read(one.inputs[0], layout), 0.0, 6.0, one.outputs[0].name), layout)


def _reduce(kind: str) -> Callable[[_Writer, Operator], None]:
    def write(self: _Writer, one: Operator) -> None:
        data, wanted = one.inputs
        layout = self.layout_of([data])
        chosen = [_TO_FIRST.index(int(axis)) if layout == FIRST else int(axis) for axis in wanted.data]
        stays_last = one.options["keepdims"] and layout == FIRST
        if layout == FIRST and not stays_last and sorted(wanted.data.tolist()) != [1, 2]:
            layout, chosen = LAST, wanted.data.tolist()  # the remaining axes would come out in another order
        name = f"{one.outputs[0].name}.{kind.lower()}"
        axes = self.constant(f"{name}.axes", np.array(chosen, np.int64))
        result = self.node(kind, [self.read(data, layout), axes], name, keepdims=int(one.options["keepdims"]))
        self.write(one.outputs[0], result, FIRST if stays_last else LAST)

    return write


def _argument(kind: str) -> Callable[[_Writer, Operator], None]:
    def write(self: _Writer, one: Operator) -> None:
        data, axis = one.inputs
        name = f"{one.outputs[0].name}.{kind.lower()}"
        found = self.node(kind, [self.read(data)], name, axis=int(axis.data), keepdims=0)
        self.write(one.outputs[0], self.node("Cast", [found], f"{name}.narrow", to=TensorProto.INT32))

    return write


def _reshape(self: _Writer, one: Operator) -> None:
    out = one.outputs[0]
    self.write(out, self.reshape(self.read(one.inputs[0]), out.shape, f"{out.name}.reshape"))


def _transpose(self: _Writer, one: Operator) -> None:
    order = one.inputs[1].data.tolist()
    self.write(
        one.outputs[0],
        self.node("Transpose", [self.read(one.inputs[0])], f"{one.outputs[0].name}.transpose", perm=order),
    )


def _concatenation(self: _Writer, one: Operator) -> None:
    layout = self.layout_of(one.inputs)
    axis = _TO_FIRST.index(one.options["axis"]) if layout == FIRST else one.options["axis"]
    result = self.node(
        "Concat", [self.read(array, layout) for array in one.inputs], f"{one.outputs[0].name}.concat", axis=axis
    )
    self.write(one.outputs[0], result, layout)


def _split(self: _Writer, one: Operator) -> None:
    axis, data = one.inputs
    names = [self.unique(f"{array.name}.split") for array in one.outputs]
    self.nodes.append(
        helper.make_node("Split", [self.read(data)], names, name=names[0], axis=int(axis.data), num_outputs=len(names))
    )
    for array, name in zip(one.outputs, names, strict=True):
        self.write(array, name)


def _unpack(self: _Writer, one: Operator) -> None:
    for index, array in enumerate(one.outputs):
        place = self.constant(f"{array.name}.index", np.array(index, np.int64))
        self.write(
            array,
            self.node("Gather", [self.read(one.inputs[0]), place], f"{array.name}.gather", axis=one.options["axis"]),
        )


def _pack(self: _Writer, one: Operator) -> None:
    axis = one.options["axis"]
    widened = []
    for array in one.inputs:
        axes = self.constant(f"{array.name}.axes", np.array([axis], np.int64))
        widened.append(self.node("Unsqueeze", [self.read(array), axes], f"{array.name}.unsqueezed"))
    self.write(one.outputs[0], self.node("Concat", widened, f"{one.outputs[0].name}.concat", axis=axis))


def _gather(self: _Writer, one: Operator) -> None:
    table, indices = one.inputs
    result = self.node(
        "Gather", [self.read(table), self.read(indices)], f"{one.outputs[0].name}.gather", axis=one.options["axis"]
    )
    self.write(one.outputs[0], result)


def _strided_slice(self: _Writer, one: Operator) -> None:
    data, begin, end, strides = one.inputs
    name = one.outputs[0].name
    parts = [begin.data, end.data, np.arange(len(begin.data)), strides.data]
    inputs = [self.constant(f"{name}.slice_{i}", part.astype(np.int64)) for i, part in enumerate(parts)]
    result = self.node("Slice", [self.read(data), *inputs], f"{name}.slice")
    self.write(one.outputs[0], self.reshape(result, one.outputs[0].shape, f"{name}.squeezed"))


def _pad(self: _Writer, one: Operator) -> None:
    data, pads = one.inputs
    amounts = self.constant(f"{one.outputs[0].name}.pads", pads.data.T.reshape(-1).astype(np.int64))
    self.write(one.outputs[0], self.node("Pad", [self.read(data), amounts], f"{one.outputs[0].name}.pad"))


def _border(self: _Writer, one: Operator) -> None:
    """Cross between float and integers, or between two scales: the values go on, `write` rounds them.

    Of two scales in a row ONNX Runtime makes one, and values are rounded once instead of twice; what lies in float
    between integers it makes an integer operator. A maximum that changes nothing keeps it from both.
    """
    source, target = one.inputs[0], one.outputs[0]
    layout = self.layout_of([source])
    values = self.read(source, layout)
    if source.scale is not None and source.data is None and target in self.inner:
        least = self.constant(f"{target.name}.least", np.float32(np.finfo(np.float32).min))
        values = self.node("Max", [values, least], f"{target.name}.same")
    self.write(target, values, layout)


def _logical(kind: str, negated: bool = False) -> Callable[[_Writer, Operator], None]:
    """Write a comparison or a connective: its inputs may be real values, its output is boolean."""

    def write(self: _Writer, one: Operator) -> None:
        name = f"{one.outputs[0].name}.{kind.lower()}"
        result = self.node(kind, [self.read(array) for array in one.inputs], name)
        self.write(one.outputs[0], self.node("Not", [result], f"{name}.not") if negated else result)

    return write


def _reduce_boolean(kind: str) -> Callable[[_Writer, Operator], None]:
    """ONNX reduces numbers only."""

    def write(self: _Writer, one: Operator) -> None:
        data, wanted = one.inputs
        name = f"{one.outputs[0].name}.{kind.lower()}"
        numbers = self.node("Cast", [self.read(data)], f"{name}.numbers", to=TensorProto.INT32)
        axes = self.constant(f"{name}.axes", wanted.data.astype(np.int64))
        result = self.node(kind, [numbers, axes], name, keepdims=int(one.options["keepdims"]))
        self.write(one.outputs[0], self.node("Cast", [result], f"{name}.boolean", to=TensorProto.BOOL))

    return write


def _cast(self: _Writer, one: Operator) -> None:
    out = one.outputs[0]
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(out.dtype if out.scale is None else "float32"))
    self.write(out, self.node("Cast", [self.read(one.inputs[0])], f"{out.name}.cast", to=kind))


def _select(self: _Writer, one: Operator) -> None:
    inputs = [self.read(array) for array in one.inputs]
    self.write(one.outputs[0], self.node("Where", inputs, f"{one.outputs[0].name}.where"))


WRITE: dict[str, Callable[[_Writer, Operator], None]] = {
    "QUANTIZE": _border,
    "DEQUANTIZE": _border,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "MAX_POOL_2D": _pool,
    "AVERAGE_POOL_2D": _pool,
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _batch_matmul,
    "ADD": _elementwise("Add"),
    "SUB": _elementwise("Sub"),
    "MUL": _elementwise("Mul"),
    "MAXIMUM": _elementwise("Max"),
    "MINIMUM": _elementwise("Min"),
    "RELU": _elementwise("Relu"),
    "RELU6": _relu6,
    "RELU_N1_TO_1": _relu_n1_to_1,
    "LEAKY_RELU": _activation("LeakyRelu", lambda options: {"alpha": float(options["alpha"])}),
    "ELU": _activation("Elu"),
    "GELU": _gelu,
    "LOG_SOFTMAX": _log_softmax,
    "EQUAL": _logical("Equal"),
    "NOT_EQUAL": _logical("Equal", negated=True),
    "GREATER": _logical("Greater"),
    "GREATER_EQUAL": _logical("GreaterOrEqual"),
    "LESS": _logical("Less"),
    "LESS_EQUAL": _logical("LessOrEqual"),
    "LOGICAL_AND": _logical("And"),
    "LOGICAL_OR": _logical("Or"),
    "LOGICAL_NOT": _logical("Not"),
    "REDUCE_ANY": _reduce_boolean("ReduceMax"),
    "REDUCE_ALL": _reduce_boolean("ReduceMin"),
    "CAST": _cast,
    "SELECT_V2": _select,
    "TABLE": _table,
    "REDUCE_MAX": _reduce("ReduceMax"),
    "REDUCE_MIN": _reduce("ReduceMin"),
    "TRANSPOSE_CONV": _transpose_conv,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "RESIZE_BILINEAR": _resize,
    "LOGISTIC": _elementwise("Sigmoid"),
    "TANH": _elementwise("Tanh"),
    "ARG_MAX": _argument("ArgMax"),
    "ARG_MIN": _argument("ArgMin"),
    "SOFTMAX": _softmax,
    "RSQRT": _rsqrt,
    "MEAN": _reduce("ReduceMean"),
    "SUM": _reduce("ReduceSum"),
    "RESHAPE": _reshape,
    "TRANSPOSE": _transpose,
    "CONCATENATION": _concatenation,
    "SPLIT": _split,
    "UNPACK": _unpack,
    "PACK": _pack,
    "GATHER": _gather,
    "STRIDED_SLICE": _strided_slice,
    "PAD": _pad,
}

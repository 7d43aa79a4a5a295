"""From a quantization-aware model to the integer program that a LiteRT interpreter executes.

Each step of the plan becomes one operator; scales and zero points are those the model was trained with, so nothing is
calibrated or inferred again and the integers are the ones that training saw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops

from ..errors import BadInput
from ..quantize.fake_quant import BIAS_LIMITS, fake_quantize, kernel_scale, limits, scale_and_zero_point
from ..quantize.graph.nodes import Graph, Tensor, run
from ..quantize.graph.operations import NEVER
from ..quantize.operators import FILLS, INTEGERS_ONLY, NOTHING
from ..quantize.placement import FusedOp, Plan, Scale
from .convert import Frozen, freeze_function


@dataclass(eq=False)
class Array:
    """A tensor of the program: static shape, LiteRT element type, quantization, and its contents if it is constant."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: Any = None  # an array, one entry per channel or one in all
    zero_point: int = 0
    axis: int = 0
    data: Any = None  # an array
    is_state: bool = False  # kept by the runtime from one run to the next


@dataclass(eq=False)
class Operator:
    """One LiteRT operator: its built-in name, arrays in and out, and its options.

    fragment: of an operation that no row of the operator table covers, named as Keras names it: itself as a frozen
    graph in float, which the writers have converted to whatever operators it takes.
    """

    name: str
    inputs: list[Array]
    outputs: list[Array]
    options: dict[str, Any] = field(default_factory=dict)
    fragment: Frozen | None = None

    @property
    def described(self) -> str:
        """What to call it in errors."""
        return f"operation {self.outputs[0].name} ({self.name})"

    @property
    def is_float(self) -> bool:
        """Tell whether it computes in float; QUANTIZE and DEQUANTIZE at a border only cross it."""
        return bool(self.fragment) or (not self.is_border and any(one.dtype == "float32" for one in self.inputs))

    @property
    def is_border(self) -> bool:
        """Tell whether it does nothing but cross between what is outside, float or unsigned, and integers."""
        kinds = {self.inputs[0].dtype, self.outputs[0].dtype}
        return self.name in ("QUANTIZE", "DEQUANTIZE") and bool({"float32", "uint8"} & kinds)


@dataclass(eq=False)
class Program:
    """Operators in execution order. `arrays` maps id(tensor) of the quantized graph to what became of it."""

    name: str
    inputs: list[Array]
    outputs: list[Array]
    operators: list[Operator]
    arrays: dict[int, Array] = field(default_factory=dict, repr=False)

    @property
    def is_stateful(self) -> bool:
        """Tell whether a run leaves behind what the next one starts from, unless the runtime resets it."""
        return any(array.is_state for one in self.operators for array in one.inputs)

    @property
    def float_operators(self) -> list[Operator]:
        return [one for one in self.operators if one.is_float]


INTEGER_IO = (False, True, "int8", "uint8")  # what the borders of a file may be; True is "int8"


class Planned(Protocol):
    """A planned graph with its weights, as `QuantizedGraph` is one."""

    plan: Plan

    def weight(self, leaf: Tensor) -> Any: ...

    def range(self, scale: Scale) -> tuple[Any, Any]: ...


def lower(
    layer: Planned, name: str, *, integer_io: bool | str = False, inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
) -> Program:  # fmt: skip
    """Lower the quantized graph with batch 1. inputs, outputs: what to call them; a graph that was read from a file has
    lost the names of its inputs.

    integer_io: integers at the borders, int8 (or as wide as the graph has them) or "uint8", which takes a change of
    scale at each border.
    Raises: BadInput for an operation that the operator table does not cover, if the backend is not TensorFlow.
    """
    return _Lowering(layer, integer_io, outputs).run(name, inputs)


class _Lowering:
    def __init__(self, layer: Planned, integer_io: bool | str, names: Sequence[str] | None = None):
        self.layer, self.plan, self.integer_io, self.names = layer, layer.plan, integer_io, names
        self.shapes = _shapes_of_one(self.plan)
        self.arrays: dict[int, Array] = {}
        self.crossed: dict[tuple[int, str], Array] = {}
        self.constants: dict[Any, Array] = {}
        self.operators: list[Operator] = []
        self.returned: set[int] = set()

    def run(self, name: str, names: Sequence[str] | None = None) -> Program:
        graph = self.plan.graph
        names = names or [leaf.name for leaf in graph.inputs]
        inputs = [self.input(leaf, own) for leaf, own in zip(graph.inputs, names, strict=True)]
        self.returned.update(map(id, inputs))
        for step in self.plan.steps:
            self.step(step)
        outputs = [self.array(leaf) if self.integer_io else self.as_float(leaf) for leaf in graph.outputs]
        outputs = [self.unsigned(array) for array in outputs]
        outputs = [self.output(array, index) for index, array in enumerate(outputs)]
        return Program(name, inputs, outputs, self.operators, self.arrays)

    def input(self, leaf: Tensor, name: str) -> Array:
        outside = Array(name, self.shapes[id(leaf)], leaf.dtype)
        scale = self.plan.scale_of(leaf)
        if scale is None:
            self.arrays[id(leaf)] = outside
            return outside
        inside = self.activation(leaf, scale)
        self.arrays[id(leaf)] = inside
        if self.integer_io and not self.is_unsigned(inside):
            inside.name = name
            return inside
        if self.integer_io:
            outside = as_unsigned(inside, name)
        inside.name = f"{name}_{inside.dtype}"
        self.emit("QUANTIZE", [outside], [inside])
        return outside

    def is_unsigned(self, array: Array) -> bool:
        """Tell whether `array` is of unsigned bytes outside."""
        return self.integer_io == "uint8" and array.dtype == "int8"

    def unsigned(self, array: Array) -> Array:
        """Return what the file gives away for `array`."""
        if not self.is_unsigned(array):
            return array
        outside = as_unsigned(array, f"{array.name}_uint8")
        self.emit("QUANTIZE", [array], [outside])
        return outside

    def output(self, array: Array, index: int) -> Array:
        """Name an output; an input, a constant and what is returned twice is copied by a reshape to its own shape."""
        if id(array) in self.returned or array.data is not None:
            copy = replace(array, data=None)
            self.emit("RESHAPE", [array, _integers(self, array.shape)], [copy], shape=array.shape)
            array = copy
        self.returned.add(id(array))
        array.name = self.names[index] if self.names else f"output_{index}"
        return array

    def step(self, step: FusedOp) -> None:
        rule = step.rule or step.float_rule
        if rule is None or (step.rule is None and rule.builtin_op in INTEGERS_ONLY):
            self.fragment(step)
            return
        if not rule.builtin_op:
            self.arrays[id(step.outputs[0])] = self.array(step.inputs[0])
            return
        if rule.builtin_op == "CONSTANT" or (rule.builtin_op == "QUANTIZE" and step.inputs[0].is_constant):
            (out,) = step.outputs
            self.arrays[id(out)] = self.constant_operand(self.filled(step), self.plan.scale_of(out))
            return
        quantized = step.rule is not None
        bring = self.array if quantized else self.as_float
        inputs: list[Array] = [bring(leaf) for leaf in step.inputs]
        if step.kernel is not None:
            inputs += self.kernel_and_bias(step, inputs[0], quantized)
        inputs += [self.accumulated(leaf, kernel, inputs[0], quantized) for leaf, kernel in step.biases]
        outputs = []
        for leaf in step.outputs:
            scale = self.plan.scale_of(leaf) if quantized else None
            outputs.append(
                self.activation(leaf, scale) if scale else Array(leaf.name, self.shapes[id(leaf)], leaf.dtype)
            )
            self.arrays[id(leaf)] = outputs[-1]
        options = {**rule.options(step.nodes[0]), "activation": step.activation}
        LOWER.get(rule.builtin_op, _plain)(self, rule.builtin_op, inputs, outputs, options)
        if not quantized:
            self.cross(step, outputs)

    def filled(self, step: FusedOp) -> Tensor:
        """Return the constant that a step gives whatever its input is."""
        given, out, node = step.inputs[0], step.outputs[0], step.nodes[0]
        if node.op_type not in FILLS:
            return given
        shape = self.shapes[id(out)]
        return Tensor(out.name, shape, out.dtype, np.full(shape, FILLS[node.op_type](node), out.dtype))

    def fragment(self, step: FusedOp) -> None:
        """Write what the table does not know as a frozen graph in float; of constants alone, as a constant."""
        varying = list({id(leaf): leaf for leaf in step.inputs if not leaf.is_constant}.values())
        outputs = [Array(leaf.name, self.shapes[id(leaf)], leaf.dtype) for leaf in step.outputs]
        one = Operator(step.nodes[0].op_type, [self.as_float(leaf) for leaf in varying], outputs)

        def compute(*arguments: Any) -> list[Any]:
            return run(Graph(step.name, varying, step.outputs, step.nodes), list(arguments), self.layer.weight)

        if varying:
            specs = [(f"input_{index}", self.shapes[id(leaf)], leaf.dtype) for index, leaf in enumerate(varying)]
            one.fragment = freeze_function(compute, specs, f"{one.described}, which stays float,")
            self.operators.append(one)
        else:
            for out, values in zip(outputs, compute(), strict=True):
                out.data = ops.convert_to_numpy(values)
        self.arrays.update((id(leaf), out) for leaf, out in zip(step.outputs, outputs, strict=True))
        self.cross(step, outputs)

    def cross(self, step: FusedOp, outputs: list[Array]) -> None:
        """Quantize those outputs of a float step that a quantized one reads."""
        for leaf, out in zip(step.outputs, outputs, strict=True):
            scale = self.plan.scale_of(leaf)
            if scale is not None:
                self.arrays[id(leaf)] = self.activation(leaf, scale)
                self.crossed[id(leaf), "float32"] = out
                self.emit("QUANTIZE", [out], [self.arrays[id(leaf)]])

    def emit(self, name: str, inputs: list[Array], outputs: list[Array], **options: Any) -> None:
        self.operators.append(Operator(name, inputs, outputs, options))

    def array(self, leaf: Tensor) -> Array:
        if id(leaf) not in self.arrays:
            self.arrays[id(leaf)] = self.constant_operand(leaf, self.plan.scale_of(leaf))
        return self.arrays[id(leaf)]

    def as_float(self, leaf: Tensor) -> Array:
        """Return the array of `leaf` in float32, dequantizing once where needed."""
        if leaf.is_constant:
            return self.constant(leaf.name, np.asarray(self.layer.weight(leaf), np.float32))
        array = self.array(leaf)
        if array.scale is None:
            return array
        key = id(leaf), "float32"
        if key not in self.crossed:
            self.crossed[key] = Array(f"{array.name}_float", array.shape, "float32")
            self.emit("DEQUANTIZE", [array], [self.crossed[key]])
        return self.crossed[key]

    def activation(self, leaf: Tensor, scale: Scale) -> Array:
        size, zero_point = self.quantization(scale)
        return Array(leaf.name, self.shapes[id(leaf)], f"int{scale.bits}", np.array([size]), zero_point)

    def quantization(self, scale: Scale) -> tuple[np.float32, int]:
        low, high = (float(limit) for limit in self.layer.range(scale))
        return scale_and_zero_point(low, high, scale.bits)

    def constant_operand(self, leaf: Tensor, scale: Scale | None) -> Array:
        """A constant that is no kernel: per-tensor int8 where its reader is quantized, as it is otherwise."""
        values = np.asarray(self.layer.weight(leaf))
        if scale is None:
            return self.constant(leaf.name, values)
        size, zero_point = self.quantization(scale)
        integers = rounded(values, size, zero_point, scale.bits)
        shape = integers.shape or (1,)
        return Array(leaf.name, shape, str(integers.dtype), np.array([size]), zero_point, data=integers.reshape(shape))

    def constant(self, name: str, values: np.ndarray) -> Array:
        key = name, str(values.dtype), values.shape, values.tobytes()
        if key not in self.constants:
            self.constants[key] = Array(name, values.shape, str(values.dtype), data=values)
        return self.constants[key]

    def accumulated(self, bias: Tensor, kernel: Tensor, data: Array, quantized: bool) -> Array:
        """Return one of several biases, an integer of the accumulator's scale where its operator is quantized."""
        values = np.asarray(self.layer.weight(bias), np.float32)
        if not quantized:
            return self.constant(bias.name, values)
        return accumulator(f"{bias.name}.integers", values, data, self.array(kernel))

    def kernel_and_bias(self, step: FusedOp, data: Array, quantized: bool) -> list[Array]:
        kernel = np.asarray(self.layer.weight(step.kernel), np.float32)
        order = KERNEL_LAYOUT[step.rule.builtin_op if step.rule else step.float_rule.builtin_op]
        channels = np.prod([kernel.shape[axis] for axis in (step.rule or step.float_rule).channels], dtype=int)
        bias = (
            np.zeros(channels, np.float32)
            if step.bias is None
            else np.asarray(self.layer.weight(step.bias)).reshape(-1)
        )
        if not quantized:
            return [self.constant(step.kernel.name, order(kernel)), self.constant(f"{step.name}.bias", bias)]
        bits = step.precision.weights
        key = "kernel", id(step.kernel), bits
        if key not in self.constants:
            scale = np.asarray(kernel_scale(kernel, step.rule.channels, bits))
            integers = order(np.round(kernel / scale).astype(np.int8))
            axis = 3 if step.rule.builtin_op == "DEPTHWISE_CONV_2D" else 0
            self.constants[key] = Array(
                step.kernel.name, integers.shape, "int4" if bits == 4 else "int8", scale.reshape(-1), 0, axis, integers
            )
        weights = self.constants[key]
        key = "bias", id(step.bias), id(weights), float(data.scale[0])
        if key not in self.constants:
            self.constants[key] = accumulator(f"{step.name}.bias", bias, data, weights)
        return [weights, self.constants[key]]


def as_unsigned(array: Array, name: str) -> Array:
    """Return an array of the same real values in unsigned bytes."""
    return Array(name, array.shape, "uint8", array.scale, array.zero_point + 128)


def accumulator(name: str, bias: np.ndarray, data: Array, weights: Array) -> Array:
    """Return a bias as integers of the accumulator's scale: 32 bits wide for activations of 8 bits, else 64."""
    scale = (data.scale.astype(np.float64) * weights.scale).astype(np.float32)
    wide = np.int32 if data.dtype == "int8" else np.int64
    integers = np.clip(np.round(bias / scale.astype(np.float64)), *BIAS_LIMITS).astype(wide)
    return Array(name, integers.shape, str(integers.dtype), scale, data=integers)


def rounded(values: Any, scale: np.float32, zero_point: int, bits: int = 8) -> np.ndarray:
    """Return the integers of `values`, rounded as the fake-quantizer does: at a midpoint every bit counts."""
    lowest, highest = limits(bits)
    low, high = (np.float32(scale * (end - zero_point)) for end in (lowest, highest))
    real = np.asarray(fake_quantize(values, low, high, bits))
    return np.clip(np.round(real / scale) + zero_point, lowest, highest).astype(f"int{bits}")


def _shapes_of_one(plan: Plan) -> dict[int, tuple[int, ...]]:
    """Return the shape of each activation when the batch holds one sample.

    The first size is not always 1 then: images cut into windows may have all of them there.
    Raises: BadInput for an operation that does not return what Keras announces.
    """
    inputs, shapes = plan.graph.inputs, {}

    def note(leaf: Tensor, value: Any, kind: str) -> Any:
        known = tuple(size if real is None else real for size, real in zip(leaf.shape, value.shape, strict=False))
        announced = tuple(real if size is None else size for size, real in zip(leaf.shape, known, strict=False))
        if len(leaf.shape) != len(value.shape) or known != announced:
            raise BadInput(
                f"operation {leaf.name} ({kind}) returns shape {tuple(value.shape)}, but Keras announces "
                f"{tuple(1 if size is None else size for size in leaf.shape)} for it: leave it out of the model"
            )
        shapes[id(leaf)] = known
        return value

    def forward(*values: Any) -> list[Any]:
        held = {id(leaf): note(leaf, value, "input") for leaf, value in zip(inputs, values, strict=True)}
        for node in (node for step in plan.steps for node in step.nodes):
            results = node.run(lambda leaf: held[id(leaf)] if id(leaf) in held else ops.convert_to_tensor(leaf.value))
            for leaf, value in zip(node.outputs, results, strict=True):
                held[id(leaf)] = note(leaf, value, node.op_type)
        return list(held.values())

    one = [keras.KerasTensor([1 if size is None else size for size in leaf.shape], leaf.dtype) for leaf in inputs]
    keras.src.backend.compute_output_spec(forward, *one)  # on abstract values: nothing is computed
    return shapes


def _depthwise_layout(kernel: np.ndarray) -> np.ndarray:
    height, width, channels, multiplier = kernel.shape
    return kernel.reshape(1, height, width, channels * multiplier)


KERNEL_LAYOUT: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "TRANSPOSE_CONV": lambda kernel: np.ascontiguousarray(kernel.transpose(2, 0, 1, 3)),
    "CONV_2D": lambda kernel: np.ascontiguousarray(kernel.transpose(3, 0, 1, 2)),
    "DEPTHWISE_CONV_2D": _depthwise_layout,
    "FULLY_CONNECTED": lambda kernel: np.ascontiguousarray(kernel.T),
}


def _plain(self: _Lowering, name: str, inputs: list, outputs: list, options: dict) -> None:
    self.emit(name, inputs, outputs, **options)


def _depthwise(self: _Lowering, name: str, inputs: list, outputs: list, options: dict) -> None:
    """Write a depthwise convolution; without a kernel it is an average, a kernel of ones at scale 1 / count."""
    if window := options.pop("average_over", None):
        channels = outputs[0].shape[-1]
        shape = (1, *window, channels)
        ones = Array(
            f"{outputs[0].name}.window", shape, "float32", data=np.full(shape, 1 / np.prod(window), np.float32)
        )
        zeros = Array(f"{outputs[0].name}.bias", (channels,), "float32", data=np.zeros(channels, np.float32))
        if outputs[0].scale is not None:
            scale = np.full(channels, 1 / np.prod(window), np.float32)
            ones.dtype, ones.scale, ones.axis, ones.data = "int8", scale, 3, np.ones(shape, np.int8)
            zeros.dtype, zeros.scale = "int32" if inputs[0].dtype == "int8" else "int64", inputs[0].scale * scale
            zeros.data = zeros.data.astype(zeros.dtype)
        inputs = [*inputs, ones, zeros]
    self.emit(name, inputs, outputs, **options)


def _clip(self, name, inputs, outputs, options):
    """Write a clip that the range of its output performs already as a change of scale: delegates know that one."""
    out = outputs[0]
    top = np.inf if name == "RELU" else 6.0
    if out.dtype == "int8" and out.zero_point == -128 and 255 * out.scale[0] < top + out.scale[0] / 2:
        name = "QUANTIZE"
    self.emit(name, inputs, outputs)


def _transpose_conv(self, name, inputs, outputs, options):
    data, *weights = inputs
    options.pop("activation")
    self.emit(name, [_integers(self, outputs[0].shape), weights[0], data, weights[1]], outputs, **options)


def _resize(self, name, inputs, outputs, options):
    self.emit(name, [inputs[0], _integers(self, outputs[0].shape[1:3])], outputs)


def _table(self, name, inputs, outputs, options):
    """Tabulate the function at all 256 inputs, rounded as the fake-quantizer rounds."""
    (source,), (target,) = inputs, outputs
    values = (np.arange(-128, 128) - source.zero_point).astype(np.float32) * np.float32(source.scale[0])
    integers = rounded(options["function"](values), target.scale[0], target.zero_point)
    entries = Array(f"{target.name}.table", (256,), "int8", target.scale, target.zero_point, data=integers)
    self.emit(name, [source, entries], outputs)


def _rsqrt(self, name, inputs, outputs, options):
    """Tabulate it in int8: LiteRT's own kernel is a step off on up to 2% of values, and norms magnify that."""
    if inputs[0].dtype == "int8" == outputs[0].dtype:
        _table(self, "TABLE", inputs, outputs, {"function": ops.rsqrt})
    else:
        self.emit(name, inputs, outputs)


def _integers(self: _Lowering, values: Any) -> Array:
    array = np.asarray(values, np.int32)
    return self.constant(f"shape_{'_'.join(map(str, array.reshape(-1)))}", array)


def _reduce(self, name, inputs, outputs, options):
    self.emit(name, [inputs[0], _integers(self, options["axes"])], outputs, keepdims=options["keepdims"])


def _argument(self, name, inputs, outputs, options):
    """Write where along an axis the extreme is; LiteRT always drops that axis."""
    (data,), (out,) = inputs, outputs
    axis = options["axis"]
    found = out
    if options["keepdims"]:
        found = Array(f"{out.name}.dropped", (*out.shape[:axis], *out.shape[axis + 1 :]), out.dtype)
    self.emit(name, [data, _integers(self, axis)], [found])
    if found is not out:
        _reshape(self, "RESHAPE", [found], [out], {})


def _reshape(self, name, inputs, outputs, options):
    self.emit(name, [inputs[0], _integers(self, outputs[0].shape)], outputs, shape=outputs[0].shape)


def _transpose(self, name, inputs, outputs, options):
    self.emit(name, [inputs[0], _integers(self, options["axes"])], outputs)


def _pad(self, name, inputs, outputs, options):
    self.emit(name, [inputs[0], _integers(self, options["pads"])], outputs)


def _split(self, name, inputs, outputs, options):
    self.emit(name, [_integers(self, options["axis"]), inputs[0]], outputs, count=len(outputs))


def _multiply(self, name, inputs, outputs, options):
    self.emit(name, inputs if len(inputs) == 2 else inputs * 2, outputs, **options)


def _gather(self, name, inputs, outputs, options):
    if options["indices"] is not None:  # plain numbers of the call
        inputs = [*inputs, _integers(self, options["indices"])]
    self.emit(name, inputs, outputs, axis=options["axis"])


def _strided_slice(self, name, inputs, outputs, options):
    """Write a static Python index as begin, end and stride; an integer drops its axis."""
    shape = inputs[0].shape
    parts = [*options["key"], *[slice(None)] * (len(shape) - len(options["key"]))]
    begin, end, strides, dropped = [], [], [], 0
    for axis, (part, size) in enumerate(zip(parts, shape, strict=True)):
        if isinstance(part, int):
            part, dropped = slice(part % size, part % size + 1), dropped | 1 << axis
        start, stop, stride = part.indices(size)
        stop = -size - 1 if stop < 0 else stop  # backwards past the first: -1 would mean the last
        begin.append(start)
        end.append(stop)
        strides.append(stride)
    self.emit(name, [inputs[0], *(_integers(self, one) for one in (begin, end, strides))], outputs, dropped=dropped)


def _select(self, name, inputs, outputs, options):
    """Write a choice; what is masked gets the lowest step of the scores' scale."""
    if len(inputs) == 2:
        scores, mask = inputs
        lowest = np.array([NEVER if scores.scale is None else np.iinfo(scores.dtype).min], scores.dtype)
        floor = Array(f"{outputs[0].name}.floor", (1,), scores.dtype, scores.scale, scores.zero_point, data=lowest)
        inputs = [mask, scores, floor]
    self.emit(name, inputs, outputs)


def _lstm(self, name, inputs, outputs, options):
    """Write the states that the kernel keeps; the integer kernel also wants to know the scale of its output before a
    projection, which it has none of.
    """
    outputs, cells = outputs
    shape = (1, outputs.shape[-1])
    states = [
        Array(f"{one.name}.state", shape, one.dtype, one.scale, one.zero_point, is_state=True)
        for one in (outputs, cells)
    ]
    hidden = Array(f"{outputs.name}.hidden", (), outputs.dtype, outputs.scale, outputs.zero_point)
    self.emit(name, [*inputs, *states], [outputs], hidden=hidden)


def _add(self, name, inputs, outputs, options):
    """Write a sum. One with a constant below a thousandth of a step is a change of scale, which delegates know."""
    out, constants = outputs[0], [array for array in inputs if array.data is not None and array.scale is not None]
    if len(constants) == 1 and out.dtype == "int8" and options["activation"] is None:
        largest = np.abs(constants[0].data.astype(np.float64) - constants[0].zero_point).max() * constants[0].scale[0]
        (data,) = (array for array in inputs if array is not constants[0])
        if largest < out.scale[0] / NOTHING and data.shape == out.shape:
            return self.emit("QUANTIZE", [data], outputs)
    return self.emit(name, inputs, outputs, **options)


LOWER: dict[str, Callable[[_Lowering, str, list, list, dict], None]] = {
    "ADD": _add,
    "ARG_MAX": _argument,
    "ARG_MIN": _argument,
    "DEPTHWISE_CONV_2D": _depthwise,
    "MEAN": _reduce,
    "SUM": _reduce,
    "RELU": _clip,
    "RELU6": _clip,
    "REDUCE_ANY": _reduce,
    "REDUCE_ALL": _reduce,
    "SELECT_V2": _select,
    "REDUCE_MAX": _reduce,
    "REDUCE_MIN": _reduce,
    "TRANSPOSE_CONV": _transpose_conv,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "RESIZE_BILINEAR": _resize,
    "GATHER": _gather,
    "TABLE": _table,
    "RSQRT": _rsqrt,
    "RESHAPE": _reshape,
    "TRANSPOSE": _transpose,
    "PAD": _pad,
    "SPLIT": _split,
    "MUL": _multiply,
    "STRIDED_SLICE": _strided_slice,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
}

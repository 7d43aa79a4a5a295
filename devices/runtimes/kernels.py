"""Whether a device computes int8 kernels rightly: random inputs against the reference kernels of this machine.

Fast kernels are chosen by the processor's features, and some choose wrongly: LiteRT 2.1.6 under QEMU's processor `max`
answers nonsense without an error. One graph holds the kinds of kernels that compressed networks spend their time in.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ...errors import EdgewrightError
from ..measure import answers
from ..transports.transport import Transport, connect

SAMPLES = 256
MOST_STEPS = 1  # kernels may round halves differently
_SHAPE = (1, 9, 9, 12)
_IN, _OUT = (0.05, -3), (0.1, 2)  # (scale, zero point)
_WEIGHT_SCALE = 0.01
_Shape = tuple[int, ...]
_Steps = tuple[float, int] | None
_ONE, _TWO = {"strideW": 1, "strideH": 1}, {"strideW": 2, "strideH": 2}


@dataclass(frozen=True, kw_only=True)
class Kernels:
    """How far a device is from the reference. steps: kernel -> largest distance; equal: share of equal values."""

    device: str
    steps: dict[str, int]
    equal: float
    n: int

    @property
    def ok(self) -> bool:
        return max(self.steps.values()) <= MOST_STEPS

    def __str__(self) -> str:
        if self.ok:
            return f"int8 kernels within {max(self.steps.values())} step of the reference, {self.equal:.2%} equal"
        wrong = ", ".join(f"{name} {steps} steps off" for name, steps in self.steps.items() if steps > MOST_STEPS)
        return f"wrong int8 kernels, not to be used: {wrong}; {self.equal:.2%} of the values equal the reference"


def check(device: str | Transport, runtime: str = "litert", n: int = SAMPLES) -> Kernels:
    """Run `n` inputs on `device` and on this machine's reference kernels. Raises: EdgewrightError if that fails."""
    transport = connect(device)
    random = np.random.default_rng(0)
    inputs = random.uniform(-6, 6, (n, *_SHAPE[1:])).astype(np.float32)
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        path = Path(folder) / "kernels.tflite"
        path.write_bytes(graph())
        expected = answers(path, inputs, device="local", kernels="reference")
        found = answers(path, inputs, device=transport, tflite_runtime=runtime)
    if found.shape != expected.shape:
        raise EdgewrightError(f"{transport.name}: answers have shape {found.shape}, not {expected.shape}")
    steps = np.rint(np.abs(found - expected) / _OUT[0]).astype(int)
    ends = np.cumsum(list(_sizes().values()))[:-1]
    worst = {name: int(part.max()) for name, part in zip(_sizes(), np.split(steps, ends, axis=1), strict=True)}
    return Kernels(device=transport.name, steps=worst, equal=float(np.mean(steps == 0)), n=n)


def graph() -> bytes:
    """Return the model file: float in, int8 kernels side by side on the same input, their results in a row."""
    made = _Graph()
    quantized = made.apply("QUANTIZE", [made.input], _SHAPE, _IN)
    results = [made.kernel(name, quantized) for name in _KERNELS]
    rows = [made.row(result, size, _OUT) for result, size in zip(results, _sizes().values(), strict=True)]
    whole = (1, sum(_sizes().values()))
    return made.finish(made.apply("DEQUANTIZE", [made.apply("CONCATENATION", rows, whole, _OUT, axis=1)], whole, None))


# kernel -> (operator, shape of its weights, shape of its result, its options). Odd sizes reach the kernels' remainders.
_KERNELS: dict[str, tuple[str, _Shape | None, _Shape, dict[str, Any]]] = {
    "convolution": ("CONV_2D", (19, 3, 3, 12), (1, 9, 9, 19), _ONE),
    "strided convolution": ("CONV_2D", (17, 3, 3, 12), (1, 5, 5, 17), _TWO),
    "pointwise": ("CONV_2D", (35, 1, 1, 12), (1, 9, 9, 35), _ONE),
    "depthwise": (
        "DEPTHWISE_CONV_2D",
        (1, 3, 3, 12),
        (1, 9, 9, 12),
        _ONE | {"depthMultiplier": 1},
    ),
    "fully connected": ("FULLY_CONNECTED", (37, 972), (1, 37), {}),
    "addition": ("ADD", None, (1, 9, 9, 12), {}),
}


def _sizes() -> dict[str, int]:
    return {name: int(np.prod(shape)) for name, (_, _, shape, _) in _KERNELS.items()}


_OPERATORS = {  # operator: (its version for int8, the schema's table of its options)
    "QUANTIZE": (1, "QuantizeOptions"),
    "DEQUANTIZE": (2, "DequantizeOptions"),
    "RESHAPE": (1, "ReshapeOptions"),
    "CONCATENATION": (2, "ConcatenationOptions"),
    "CONV_2D": (3, "Conv2DOptions"),
    "DEPTHWISE_CONV_2D": (3, "DepthwiseConv2DOptions"),
    "FULLY_CONNECTED": (4, "FullyConnectedOptions"),
    "ADD": (2, "AddOptions"),
}


class _Graph:
    """A TFLite graph under construction, by the schema's own classes."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(1)
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: list[Any] = []
        self._buffers: list[Any] = [schema.BufferT()]  # the first one is empty by convention
        self.input = self._tensor(_SHAPE, None)

    def kernel(self, name: str, source: int) -> int:
        """Add a kernel of the table; return its result."""
        operator, weights, shape, options = _KERNELS[name]
        if weights is None:
            return self.apply(operator, [source, source], shape, _OUT, **options)
        if operator == "FULLY_CONNECTED":
            source = self.row(source, weights[1], _IN)
        values = self._random.integers(-127, 128, weights).astype(np.int8)
        fan_in = np.prod(weights) // max(weights[0], 1) if operator != "DEPTHWISE_CONV_2D" else 9
        scale = float(_WEIGHT_SCALE / np.sqrt(fan_in))
        outputs = weights[-1] if operator == "DEPTHWISE_CONV_2D" else weights[0]
        bias = self._random.integers(-3000, 3000, outputs).astype(np.int32)
        inputs = [
            source,
            self._tensor(weights, (scale, 0), values),
            self._tensor((outputs,), (scale * _IN[0], 0), bias),
        ]
        return self.apply(operator, inputs, shape, _OUT, **options)

    def row(self, source: int, size: int, steps: _Steps) -> int:
        """Add a change of shape to (1, size)."""
        return self.apply("RESHAPE", [source], (1, size), steps, newShape=[1, size])

    def apply(self, operator: str, inputs: list[int], shape: _Shape, steps: _Steps, **options: Any) -> int:
        """Add an operator; return its result's tensor. steps: its (scale, zero point), None for float."""
        found = schema.OperatorT()
        found.opcodeIndex, found.inputs, found.outputs = self._code(operator), inputs, [self._tensor(shape, steps)]
        table = _OPERATORS[operator][1]
        found.builtinOptionsType = getattr(schema.BuiltinOptions, table)
        found.builtinOptions = getattr(schema, f"{table}T")()
        for name, value in options.items():
            setattr(found.builtinOptions, name, value)
        self._operators.append(found)
        return found.outputs[0]

    def finish(self, output: int) -> bytes:
        import flatbuffers

        graph, model = schema.SubGraphT(), schema.ModelT()
        graph.tensors, graph.operators, graph.inputs, graph.outputs = (
            self._tensors,
            self._operators,
            [self.input],
            [output],
        )
        model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, self._codes, [graph], self._buffers
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _code(self, operator: str) -> int:
        number = getattr(schema.BuiltinOperator, operator)
        known = [code.builtinCode for code in self._codes]
        if number not in known:
            code = schema.OperatorCodeT()
            code.builtinCode, code.deprecatedBuiltinCode, code.version = number, number, _OPERATORS[operator][0]
            self._codes.append(code)
            known.append(number)
        return known.index(number)

    def _tensor(self, shape: _Shape, steps: _Steps, values: np.ndarray | None = None) -> int:
        tensor = schema.TensorT()
        tensor.shape, tensor.name, tensor.buffer = list(shape), f"t{len(self._tensors)}", 0
        dtype = "FLOAT32" if steps is None else "INT8" if values is None else values.dtype.name.upper()
        tensor.type = getattr(schema.TensorType, dtype)
        if steps is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [steps[0]], [steps[1]]
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = list(values.tobytes())
            tensor.buffer = len(self._buffers)
            self._buffers.append(buffer)
        self._tensors.append(tensor)
        return len(self._tensors) - 1

"""Files of one operator each, in every combination of types that its kernel might take: what the tables of
`devices/targets/kernels` are made from (see target_tables.py).

A probe is written as `inputs > outputs`, an operand as its type and shape, `int8:1,8,8,4`. A capital letter stands for
each type of `DOMAINS`. After the shape, `/0` is a kernel with one scale and with a scale for each channel of axis 0,
`!` a constant, `?` a constant and a computed tensor, `~` a state, and `=1,2` a constant of these values.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from edgewright.export.flatbuffer import Table, number, packed, table

DOMAINS = {
    "T": ("int8", "int16", "int32", "int64", "uint8", "float32", "bool"),
    "U": ("int8", "int16", "int32", "int64", "uint8", "float32", "bool"),
    "W": ("int8", "int4", "int16", "uint8", "float32"),
    "B": ("int32", "int64", "float32", "-"),
    "I": ("int32", "int64"),
}
Options = tuple[str, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Operand:
    """A tensor of a probe. channels: the axis of its scales, None for one scale; text: its type in a table."""

    dtype: str
    shape: tuple[int, ...] = ()
    values: tuple[int, ...] | None = None
    is_constant: bool = False
    is_state: bool = False
    channels: int | None = None
    is_optional: bool = False

    @property
    def text(self) -> str:
        """Return the operand as tables name it."""
        return self.dtype + "*" * (self.channels is not None) + "!" * self.is_constant


@dataclass(frozen=True, kw_only=True)
class Probe:
    """An operator on operands of certain types."""

    operator: str
    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
    options: Options | None = None
    variadic: str = ""
    intermediates: int = 0

    @property
    def signature(self) -> str:
        """Return the types as the tables of kernels have them."""
        ends = {"inputs": [one.text for one in self.inputs], "outputs": [one.text for one in self.outputs]}
        if self.variadic:
            ends[self.variadic][1:] = []
            ends[self.variadic][0] += "..."
        return " > ".join(" ".join(words) for words in ends.values())


_OPERAND = re.compile(
    r"(?P<type>[\w-]+)(:(?P<shape>[\d,]*))?(/(?P<channels>\d))?"
    r"(?P<constant>[!?~])?(=(?P<values>[-\d,]+))?"
)


def _operands(text: str, types: dict[str, str]) -> Iterator[list[Operand]]:
    """Yield the operands that `text` stands for, with the letters of `types` filled in."""
    choices = []
    for word in text.split():
        part = _OPERAND.fullmatch(word)
        assert part is not None, word
        dtype = types.get(part["type"], part["type"])
        shape = tuple(int(size) for size in (part["shape"] or "").split(",") if size)
        values = tuple(int(value) for value in part["values"].split(",")) if part["values"] else None
        plain = Operand(dtype=dtype, shape=shape, values=values, is_state=part["constant"] == "~")
        fixed = values is not None or part["channels"] is not None or part["constant"] == "!"
        variants = [replace(plain, is_constant=fixed)]
        if part["constant"] == "?":
            variants.append(replace(plain, is_constant=True))
        if part["channels"] is not None and dtype in ("int8", "int4"):
            variants.append(replace(variants[0], channels=int(part["channels"])))
        choices.append(variants if dtype != "-" else [plain])
    yield from (list(each) for each in itertools.product(*choices))


def _means_something(types: dict[str, str]) -> bool:
    """Tell whether data, kernel and bias are of one kind; runtimes that do not look compute nonsense otherwise."""
    if "B" not in types and "W" not in types:
        return True
    floats = {types[letter] == "float32" for letter in "TWB" if types.get(letter, "-") != "-"}
    return len(floats) == 1 and types.get("T") != "bool"


@dataclass(frozen=True)
class Template:
    """What a probe is made of: operands as text, the table of options."""

    operator: str
    text: str
    options: Options | None = None
    variadic: str = ""
    intermediates: int = 0
    domains: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def probes(self) -> Iterator[Probe]:
        """Yield a probe for each combination of types."""
        letters = [letter for letter in DOMAINS if re.search(rf"\b{letter}\b", self.text)]
        domains = {**DOMAINS, **self.domains}
        for types in itertools.product(*(domains[letter] for letter in letters)):
            chosen = dict(zip(letters, types, strict=True))
            if not _means_something(chosen):
                continue
            source, target = self.text.split(">")
            for inputs in _operands(source, chosen):
                for outputs in _operands(target, chosen):
                    yield Probe(operator=self.operator, inputs=tuple(inputs), outputs=tuple(outputs),
                                options=self.options, variadic=self.variadic, 
                                intermediates=self.intermediates)  # fmt: skip


def _window(**more: int) -> dict[str, int]:
    return {"strideH": 1, "strideW": 1, "padding": 0, **more}


def _binary(name: str, options: str, target: str = "T") -> Template:
    return Template(name, f"T:1,4,4,8 T:1,4,4,8? > {target}:1,4,4,8", (options, {}))


def _unary(name: str, options: str | None = None, **values: Any) -> Template:
    return Template(name, "T:1,4,4,8 > T:1,4,4,8", (options, values) if options else None)


def _reduce(name: str) -> Template:
    return Template(name, "T:1,4,4,8 int32:2=1,2 > T:1,8", ("ReducerOptions", {"keepDims": False}))


def _resize(name: str, options: str) -> Template:
    return Template(name, "T:1,4,4,8 int32:2=8,8 > T:1,8,8,8", (options, {"halfPixelCenters": True}))


_DILATED = _window(dilationHFactor=1, dilationWFactor=1)
TEMPLATES = (
    Template("CONV_2D", "T:1,8,8,4 W:8,3,3,4/0 B:8! > T:1,8,8,8", ("Conv2DOptions", _DILATED)),
    Template("DEPTHWISE_CONV_2D", "T:1,8,8,4 W:1,3,3,4/3 B:4! > T:1,8,8,4",
             ("DepthwiseConv2DOptions", {**_DILATED, "depthMultiplier": 1})),
    Template("TRANSPOSE_CONV", "int32:4=1,8,8,4 W:4,3,3,4/0 T:1,4,4,4 B:4! > T:1,8,8,4",
             ("TransposeConvOptions", _window(strideH=2, strideW=2))),
    Template("FULLY_CONNECTED", "T:1,16 W:8,16/0 B:8! > T:1,8", ("FullyConnectedOptions", {})),
    Template("FULLY_CONNECTED", "T:1,16 T:8,16 B:8! > T:1,8", ("FullyConnectedOptions", {})),
    Template("BATCH_MATMUL", "T:2,4,8 T:2,8,4? > T:2,4,4", ("BatchMatMulOptions", {})),
    _binary("ADD", "AddOptions"), _binary("SUB", "SubOptions"), _binary("MUL", "MulOptions"),
    _binary("DIV", "DivOptions"), _binary("MAXIMUM", "MaximumMinimumOptions"),
    _binary("MINIMUM", "MaximumMinimumOptions"), _binary("SQUARED_DIFFERENCE", "SquaredDifferenceOptions"),
    _binary("POW", "PowOptions"), _binary("FLOOR_DIV", "FloorDivOptions"), _binary("FLOOR_MOD", "FloorModOptions"),
    *(_binary(name, f"{words}Options", "bool") for name, words in (
        ("EQUAL", "Equal"), ("NOT_EQUAL", "NotEqual"), ("GREATER", "Greater"), ("GREATER_EQUAL", "GreaterEqual"),
        ("LESS", "Less"), ("LESS_EQUAL", "LessEqual"))),
    _binary("LOGICAL_AND", "LogicalAndOptions"), _binary("LOGICAL_OR", "LogicalOrOptions"),
    _unary("LOGICAL_NOT", "LogicalNotOptions"), _unary("ABS", "AbsOptions"), _unary("NEG", "NegOptions"),
    _unary("EXP", "ExpOptions"), _unary("SQUARE", "SquareOptions"), _unary("LOG"), _unary("SQRT"), _unary("RSQRT"),
    _unary("SIN"), _unary("COS", "CosOptions"), _unary("CEIL"), _unary("FLOOR"), _unary("ROUND"),
    _unary("RELU"), _unary("RELU6"), _unary("RELU_N1_TO_1"), _unary("RELU_0_TO_1"), _unary("ELU"),
    _unary("LOGISTIC"), _unary("TANH"), _unary("HARD_SWISH", "HardSwishOptions"),
    _unary("LEAKY_RELU", "LeakyReluOptions", alpha=0.1), _unary("GELU", "GeluOptions", approximate=False),
    _unary("SOFTMAX", "SoftmaxOptions", beta=1.0), _unary("LOG_SOFTMAX", "LogSoftmaxOptions"),
    _unary("L2_NORMALIZATION", "L2NormOptions"), _unary("ZEROS_LIKE", "ZerosLikeOptions"),
    Template("PRELU", "T:1,4,4,8 T:1,1,8! > T:1,4,4,8"),
    Template("CAST", "T:1,16 > U:1,16", ("CastOptions", {})),
    Template("QUANTIZE", "T:1,16 > U:1,16", ("QuantizeOptions", {})),
    Template("DEQUANTIZE", "T:1,16 > U:1,16", ("DequantizeOptions", {})),
    Template("SELECT", "bool:1,4,4,8 T:1,4,4,8 T:1,4,4,8 > T:1,4,4,8", ("SelectOptions", {})),
    Template("SELECT_V2", "bool:1,4,4,8 T:1,4,4,8? T:1,4,4,8? > T:1,4,4,8", ("SelectV2Options", {})),
    Template("MAX_POOL_2D", "T:1,8,8,4 > T:1,4,4,4",
             ("Pool2DOptions", _window(strideH=2, strideW=2, filterHeight=2, filterWidth=2))),
    Template("AVERAGE_POOL_2D", "T:1,8,8,4 > T:1,4,4,4",
             ("Pool2DOptions", _window(strideH=2, strideW=2, filterHeight=2, filterWidth=2))),
    *(_reduce(name) for name in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL")),
    Template("ARG_MAX", "T:1,16 int32:=1 > I:1", ("ArgMaxOptions", {})),
    Template("ARG_MIN", "T:1,16 int32:=1 > I:1", ("ArgMinOptions", {})),
    _resize("RESIZE_BILINEAR", "ResizeBilinearOptions"),
    _resize("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions"),
    Template("RESHAPE", "T:1,4,4,8 int32:2=1,128 > T:1,128", ("ReshapeOptions", {})),
    Template("EXPAND_DIMS", "T:1,4,8 int32:=1 > T:1,1,4,8", ("ExpandDimsOptions", {})),
    Template("SQUEEZE", "T:1,1,4,8 > T:1,4,8", ("SqueezeOptions", {"squeezeDims": [1]})),
    Template("TRANSPOSE", "T:1,4,6,8 int32:4=0,2,1,3 > T:1,6,4,8", ("TransposeOptions", {})),
    Template("CONCATENATION", "T:1,4,4,8 T:1,4,4,8 > T:1,4,4,16", ("ConcatenationOptions", {"axis": 3}), "inputs"),
    Template("PACK", "T:1,4,8 T:1,4,8 > T:1,2,4,8", ("PackOptions", {"axis": 1, "valuesCount": 2}), "inputs"),
    Template("UNPACK", "T:1,2,4,8 > T:1,4,8 T:1,4,8", ("UnpackOptions", {"axis": 1, "num": 2}), "outputs"),
    Template("SPLIT", "int32:=3 T:1,4,4,8 > T:1,4,4,4 T:1,4,4,4", ("SplitOptions", {"numSplits": 2}), "outputs"),
    Template("SPLIT_V", "T:1,4,4,8 int32:2=2,6 int32:=3 > T:1,4,4,2 T:1,4,4,6", ("SplitVOptions", {"numSplits": 2}),
             "outputs"),
    Template("ADD_N", "T:1,4,4,8 T:1,4,4,8 > T:1,4,4,8", ("AddNOptions", {}), "inputs"),
    Template("SLICE", "T:1,4,4,8 int32:4=0,1,1,0 int32:4=1,2,2,8 > T:1,2,2,8", ("SliceOptions", {})),
    Template("STRIDED_SLICE", "T:1,4,4,8 int32:4=0,0,0,0 int32:4=1,2,2,8 int32:4=1,1,1,1 > T:1,2,2,8",
             ("StridedSliceOptions", {})),
    Template("PAD", "T:1,4,4,8 int32:4,2=0,0,1,1,1,1,0,0 > T:1,6,6,8", ("PadOptions", {})),
    Template("PADV2", "T:1,4,4,8 int32:4,2=0,0,1,1,1,1,0,0 T:1! > T:1,6,6,8", ("PadV2Options", {})),
    Template("MIRROR_PAD", "T:1,4,4,8 int32:4,2=0,0,1,1,1,1,0,0 > T:1,6,6,8", ("MirrorPadOptions", {"mode": 0})),
    Template("GATHER", "T:16,8? I:1,4? > T:1,4,8", ("GatherOptions", {"axis": 0})),
    Template("GATHER_ND", "T:16,8? I:4,1? > T:4,8", ("GatherNdOptions", {})),
    Template("EMBEDDING_LOOKUP", "int32:4 W:16,8/0 > T:4,8"),
    Template("TILE", "T:1,4,8 int32:3=1,2,1 > T:1,8,8", ("TileOptions", {})),
    Template("BROADCAST_TO", "T:1,1,8 int32:3=1,4,8 > T:1,4,8", ("BroadcastToOptions", {})),
    Template("REVERSE_V2", "T:1,4,8 int32:1=1 > T:1,4,8", ("ReverseV2Options", {})),
    Template("CUMSUM", "T:1,16 int32:=1 > T:1,16", ("CumsumOptions", {})),
    Template("DEPTH_TO_SPACE", "T:1,4,4,8 > T:1,8,8,2", ("DepthToSpaceOptions", {"blockSize": 2})),
    Template("SPACE_TO_DEPTH", "T:1,4,4,8 > T:1,2,2,32", ("SpaceToDepthOptions", {"blockSize": 2})),
    Template("SPACE_TO_BATCH_ND", "T:1,4,4,8 int32:2=2,2 int32:2,2=0,0,0,0 > T:4,2,2,8", ("SpaceToBatchNDOptions", {})),
    Template("BATCH_TO_SPACE_ND", "T:4,2,2,8 int32:2=2,2 int32:2,2=0,0,0,0 > T:1,4,4,8", ("BatchToSpaceNDOptions", {})),
    Template("CONV_3D", "T:1,4,4,4,2 float32:3,3,3,2,4! B:4! > T:1,4,4,4,4",
             ("Conv3DOptions", {"strideD": 1, "strideH": 1, "strideW": 1, "padding": 0})),
    Template("SHAPE", "T:1,4,8 > I:3", ("ShapeOptions", {})),
    Template("FILL", "int32:3=1,4,8 T:! > T:1,4,8", ("FillOptions", {})),
    Template("TOPK_V2", "T:1,16 int32:=2 > T:1,2 int32:1,2", ("TopKV2Options", {})),
    Template("UNIDIRECTIONAL_SEQUENCE_LSTM",
             "T:1,4,8 " + "W:8,8! " * 8 + "- - - " + "B:8! " * 4 + "- - T:1,8~ U:1,8~ - - - - > T:1,4,8",
             ("UnidirectionalSequenceLSTMOptions", {"fusedActivationFunction": 4}), intermediates=5,
             domains={"T": ("int8", "int16", "float32"), "U": ("int8", "int16", "float32"),
                      "W": ("int8", "int4", "float32"), "B": ("int32", "int64", "float32")}),
)  # fmt: skip


def probes(operator: str = "") -> Iterator[Probe]:
    """Yield all probes, or those of one operator."""
    for template in TEMPLATES:
        if not operator or template.operator == operator:
            yield from template.probes()


# ---------------------------------------------------------------- files

SCALES = {"int8": (1 / 128, 0), "uint8": (1 / 128, 128), "int16": (1 / 32768, 0), "int4": (1 / 8, 0)}
# Results whose range the operator itself fixes
FIXED = {
    ("SOFTMAX", "int8"): (1 / 256, -128), ("LOGISTIC", "int8"): (1 / 256, -128), ("SOFTMAX", "uint8"): (1 / 256, 0),
    ("LOGISTIC", "uint8"): (1 / 256, 0), ("LOG_SOFTMAX", "int8"): (16 / 256, 127),
    ("LOG_SOFTMAX", "uint8"): (16 / 256, 255),
}  # fmt: skip
WITH_BIAS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "CONV_3D")


def file_of(probe: Probe) -> bytes:
    """Return a .tflite file of that one operator, all its computed tensors inputs or outputs of the file."""
    writer = _Writer(probe)
    ends = {end: [writer.tensor(one, end) for one in getattr(probe, end)] for end in ("inputs", "outputs")}
    given = [index for index, one in zip(ends["inputs"], probe.inputs, strict=True)
             if index >= 0 and not one.is_constant and not one.is_state]  # fmt: skip
    operator = table("Operator", opcodeIndex=0, **{end: np.array(ends[end], np.int32) for end in ends})
    if probe.intermediates:
        hidden = [writer.tensor(replace(probe.outputs[0], shape=(0,)), "inner") for _ in range(probe.intermediates)]
        operator.intermediates = np.array(hidden, np.int32)
    if probe.options:
        kind, values = probe.options
        operator.builtinOptions = table(kind, **_typed(probe, kind, values))
        operator.builtinOptionsType = number("BuiltinOptions", kind)
    builtin = number("BuiltinOperator", probe.operator)
    code = table("OperatorCode", builtinCode=builtin, deprecatedBuiltinCode=min(builtin, 127), version=4)
    graph = table("SubGraph", name="probe", operators=[operator], tensors=writer.tensors,
                  inputs=np.array(given, np.int32), outputs=np.array(ends["outputs"], np.int32))  # fmt: skip
    return packed(table("Model", version=3, operatorCodes=[code], buffers=writer.buffers, subgraphs=[graph]))


def _typed(probe: Probe, kind: str, values: dict[str, Any]) -> dict[str, Any]:
    """Add what options say of types."""
    types = {end: number("TensorType", getattr(probe, end)[0].dtype.upper()) for end in ("inputs", "outputs")}
    told = {
        "CastOptions": {"inDataType": types["inputs"], "outDataType": types["outputs"]},
        "ArgMaxOptions": {"outputType": types["outputs"]},
        "ArgMinOptions": {"outputType": types["outputs"]},
        "ShapeOptions": {"outType": types["outputs"]},
    }
    return {**values, **told.get(kind, {})}


class _Writer:
    def __init__(self, probe: Probe):
        self.probe, self.tensors, self.buffers = probe, [], [table("Buffer")]

    def tensor(self, operand: Operand, end: str) -> int:
        """Add a tensor; return its number, -1 for one that is absent."""
        if operand.dtype == "-":
            return -1
        self.tensors.append(table(
            "Tensor", name=f"{end}_{len(self.tensors)}", shape=np.array(operand.shape, np.int32), hasRank=True,
            type=number("TensorType", operand.dtype.upper()), isVariable=operand.is_state,
            buffer=self.buffer(operand) if operand.is_constant else 0,
            quantization=self.quantization(operand, end),
        ))  # fmt: skip
        return len(self.tensors) - 1

    def buffer(self, operand: Operand) -> int:
        """Add the contents of a constant: its values, or ones."""
        count = int(np.prod(operand.shape, dtype=np.int64))
        if operand.values is not None:
            data = np.array(operand.values, operand.dtype)
        elif operand.dtype == "int4":
            data = np.full(-(-count // 2), 0x11, np.uint8)
        else:
            data = np.ones(count, operand.dtype)
        self.buffers.append(table("Buffer", data=np.frombuffer(data.tobytes(), np.uint8)))
        return len(self.buffers) - 1

    def quantization(self, operand: Operand, end: str) -> Table:
        """Return scale and zero point; a bias has those of data times kernel, a number that only counts has none."""
        wide = operand.dtype in ("int32", "int64")
        is_bias = wide and operand.is_constant and operand.values is None and self.probe.operator in WITH_BIAS
        if not is_bias and operand.dtype not in SCALES:
            return table("QuantizationParameters")
        scale, zero_point = SCALES.get(operand.dtype, (1.0, 0))
        if end != "inputs":
            scale, zero_point = FIXED.get((self.probe.operator, operand.dtype), (scale, zero_point))
        kernel = next((one for one in self.probe.inputs if one.channels is not None), None)
        channels, axis = 1, 0
        if is_bias:
            data = next(one for one in self.probe.inputs if not one.is_constant)
            weights = next(one for one in self.probe.inputs[1:] if len(one.shape) > 1)
            scale = SCALES.get(data.dtype, (1, 0))[0] * SCALES.get(weights.dtype, (1, 0))[0]
            channels = operand.shape[0] if kernel else 1
        elif operand.channels is not None:
            channels, axis = operand.shape[operand.channels], operand.channels
        return table("QuantizationParameters", scale=np.full(channels, scale, np.float32),
                     zeroPoint=np.full(channels, zero_point, np.int64), quantizedDimension=axis)  # fmt: skip

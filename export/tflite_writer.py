"""Writes a `Program` as a .tflite flatbuffer through the generated schema of ai-edge-litert."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..errors import BadInput
from .convert import convert
from .lower import Array, Operator, Program

# Lowest version of each operator that takes int8 (per channel where it has a kernel), so that older runtimes load the
# file.
VERSIONS = {
    "EQUAL": 2, "NOT_EQUAL": 2, "GREATER": 2, "GREATER_EQUAL": 2, "LESS": 2, "LESS_EQUAL": 2,
    "ELU": 1,
    "GELU": 2,
    "LEAKY_RELU": 2,
    "LOG_SOFTMAX": 2,
    "REDUCE_MAX": 2,
    "REDUCE_MIN": 2,
    "RESIZE_BILINEAR": 3,
    "RESIZE_NEAREST_NEIGHBOR": 3,
    "TRANSPOSE_CONV": 3,
    "ADD": 2, "ARG_MAX": 2, "ARG_MIN": 2, "AVERAGE_POOL_2D": 2, "BATCH_MATMUL": 2, "CONCATENATION": 2, "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3, "DEQUANTIZE": 2, "FULLY_CONNECTED": 4, "GATHER": 2, "LOGISTIC": 2, "MAXIMUM": 2,
    "MAX_POOL_2D": 2, "MEAN": 2, "MINIMUM": 2, "MUL": 2, "PACK": 2, "PAD": 2, "RELU": 2, "RELU6": 2, "RSQRT": 2,
    "SOFTMAX": 2, "SPLIT": 2, "STRIDED_SLICE": 2, "SUB": 2, "SUM": 2, "TANH": 2, "TRANSPOSE": 2, "UNPACK": 2,
}  # fmt: skip
# Which of an operator's inputs goes where, for operators with optional ones between them: here the peepholes and the
# projection of an LSTM.
SLOTS = {"UNIDIRECTIONAL_SEQUENCE_LSTM": (*range(9), None, None, None, *range(9, 13), None, None, 13, 14)}
_ACTIVATIONS = {None: "NONE", "RELU": "RELU", "RELU6": "RELU6"}


def write_tflite(program: Program, description: str = "") -> bytes:
    """Return the program as the bytes of a .tflite file, the same bytes for the same program."""
    writer = _Writer()
    subgraph = schema.SubGraphT()
    subgraph.name = program.name
    subgraph.inputs = [writer.tensor(array) for array in program.inputs]
    operators = [part for one in program.operators for part in _spelled_out(one)]  # kept: arrays go by their ids
    subgraph.operators = [entry for one in operators for entry in writer.operators(one)]
    subgraph.outputs = [writer.tensor(array) for array in program.outputs]
    subgraph.tensors = writer.tensors
    model = schema.ModelT()
    model.version = 3
    model.description = description
    model.operatorCodes = writer.codes
    model.buffers = writer.buffers
    model.subgraphs = [subgraph]
    model.signatureDefs = [_signature(program, subgraph)]
    builder = _SharingBuilder(1 << 16)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _spelled_out(one: Operator) -> list[Operator]:
    """Return the operators that LiteRT has for `one`."""
    return SPELLED_OUT[one.name](one) if one.name in SPELLED_OUT else [one]


def _table(one: Operator) -> list[Operator]:
    """Write a table look-up: the int8 value, shifted to 0..255, indexes a gather."""
    source, entries = one.inputs
    wide, index = (Array(f"{one.outputs[0].name}.{part}", source.shape, "int32") for part in ("wide", "index"))
    shift = Array("table_shift", (), "int32", data=np.array(128, np.int32))
    return [
        Operator("CAST", [source], [wide]),
        Operator("ADD", [wide, shift], [index]),
        Operator("GATHER", [entries, index], one.outputs, {"axis": 0}),
    ]


def _leaky_relu(one: Operator) -> list[Operator]:
    """Write it in int8 as the larger, of a slope above 1 the smaller, of two products.

    The kernel of that name multiplies by 256ths, a step off on up to 7% of values; that of products rounds once. On
    XNNPACK the three take 0.4 ns a value, the one 0.2 ns, a table 4 ns.
    """
    (source,), (target,), slope = one.inputs, one.outputs, one.options["alpha"]
    if source.dtype != "int8":
        return [one]
    products, operators = [], []
    for name, factor in (("whole", 1.0), ("leak", slope)):
        scale = np.array([abs(factor) / 127], np.float32)
        number = Array(f"{target.name}.{name}", (1,), "int8", scale, data=np.array([np.sign(factor) * 127], np.int8))
        products.append(Array(f"{target.name}.by_{name}", target.shape, "int8", target.scale, target.zero_point))
        operators.append(Operator("MUL", [source, number], [products[-1]]))
    return [*operators, Operator("MAXIMUM" if slope <= 1 else "MINIMUM", products, [target])]


SPELLED_OUT = {"TABLE": _table, "LEAKY_RELU": _leaky_relu}


def _signature(program: Program, subgraph: Any) -> Any:
    signature = schema.SignatureDefT()
    signature.signatureKey = "serving_default"
    signature.subgraphIndex = 0
    signature.inputs = [_named(array, index) for array, index in zip(program.inputs, subgraph.inputs, strict=True)]
    signature.outputs = [_named(array, index) for array, index in zip(program.outputs, subgraph.outputs, strict=True)]
    return signature


def _named(array: Array, index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = array.name, index
    return entry


class _SharingBuilder(flatbuffers.Builder):
    """Writes equal vectors once: each channel of each kernel and bias has a zero point of eight bytes, always 0."""

    def __init__(self, size: int):
        super().__init__(size)
        self._written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: np.ndarray) -> int:
        key = x.dtype.str, x.tobytes()
        if key not in self._written:
            self._written[key] = super().CreateNumpyVector(x)
        return self._written[key]


class _Writer:
    def __init__(self):
        self.buffers = [schema.BufferT()]  # buffer 0 is empty by definition
        self.tensors: list[Any] = []
        self.codes: list[Any] = []
        self.index: dict[int, int] = {}
        self.code_index: dict[str, int] = {}
        self.stored: dict[bytes, int] = {}
        self.kept: list[Operator] = []

    def tensor(self, array: Array | None) -> int:
        if array is None:
            return -1
        if id(array) not in self.index:
            self.index[id(array)] = len(self.tensors)
            entry = schema.TensorT()
            entry.name = array.name
            entry.shape = np.array(array.shape, np.int32)
            entry.type = _type(array)
            entry.hasRank = True
            entry.buffer = self.buffer(_packed(array.data) if array.dtype == "int4" else array.data)
            entry.quantization = _quantization(array)
            entry.isVariable = array.is_state
            self.tensors.append(entry)
        return self.index[id(array)]

    def buffer(self, data: np.ndarray | None) -> int:
        if data is None:
            return 0
        content = np.ascontiguousarray(data).tobytes()
        if content not in self.stored:
            self.stored[content] = len(self.buffers)
            entry = schema.BufferT()
            entry.data = np.frombuffer(content, np.uint8)
            self.buffers.append(entry)
        return self.stored[content]

    def operators(self, one: Operator) -> list[Any]:
        return self.fragment(one) if one.fragment else [self.operator(one)]

    def fragment(self, one: Operator) -> list[Any]:
        """Convert a frozen graph and return its operators, their tensors put among ours."""
        model = schema.ModelT.InitFromObj(
            schema.Model.GetRootAsModel(convert(one.fragment, "tflite", what=one.described), 0)
        )
        if len(model.subgraphs) > 1:
            raise BadInput(
                f"{one.described} becomes a loop or a branch in LiteRT, which an integer program cannot hold: "
                f"leave the layer that holds it out of the model, or export in float"
            )
        (graph,) = model.subgraphs
        given = {f"input_{index}": array for index, array in enumerate(one.inputs)}
        arrays = {index: given[graph.tensors[index].name.decode()] for index in graph.inputs}
        copies = []
        for index, out in zip(graph.outputs, one.outputs, strict=True):
            if arrays.setdefault(index, out) is not out:  # an input as it is, or the same result twice
                shape = Array(f"{out.name}.shape", (len(out.shape),), "int32", data=np.array(out.shape, np.int32))
                copies.append(Operator("RESHAPE", [arrays[index], shape], [out], {"shape": out.shape}))
        for index in set(arrays) - set(graph.inputs):
            if (stored := model.buffers[graph.tensors[index].buffer].data) is not None:  # the converter computed it
                kind = np.dtype(arrays[index].dtype)
                arrays[index].data = np.frombuffer(bytes(stored), kind).reshape(arrays[index].shape)
        ours = {index: self.tensor(array) for index, array in arrays.items()}
        for index, entry in enumerate(graph.tensors):
            if index not in ours:
                entry.buffer = self.buffer(model.buffers[entry.buffer].data)
                ours[index] = len(self.tensors)
                self.tensors.append(entry)
        for entry in graph.operators:
            entry.opcodeIndex = self.converted_code(model.operatorCodes[entry.opcodeIndex])
            for field in ("inputs", "outputs"):
                indices = [ours[index] if index >= 0 else index for index in getattr(entry, field)]
                setattr(entry, field, np.array(indices, np.int32))
        self.kept += copies  # tensors go by the ids of their arrays
        return [*(graph.operators or []), *map(self.operator, copies)]

    def converted_code(self, code: Any) -> int:
        key = f"{code.builtinCode} {code.customCode} version {code.version}"
        if key not in self.code_index:
            self.code_index[key] = len(self.codes)
            self.codes.append(code)
        return self.code_index[key]

    def operator(self, one: Operator) -> Any:
        entry = schema.OperatorT()
        entry.opcodeIndex = self.code(one.name)
        slots = SLOTS.get(one.name, range(len(one.inputs)))
        entry.inputs = np.array([-1 if slot is None else self.tensor(one.inputs[slot]) for slot in slots], np.int32)
        entry.outputs = np.array([self.tensor(array) for array in one.outputs], np.int32)
        if hidden := one.options.get("hidden"):
            entry.intermediates = np.array([self.tensor(hidden)] * 5, np.int32)
        options = _options(one)
        if options is not None:
            entry.builtinOptions = options
            entry.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        return entry

    def code(self, name: str) -> int:
        if name not in self.code_index:
            self.code_index[name] = len(self.codes)
            entry = schema.OperatorCodeT()
            entry.builtinCode = getattr(schema.BuiltinOperator, name)
            entry.deprecatedBuiltinCode = min(entry.builtinCode, 127)
            entry.version = VERSIONS.get(name, 1)
            self.codes.append(entry)
        return self.code_index[name]


def _packed(integers: np.ndarray) -> np.ndarray:
    """Return two 4-bit integers a byte, the first in the low half."""
    flat = integers.reshape(-1).astype(np.uint8) & 0xF
    flat = np.append(flat, np.zeros(flat.size % 2, np.uint8))
    return flat[::2] | flat[1::2] << 4


def _type(array: Array) -> int:
    return getattr(schema.TensorType, array.dtype.upper())


def _quantization(array: Array) -> Any:
    entry = schema.QuantizationParametersT()
    if array.scale is not None:
        entry.scale = array.scale.astype(np.float32)
        entry.zeroPoint = np.full(array.scale.shape, array.zero_point, np.int64)
        entry.quantizedDimension = array.axis
    return entry


def _fill(options: Any, **values: Any) -> Any:
    for key, value in values.items():
        setattr(options, key, value)
    return options


def _window(options: Any, values: dict[str, Any]) -> Any:
    """Set what convolutions and pools have in common."""
    height, width = values["strides"]
    padding = getattr(schema.Padding, values["padding"].upper())
    return _fill(options, strideH=height, strideW=width, padding=padding)


def _fused(options: Any, values: dict[str, Any]) -> Any:
    kind = getattr(schema.ActivationFunctionType, _ACTIVATIONS[values.get("activation")])
    return _fill(options, fusedActivationFunction=kind)


def _convolution(one: Operator) -> Any:
    depthwise = one.name == "DEPTHWISE_CONV_2D"
    options = _fused(
        _window(schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT(), one.options), one.options
    )
    height, width = one.options["dilation"]
    _fill(options, dilationHFactor=height, dilationWFactor=width)
    return _fill(options, depthMultiplier=one.inputs[1].shape[-1] // one.inputs[0].shape[-1]) if depthwise else options


def _pool(one: Operator) -> Any:
    height, width = one.options["pool_size"]
    return _fill(_fused(_window(schema.Pool2DOptionsT(), one.options), {}), filterHeight=height, filterWidth=width)


def _reducer(one: Operator) -> Any:
    return _fill(schema.ReducerOptionsT(), keepDims=one.options["keepdims"])


def _options(one: Operator) -> Any:
    """Return the built-in options of an operator, or None where it has none."""
    make = _OPTIONS.get(one.name)
    return make(one) if make else None


_OPTIONS = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "MAX_POOL_2D": _pool,
    "AVERAGE_POOL_2D": _pool,
    "FULLY_CONNECTED": lambda one: _fill(
        _fused(schema.FullyConnectedOptionsT(), one.options), keepNumDims=len(one.inputs[0].shape) > 2
    ),
    "BATCH_MATMUL": lambda one: _fill(schema.BatchMatMulOptionsT(), adjY=one.options["transposed"]),
    "ADD": lambda one: _fused(schema.AddOptionsT(), one.options),
    "SUB": lambda one: _fused(schema.SubOptionsT(), one.options),
    "MUL": lambda one: _fused(schema.MulOptionsT(), one.options),
    "MAXIMUM": lambda one: schema.MaximumMinimumOptionsT(),
    "MINIMUM": lambda one: schema.MaximumMinimumOptionsT(),
    "ARG_MAX": lambda one: _fill(schema.ArgMaxOptionsT(), outputType=_type(one.outputs[0])),
    "ARG_MIN": lambda one: _fill(schema.ArgMinOptionsT(), outputType=_type(one.outputs[0])),
    "SOFTMAX": lambda one: _fill(schema.SoftmaxOptionsT(), beta=1.0),
    "MEAN": _reducer,
    "SUM": _reducer,
    "RESHAPE": lambda one: _fill(schema.ReshapeOptionsT(), newShape=np.array(one.options["shape"], np.int32)),
    "TRANSPOSE": lambda one: schema.TransposeOptionsT(),
    "PAD": lambda one: schema.PadOptionsT(),
    "CAST": lambda one: _fill(
        schema.CastOptionsT(), inDataType=_type(one.inputs[0]), outDataType=_type(one.outputs[0])
    ),
    "LEAKY_RELU": lambda one: _fill(schema.LeakyReluOptionsT(), alpha=one.options["alpha"]),
    "GELU": lambda one: _fill(schema.GeluOptionsT(), approximate=one.options["approximate"]),
    "LOG_SOFTMAX": lambda one: schema.LogSoftmaxOptionsT(),
    "REDUCE_MAX": _reducer,
    "REDUCE_MIN": _reducer,
    "REDUCE_ANY": _reducer,
    "REDUCE_ALL": _reducer,
    "SELECT_V2": lambda one: schema.SelectV2OptionsT(),
    "TRANSPOSE_CONV": lambda one: _window(schema.TransposeConvOptionsT(), one.options),
    "RESIZE_NEAREST_NEIGHBOR": lambda one: _fill(schema.ResizeNearestNeighborOptionsT(), halfPixelCenters=True),
    "RESIZE_BILINEAR": lambda one: _fill(schema.ResizeBilinearOptionsT(), halfPixelCenters=True),
    "SPLIT": lambda one: _fill(schema.SplitOptionsT(), numSplits=one.options["count"]),
    "UNPACK": lambda one: _fill(schema.UnpackOptionsT(), num=len(one.outputs), axis=one.options["axis"]),
    "PACK": lambda one: _fill(schema.PackOptionsT(), valuesCount=len(one.inputs), axis=one.options["axis"]),
    "CONCATENATION": lambda one: _fill(_fused(schema.ConcatenationOptionsT(), {}), axis=one.options["axis"]),
    "GATHER": lambda one: _fill(schema.GatherOptionsT(), axis=one.options["axis"]),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": lambda one: _fill(
        schema.UnidirectionalSequenceLSTMOptionsT(), fusedActivationFunction=schema.ActivationFunctionType.TANH
    ),
    "STRIDED_SLICE": lambda one: _fill(schema.StridedSliceOptionsT(), shrinkAxisMask=one.options["dropped"]),
    "QUANTIZE": lambda one: schema.QuantizeOptionsT(),
    "DEQUANTIZE": lambda one: schema.DequantizeOptionsT(),
}

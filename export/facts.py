"""What a manifest says of a file's graph: its inputs and outputs, its states, its operators."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NotRequired, TypedDict

import numpy as np

from .convert import InputSpec
from .flatbuffer import Table, names, view
from .layouts import Layout, shape_of
from .program import Array, Dequantize, Operator, Program, Quantize
from .tflite_operators import name_of


class End(TypedDict):
    """An input or an output.

    scale, zero_point: of the integers at it, or right behind a float one; None where there are none. range: the least
    and the largest value that an input holds, which calibration found. layout: "nhwc" or "nchw", of an input of rank 4.
    """

    name: str
    shape: list[int]
    dtype: str
    scale: float | None
    zero_point: int | None
    range: NotRequired[list[float]]
    layout: NotRequired[Layout]


class Layer(TypedDict):
    """An operator of the file: its first output, its name and the type that it computes in."""

    name: str
    op: str
    dtype: str


class Facts(TypedDict):
    """Entries of a manifest. states: output -> the input that it becomes in the next call."""

    inputs: list[End]
    outputs: list[End]
    states: dict[str, str]
    stateful: bool
    layers: list[Layer]
    quantized_ops: NotRequired[int]
    float_ops: NotRequired[int]


def of_program(program: Program, states: Mapping[str, str]) -> Facts:
    """Return what a manifest says of the file that `program` becomes; its operators are called as LiteRT does."""
    operators = [operator for operator in program.operators if not operator.is_border]
    before = {id(each.outputs[0]): each.inputs[0] for each in program.operators if isinstance(each, Dequantize)}
    behind = {id(each.inputs[0]): each.outputs[0] for each in program.operators if isinstance(each, Quantize)}
    return {
        "inputs": [
            _laid_out(_input(array, behind.get(id(array), array)), array in program.channels_first)
            for array in program.inputs
        ],
        "outputs": [_end(array, before.get(id(array), array)) for array in program.outputs],
        "states": dict(states),
        "stateful": program.is_stateful,
        "layers": [_layer(operator) for operator in operators],
        "quantized_ops": len(operators) - len(program.float_operators),
        "float_ops": len(program.float_operators),
    }


def _layer(operator: Operator) -> Layer:
    out = operator.outputs[0]
    return {"name": out.name, "op": name_of(operator), "dtype": "float32" if operator.is_float else out.dtype}


def _end(array: Array, inside: Array) -> End:
    quantized = array if array.scale is not None else inside
    return {
        "name": array.name,
        "shape": list(array.shape),
        "dtype": array.dtype,
        "scale": None if quantized.scale is None else float(quantized.scale[0]),
        "zero_point": None if quantized.scale is None else quantized.zero_point,
    }


def _input(array: Array, inside: Array) -> End:
    end = _end(array, inside)
    if inside.scale is None:
        return end
    limits, scale = np.iinfo(inside.dtype), float(inside.scale[0])
    return {**end, "range": [(limit - inside.zero_point) * scale for limit in (limits.min, limits.max)]}


def _laid_out(end: End, is_first: bool) -> End:
    """Say of an input (N, H, W, C) how the file takes it."""
    if len(end["shape"]) != 4:
        return end
    return {**end, "shape": shape_of(end["shape"], is_first), "layout": "nchw" if is_first else "nhwc"}


def of_file(
    data: bytes,
    format: str,
    inputs: Sequence[InputSpec],
    outputs: Sequence[str],
    states: Mapping[str, str],
    first: Collection[str] = (),
) -> Facts:
    """Return what a manifest says of a file that a converter wrote. outputs: their names; two may be one tensor. first:
    the inputs that it takes with their channels first.
    """
    given: list[End] = [
        {"name": spec.name, "shape": list(spec.shape), "dtype": spec.dtype, "scale": None, "zero_point": None}
        for spec in inputs
    ]
    given = [_laid_out(end, end["name"] in first) for end in given]
    ends, layers = READERS[format](data)
    made: list[End] = [{**end, "name": name} for end, name in zip(ends, outputs, strict=True)]
    return {"inputs": given, "outputs": made, "states": dict(states), "stateful": False, "layers": layers}


def _read_tflite(data: bytes) -> tuple[list[End], list[Layer]]:
    model = view(data)
    graph = model.Subgraphs(0)
    types = {value: name.lower() for value, name in names("TensorType").items()}

    def end(tensor: Table) -> End:
        steps = tensor.Quantization()
        quantized = steps if steps is not None and steps.ScaleLength() == 1 else None
        return {
            "name": tensor.Name().decode(),
            "shape": [int(size) for size in tensor.ShapeAsNumpy()] if tensor.ShapeLength() else [],
            "dtype": types[tensor.Type()],
            "scale": None if quantized is None else float(quantized.Scale(0)),
            "zero_point": None if quantized is None else int(quantized.ZeroPoint(0)),
        }

    def layer(operator: Table) -> Layer:
        code, made = model.OperatorCodes(operator.OpcodeIndex()), graph.Tensors(operator.Outputs(0))
        custom, builtin = code.CustomCode(), max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        op = custom.decode() if custom else names("BuiltinOperator")[builtin]
        return {"name": made.Name().decode(), "op": op, "dtype": types[made.Type()]}

    ends = [end(graph.Tensors(graph.Outputs(index))) for index in range(graph.OutputsLength())]
    return ends, [layer(graph.Operators(index)) for index in range(graph.OperatorsLength())]


def _read_onnx(data: bytes) -> tuple[list[End], list[Layer]]:
    import onnx

    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(data)).graph
    types = {
        value.name: onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name
        for value in [*graph.value_info, *graph.output]
    }
    outputs: list[End] = [
        {
            "name": value.name,
            "shape": [side.dim_value for side in value.type.tensor_type.shape.dim],
            "dtype": types[value.name],
            "scale": None,
            "zero_point": None,
        }
        for value in graph.output
    ]
    layers: list[Layer] = [
        {"name": node.output[0], "op": node.op_type, "dtype": types.get(node.output[0], "float32")}
        for node in graph.node
    ]
    return outputs, layers


READERS = {"tflite": _read_tflite, "onnx": _read_onnx}

"""Writes a `Program` as ONNX in QDQ form: float operators between QuantizeLinear and DequantizeLinear.

The integers, scales and zero points are those of the program, so an ONNX file and a TFLite file of one model hold the
same quantization.
"""

from __future__ import annotations

from typing import Any

import onnx
from onnx import helper

from .. import __version__
from ..errors import BadInput, EdgewrightError
from .convert import convert
from .layouts import shape_of
from .onnx_graph import FIRST, LAST, OnnxGraph, onnx_dtype
from .onnx_operators import WRITE
from .program import Array, Fragment, Program

OPSET, OPSET_OF_INT16 = 18, 21  # 21 is the first whose QuantizeLinear knows int16


def write_onnx(program: Program) -> bytes:
    """Return the program as the bytes of a checked .onnx file.

    Raises: BadInput for a program that keeps states; EdgewrightError where the file is not valid ONNX.
    """
    if program.is_stateful:
        raise BadInput("ONNX knows no fused int8 recurrence: use QatConfig(recurrence='unrolled') for it")
    graph = OnnxGraph(program.operators)
    inputs = []
    for array in program.inputs:
        is_first = array in program.channels_first
        name = graph.names[array, FIRST if is_first else LAST] = graph.unique(array.name)
        inputs.append(_value(name, array, is_first))
    for operator in program.operators:
        if isinstance(operator, Fragment):
            _fragment(graph, operator)
        else:
            WRITE[type(operator)](graph, operator)
    outputs = []
    for array in program.outputs:
        graph.nodes.append(helper.make_node("Identity", [graph.read(array)], [array.name], name=array.name))
        outputs.append(_value(array.name, array))
    made = helper.make_graph(graph.nodes, program.name, inputs, outputs, list(graph.initializers.values()))
    is_wide = any(array.dtype == "int16" for operator in program.operators for array in operator.outputs)
    return _checked(made, program.name, is_wide)


def _checked(graph: onnx.GraphProto, name: str, is_wide: bool) -> bytes:
    """Return the bytes of a model.  Raises: EdgewrightError with the checker's words."""
    opset = helper.make_opsetid("", OPSET_OF_INT16 if is_wide else OPSET)
    model = helper.make_model(
        graph,
        opset_imports=[opset],
        producer_name="edgewright",
        producer_version=__version__,
        ir_version=10 if is_wide else 9,
    )
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = str(error).strip().splitlines()[0]
        raise EdgewrightError(f"model {name!r} cannot be written as ONNX: {reason}") from error
    return model.SerializeToString(deterministic=True)


def _value(name: str, array: Array, is_first: bool = False) -> Any:
    # borders with a scale keep real values outside: the Q/DQ pair next to them holds it
    return helper.make_tensor_value_info(name, onnx_dtype(array), shape_of(array.shape, is_first))


def _fragment(graph: OnnxGraph, fragment: Fragment) -> None:
    """Convert a frozen graph and put its nodes among ours; of its names only the ends meet."""
    converted = onnx.load_from_string(convert(fragment.graph, "onnx", what=fragment.described))
    prefix = f"{graph.unique(fragment.outputs[0].name)}/"
    inner = onnx.compose.add_prefix_graph(converted.graph, prefix)
    for index, array in enumerate(fragment.inputs):
        given = f"{prefix}input_{index}:0"
        graph.nodes.append(helper.make_node("Identity", [graph.read(array)], [given], name=given))
    graph.nodes += inner.node
    graph.initializers |= {entry.name: entry for entry in inner.initializer}
    for array, value in zip(fragment.outputs, inner.output, strict=True):
        graph.write(array, value.name)

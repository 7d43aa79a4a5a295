"""The integer program: typed, neutral, and known to both writers in full."""

import dataclasses
import typing

import numpy as np
import pytest
from edgewright.export import program
from edgewright.export.flatbuffer import schema
from edgewright.export.onnx_operators import BINARY, COMPARE, REDUCE, ROWWISE, UNARY, WRITE
from edgewright.export.program import Array, Operator, Program
from edgewright.export.tflite_operators import NAMES, name_of
from edgewright.export.tflite_versions import BY_TYPE, DATA, FORMS
from edgewright.export.tflite_writer import write_tflite
from edgewright.export.translate import TRANSLATE, Operands, translate
from edgewright.quantize.operators import TABLE


def kinds(base=Operator):
    """Yield the operators of the program but fragments, which converters write."""
    for kind in base.__subclasses__():
        yield from [kind] if kind.__name__[0] != "_" and kind is not program.Fragment else []
        yield from kinds(kind)


def functions(kind):
    """Return the functions that an operator may have, none where it has but one."""
    return typing.get_args(typing.get_type_hints(kind).get("function"))


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_both_writers_know_every_operator_and_function(kind):
    for key in [(kind, function) for function in functions(kind)] or [kind]:
        assert hasattr(schema().BuiltinOperator, NAMES[key]) or kind is program.Table
    assert kind in WRITE or kind is program.LSTM
    tables = {program.Binary: BINARY, program.Unary: {**UNARY, **ROWWISE}, program.Reduce: REDUCE}
    assert set(functions(kind)) == set(tables[kind]) if kind in tables else True
    assert set(functions(program.Compare)) == {*COMPARE, "not_equal"}


def test_every_row_of_the_table_is_translated():
    assert {rule.builtin_op for rule in TABLE} - {"", "CONSTANT"} == set(TRANSLATE)
    assert set().union(*BY_TYPE.values(), FORMS, DATA) <= set(NAMES.values())


def test_operators_are_not_changed_once_made():
    x, y = Array("x", (1, 4), "float32"), Array("y", (4, 1), "float32")
    operator = program.Transpose([x], [y], axes=(1, 0))
    with pytest.raises(dataclasses.FrozenInstanceError):
        operator.axes = (0, 1)
    assert name_of(operator) == "TRANSPOSE" and operator.is_float and not operator.is_border


def test_equal_numbers_are_one_tensor():
    x = Array("x", (1, 4), "float32")
    y, z = (Array(name, (2, 2), "float32") for name in "yz")
    made = Program("two", [x], [y, z], [program.Reshape([x], [out], shape=(2, 2)) for out in (y, z)])
    graph = schema().ModelT.InitFromObj(schema().Model.GetRootAsModel(write_tflite(made), 0)).subgraphs[0]
    assert [tensor.name for tensor in graph.tensors] == [b"x", b"shape_2_2", b"y", b"z"]


def test_an_average_becomes_a_depthwise_convolution_of_ones():
    data = Array("x", (1, 4, 4, 3), "int8", np.array([0.1], np.float32), 4)
    out = Array("y", (1, 2, 2, 3), "int8", np.array([0.2], np.float32))
    options = {"strides": (2, 2), "padding": "valid", "dilation": (1, 1), "average_over": (2, 2)}
    (made,) = translate(Operands("DEPTHWISE_CONV_2D", [data], [out], options))
    _, kernel, bias = made.inputs
    assert isinstance(made, program.DepthwiseConv2D) and kernel.shape == (2, 2, 3, 1)
    np.testing.assert_array_equal(kernel.values, 1)
    np.testing.assert_allclose(kernel.scale, [0.25] * 3)
    np.testing.assert_allclose(bias.scale, [0.025] * 3)
    assert bias.dtype == "int32" and not bias.values.any()

"""What `benchmarks/matrix_change.py` takes for one file: names and order in an ONNX graph do not count."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import matrix_change


def file(path, *, names="ab", order=(0, 1, 2), value=2.0, left="Relu"):
    """Write x -> left(x) + x W, W being all `value`, its inner tensors called after `names`."""
    first, second = names
    ends = [helper.make_tensor_value_info(end, onnx.TensorProto.FLOAT, [1, 2]) for end in "xy"]
    nodes = [
        helper.make_node(left, ["x"], [first], name=f"{first}__7"),
        helper.make_node("Gemm", ["x", f"{second}_w"], [second]),
        helper.make_node("Add", [first, second], ["y"]),
    ]
    weight = numpy_helper.from_array(np.full((2, 2), value, np.float32), f"{second}_w")
    graph = helper.make_graph([nodes[place] for place in order], names, ends[:1], ends[1:], [weight])
    onnx.save(helper.make_model(graph), path)
    return path


@pytest.mark.parametrize(
    ("other", "is_same"),
    [({"names": "cd"}, True), ({"order": (1, 0, 2)}, True), ({"value": 3.0}, False), ({"left": "Tanh"}, False)],
)
def test_a_graph_is_what_it_computes(tmp_path, other, is_same):
    assert matrix_change.same(file(tmp_path / "a.onnx"), file(tmp_path / "b.onnx", **other)) == is_same


def test_other_formats_are_compared_byte_for_byte(tmp_path):
    for name, data in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / f"{name}.tflite").write_bytes(data)
    assert matrix_change.same(tmp_path / "a.tflite", tmp_path / "b.tflite")
    assert not matrix_change.same(tmp_path / "a.tflite", tmp_path / "c.tflite")

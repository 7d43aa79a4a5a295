"""What a target says of real files, and of graphs made up for one rule each."""

import dataclasses

import pytest
from edgewright.devices.measure import ModelFile
from edgewright.devices.preflight import check, judge
from edgewright.devices.preflight.check import check_file, layer_of
from edgewright.devices.targets import target
from edgewright.devices.targets.graph import Graph, Operation, Tensor

LAYERS = {"stem": "Conv2D", "stem_relu": "ReLU", "norm": "LayerNormalization", "block_1": "Conv2D"}


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("stem_relu/relu", "stem_relu"),
        ("net_1/stem_relu_1/Relu;net_1/stem_1/BiasAdd", "stem_relu"),
        ("net/block_1/convolution", "block_1"),
        ("norm/mean", "norm"),
        ("output_0", ""),
    ],
)
def test_operators_find_their_layer(name, layer):
    assert layer_of(name, LAYERS) == layer


def test_without_the_model_a_scope_stands_for_the_layer():
    assert layer_of("encoder/norm/mean;other", {}) == "encoder/norm"


def test_an_int8_file_fits_a_microcontroller_and_the_limits_are_held(tflite):
    file = ModelFile.read(tflite["int8_io"])
    found = check_file(file, target.load("cortex-m"))
    assert found.fits and all(row.supported == check.OK for row in found.rows)
    assert found.arena_bytes > 8 + 4 and found.flash_bytes == tflite["int8_io"].stat().st_size
    tight = check_file(file, target.load("cortex-m"), arena_limit_bytes=100, flash_limit_bytes=100)
    assert not tight.fits and "too many" in tight.problems[0] and "flash" in tight.problems[1]


def test_a_float_file_is_told_to_be_quantized(tflite):
    found = check_file(ModelFile.read(tflite["float"]), target.load("cortex-m"))
    assert not found.fits
    assert {row.supported for row in found.rows} == {check.NO}
    assert "float32 tensors" in found.rows[0].reason and "qat" in found.rows[0].swap
    assert "does not fit" in str(found)


def test_other_formats_and_open_sizes_are_named(tflite, onnx):
    found = check_file(ModelFile.read(onnx["float"]), target.load("cortex-m"))
    assert found.problems == ("format onnx does not run there; allowed: tflite",)
    assert check_file(ModelFile.read(onnx["float"]), target.load("openvino-cpu")).fits
    strict = dataclasses.replace(
        target.load("cpu-x86"), model=dataclasses.replace(target.load("cpu-x86").model, static_shapes=True)
    )
    assert "leaves a size open" in check_file(ModelFile.read(tflite["batch"]), strict).problems[0]


def test_a_broken_file_is_a_problem_not_a_crash(tflite, tmp_path):
    (tmp_path / "broken.tflite").write_bytes(tflite["float"].read_bytes()[:300])
    found = check_file(ModelFile.read(tmp_path / "broken.tflite"), target.load("cpu-x86"))
    assert not found.fits and "rejected" in found.problems[0]


# One operator each: op, dtype, rank, scales of the weights, and what the accelerator says of it
ONE = {
    "ok": ("CONV_2D", "int8", 4, 8, check.OK, ""),
    "fallback": ("GATHER", "int8", 2, 0, check.FALLBACK, "no kernel"),
    "unknown": ("GELU_OF_THE_FUTURE", "int8", 2, 0, check.NO, "no kernel"),
    "float": ("CONV_2D", "float32", 4, 0, check.NO, "float32 tensors"),
    "rank": ("ADD", "int8", 7, 0, check.NO, "rank 7"),
    "channels": ("ADD", "int8", 2, 4, check.NO, "a scale for each channel"),  # nor does the processor's kernel
}


@pytest.mark.parametrize("case", ONE)
def test_each_rule_of_a_table(case):
    op, dtype, rank, scales, supported, reason = ONE[case]
    second = "int32" if op == "GATHER" else dtype
    tensors = (
        Tensor(name="x", shape=(1,) * rank, dtype=dtype, scales=1),
        Tensor(
            name="w",
            shape=(2,) * min(rank, 4),
            dtype=second,
            scales=scales,
            is_constant=True,
        ),
        Tensor(name="norm/x", shape=(1,) * rank, dtype=dtype, scales=1),
    )
    operation = Operation(op=op, inputs=(0, 1), outputs=(2,))
    graph = Graph(tensors=tensors, operators=(operation,), inputs=(0,), outputs=(2,))
    operators = judge.operators_of([{"op": op, "name": "norm/x", "dtype": dtype}], graph)
    (row,) = judge.rows_of(operators, "tflite", target.load("ethos-u55-128"), LAYERS)
    assert row.supported == supported and reason in row.reason and row.layer == "norm"
    if reason == "no kernel":
        assert "BatchNormalization" in row.swap  # by the layer's class


def test_an_accelerator_that_would_idle_is_a_problem(tflite):
    idle = dataclasses.replace(target.load("edgetpu"), compile=None)
    found = check_file(ModelFile.read(tflite["float"]), idle)
    assert found.problems == ("nothing of it runs on the accelerator",)
    assert {row.supported for row in found.rows} == {check.FALLBACK}

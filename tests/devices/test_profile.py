"""The time of each operator: where it goes, that it adds up, and what is said where nobody knows."""

import json
import os

import numpy as np
import pytest
from edgewright.devices.agent import agent, profiler
from edgewright.devices.measure import BenchConfig, bench, profile
from edgewright.devices.report.report import html
from edgewright.devices.transports.local import Local
from edgewright.devices.transports.qemu import Qemu
from edgewright.devices.verdict.document import save
from edgewright.devices.verdict.results import Run
from pages import Page

SAMPLES = np.random.default_rng(0).normal(size=(8, 32, 32, 16)).astype(np.float32)
KERNEL = (np.random.default_rng(1).normal(size=(3, 3, 16, 64)) / 12).astype(np.float32)
HEAD = np.random.default_rng(2).normal(size=(64, 10)).astype(np.float32)


def write_tflite(path):
    """Write a large convolution, a mean and a small classifier."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((1, *SAMPLES.shape[1:]), tf.float32, name="x")])
    def net(x):
        return tf.matmul(tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(x, KERNEL, 1, "SAME", name="large")), [1, 2]), HEAD)

    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([net.get_concrete_function()]).convert())


def write_onnx(path):
    from onnx import TensorProto, helper, numpy_helper, save

    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["c"], "large", pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["c"], ["m"]),
        helper.make_node("Flatten", ["m"], ["f"]),
        helper.make_node("Gemm", ["f", "head"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (("x", [1, 16, 32, 32]), ("y", [1, 10]))]  # fmt: skip
    weights = [numpy_helper.from_array(KERNEL.transpose(3, 2, 0, 1).copy(), "kernel"),
               numpy_helper.from_array(HEAD, "head")]  # fmt: skip
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], weights)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    folder = tmp_path_factory.mktemp("profile")
    write_tflite(folder / "net.tflite")
    write_onnx(folder / "net.onnx")
    return folder


@pytest.mark.parametrize(("file", "config", "operator"), [
    ("net.tflite", {}, "Convolution"),
    ("net.tflite", {"kernels": "builtin"}, "CONV_2D"),
    ("net.onnx", {}, "Conv"),
])  # fmt: skip
def test_the_large_convolution_is_the_hot_spot_and_the_times_add_up(net, file, config, operator):
    samples = SAMPLES if file.endswith("tflite") else SAMPLES.transpose(0, 3, 1, 2).copy()
    found = profile(net / file, samples, **config)
    rows = found["rows"]
    hottest = max(rows, key=lambda row: row["us"])
    assert hottest["operator"].startswith(operator) and hottest["share"] > 0.7
    assert hottest["calls"] == 1 and hottest["name"]
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert all(set(row) == {"operator", "name", "us", "share", "calls"} for row in rows)
    # Two runs under whatever load there is: this tells a wrong unit; a double count halves the share above.
    assert 0.1 < sum(row["us"] for row in rows) / found["inference_us"] < 10
    assert (found["device"], found["artifact"], found["reason"]) == ("local", file, "")


def test_a_benchmark_takes_profiles_and_keeps_them(net, tmp_path):
    config = BenchConfig(min_rounds=10, max_rounds=10, block_ms=2, attempts=1, profile=True, kernels="reference")
    (tmp_path / "broken.tflite").write_bytes((net / "net.tflite").read_bytes()[:400])
    run = bench([net / "net.tflite", tmp_path / "broken.tflite"], baseline="net.tflite", inputs=SAMPLES, config=config)
    assert [entry["artifact"] for entry in run.profiles] == ["net.tflite"]  # what does not run has none
    save(run, tmp_path)
    document = json.loads((tmp_path / "results.json").read_text())
    assert document["profiles"] == Run.load(tmp_path).profiles == run.profiles
    assert document["config"]["kernels"] == "reference"
    text = Page(html({**document, "model": "m", "data": "d"})).text
    assert "Operator hot spots" in text and "CONV_2D" in text and "reference kernels" in text


def test_where_operators_cannot_be_timed_the_reason_is_told(net, monkeypatch):
    found = profile(net / "net.tflite", SAMPLES, device=EmulatedHere())
    assert found["rows"] is None and found["reason"] == "times of an emulated processor mean nothing"
    spec = {"path": os.fspath(net / "net.tflite"), "runtime": "litert", "threads": 1, "kernels": "xnnpack"}
    model = agent.LiteRT(agent.runtime_module("litert"), spec)
    for change, words in (({"runtime": "tflite-runtime"}, "tflite-runtime does not say"),
                          ({"delegate": {"path": "x.so", "options": {}}}, "without an external delegate")):  # fmt: skip
        model._spec = {**spec, **change}
        with pytest.raises(agent.Untold, match=words):
            model.profile([])
    model._spec = spec
    monkeypatch.setattr(profiler, "version", lambda _: "2.9.1")
    with pytest.raises(agent.Untold, match=r"timed with LiteRT 2\.3; this is 2\.9\.1"):
        model.profile([[SAMPLES[:1]]])


class EmulatedHere(Qemu):
    """Local in all but its name."""

    def interpreter(self):
        return Local().interpreter()

    def environment(self):
        return Local().environment()


def test_the_middle_half_of_whole_microseconds_is_finer_than_they_are():
    assert profiler.middle_mean([2, 3, 3, 2, 3, 3, 2, 90]) == 2.75
    runs = [[("A", 0, 5), ("B", None, 1)]] * 3 + [[("A", 0, 9)]] + [[("A", 0, 5), ("B", None, 2)]]
    assert profiler.middle(runs) == [("A", 0, 5.0), ("B", None, 1.0)]


def test_layers_are_named_by_number_or_by_order_where_both_have_as_many():
    layers = [{"op": "CONV_2D", "name": "a"}, {"op": "ADD", "name": "b"}, {"op": "DEPTHWISE_CONV_2D", "name": "c"}]
    places = [("Convert (NC)", None, 1.0), ("Convolution (NHWC) GEMM", None, 5.0), ("ADD", 1, 2.0),
              ("Convolution (NHWC) DWConv", None, 4.0), ("Convert (NC)", None, 2.0)]  # fmt: skip
    found = [(row["operator"], row["name"], row["us"], row["calls"]) for row in profiler.named(places, layers)]
    assert found == [
        ("Convert (NC)", "", 3.0, 2), ("Convolution (NHWC) GEMM", "a", 5.0, 1), ("ADD", "b", 2.0, 1),
        ("Convolution (NHWC) DWConv", "c", 4.0, 1),
    ]  # fmt: skip
    fused = profiler.named(places[:2], layers)  # one convolution, and the file has two: which one nobody knows
    assert [row["name"] for row in fused] == ["", ""]

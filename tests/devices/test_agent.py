"""The agent on real runtimes: what it says of a file, what the file answers, and how it times."""

import ast
import json
import subprocess
import sys
import time
import zipimport
from pathlib import Path

import device_models
import numpy as np
import pytest
from device_models import SAMPLES
from edgewright import files
from edgewright.devices.agent import agent
from edgewright.devices.measure import BenchConfig, ModelFile, bench, inspect
from edgewright.devices.transports import shipment
from edgewright.errors import BadInput

QUICK = BenchConfig(latency=False)


def found(path, **config):
    outcome = inspect(path, **config)
    assert outcome.ok, outcome.reason
    return outcome.one("model")


def answers(path, inputs=SAMPLES):
    run = bench([path], baseline=path, inputs=inputs, config=QUICK)
    assert run.measured[path.name]["status"] == "ok", run.measured[path.name]["reason"]
    return run.outputs[path.name]


def test_needs_only_python_3_8_and_numpy():
    trees = [ast.parse(module.read_text(), feature_version=(3, 8)) for module in shipment.modules()]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0}
    assert {name.split(".")[0] for name in imported} - set(sys.stdlib_module_names) == {"numpy", "agent"}
    assert all(node.level == 1 for node in nodes if isinstance(node, ast.ImportFrom) and node.level)  # of the package


@pytest.mark.parametrize("name", ["float", "batch"])
def test_float_tflite_answers_as_numpy(tflite, name):
    np.testing.assert_allclose(answers(tflite[name]), device_models.dense(SAMPLES), atol=1e-6)  # some ulps of 8 terms


def test_float_onnx_answers_as_numpy(onnx):
    np.testing.assert_allclose(answers(onnx["float"]), device_models.dense(SAMPLES), atol=1e-6)


@pytest.mark.parametrize("name", ["int8", "int8_io"])
def test_int8_tflite_is_near_numpy(tflite, name):
    spread = device_models.dense(SAMPLES).max()
    # Steps of x, W and y are 1/128, about 1/150 and spread/255; 8 terms of half a step each stay under 0.06.
    np.testing.assert_allclose(answers(tflite[name]), device_models.dense(SAMPLES), atol=0.06 + spread / 255)


def test_int8_inputs_and_float_inputs_give_the_same(tflite):
    assert np.array_equal(answers(tflite["int8"]), answers(tflite["int8_io"]))


def test_qdq_onnx_is_near_numpy(onnx):
    np.testing.assert_allclose(answers(onnx["qdq"]), device_models.dense(SAMPLES), atol=0.06 + 1 / 50)


def test_state_is_reset_only_where_the_file_has_state(tmp_path):
    path = device_models.write_stateful(tmp_path / "state.tflite")
    x = np.array([0.5, 0.5, -1.0], np.float32).reshape(3, 1, 1, 1)[:, 0]
    np.testing.assert_allclose(answers(path, x).ravel(), np.tanh([0.5, 0.5, -1.0]), atol=1e-6)
    streaming = ModelFile(name="s", path=path, format="tflite", manifest={"stateful": False})
    run = bench([streaming], baseline="s", inputs=x, config=QUICK)
    first = np.tanh(0.5)
    second = np.tanh(0.5 + first)
    np.testing.assert_allclose(run.outputs["s"].ravel(), [first, second, np.tanh(second - 1)], atol=1e-6)


def test_several_inputs_are_matched_by_name(tmp_path):
    from onnx import TensorProto, helper, save

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]) for name in ("a", "b", "y")]
    graph = helper.make_graph([helper.make_node("Sub", ["a", "b"], ["y"])], "sub", values[:2], values[2:])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "sub.onnx")
    a, b = np.ones((3, 2), np.float32), np.full((3, 2), 4, np.float32)
    assert np.array_equal(answers(tmp_path / "sub.onnx", {"b": b, "a": a}), a - b)
    run = bench([tmp_path / "sub.onnx"], baseline=tmp_path / "sub.onnx", inputs={"a": a, "c": b}, config=QUICK)
    assert run.measured["sub.onnx"]["status"] == "rejected"
    assert "'b'" in run.measured["sub.onnx"]["reason"]


def test_wrong_sample_shape_is_named(tflite):
    run = bench([tflite["float"]], baseline=tflite["float"], inputs=SAMPLES[:, :7], config=QUICK)
    assert "takes shape [1, 8], a sample has [1, 7]" in run.measured["float.tflite"]["reason"]


@pytest.mark.parametrize(
    ("name", "quantized", "floating", "formats"),
    [
        ("float", 0, 1, ["float32"]),
        ("int8", 1, 0, ["int8", "int8", "float32"]),  # QUANTIZE and DEQUANTIZE are listed, not counted
        ("int8_io", 1, 0, ["int8"]),
    ],
)
def test_inspect_tflite(tflite, name, quantized, floating, formats):
    model = found(tflite[name])
    assert (model["quantized_ops"], model["float_ops"]) == (quantized, floating)
    assert [layer["dtype"] for layer in model["layers"]] == formats
    assert not model["stateful"]


def test_inspect_reports_scales(tflite):
    entry = found(tflite["int8_io"])["inputs"][0]
    span = SAMPLES.max() - SAMPLES.min()
    assert entry["dtype"] == "int8"
    assert entry["scale"] == pytest.approx(span / 255, rel=0.01)


def test_inspect_onnx(onnx):
    floating, quantized = found(onnx["float"]), found(onnx["qdq"])
    assert (floating["quantized_ops"], floating["float_ops"]) == (0, 2)
    assert (quantized["quantized_ops"], quantized["float_ops"]) == (2, 0)
    assert {layer["op"]: layer["dtype"] for layer in quantized["layers"]}["Gemm"] == "int8"


def test_weights_outside_the_file_are_refused(onnx, tmp_path):
    from onnx import load, save

    path = tmp_path / "outside.onnx"
    save(load(onnx["float"]), path, save_as_external_data=True, location="weights", size_threshold=0)
    outcome = inspect(path)
    assert outcome.status == "rejected"


def test_kernels_are_chosen_by_the_job(tflite):
    default, builtin = (answers_of(tflite["int8"], kernels) for kernels in ("xnnpack", "builtin"))
    step = np.unique(default)[1]  # the smallest answer above nothing is one step
    assert np.abs(default - builtin).max() <= 1.01 * step
    with pytest.raises(BadInput, match="kernels='fast'"):
        BenchConfig(kernels="fast")


def answers_of(path, kernels):
    run = bench([path], baseline=path, inputs=SAMPLES, config=BenchConfig(latency=False, kernels=kernels))
    return run.outputs[path.name]


def test_quantize_and_dequantize_by_hand():
    tensor = {"name": "x", "dtype": "int8", "scale": 0.5, "zero_point": 3}
    steps = agent.quantize(np.array([-100, -0.5, 0, 0.6, 100], np.float32), tensor)
    assert steps.tolist() == [-128, 2, 3, 4, 127]
    assert agent.dequantize(np.array([3, 5, -1], np.int8), tensor).tolist() == [0.0, 1.0, -2.0]
    with pytest.raises(agent.Rejected, match="no scale"):
        agent.quantize(np.zeros(1, np.float32), {**tensor, "scale": None})


def test_timing_covers_invoke_alone():
    clock = {"fed": 0, "invoked": 0}
    spin = 200_000  # nanoseconds: a hundred times what the loop itself may cost

    def wait(name):
        clock[name] += 1
        end = time.perf_counter_ns() + spin
        while time.perf_counter_ns() < end:
            pass

    times = agent.run_timed(lambda i: wait("fed"), lambda: wait("invoked"), 50)
    assert clock == {"fed": 50, "invoked": 50}
    assert spin <= min(times) < 1.5 * spin  # feeding took as long and is not in it


def test_latency_stops_when_precise_or_at_the_last_round():
    job = {"max_rounds": 100, "min_rounds": 20, "max_seconds": 60, "precision": 0.01, "pairs": [[1, 0]]}
    random = np.random.default_rng(0)
    steady = [np.array([100.0, 50.0])] * 20
    noisy = list(np.array([100.0, 50.0]) * random.uniform(0.5, 1.5, (20, 2)))
    assert not agent.enough(steady[:19], 1, job, random)
    assert agent.enough(steady, 1, job, random)
    assert not agent.enough(noisy, 1, job, random)
    assert agent.enough(noisy, 61, job, random)
    assert agent.enough(noisy * 5, 1, job, random)


def test_the_agent_is_one_file_and_always_the_same(tmp_path):
    first, second = (shipment.write(tmp_path / name) for name in ("a.zip", "b.zip"))
    assert first.is_file() and files.sha256(first) == files.sha256(second)
    assert Path(agent.__file__).parent == shipment.PACKAGE
    job = {"mode": "probe", "models": [], "time_limit_s": 60}
    (tmp_path / "job.json").write_text(json.dumps(job))
    compiled = shipment.write(tmp_path / "compiled.zip", compiled=True)
    for agent_file in (first, compiled):
        ran = subprocess.run([sys.executable, agent_file, tmp_path / "job.json"], capture_output=True, text=True,
                             check=True)  # fmt: skip
        assert [json.loads(line)["event"] for line in ran.stdout.splitlines()] == ["start", "probe", "done"]
    inside = {zipped: zipimport.zipimporter(f"{zipped}/agent") for zipped in (first, compiled)}
    assert {Path(each.get_filename("latency")).name for each in inside.values()} == {"latency.py", "latency.pyc"}


def test_every_module_of_the_agent_can_be_read_at_once():
    for module in shipment.modules():
        assert len(module.read_text().splitlines()) < 400, module

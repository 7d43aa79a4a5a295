"""Every row of the operator table, on every kernel that may execute it."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from edgewright.export import export_onnx, export_tflite
from edgewright.quantize import find_quantized, prepare_qat
from int8_run import by_keras, output_step, share_within_one_step
from operator_cases import CASES, build, config

SUM = "LiteRT's reference SUM adds in int8: 5.1 comes out as -0.1"
FAULTS = {
    ("sum", "reference"): SUM,
    ("norm", "reference"): SUM,
    ("log_sum_exp", "reference"): SUM,
    ("unit_normalization", "reference"): SUM,
    ("additive_attention", "reference"): SUM,
    ("elu", "reference"): "LiteRT's reference kernels lack ELU",
}
# Kernels without XNNPACK round products twice; in a chain of a dozen operators one step early on moves all that follow.
# How far the root of the mean squared error of rounding may lie above 8% of the outputs' deviation.
COARSE = {
    "softmax_masked": (0.3, "a row of nothing but masked scores is anything"),
    "bidirectional_padded": (0.15, "its outputs reach 0.02, and a step of every tanh is 1/128"),
    "logic": (0.15, "what is near to a limit jumps"),
}
CHAINS = ("layer_normalization", "stacked_cells", "lstm_padded", "bidirectional_padded", "lstm_masking")
RUNTIMES = ("xnnpack", "built-in", "reference", "onnxruntime")
# One process for all files: LiteRT with XNNPACK, with its own kernels, with its reference kernels, and ONNX Runtime.
RUN = """
import sys, pathlib, numpy as np, onnxruntime
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from edgewright.devices.agent.agent import onnx_options
resolvers = {
    "xnnpack": OpResolverType.AUTO,
    "built-in": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "reference": OpResolverType.BUILTIN_REF,
}
def litert(path, resolver):
    runner = Interpreter(model_path=str(path), num_threads=1, experimental_op_resolver_type=resolver)
    runner.allocate_tensors()
    source, target = runner.get_input_details()[0], runner.get_output_details()[0]
    def one(sample):
        runner.reset_all_variables()
        runner.set_tensor(source["index"], sample[None])
        runner.invoke()
        return runner.get_tensor(target["index"])[0].copy()
    return one
def ort(path):
    session = onnxruntime.InferenceSession(str(path), onnx_options(onnxruntime), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda sample: session.run(None, {name: sample[None]})[0][0]
for file in sorted(pathlib.Path(sys.argv[1]).glob("*.npy")):
    if "@" in file.name:
        continue
    makers = {name: (lambda one=one: litert(file.with_suffix(".tflite"), one)) for name, one in resolvers.items()}
    if file.with_suffix(".onnx").exists():
        makers["onnxruntime"] = lambda: ort(file.with_suffix(".onnx"))
    for name, make in makers.items():
        try:
            one = make()
            results = np.stack([one(sample) for sample in np.load(file)])
        except Exception as error:
            print(file.stem, name, error)
            results = np.array(str(error))
        np.save(file.with_name(f"{file.stem}@{name}.npy"), results)
"""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Outputs by case and runtime, beside those of the fake-quantized model and the step of its output."""
    folder = tmp_path_factory.mktemp("operators")
    expected, manifests, errors = {}, {}, {}
    for name in CASES:
        model, x = build(name)
        qat, _ = prepare_qat(model, config(name), calibration=x)
        expected[name] = np.asarray(qat(x, training=False)), output_step(find_quantized(qat))
        wanted = np.asarray(by_keras(lambda x, model=model: model(x, training=False), x))
        errors[name] = float(np.sqrt(np.mean((wanted - expected[name][0]) ** 2)) / wanted.std())
        artifact = export_tflite(qat)
        manifests[name] = artifact.manifest
        (folder / f"{name}.tflite").write_bytes(artifact.data)
        if not artifact.manifest["stateful"]:
            (folder / f"{name}.onnx").write_bytes(export_onnx(qat).data)
        np.save(folder / f"{name}.npy", x)
        keras.backend.clear_session()
    done = subprocess.run([sys.executable, "-c", RUN, folder], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    actual = {(name, runtime): np.load(folder / f"{name}@{runtime}.npy") for name, runtime in pairs()}
    return expected, actual, manifests, errors


def pairs():
    """Every case on every runtime; ONNX knows no fused int8 recurrence."""
    return [(name, runtime) for name in CASES for runtime in RUNTIMES if "fused" not in name or runtime in RUNTIMES[:3]]


def each_on_each():
    for name, runtime in pairs():
        fault = FAULTS.get((name, runtime))
        yield pytest.param(name, runtime, marks=[pytest.mark.xfail(reason=fault, strict=True)] if fault else [])


@pytest.mark.parametrize(("name", "runtime"), each_on_each())
def test_kernels_round_as_training_did(outputs, name, runtime):
    expected, actual, *_ = outputs
    values, step = expected[name]
    assert np.ptp(values) > 20 * step  # else agreement says nothing
    assert actual[name, runtime].dtype == np.float32, actual[name, runtime]  # else the message of the failure
    assert actual[name, runtime].shape == values.shape
    bar = 0.97 if name in CHAINS and runtime in ("built-in", "reference") else 0.99
    assert share_within_one_step(actual[name, runtime], values, step) >= bar


@pytest.mark.parametrize("name", CASES)
def test_quantized_is_near_to_float(outputs, name):
    bar, _ = COARSE.get(name, (0.08, ""))
    assert outputs[3][name] < bar


@pytest.mark.parametrize("name", CASES)
def test_every_operator_is_integer(outputs, name):
    manifest = outputs[2][name]
    assert manifest["float_ops"] == 0 and manifest["quantized_ops"] >= 1


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_means_halfway_between_two_steps_go_where_kernels_put_them(outputs, runtime):
    expected, actual, *_ = outputs
    values, step = expected["average_pool2d_same"]
    assert (np.abs(actual["average_pool2d_same", runtime] - values) < step / 2).mean() > 0.999

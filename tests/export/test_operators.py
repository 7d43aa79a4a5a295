"""Every row of the operator table, on every kernel that may execute it."""

from dataclasses import dataclass, field

import keras
import numpy as np
import pytest
from edgewright.export import export_onnx, export_tflite
from edgewright.export.onnx_writer import write_onnx
from edgewright.export.tflite_writer import write_tflite
from edgewright.quantize import find_quantized, prepare_qat
from edgewright.quantize.operators import TABLE
from int8_run import by_keras, output_step, share_within_one_step
from kernel_agreement import INPUT, RUNTIMES, Tally, agreements, probe, run_all
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
# Every operator that the table writes and whose integers can be looked at; truths and numbers of places have none.
WITHOUT_INTEGERS = {rule.builtin_op for rule in TABLE if rule.builtin_op.startswith(("LOGICAL", "REDUCE_A", "ARG_"))}
WITHOUT_INTEGERS |= {"EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "CONSTANT", ""}
OPERATORS = sorted({rule.builtin_op for rule in TABLE} - WITHOUT_INTEGERS | {INPUT})
ABSENT = {
    ("ELU", "reference"): FAULTS["elu", "reference"],
    ("SUM", "reference"): SUM,
    ("UNIDIRECTIONAL_SEQUENCE_LSTM", "onnxruntime"): "ONNX knows no fused int8 recurrence",
}


@dataclass
class Outputs:
    """By case and runtime: what the files gave, and how each of their kernels rounds. By case: what was expected, with
    the step of the output; the TFLite file's manifest; the error of rounding as a share of the deviation.
    """

    expected: dict = field(default_factory=dict)
    manifests: dict = field(default_factory=dict)
    errors: dict = field(default_factory=dict)
    actual: dict = field(default_factory=dict)
    kernels: dict = field(default_factory=dict)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Every case as a file, run on every runtime, beside the fake-quantized model: as exported, and probed."""
    folder, outputs, probes = tmp_path_factory.mktemp("operators"), Outputs(), {}
    for name in CASES:
        model, x = build(name)
        qat, _ = prepare_qat(model, config(name), calibration=x)
        layer = find_quantized(qat)
        outputs.expected[name] = np.asarray(qat(x, training=False)), output_step(layer)
        wanted = np.asarray(by_keras(lambda x, model=model: model(x, training=False), x))
        outputs.errors[name] = float(np.sqrt(np.mean((wanted - outputs.expected[name][0]) ** 2)) / wanted.std())
        artifact = export_tflite(qat)
        outputs.manifests[name] = artifact.manifest
        given = probe(layer, name)
        probes[name] = layer, x, given
        (folder / f"{name}.tflite").write_bytes(artifact.data)
        (folder / f"{name}.probe.tflite").write_bytes(write_tflite(given.program))
        if not artifact.manifest["stateful"]:
            (folder / f"{name}.onnx").write_bytes(export_onnx(qat).data)
            (folder / f"{name}.probe.onnx").write_bytes(write_onnx(given.program))
        np.save(folder / f"{name}.npy", x)
        np.save(folder / f"{name}.probe.npy", x)
        keras.backend.clear_session(free_memory=False)  # collecting garbage 144 times takes a minute
    run_all(folder)
    outputs.actual = {(name, runtime): np.load(folder / f"{name}@{runtime}.npy") for name, runtime in pairs()}
    for name, (layer, x, given) in probes.items():
        flat = {runtime: np.load(folder / f"{name}.probe@{runtime}.npy") for other, runtime in pairs() if other == name}
        parts = {runtime: given.parts(values) for runtime, values in flat.items() if values.ndim == 2}  # else refused
        outputs.kernels.update({(name, runtime): rows for runtime, rows in agreements(layer, x, parts).items()})
    return outputs


def pairs():
    """Every case on every runtime; ONNX knows no fused int8 recurrence."""
    return [(name, runtime) for name in CASES for runtime in RUNTIMES if "fused" not in name or runtime in RUNTIMES[:3]]


def each_on_each():
    for name, runtime in pairs():
        fault = FAULTS.get((name, runtime))
        yield pytest.param(name, runtime, marks=[pytest.mark.xfail(reason=fault, strict=True)] if fault else [])


@pytest.mark.parametrize(("name", "runtime"), each_on_each())
def test_kernels_round_as_training_did(outputs, name, runtime):
    actual, (values, step) = outputs.actual, outputs.expected[name]
    assert np.ptp(values) > 20 * step  # else agreement says nothing
    assert actual[name, runtime].dtype == np.float32, actual[name, runtime]  # else the message of the failure
    assert actual[name, runtime].shape == values.shape
    bar = 0.97 if name in CHAINS and runtime in ("built-in", "reference") else 0.99
    assert share_within_one_step(actual[name, runtime], values, step) >= bar


@pytest.mark.parametrize(("name", "runtime"), each_on_each())
def test_no_kernel_is_two_steps_off_and_movements_change_nothing(outputs, name, runtime):
    kernels = outputs.kernels[name, runtime]
    faults = [f"{runtime}: {kernel.fault}" for kernel in kernels if kernel.fault]
    assert not faults, "\n".join(faults)


@pytest.fixture(scope="module")
def tallies(outputs):
    """The agreements of each runtime, without the cases that are known to fail on it."""
    tallies = {runtime: Tally(runtime) for runtime in RUNTIMES}
    for (name, runtime), kernels in outputs.kernels.items():
        if (name, runtime) not in FAULTS:
            tallies[runtime].add(kernels, name)
    return tallies


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("operator", OPERATORS)
def test_operator_gives_the_integers_of_training(tallies, operator, runtime):
    tally = tallies[runtime]
    if (operator, runtime) in ABSENT:
        pytest.xfail(ABSENT[operator, runtime])
    shortcoming = tally.shortcoming(operator)
    assert not shortcoming, shortcoming


@pytest.mark.parametrize("name", CASES)
def test_quantized_is_near_to_float(outputs, name):
    bar, _ = COARSE.get(name, (0.08, ""))
    assert outputs.errors[name] < bar


@pytest.mark.parametrize("name", CASES)
def test_every_operator_is_integer(outputs, name):
    manifest = outputs.manifests[name]
    assert manifest["float_ops"] == 0 and manifest["quantized_ops"] >= 1


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_means_halfway_between_two_steps_go_where_kernels_put_them(outputs, runtime):
    values, step = outputs.expected["average_pool2d_same"]
    assert (np.abs(outputs.actual["average_pool2d_same", runtime] - values) < step / 2).mean() > 0.999

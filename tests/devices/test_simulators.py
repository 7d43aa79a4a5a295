"""Runtimes of their own environments, where `edgewright devices setup` has made them: what they answer and tell."""

import json
import os
import re
import shutil
import signal
import sys

import edgewright as ew
import keras
import numpy as np
import pytest
from edgewright.cli import commands as cli
from edgewright.devices.agent import machine, onnx_runtime, tflite_micro
from edgewright.devices.measure import BenchConfig, ModelFile, answers, bench, inspect, profile
from edgewright.devices.report import report
from edgewright.devices.runtimes import environments
from edgewright.devices.transports.transport import connect
from edgewright.devices.verdict.compare import Thresholds, compare
from edgewright.devices.verdict.document import compose, save
from edgewright.devices.verdict.results import Run
from edgewright.errors import BadInput
from edgewright.pipeline import kernel_check
from edgewright.quantize import QatConfig, prepare_qat
from keras import layers
from schemas import problems

NO_LATENCY = "simulated: no latency"
TFLM_STEPS = 1  # an operator after another rounds a half the other way now and then; a small net adds up to no more


def needs(name):
    return pytest.mark.skipif(not environments.ready(name), reason=f"no {name}: edgewright devices setup {name}")


def images():
    return np.random.default_rng(0).normal(size=(64, 12, 12, 3)).astype("float32")


def convolutional():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((12, 12, 3), name="images")
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="stem")(inputs)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise")(x)
    x = layers.Conv2D(16, 1, activation="relu", name="pointwise")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    return keras.Model(inputs, layers.Dense(4, name="logits")(x), name="convolutional")


def recurrent():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((20, 8), name="x")
    return keras.Model(inputs, layers.Dense(3, name="logits")(layers.LSTM(16, name="lstm")(inputs)), name="recurrent")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Files by name: the convolutional net in float, w8a8, w8a16 and w7a8, the recurrent one fused and unrolled."""
    folder, files = tmp_path_factory.mktemp("made"), {}

    def keep(name, artifact):
        files[f"{name}{artifact.suffix}"] = ModelFile.read(artifact.save(folder / f"{name}{artifact.suffix}"))

    model = convolutional()
    for export in (ew.export_tflite, ew.export_onnx):
        keep("float", export(model))
        for precision in ("w8a8", "w8a16", "w7a8", "w4a8"):
            keep(precision, export(prepare_qat(model, QatConfig(default=precision), calibration=images())[0]))
    sequences = np.random.default_rng(0).normal(size=(64, 20, 8)).astype("float32")
    for name, config in (("unrolled", QatConfig()), ("fused", QatConfig(recurrence="fused"))):
        keep(name, ew.export_tflite(prepare_qat(recurrent(), config, calibration=sequences)[0]))
    return files, sequences


def steps_apart(files, name, one, other, samples):
    scale = files[name].manifest["outputs"][0]["scale"]
    return np.rint(np.abs(answers(files[name], samples, **one) - answers(files[name], samples, **other)) / scale).max()


@needs("tflite-micro")
@pytest.mark.parametrize("name", ["w8a8", "w8a16", "fused", "unrolled"])
def test_a_microcontrollers_interpreter_answers_as_the_reference_kernels_do(made, name):
    files, sequences = made
    samples = sequences if name in ("fused", "unrolled") else images()
    limit = {"w8a16": 4, "unrolled": 2}.get(name, TFLM_STEPS)  # of 65,536; and of twenty time steps
    micro, reference = {"device": "tflite-micro"}, {"kernels": "reference"}
    assert steps_apart(files, f"{name}.tflite", micro, reference, samples) <= limit


@needs("tflite-micro")
def test_a_microcontrollers_interpreter_tells_operators_and_the_least_arena(made):
    files, _ = made
    told = inspect(files["w8a8.tflite"], device="tflite-micro").one("model")
    here = inspect(files["w8a8.tflite"]).one("model")
    assert [layer["op"] for layer in told["layers"]] == [layer["op"] for layer in here["layers"]]
    assert [layer["sparsity"] for layer in told["layers"]] == [layer["sparsity"] for layer in here["layers"]]
    assert told["quantized_ops"] == here["quantized_ops"] and told["inputs"] == here["inputs"]
    activations = 12 * 12 * 3 + 6 * 6 * 8  # the input in int8 and what the stem makes of it
    assert activations < told["arena_bytes"] < 20_000
    unrolled, fused = (
        inspect(files[f"{name}.tflite"], device="tflite-micro").one("model")["arena_bytes"]
        for name in ("unrolled", "fused")
    )
    assert fused < unrolled / 5


@needs("tflite-micro")
def test_the_arena_of_a_file_that_looks_words_up(tmp_path):
    keras.utils.set_random_seed(0)
    tokens = keras.Input((16,), dtype="int32", name="tokens")
    x = layers.GlobalAveragePooling1D(name="mean")(layers.Embedding(50, 8, name="words")(tokens))
    model = keras.Model(tokens, layers.Dense(3, name="logits")(x), name="words")
    samples = np.random.default_rng(0).integers(0, 50, (32, 16), np.int32)
    path = ew.export_tflite(prepare_qat(model, calibration=samples)[0]).save(tmp_path / "words.tflite")
    assert 1000 < inspect(path, device="tflite-micro").one("model")["arena_bytes"] < 10_000


@needs("tflite-micro")
def test_what_a_microcontrollers_interpreter_refuses_is_told_in_its_words(made):
    outcome = inspect(made[0]["w4a8.tflite"], device="tflite-micro")
    assert outcome.status == "rejected"
    assert "FULLY_CONNECTED" in outcome.reason and "kTfLiteInt4" in outcome.reason
    garbage = made[0]["w8a8.tflite"].path.with_name("garbage.tflite")
    garbage.write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(64))
    assert inspect(garbage, device="tflite-micro").status in ("rejected", "crashed")


def test_the_least_arena_is_found_and_deaths_do_not_count():
    def attempt(arena_bytes):
        if arena_bytes < 100:
            os.kill(os.getpid(), signal.SIGKILL)
        if arena_bytes < 5000:
            raise RuntimeError
        print("a copy must not write here", file=sys.stderr)

    assert tflite_micro.smallest(attempt, 1 << 20) == 5008  # the next multiple of 16
    assert tflite_micro.smallest(attempt, 4096) is None


@needs("tflite-micro")
def test_its_kernels_are_checked_like_those_of_any_device(capsys):
    assert kernel_check.check("tflite-micro").ok
    assert cli.main(["devices", "probe", "tflite-micro", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kernels"]["ok"]


@needs("tflite-micro")
def test_a_simulator_tells_accuracy_and_never_latency(made, tmp_path):
    files, _ = made
    data = {"inputs": images(), "targets": np.arange(64) % 4, "metric": "accuracy"}
    run = bench([files["w8a8.tflite"]], baseline=files["float.tflite"], device="tflite-micro", **data,
                config=BenchConfig(profile=True))  # fmt: skip
    verdicts = compare(run, Thresholds(min_speedup=1.1))
    document = json.loads(json.dumps(compose(run, verdicts, Thresholds()), allow_nan=False))
    assert not problems("results", document)
    for row in document["measurements"]:
        assert row["simulated"] and row["status"] == "ok" and row["value"] is not None and row["arena_bytes"] > 1000
        assert all(row[key] is None for key in ("latency_us", "load_us", "first_us"))
    (verdict,) = verdicts
    assert NO_LATENCY in verdict.reasons and verdict.speedup is None and verdict.verdict != "pass"
    assert NO_LATENCY in report.markdown(document) and NO_LATENCY in report.html(document)
    assert {entry["reason"] for entry in document["profiles"]} == {NO_LATENCY}
    assert [flag["kind"] for flag in document["flags"]] == ["simulated"]
    assert not any(row["met"] for row in document["rules"] if row["rule"] == "a real device")
    save(run, tmp_path)
    assert Run.load(tmp_path).simulated


@needs("tflite-micro")
def test_what_a_kernel_refuses_as_late_as_it_runs_is_a_refusal(tmp_path):
    tokens = keras.Input((16,), dtype="int32", name="tokens")
    positive = keras.ops.where(tokens > 3, tokens, 1)
    net = keras.Model(tokens, layers.Dense(2)(layers.Flatten()(layers.Embedding(50, 4)(positive))))
    path = ew.export_tflite(net).save(tmp_path / "net.tflite")
    outcome = inspect(path, device="tflite-micro")
    assert not outcome.ok and "SELECT_V2 (number" in outcome.reason


@needs("openvino")
def test_openvino_answers_and_tells_what_it_ran_in(made):
    files, _ = made
    run = bench([files["w8a8.onnx"]], baseline=files["float.onnx"], inputs=images(), device="openvino",
                config=BenchConfig(min_rounds=5, max_rounds=5, block_ms=1, attempts=1, profile=True))  # fmt: skip
    quantized, floating = (run.measured[name] for name in ("w8a8.onnx", "float.onnx"))
    assert quantized["placement"]["uint8"]["Convolution"] == 3
    assert floating["placement"].keys() == {"float32"}
    assert any("w8a8.onnx: openvino runs" in note and "in float32" in note for note in run.notes)
    assert not run.simulated and len(run.raw.latency["w8a8.onnx"]) == 5
    assert {row["operator"] for row in run.profiles[0]["rows"]} >= {"Convolution"}
    if not machine.lacks_vnni():  # else it overflows
        expected = run.outputs["w8a8.onnx"]
        scale = files["w8a8.onnx"].manifest["outputs"][0]["scale"]
        assert np.abs(answers(files["w8a8.tflite"], images()) - expected).max() < 1.5 * scale


@needs("onnxruntime-qnn")
def test_qualcomms_simulator_answers_and_tells_what_it_leaves(made):
    files, _ = made
    run = bench([files["w8a8.onnx"]], baseline=files["w8a8.onnx"], inputs=images()[:4], device="onnxruntime-qnn")
    measured = run.measured["w8a8.onnx"]
    assert measured["placement"]["HTP"] == {"EPContext": 1} and run.simulated and not run.raw.latency
    scale = files["w8a8.onnx"].manifest["outputs"][0]["scale"]
    assert np.abs(answers(files["w8a8.tflite"], images()[:4]) - run.outputs["w8a8.onnx"]).max() < 3.5 * scale


def test_onnx_runtime_tells_that_sixteen_bits_run_in_float(made):
    files, _ = made
    run = bench([files["w8a16.onnx"], files["w8a8.onnx"]], baseline="w8a8.onnx", inputs=images(),
                config=BenchConfig(latency=False))  # fmt: skip
    in_float = {name: run.measured[name]["placement"].get("float32", {}) for name in run.measured}
    assert sum(count for name, count in in_float["w8a16.onnx"].items() if name.endswith("Conv")) == 3
    assert not any(name.endswith("Conv") for name in in_float["w8a8.onnx"])
    assert any(re.match(r"w8a16\.onnx: onnxruntime runs \d+ of its operators in float32: .*Conv [1-3]", note)
               for note in run.notes)  # fmt: skip


@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="needs qemu-x86_64 (Debian package qemu-user)")
def test_a_processor_without_vnni_is_exact_and_says_at_what_price(made):
    """8-bit weights by the key, 7-bit ones without it: both answer as LiteRT does; w8a8 without it does not here."""
    files, _ = made
    few = images()[:8]
    run = bench([files["w8a8.onnx"], files["w7a8.onnx"]], baseline="w8a8.onnx", inputs=few, device="qemu-x86_64",
                config=BenchConfig(latency=False))  # fmt: skip
    assert run.emulated and run.environment["cpu"] == "Haswell, emulated by QEMU (no VNNI)"
    assert any("session.x64quantprecision=1" in note for note in run.notes)
    for name in ("w8a8", "w7a8"):
        scale = files[f"{name}.onnx"].manifest["outputs"][0]["scale"]
        expected = answers(files[f"{name}.tflite"], few)
        assert np.abs(run.outputs[f"{name}.onnx"] - expected).max() < 1.5 * scale


def test_the_key_is_set_where_weights_can_overflow(monkeypatch):
    for lacks in (True, False):
        monkeypatch.setattr(machine, "lacks_vnni", lambda lacks=lacks: lacks)
        found = {precision: machine.overflowing({"precision": precision}) for precision in (None, "w8a8-qat", "w4a8")}
        assert set(found.values()) == {lacks}
        assert not any(machine.overflowing({"precision": name}) for name in ("w7a8-ptq", "float32"))
    assert onnx_runtime.PRECISE == ("session.x64quantprecision", "1")


def test_variable_tensors_are_the_reason_why_a_profile_is_missing(made):
    files, sequences = made
    found = profile(files["fused.tflite"], sequences)
    assert found["rows"] is None
    assert re.search("CompiledModel alone.*variable tensors of UNIDIRECTIONAL_SEQUENCE_LSTM", found["reason"])
    assert profile(files["unrolled.tflite"], sequences)["rows"]


@pytest.mark.parametrize("name", ["tflite-micro", "openvino", "onnxruntime-qnn"])
def test_what_is_not_set_up_says_how(name, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(BadInput, match=f"edgewright devices setup {name}"), connect(name).session():
        pass

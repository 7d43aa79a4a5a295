"""ONNX exports run in ONNX Runtime: QDQ files hold the same integers as TFLite, float files equal the model."""

import keras
import numpy as np
import onnx
import pytest
from edgewright.devices.measure import answers
from edgewright.errors import BadInput, WrongOrder
from edgewright.export import export_onnx, export_tflite
from edgewright.quantize import QatConfig, find_quantized, prepare_qat
from int8_run import MODELS, cnn, lstm, output_step, run, samples, share_within_one_step


@pytest.fixture(scope="module", params=list(MODELS))
def prepared(request):
    model = MODELS[request.param]()
    x = samples(model)
    return prepare_qat(model, calibration=x)[0], x


def test_file_passes_the_checker_and_is_of_one_opset(prepared):
    qat, _ = prepared
    graph = onnx.load_from_string(export_onnx(qat).data)
    onnx.checker.check_model(graph, full_check=True)
    assert [(entry.domain, entry.version) for entry in graph.opset_import] == [("", 18)]
    assert [entry.name for entry in graph.graph.input] == [leaf.name for leaf in qat.inputs]


def test_qdq_file_equals_training_and_tflite_within_one_step(prepared):
    qat, x = prepared
    step = output_step(find_quantized(qat))
    artifact = export_onnx(qat)
    expected, actual = np.asarray(qat(x, training=False)), run(artifact, x)
    assert np.ptp(expected) > 10 * step
    assert artifact.manifest["float_ops"] == 0
    assert share_within_one_step(actual, expected, step) >= 0.99
    assert share_within_one_step(actual, run(export_tflite(qat), x), step) >= 0.99


def test_manifest_describes_the_same_program_as_tflite(prepared):
    qat, _ = prepared
    ours, theirs = export_onnx(qat).manifest, export_tflite(qat).manifest
    assert ours["format"] == "onnx"
    for key in ("layers", "inputs", "outputs", "weights_sha256", "quantized_ops", "float_ops"):
        assert ours[key] == theirs[key], key


def test_same_model_gives_the_same_bytes(prepared):
    qat, _ = prepared
    assert export_onnx(qat).data == export_onnx(qat).data


@pytest.mark.parametrize("build", [cnn, lstm])
def test_float_file_equals_the_model(build):
    """To 1e-5 of the largest output: the order of sums differs."""
    model = build()
    x = samples(model, 32)
    expected = np.asarray(model(x, training=False))
    artifact = export_onnx(model)
    assert artifact.manifest["precision"] == "float32"
    assert np.abs(run(artifact, x) - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("precision", ["float16", "w8"])
def test_precisions_of_tflite_alone_are_refused(precision):
    with pytest.raises(BadInput, match="not available in ONNX"):
        export_onnx(cnn(), precision=precision)


def test_model_without_quantizers_is_told_the_right_call():
    with pytest.raises(WrongOrder, match="prepare_qat"):
        export_onnx(cnn(), precision="w8a8-qat")


def test_values_are_rounded_at_each_of_two_scales_in_a_row(tmp_path):
    """What leaves the model before its ReLU is read by the ReLU at one scale and made at another."""
    inputs = keras.Input((8, 8, 3), name="x")
    keras.utils.set_random_seed(0)
    x = keras.layers.LayerNormalization(name="norm")(keras.layers.Conv2D(8, 3, name="first")(inputs))
    model = keras.Model(inputs, [keras.layers.Conv2D(8, 1, name="last")(keras.ops.relu(x)), x])
    x = np.random.default_rng(0).normal(size=(64, 8, 8, 3)).astype("float32")
    qat, _ = prepare_qat(model, calibration=x)
    artifact = export_onnx(qat)
    given, expected = answers(artifact.save(tmp_path / "net.onnx"), x), np.asarray(qat(x, training=False)[0])
    assert np.mean(np.abs(given - expected) < 0.5 * artifact.manifest["outputs"][0]["scale"]) > 0.999


@pytest.mark.parametrize("kept", ["second", "third"])
def test_what_stays_in_float_is_computed_in_float(kept, tmp_path):
    """ONNX Runtime would make an integer operator of it, with a scale of its own for the kernel."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3), name="x")
    x = keras.layers.Conv2D(8, 3, activation="relu", name="first")(inputs)
    x = keras.layers.Flatten()(keras.layers.Conv2D(8, 3, activation="relu", name="second")(x))
    x = keras.layers.Dense(6, activation="relu", name="third")(x)
    model = keras.Model(inputs, keras.layers.Dense(3, name="last")(x))
    x = np.random.default_rng(0).normal(size=(64, 8, 8, 3)).astype("float32")
    qat, _ = prepare_qat(model, QatConfig(by_name={kept: None}), calibration=x)
    artifact = export_onnx(qat)
    given, expected = answers(artifact.save(tmp_path / "net.onnx"), x), np.asarray(qat(x, training=False))
    assert np.mean(np.abs(given - expected) < 0.5 * artifact.manifest["outputs"][0]["scale"]) > 0.99

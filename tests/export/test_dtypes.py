"""Models of other precisions than float32, and inputs that are no real numbers."""

import keras
import numpy as np
import pytest
from edgewright import TrainConfig, prepare_qat, prune, train
from edgewright.devices.measure import answers
from edgewright.export import export_onnx, export_tflite
from edgewright.training.data import load
from keras import layers, ops

EXPORTS = {"tflite": export_tflite, "onnx": export_onnx}


@pytest.fixture(params=["mixed_float16", "mixed_bfloat16", "float64"])
def policy(request):
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


def classifier():
    inputs = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(16, 3, activation="relu")(inputs)
    x = layers.Dropout(0.1)(layers.BatchNormalization()(x))
    return keras.Model(inputs, layers.Dense(10, dtype="float32")(layers.Flatten()(x)), name="classifier")


def within_one_step(artifact, folder, x, expected):
    given = answers(artifact.save(folder / f"net.{artifact.manifest['format']}"), x)
    return (np.abs(given - expected) < 1.5 * artifact.manifest["outputs"][0]["scale"]).mean()


def test_a_model_of_any_policy_goes_all_the_way_in_float32(policy, tmp_path):
    keras.utils.set_random_seed(0)
    data = load("digits")
    model, x = classifier(), data.test.x
    assert train(model, data, TrainConfig(epochs=3)).metric > 0.75
    pruned, _ = prune(model)
    assert train(pruned, data, TrainConfig(epochs=1)).metric > 0.6
    qat, _ = prepare_qat(model, calibration=data.train.x[:200])
    assert {weight.dtype for weight in qat.weights} == {"float32"}
    assert train(qat, data, TrainConfig(epochs=1)).metric > 0.75
    expected = np.asarray(qat(x, training=False))
    for kind, export in EXPORTS.items():
        exact = answers(export(model).save(tmp_path / f"float.{kind}"), x)
        np.testing.assert_allclose(exact, np.asarray(model(x, training=False)), atol=0.05 if "b" in policy else 5e-3)
        artifact = export(qat)
        assert artifact.manifest["float_ops"] == 0
        assert within_one_step(artifact, tmp_path, x, expected) > 0.99


def test_casts_inside_a_model_are_left_out(tmp_path):
    inputs = keras.Input((6,), name="x")
    model = keras.Model(inputs, ops.cast(ops.cast(layers.Dense(4)(inputs), "float16"), "float32"))
    x = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
    qat, _ = prepare_qat(model, calibration=x)
    for export in EXPORTS.values():
        artifact = export(qat)
        assert artifact.manifest["float_ops"] == 0
        assert within_one_step(artifact, tmp_path, x, np.asarray(qat(x))) > 0.99


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64", "bool"])
def test_inputs_of_any_type(dtype, tmp_path):
    inputs = keras.Input((8, 8, 3), dtype=dtype, name="image")
    x = layers.Rescaling(1 / 64)(inputs) if dtype != "bool" else ops.cast(inputs, "float32")
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(x)))
    samples = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 127, (40, 8, 8, 3)).astype(dtype)
    qat, _ = prepare_qat(model, calibration=samples)
    expected = np.asarray(qat(samples))
    np.testing.assert_allclose(expected, np.asarray(model(samples)), atol=0.05 * np.ptp(expected))
    for export in EXPORTS.values():
        artifact = export(qat)
        assert artifact.manifest["inputs"][0]["dtype"] == dtype
        assert within_one_step(artifact, tmp_path, samples, expected) > 0.99
        exact = answers(export(model).save(tmp_path / f"float.{artifact.manifest['format']}"), samples)
        np.testing.assert_allclose(exact, np.asarray(model(samples)), atol=1e-4)

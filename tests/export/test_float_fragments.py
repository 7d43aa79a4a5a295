"""Operations that the table does not cover: they stay float in QAT, and in both files, whatever they are."""

import inspect
import json

import edgewright as ew
import keras
import numpy as np
import pytest
from edgewright.devices.measure import ModelFile, answers
from edgewright.devices.preflight import check
from edgewright.devices.preflight.check import check_file
from edgewright.devices.targets import target
from edgewright.errors import BadInput, EdgewrightError
from edgewright.pipeline.diagnose import diagnose
from edgewright.quantize.graph.layer_rules import LEAVES
from keras import layers, ops

X = np.random.default_rng(0).normal(size=(40, 6, 8)).astype("float32")


@keras.saving.register_keras_serializable("tests")
class Looping(layers.Layer):
    """Shrinks its input three times."""

    def call(self, x):
        return ops.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * 0.9), (ops.sum(x) * 0, x))[1]


def between(function):
    """Return a model with `function` between a dense layer before and one behind."""
    inputs = keras.Input((6, 8), name="x")
    x = function(layers.Dense(8)(inputs))
    return keras.Model(inputs, layers.Dense(3, name="last")(x), name="unknown_inside")


def agree(model, folder, x=X):
    """Quantize, export; return the report and how often each file is within a step of the fake-quantized model."""
    keras.utils.set_random_seed(0)
    qat, report = ew.prepare_qat(model, calibration=x)
    expected = qat.predict(x, verbose=0)
    shares = []
    for kind, export in (("tflite", ew.export_tflite), ("onnx", ew.export_onnx)):
        artifact = export(qat)
        assert artifact.manifest["float_ops"] == len(report.float_ops)
        given = answers(artifact.save(folder / f"net.{kind}"), x)
        shares.append(float((np.abs(given - expected) < 1.5 * artifact.manifest["outputs"][0]["scale"]).mean()))
    return report, shares


@pytest.mark.parametrize("function", [
    lambda x: ops.take_along_axis(x, ops.argsort(x, axis=1), axis=1),
    lambda x: ops.sort(x, axis=-1),
    lambda x: ops.top_k(x, 3)[0],
    lambda x: ops.cast(ops.argmax(x, axis=-1, keepdims=True), "float32") * x,
    lambda x: ops.median(x, axis=-1, keepdims=True) * x,
    lambda x: ops.arctan2(x, ops.flip(x, 1) + 4),
    lambda x: ops.einsum("bij,bkj->bik", x, x),
    lambda x: ops.floor(4 * x),
    lambda x: ops.concatenate([x, ops.cast(ops.full_like(x, 3, dtype="int32"), "float32")], axis=-1),
], ids=["along", "sort", "top_k", "argmax", "median", "arctan2", "einsum", "floor", "constant"])  # fmt: skip
def test_what_the_table_does_not_know_stays_float_and_the_files_compute_it(function, tmp_path):
    report, shares = agree(between(function), tmp_path)
    assert min(shares) >= 0.99, (shares, report)


def test_layers_without_a_rule_bring_their_weights(tmp_path):
    inputs = keras.Input((4, 4, 4, 2))
    x = layers.Conv3D(4, 3, padding="same", name="volume")(inputs)
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(layers.ReLU()(x))), name="volumes")
    x = np.random.default_rng(0).normal(size=(40, 4, 4, 4, 2)).astype("float32")
    report, shares = agree(model, tmp_path, x)
    assert any("Conv" in row["operator"] for row in report.float_ops) and min(shares) >= 0.99


def test_a_float_activation_that_int8_tabulates_is_written_out(tmp_path):
    inputs = keras.Input((6, 8))
    model = keras.Model(inputs, layers.Dense(3)(layers.Activation("softplus", name="curve")(layers.Dense(8)(inputs))))
    keras.utils.set_random_seed(0)
    qat, report = ew.prepare_qat(model, ew.QatConfig(by_name={"curve": None}), calibration=X)
    assert [row["name"] for row in report.float_ops] == ["curve/softplus"]
    artifact = ew.export_tflite(qat)
    step = artifact.manifest["outputs"][0]["scale"]
    assert np.abs(answers(artifact.save(tmp_path / "net.tflite"), X) - qat.predict(X, verbose=0)).max() < 1.5 * step


@pytest.mark.parametrize(("layer", "kinds"), [
    (lambda: layers.Resizing(4, 4), ["Resizing"]),
    (lambda: layers.CenterCrop(4, 4), ["CenterCrop"]),
    (layers.AutoContrast, ["AutoContrast"]),
    (lambda: keras.Sequential([layers.RandomFlip(), layers.RandomRotation(0.2), layers.GaussianNoise(0.1)]), []),
], ids=["resizing", "center_crop", "auto_contrast", "augmentation"])  # fmt: skip
def test_preprocessing_inside_a_model_is_kept(layer, kinds, tmp_path):
    inputs = keras.Input((8, 8, 3))
    x = layers.Flatten()(layers.Conv2D(4, 3)(layer()(inputs)))
    report, shares = agree(
        keras.Model(inputs, layers.Dense(3)(x)), tmp_path, np.random.default_rng(0).random((40, 8, 8, 3), "float32")
    )
    assert [row["operator"] for row in report.float_ops] == kinds and min(shares) >= 0.99


def test_a_resize_by_a_factor_that_float32_rounds_down(tmp_path):
    """62 rows to 32: tf2onnx 1.17 writes a factor that gives 31 of them."""
    inputs = keras.Input((62, 33, 1))
    model = keras.Model(inputs, layers.Conv2D(2, 3)(layers.Resizing(32, 32)(inputs)))
    _, shares = agree(model, tmp_path, np.random.default_rng(0).random((8, 62, 33, 1), "float32"))
    assert min(shares) >= 0.99


def test_encodings_of_integers_are_comparisons(tmp_path):
    inputs = keras.Input((1,), dtype="int32")
    model = keras.Model(inputs, layers.Dense(3)(layers.CategoryEncoding(10, output_mode="one_hot")(inputs)))
    report, shares = agree(model, tmp_path, np.arange(10, dtype="int32")[:, None])
    assert report.float_ops == () and min(shares) >= 0.99


@pytest.mark.parametrize("leaf", LEAVES, ids=[leaf.__name__ for leaf in LEAVES])
def test_random_layers_do_nothing_at_inference(leaf):
    needed = [one for one in inspect.signature(leaf).parameters.values() if one.default is one.empty]
    named = [one for one in needed if one.kind is one.POSITIONAL_OR_KEYWORD]
    layer = leaf(*[4 if leaf is layers.RandomPosterization else 0.2] * len(named))
    shape = {"SpatialDropout1D": (2, 8, 3), "SpatialDropout3D": (2, 4, 4, 4, 3)}.get(leaf.__name__, (2, 8, 8, 3))
    x = np.random.default_rng(0).random(shape).astype("float32")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer(x, training=False)), x)


def test_a_model_that_returns_its_input_keeps_both_names(tmp_path):
    inputs = keras.Input((4,), name="x")
    qat, _ = ew.prepare_qat(
        keras.Model(inputs, [layers.Identity()(inputs), layers.Dense(2)(inputs)]), calibration=X[0, :, :4]
    )
    for kind, export in (("tflite", ew.export_tflite), ("onnx", ew.export_onnx)):
        artifact = export(qat)
        assert artifact.manifest["inputs"][0]["name"] == "x"
        given = answers(artifact.save(tmp_path / f"net.{kind}"), X[0, :, :4])
        assert np.abs(given - X[0, :, :4]).max() < 0.02


def test_a_random_crop_does_nothing_at_inference(tmp_path):
    """RandomCrop crops in training only (Keras 3.15), yet says that it always does."""
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, layers.Conv2D(2, 3)(layers.RandomCrop(5, 5)(inputs)))
    report, shares = agree(model, tmp_path, np.random.default_rng(0).random((8, 8, 8, 3), "float32"))
    assert report.float_ops == () and min(shares) >= 0.99


class Lying(layers.Layer):
    """Computes with TensorFlow's own functions, so it is kept whole, and announces another shape than it returns."""

    def call(self, x):
        import tensorflow as tf

        return tf.math.cumsum(x, axis=1)

    def compute_output_spec(self, x):
        return keras.KerasTensor((x.shape[0], 5, *x.shape[2:]), x.dtype)


def test_a_layer_that_gives_another_shape_than_it_says_is_refused_by_name():
    inputs = keras.Input((8, 8, 3))
    qat, _ = ew.prepare_qat(keras.Model(inputs, Lying()(inputs)), calibration=np.ones((2, 8, 8, 3), "float32"))
    with pytest.raises(BadInput, match=r"Lying.* returns shape \(1, 8, 8, 3\), but Keras announces \(1, 5, 8, 3\)"):
        ew.export_tflite(qat)


def test_a_loop_is_refused_by_name():
    qat, _ = ew.prepare_qat(between(Looping(name="shrink")), calibration=X)
    with pytest.raises(EdgewrightError, match="shrink"):
        ew.export_tflite(qat)


def test_an_operation_that_litert_lacks_is_refused_by_name():
    with pytest.raises(EdgewrightError, match=r"operation .*\(FFT\)") as caught:
        ew.prepare_qat(between(lambda x: ops.fft((x, x))[0]), calibration=X)
    assert "\n" not in str(caught.value)


def test_the_counts_of_a_file_with_fragments_are_those_of_its_manifest(tmp_path):
    qat, _ = ew.prepare_qat(between(lambda x: ops.pad(x, ((0, 0), (1, 0), (0, 0)), constant_values=1.0)), calibration=X)
    path = ew.export_tflite(qat).save(tmp_path / "net.tflite")
    layers_told = json.loads(path.with_name("net.tflite.json").read_text())["layers"]
    assert [row["dtype"] for row in layers_told if row["op"] == "Pad"] == ["float32"]
    found = check_file(ModelFile.read(path), target.load("cortex-m"))
    (missing,) = (row for row in found.rows if row.supported == check.NO)
    assert (missing.operator, missing.name) == ("PADV2", "pad") and "does not cover" in missing.swap


def test_on_jax_the_error_names_the_operation_and_the_remedy(on_jax):
    script = """
import edgewright as ew, keras, numpy as np
inputs = keras.Input((4,))
model = keras.Model(inputs, keras.ops.sort(keras.layers.Dense(3)(inputs), axis=1))
qat, _ = ew.prepare_qat(model, calibration=np.ones((2, 4), "float32"))
ew.export_tflite(qat)
"""
    code, said = on_jax.ends(script)
    last = said.strip().splitlines()[-1]
    assert code and "operation sort (Sort), which stays float, needs the TensorFlow backend" in last


def test_augmentation_is_off_outside_of_training_wherever_a_graph_is_run(tmp_path):
    """Keras' random layers are random unless they are told that this is not training."""
    inputs = keras.Input((8, 8, 1))
    x = layers.Reshape((8, 8))(layers.RandomFlip()(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.LSTM(4)(x)))
    x = np.random.default_rng(0).random((30, 8, 8, 1), "float32")
    given = answers(ew.export_tflite(model, precision="float32").save(tmp_path / "net.tflite"), x)
    np.testing.assert_allclose(given, model.predict(x, verbose=0), atol=1e-5)
    qat, _ = ew.prepare_qat(model, calibration=x)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(qat(x)), keras.ops.convert_to_numpy(qat(x)))
    assert diagnose(qat, x).first_divergence is None


@pytest.mark.parametrize("default", ["w8a8", None])
def test_diagnosis_of_a_model_in_which_nothing_is_quantized(default):
    inputs = keras.Input((6, 8))
    x = layers.Permute((2, 1))(layers.Permute((2, 1))(inputs))  # there and back: nothing is left to compute
    model = keras.Model(inputs, x if default else layers.Dense(3)(x))
    qat, _ = ew.prepare_qat(model, ew.QatConfig(default=default), calibration=X)
    found = diagnose(qat, X)
    assert found.rows == () and found.first_divergence is None


def test_what_does_nothing_is_passed_on_in_float_and_quantized_behind(tmp_path):
    """A dropout that is left in float with the layer before it: what follows reads integers all the same."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 8), name="x")
    x = layers.Dropout(0.5)(layers.Dense(8, activation="relu", name="first")(inputs))
    model = keras.Model(inputs, layers.Dense(3, name="last")(x), name="passing")
    qat, _ = ew.prepare_qat(model, ew.QatConfig(by_name={"first": None, "dropout": None}), calibration=X)
    for kind, export in (("tflite", ew.export_tflite), ("onnx", ew.export_onnx)):
        artifact = export(qat)
        given = answers(artifact.save(tmp_path / f"net.{kind}"), X)
        assert np.abs(given - qat.predict(X, verbose=0)).max() < 1.5 * artifact.manifest["outputs"][0]["scale"]

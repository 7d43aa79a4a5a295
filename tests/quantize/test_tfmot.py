"""TensorFlow Model Optimization on Keras 3 models. Each job starts TensorFlow anew, some ten seconds: few jobs."""

import json
import sys

import keras
import numpy as np
import pytest
from edgewright.cli import main
from edgewright.devices.measure import answers, inspect
from edgewright.errors import BadInput, EdgewrightError
from edgewright.quantize.tfmot import engine as tfmot
from edgewright.quantize.tfmot.model import describe
from keras import layers

missing = tfmot.missing_packages()
needs_tfmot = pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)} (extra tfmot)")


def convnet():
    """A net with a nested model, a residual sum, a layer called twice and a batch norm that is not at its start."""
    keras.utils.set_random_seed(0)
    convolution = layers.Conv2D(4, 3, padding="same", name="conv")
    norm, relu = layers.BatchNormalization(name="norm"), layers.ReLU(name="relu")
    inner = keras.Sequential([keras.Input((6, 6, 4)), convolution, norm, relu], name="inner")
    x = given = keras.Input((6, 6, 1), name="image")
    x = layers.Conv2D(4, 1, activation="relu", name="stem")(x)
    x = layers.Add(name="sum")([x, inner(x)])
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dropout(0.1, name="dropout")(x)
    model = keras.Model(given, layers.Dense(3, kernel_regularizer="l2", name="logits")(x), name="convnet")
    norm.set_weights([np.full(4, value) for value in (0.5, 0.1, 0.2, 2.0)])
    return model


def samples(model, n=64, classes=3):
    random = np.random.default_rng(0)
    shapes = [leaf.shape[1:] for leaf in model.inputs]
    x = [random.normal(size=(n, *shape)).astype("float32") for shape in shapes]
    return x[0] if len(x) == 1 else x, random.integers(0, classes, n)


def training(**more):
    return tfmot.TfmotTraining(epochs=2, batch_size=16, learning_rate=1e-3, **more)


def test_nested_models_are_opened_and_shared_layers_stay_one():
    shared = layers.Dense(5, name="shared")
    a, b = keras.Input((5,), name="a"), keras.Input((5,), name="b")
    inner = keras.Sequential([keras.Input((5,)), layers.Dense(5, name="shared"), layers.ReLU(name="relu")])
    model = keras.Model([a, b], layers.Add(name="sum")([inner(shared(a)), shared(b)]))
    described = describe(model)
    names = [entry["name"] for entry in described.layers]
    assert sorted(names) == ["relu", "shared", "shared_1", "sum"]
    assert [call["layer"] for call in described.calls].count(names.index("shared")) == 2
    assert json.loads(json.dumps(described.to_json())) == described.to_json()
    assert sum(entry["weights"] for entry in described.layers) == len(model.weights) == len(described.weights())


class Own(layers.Layer):
    """A layer that tf-keras cannot know."""

    def call(self, x):
        return 2 * x


def test_every_layer_that_cannot_go_is_named_with_its_reason():
    x = given = keras.Input((4, 6))
    x = Own(name="mine")(x) + 1
    state = layers.Dense(6, name="state")(given[:, 0])
    x = layers.LSTM(6, name="lstm")(x, initial_state=[state, state])
    model = keras.Model(given, layers.Dense(2, name="half", dtype="mixed_float16")(x))
    with pytest.raises(BadInput) as caught:
        describe(model)
    message = str(caught.value)
    assert "mine (Own): a layer of your own" in message
    assert "(Add): an operation outside a layer" in message
    assert "lstm (LSTM): called with more than its input tensors" in message
    assert "half (Dense): dtype mixed_float16" in message
    assert "state (Dense)" not in message


def test_subclassed_models_are_refused():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(BadInput, match="only functional and Sequential"):
        describe(Subclassed(name="sub"))


@needs_tfmot
def test_pruning_comes_back_as_a_sparse_keras_3_model():
    model = convnet()
    before = model.get_weights()
    x, y = samples(model)
    pruned, report = tfmot.prune(model, x, y, sparsity=0.75, end_step=4, frequency=1, training=training())
    assert all(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))
    kernels = {weight.path: np.asarray(weight) for weight in pruned.trainable_weights if "kernel" in weight.path}
    assert [float((kernel == 0).mean()) for kernel in kernels.values()] == [0.75] * 3
    rows = {row["name"]: row for row in report.rows}
    assert rows["conv"]["sparsity"] == 0.75
    assert rows["relu"]["sparsity"] is None and rows["relu"]["reason"] == "has no weights"
    assert np.isfinite(pruned.predict(x, verbose=0)).all()


@needs_tfmot
def test_clustering_leaves_as_many_values_as_asked():
    model = convnet()
    clustered, report = tfmot.cluster(model, *samples(model), clusters=4, training=training())
    kernels = [np.asarray(weight) for weight in clustered.trainable_weights if "kernel" in weight.path]
    assert [len(np.unique(kernel)) <= 4 for kernel in kernels] == [True] * 3
    assert {row["name"]: row["clusters"] for row in report.rows}["logits"] == 4


@needs_tfmot
def test_qat_ends_in_an_int8_file_that_computes_what_was_trained(tmp_path):
    x = given = keras.Input((6, 6, 1), name="image")
    x = layers.Conv2D(8, 3, padding="same", name="conv")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU(name="relu")(x)
    model = keras.Model(given, layers.Dense(3, name="logits")(layers.Flatten(name="flatten")(x)), name="net")
    x, y = samples(model)
    quantized, report = tfmot.qat(model, x, y, training=training(), judge=x)
    assert [row["precision"] for row in report.rows] == ["w8a8"] * 5
    path = tmp_path / "net.tflite"
    path.write_bytes(quantized.data)
    operators = {layer["op"]: layer["dtype"] for layer in inspect(path).one("model")["layers"]}
    assert operators["CONV_2D"] == operators["FULLY_CONNECTED"] == "int8"
    actual = answers(path, x)
    steps = np.abs(actual - quantized.outputs) / np.diff(np.unique(actual)).min()
    assert (steps < 1.5).mean() > 0.99 and (steps < 0.5).mean() > 0.95
    assert len(np.unique(actual)) > 20


@needs_tfmot
def test_what_tfmot_refuses_is_said_layer_by_layer():
    given = keras.Input((5, 4))
    x = layers.LSTM(4, name="lstm", return_sequences=True)(given)
    x = layers.LayerNormalization(name="norm")(x)
    model = keras.Model(given, layers.Dense(3, name="logits")(layers.Flatten(name="flat")(x)))
    with pytest.raises(BadInput) as caught:
        tfmot.qat(model, *samples(model), training=training())
    assert "lstm (LSTM): LSTM has no 8-bit quantization rule" in str(caught.value)
    assert "norm (LayerNormalization): LayerNormalization has no 8-bit" in str(caught.value)
    assert "logits" not in str(caught.value)


def test_missing_packages_are_named_with_the_remedy(monkeypatch):
    monkeypatch.setattr(tfmot.importlib.util, "find_spec", lambda name: None)
    model = convnet()
    with pytest.raises(
        BadInput, match="-optimization and tf-keras: pip install tensorflow-model-optimization tf-keras"
    ):
        tfmot.prune(model, *samples(model))


def test_a_process_that_dies_is_one_clear_error(monkeypatch):
    monkeypatch.setattr(tfmot, "missing_packages", list)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    model = convnet()
    with pytest.raises(EdgewrightError, match="the TFMOT process died with status 1: it wrote nothing"):
        tfmot.prune(model, *samples(model))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m, x, y: tfmot.prune(m, x, y, sparsity=1.0), "sparsity=1.0"),
        (lambda m, x, y: tfmot.prune(m, x, y, schedule="linear"), "schedule='linear'"),
        (lambda m, x, y: tfmot.cluster(m, x, y, clusters=1), "clusters=1"),
        (lambda m, x, y: tfmot.TfmotTraining(loss="hinge"), "loss='hinge'"),
        (lambda m, x, y: tfmot.TfmotTraining(epochs=-1), "epochs=-1"),
    ],
)
def test_arguments_are_checked_before_any_process_starts(call, words):
    with pytest.raises(BadInput, match=words):
        call(None, None, None)


@needs_tfmot
def test_the_command_line_takes_the_engine(tmp_path, monkeypatch, capfd):
    given = keras.Input((64,), name="x")
    model = keras.Model(given, layers.Dense(10, name="logits")(given), name="linear")
    model.save(tmp_path / "linear.keras")

    monkeypatch.chdir(tmp_path)

    def edgewright(*arguments):
        code = main([*arguments, "--engine", "tfmot", "--data", "digits"])
        return code, *capfd.readouterr()

    code, _, said = edgewright("qat", "linear.keras", "--out", "linear.keras")
    assert code == 2 and ".tflite" in said
    code, told, said = edgewright("qat", "linear.keras", "--out", "linear.tflite", "--epochs", "1", "--json")
    assert code == 0, said
    answer, manifest = json.loads(told), json.loads((tmp_path / "linear.tflite.json").read_text())
    assert answer["metric"] == "accuracy" and 0 <= answer["value"] <= 1
    assert manifest["engine"] == "tfmot" and manifest["precision"] == "w8a8-qat"
    assert (tmp_path / "linear.tflite").stat().st_size == manifest["bytes"]

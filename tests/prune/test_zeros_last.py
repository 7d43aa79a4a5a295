"""Zeros of a pattern last: through training as a stage, saving, QAT, and in the integers of both formats' files."""

import edgewright as ew
import keras
import numpy as np
import onnx
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers

BRIEF = ew.TrainConfig(epochs=1, batch_size=128, learning_rate=1e-3)


def convnet():
    inputs = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(8, 3, strides=2, activation="relu", name="stem")(inputs)  # one input channel: no group of 4
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="body")(x)
    x = layers.Flatten(name="flat")(x)
    return keras.Model(inputs, layers.Dense(10, name="logits")(x), name="convnet")


@pytest.fixture(scope="module")
def pruned():
    config = ew.PruneConfig(pattern="2:4", criterion="movement", schedule="linear")
    return ew.prune(convnet(), config, data="digits", training=BRIEF)


def groups_of(kernel):
    """Return the number of nonzero weights of each four along the inputs of (..., inputs, outputs)."""
    return (np.moveaxis(np.asarray(kernel), -1, 0).reshape(-1, 4) != 0).sum(axis=1)


def test_the_stage_prunes_in_its_pattern_and_says_what_zeros_are_worth(pruned, tmp_path):
    model, report = pruned
    ew.save_model(model, tmp_path / "sparse.keras")
    for one in (model, keras.saving.load_model(tmp_path / "sparse.keras")):
        assert all((groups_of(one.get_layer(name).kernel) == 2).all() for name in ("body", "logits"))
    assert str(report).splitlines()[1:4] == [
        "  50%  body/kernel 2:4",
        "  50%  logits/kernel 2:4",
        "  kept  stem/kernel: it is too small for the pattern 2:4",
    ]
    assert "today's kernels of LiteRT and ONNX Runtime multiply zeros like any number" in str(report)


def test_files_of_both_formats_hold_the_pattern_after_qat(pruned, tmp_path):
    data = ew.load_data("digits")
    qat, _ = ew.prepare_qat(pruned[0], calibration=data.train.x[:64])
    ew.train(qat, data, BRIEF)
    tflite = Interpreter(model_content=ew.export_tflite(qat).data)
    details = [each for each in tflite.get_tensor_details() if each["dtype"] == np.int8 and len(each["shape"]) > 1]
    kernels = [
        tflite.get_tensor(each["index"]) for each in details if each["shape"].tolist() in ([16, 3, 3, 8], [10, 144])
    ]
    assert len(kernels) == 2
    for kernel in kernels:  # (outputs, ..., inputs)
        assert ((kernel.reshape(-1, 4) != 0).sum(axis=1) <= 2).all() and (kernel != 0).mean() > 0.45
    path = tmp_path / "net.onnx"
    ew.export_onnx(qat).save(path)
    written = [onnx.numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer]
    for kernel in kernels:
        same = [each for each in written if each.dtype == np.int8 and each.size == kernel.size]
        assert any(np.array_equal(np.sort(each, axis=None), np.sort(kernel, axis=None)) for each in same)


def test_an_interrupted_stage_resumes_exactly(tmp_path, monkeypatch):
    """Killed after an epoch and called again, the stage ends in the same weights to the bit."""
    from edgewright.training.state import RunDir

    config, training = (
        ew.PruneConfig(criterion="movement", pattern="block:1x2"),
        ew.TrainConfig(epochs=3, batch_size=128),
    )
    model = convnet()
    keras.utils.set_random_seed(0)
    whole, _ = ew.prune(model, config, data="digits", training=training, out=tmp_path / "whole")
    saved = RunDir.save

    def killed(self, state):
        saved(self, state)
        raise KeyboardInterrupt

    monkeypatch.setattr(RunDir, "due", lambda self: True)
    monkeypatch.setattr(RunDir, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        ew.prune(model, config, data="digits", training=training, out=tmp_path / "half")
    monkeypatch.setattr(RunDir, "save", saved)
    resumed, _ = ew.prune(model, config, data="digits", training=training, out=tmp_path / "half")
    for one, other in zip(whole.weights, resumed.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), err_msg=one.path)

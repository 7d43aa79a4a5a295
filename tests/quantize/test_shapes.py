"""Models with open dimensions."""

import keras
import numpy as np
import pytest
from edgewright import export_onnx, export_tflite, fix_shapes, prepare_qat
from edgewright.devices.measure import answers
from edgewright.errors import BadInput
from keras import layers


def of_any_size():
    inputs = keras.Input((None, None, 3), name="image")
    first = layers.Conv2D(4, 3, name="first", trainable=False)
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(first(inputs))), name="any_size")


def of_any_length():
    return keras.Sequential([keras.Input((None, 4), name="steps"), layers.LSTM(5), layers.Dense(2)], name="any_length")


def of_two():
    steps, features = keras.Input((None, 4), name="steps"), keras.Input((3,), name="features")
    joined = layers.Concatenate()([layers.GlobalMaxPooling1D()(steps), features])
    return keras.Model({"steps": steps, "features": features}, layers.Dense(2)(joined), name="two")


class Subclassed(keras.Model):
    """Averages over an image of any size."""

    def __init__(self):
        super().__init__(name="subclassed")
        self.last = layers.Dense(2)

    def call(self, x):
        return self.last(keras.ops.mean(x, (1, 2)))


def subclassed():
    model = Subclassed()
    model(keras.Input((None, None, 3)))
    return model


MODELS = {
    of_any_size: [(8, 8, 3)],
    of_any_length: [(7, 4)],
    of_two: [(3,), (7, 4)],
    subclassed: [(8, 8, 3)],
}


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_fixed_models_compute_the_same(make):
    model = make()
    fixed = fix_shapes(model, MODELS[make])
    x = [np.random.default_rng(0).normal(size=(3, *shape)).astype("float32") for shape in MODELS[make]]
    x = dict(zip(("features", "steps"), x, strict=True)) if make is of_two else x[0]
    np.testing.assert_array_equal(np.asarray(fixed(x)), np.asarray(model(x)))
    assert fixed.name == model.name
    assert [weight.trainable for weight in fixed.weights] == [weight.trainable for weight in model.weights]
    assert fix_shapes(fixed, MODELS[make]) is fixed


@pytest.mark.parametrize("make", [of_any_size, of_any_length])
def test_samples_fix_what_is_open(make, tmp_path):
    (shape,) = MODELS[make]
    model, x = make(), np.random.default_rng(0).normal(size=(40, *shape)).astype("float32")
    qat, _ = prepare_qat(model, calibration=x)
    for kind, export in (("tflite", export_tflite), ("onnx", export_onnx)):
        artifact = export(qat)
        assert artifact.manifest["inputs"][0]["shape"] == [1, *shape]
        given = answers(artifact.save(tmp_path / f"net.{kind}"), x)
        assert (np.abs(given - np.asarray(qat(x))) < 1.5 * artifact.manifest["outputs"][0]["scale"]).mean() > 0.99
        with pytest.raises(BadInput, match=r"open dimensions.*fix_shapes"):
            export(model)
        exact = answers(export(fix_shapes(model, [shape])).save(tmp_path / f"float.{kind}"), x)
        np.testing.assert_allclose(exact, np.asarray(model(x)), atol=1e-5)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(BadInput, match=r"\(8, 8, 4\) do not fit input 'image' of 'any_size': \(None, None, 3\)"):
        fix_shapes(of_any_size(), [(8, 8, 4)])
    with pytest.raises(BadInput, match="2 shapes for model 'any_size', which has 1 inputs"):
        fix_shapes(of_any_size(), [(8, 8, 3), (8,)])

"""What draws random numbers at inference is refused by name: in a file each would be one constant."""

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.quantize import prepare_qat
from edgewright.quantize.graph.tracing import trace
from keras import layers


def network(body):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 4), name="x")
    return keras.Model(inputs, layers.Dense(3, name="logits")(body(inputs)), name="net")


class Drawing(layers.Layer):
    """Adds what `draw(shape)` gives."""

    def __init__(self, draw, **kwargs):
        super().__init__(**kwargs)
        self.draw = draw

    def call(self, x):
        return x + 1e-3 * self.draw((6, 4))


class Always(layers.Dropout):
    def call(self, inputs, training=False):
        return super().call(inputs, training=True)


def of_tensorflow(shape):
    import tensorflow as tf

    return tf.random.normal(shape)


SEED = keras.random.SeedGenerator(1)
DRAWS = {
    "a seed as a number": lambda: Drawing(lambda shape: keras.random.normal(shape, seed=3), name="noisy"),
    "no seed": lambda: Drawing(keras.random.uniform, name="noisy"),
    "a generator": lambda: Drawing(lambda shape: keras.random.normal(shape, seed=SEED), name="noisy"),
    "dropout left on": lambda: Always(0.5, name="noisy"),
    "the function": lambda: layers.Lambda(lambda y: keras.random.dropout(y, 0.1, seed=1), name="noisy"),
    "numpy": lambda: Drawing(lambda shape: np.random.normal(size=shape).astype("float32"), name="noisy"),
    "tensorflow": lambda: Drawing(of_tensorflow, name="noisy"),
    "inside another": lambda: keras.Sequential([Drawing(keras.random.uniform, name="noisy")], name="outer"),
}


@pytest.mark.parametrize("what", DRAWS)
def test_a_layer_that_draws_is_refused_by_name(what):
    model = network(DRAWS[what]())
    with pytest.raises(BadInput, match=r"layer '(outer/)?noisy' .*draws random numbers at inference.*as an input"):
        trace(model)
    keras.random.normal((2,))  # and Keras draws again
    assert np.random.normal(size=3).shape == (3,)


TRAINING = {
    "GaussianNoise": lambda x: layers.GaussianNoise(0.001, name="left_on")(x, training=True),
    "Dropout": lambda x: layers.Dropout(0.1, name="left_on")(x, training=True),
    "MultiHeadAttention": lambda x: layers.MultiHeadAttention(2, 4, dropout=0.1, name="left_on")(x, x, training=True),
    "LSTM": lambda x: layers.LSTM(4, dropout=0.1, name="left_on")(x, training=True),
    "Sequential": lambda x: keras.Sequential([layers.Dense(4), layers.Dropout(0.1)], name="left_on")(x, training=True),
}


@pytest.mark.parametrize("kind", TRAINING)
def test_what_is_left_in_training_is_refused_by_name(kind):
    x = np.random.default_rng(0).normal(size=(20, 6, 4)).astype("float32")
    with pytest.raises(BadInput, match=rf"layer 'left_on' \({kind}\) is called with training=True.*call it without"):
        prepare_qat(network(TRAINING[kind]), calibration=x)


def test_what_is_random_in_training_only_goes_on():
    x = np.random.default_rng(0).normal(size=(20, 6, 4)).astype("float32")

    def body(inputs):
        noise = layers.GaussianNoise(0.5)(layers.Dropout(0.5)(inputs))
        return layers.LSTM(4, dropout=0.5)(layers.MultiHeadAttention(2, 4, dropout=0.5)(noise, noise))

    qat, _ = prepare_qat(network(body), calibration=x)
    assert np.asarray(qat(x)).shape == (20, 3)

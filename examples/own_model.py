"""A model of your own: a custom layer written in keras.ops, and a residual connection around it."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("examples")
class GatedDense(keras.layers.Layer):
    """A dense layer whose outputs are gated by a sigmoid of a second one. Shapes: (N, F) -> (N, units)."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        shape = (input_shape[-1], self.units)
        self.value = self.add_weight(shape=shape, initializer="glorot_uniform", name="value")
        self.gate = self.add_weight(shape=shape, initializer="glorot_uniform", name="gate")
        self.offset = self.add_weight(shape=(self.units,), initializer="zeros", name="offset")

    def call(self, inputs):
        return (ops.matmul(inputs, self.value) + self.offset) * ops.sigmoid(ops.matmul(inputs, self.gate))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def build() -> keras.Model:
    """Return a classifier of 13 features into 3 classes."""
    inputs = keras.Input((13,), name="features")
    hidden = keras.layers.Dense(32, activation="relu", name="stem")(inputs)
    gated = GatedDense(32, name="gated")(hidden)
    joined = keras.layers.Add(name="residual")([hidden, gated])
    return keras.Model(inputs, keras.layers.Dense(3, name="logits")(joined), name="gated_classifier")

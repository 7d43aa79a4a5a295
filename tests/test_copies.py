"""A copy of a model computes what the model does, whatever its layers keep."""

import edgewright as ew
import keras
import numpy as np
import pytest
from edgewright.copies import copy_model
from edgewright.errors import BadInput, WrongOrder
from keras import layers

X = (np.random.default_rng(0).normal(size=(64, 4)) * [1, 3, 2, 5] + [10, 20, 30, 40]).astype("float32")


def adapted():
    scale = layers.Normalization()
    scale.adapt(X)
    inputs = keras.Input((4,))
    return keras.Model(inputs, layers.Dense(3)(scale(inputs)))


class Attributes(keras.Model):
    """A functional model that lists its weights in the order of its attributes."""

    def __init__(self, length=None, **kwargs):
        self.last, self.first = layers.Dense(6, name="last"), layers.Dense(6, activation="tanh", name="first")
        inputs = keras.Input((length, 6))
        super().__init__(inputs, self.last(self.first(inputs)), **kwargs)


def answers(model, x):
    return np.asarray(model(x, training=False))


def test_adapted_layers_keep_what_they_know():
    model = adapted()
    np.testing.assert_array_equal(answers(copy_model(model), X), answers(model, X))


@pytest.mark.parametrize("transform", ["prune", "prepare_prune"])
def test_pruning_keeps_what_adapted_layers_know(transform):
    model, config = adapted(), ew.PruneConfig(sparsity=0.01)
    changed, _ = getattr(ew, transform)(model, config)
    changed = ew.strip_prune(changed) if transform == "prepare_prune" else changed
    np.testing.assert_array_equal(answers(changed, X), answers(model, X))  # 1% of 12 weights is none


@pytest.mark.parametrize("length", [8, None])
def test_kernels_of_one_shape_keep_their_places(length):
    model = Attributes(length)
    x = np.random.default_rng(0).normal(size=(4, 8, 6)).astype("float32")
    np.testing.assert_array_equal(answers(ew.fix_shapes(model, [(8, 6)]), x), answers(model, x))
    np.testing.assert_array_equal(answers(copy_model(model), x), answers(model, x))


def test_a_nested_model_and_a_compiled_one():
    inner = Attributes(8)
    inputs = keras.Input((8, 6))
    model = keras.Model(inputs, layers.Dense(2)(inner(inputs)))
    model.compile("sgd", lambda a, b: keras.ops.mean(a - b))
    x = np.random.default_rng(0).normal(size=(4, 8, 6)).astype("float32")
    np.testing.assert_array_equal(answers(copy_model(model), x), answers(model, x))
    assert model.compiled


class Forgetful(layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.dense = layers.Dense(units)

    def call(self, x):
        return self.dense(x)


class Other(layers.Layer):
    """Is made again as something else: what it was told later is in no configuration."""

    factor = 1.0

    def times(self, factor):
        self.factor = factor
        return self

    def call(self, x):
        return x * self.factor


@pytest.mark.parametrize(
    ("layer", "message"), [(Forgetful(3), "cannot be copied"), (Other().times(2.0), "something else")]
)
def test_layers_that_are_not_made_again_are_refused(layer, message):
    inputs = keras.Input((4,))
    with pytest.raises(BadInput, match=message):
        copy_model(keras.Model(inputs, layer(inputs)))


def test_pruning_after_quantization_is_refused():
    inputs = keras.Input((4,))
    qat, _ = ew.prepare_qat(keras.Model(inputs, layers.Dense(3)(inputs)), calibration=X)
    for transform in (ew.prune, ew.prepare_prune):
        with pytest.raises(WrongOrder, match="prune the model it was made from"):
            transform(qat)


def test_a_copied_quantized_model_leaves_the_original_readable(tmp_path):
    inputs = keras.Input((4,))
    qat, _ = ew.prepare_qat(keras.Model(inputs, layers.Dense(3)(inputs)), calibration=X)
    keras.models.clone_model(qat)
    qat.save(tmp_path / "q.keras")
    np.testing.assert_array_equal(answers(ew.load_model(tmp_path / "q.keras"), X), answers(qat, X))


def test_operations_of_two_inputs_are_copied_beside_the_layers():
    left, right = keras.Input((4,)), keras.Input((4, 2))
    x = keras.ops.matmul(keras.ops.expand_dims(layers.Dense(4)(left), 1), right)
    model = keras.Model([left, right], x)
    given = [X[:3], np.ones((3, 4, 2), np.float32)]
    np.testing.assert_array_equal(copy_model(model)(given), model(given))

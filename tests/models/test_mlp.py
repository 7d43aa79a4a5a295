"""Multilayer perceptrons by hand."""

import keras
import numpy as np
import pytest
from edgewright.models import registry
from edgewright.models.blocks import maxout
from edgewright.models.mlp import monte_carlo

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)


def test_xor_by_hand():
    model = registry.build("xor_mlp")
    assert model.count_params() == 9
    model.set_weights([np.ones((2, 2)), np.array([0.0, -1.0]), np.array([[1.0], [-2.0]]), np.zeros(1)])
    np.testing.assert_array_equal(model(CORNERS), [[0], [1], [1], [0]])


def maxout_of(kernel, bias):
    """Return a net of one maxout unit of x with the given pieces."""
    inputs = keras.Input((1,))
    model = keras.Model(inputs, maxout(inputs, units=1, pieces=len(bias), name="unit"))
    model.set_weights([np.array([kernel], np.float32), np.array(bias, np.float32)])
    return model


@pytest.mark.parametrize(("kernel", "expected"), [((1, 0), lambda x: np.maximum(x, 0)), ((1, -1), np.abs)])
def test_two_pieces_make_relu_and_the_absolute_value(kernel, expected):
    x = np.array([[-2.5], [-1.0], [0.0], [0.5], [3.0]], np.float32)
    np.testing.assert_array_equal(maxout_of(kernel, (0, 0))(x), expected(x))


def test_a_maxout_unit_takes_the_largest_of_its_own_pieces():
    inputs = keras.Input((1,))
    model = keras.Model(inputs, maxout(inputs, units=2, pieces=2, name="units"))
    model.set_weights([np.zeros((1, 4), np.float32), np.array([1, 5, 3, 2], np.float32)])
    np.testing.assert_array_equal(model(np.zeros((1, 1), np.float32)), [[5, 3]])


@pytest.mark.parametrize(("units", "below_zero"), [("prelu", 0.5), ("leaky_relu", 0.3)])
def test_learnt_and_fixed_slopes_below_zero(units, below_zero):
    model = registry.build("maxout_mlp", "edge", input_shape=(1,), hidden=(1,), classes=1, units=units)
    values = {"kernel": [[1.0]], "bias": [0.0], "alpha": [0.5]}
    model.set_weights([np.array(values[weight.name], np.float32) for weight in model.weights])
    np.testing.assert_allclose(model(np.array([[-2.0], [2.0]])), [[-2 * below_zero], [2.0]], atol=1e-6)


def test_monte_carlo_mean_and_variance_of_one_dropped_input():
    """x = 1 is kept with 0.8 and then scaled to 1.25: mean 1, variance 0.8 * 1.25^2 - 1 = 0.25."""
    model = registry.build("mc_dropout_mlp", input_shape=(1,), hidden=(), classes=1)
    model.set_weights([np.ones((1, 1), np.float32), np.zeros(1, np.float32)])
    mean, variance = monte_carlo(model, np.ones((4000, 1), np.float32), passes=20)
    assert mean.shape == variance.shape == (4000, 1)
    assert mean.mean() == pytest.approx(1.0, abs=0.01)
    assert variance.mean() * 20 / 19 == pytest.approx(0.25, abs=0.01)
    np.testing.assert_array_equal(model(np.ones((3, 1), np.float32)), np.ones((3, 1)))  # off by default


@pytest.mark.slow
def test_monte_carlo_variance_grows_away_from_the_training_range():
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, (256, 1)).astype(np.float32)
    model = registry.build("mc_dropout_mlp", input_shape=(1,), classes=1, hidden=(64,), keep_input=1.0, keep_hidden=0.8)
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=False, steps_per_execution=4)
    model.fit(x, np.sin(3 * x), epochs=60, batch_size=64, verbose=0)
    _, variance = monte_carlo(model, np.array([[0.0], [2.0], [4.0]], np.float32), passes=200)
    inside, near, far = variance[:, 0]
    assert inside < near < far and far > 3 * inside


@pytest.mark.slow
def test_a_wider_hidden_layer_fits_the_sine_better():
    x = np.linspace(-np.pi, np.pi, 128, dtype=np.float32)[:, None]

    def error(width):
        model = registry.build("mlp", input_shape=(1,), classes=1, hidden=(width,))
        model.compile(keras.optimizers.Adam(0.02), "mse", jit_compile=False, steps_per_execution=4)
        model.fit(x, np.sin(x), epochs=75, batch_size=32, verbose=0)
        return model.evaluate(x, np.sin(x), verbose=0)

    narrow, wide = error(1), error(32)
    assert wide < 0.02 < narrow / 3


def test_heads_share_the_trunk_and_nothing_else():
    model = registry.build("multitask_mlp")
    assert list(model.output) == ["logits", "parity"]
    x = np.random.default_rng(0).normal(size=(2, 64)).astype(np.float32)
    before = {name: np.asarray(value) for name, value in model(x).items()}
    parity = model.get_layer("parity")
    parity.set_weights([weight + 1 for weight in parity.get_weights()])
    after = model(x)
    np.testing.assert_array_equal(after["logits"], before["logits"])
    assert (np.asarray(after["parity"]) != before["parity"]).all()


def test_an_ensemble_is_the_mean_of_its_members():
    model = registry.build("bagging_ensemble", "edge", members=3)
    members = keras.Model(model.input, [model.get_layer(f"member_{k}_logits").output for k in (1, 2, 3)])
    x = np.random.default_rng(0).normal(size=(4, 64)).astype(np.float32)
    np.testing.assert_allclose(model(x), np.mean([np.asarray(one) for one in members(x)], axis=0), atol=1e-6)

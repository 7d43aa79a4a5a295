"""Multilayer perceptrons by hand."""

import math

import keras
import numpy as np
import pytest
from edgewright.models import registry
from edgewright.models.blocks import maxout
from edgewright.models.mlp import monte_carlo
from keras import ops

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)


def test_xor_by_hand():
    model = registry.build("xor_mlp")
    assert model.count_params() == 9
    model.set_weights([np.ones((2, 2)), np.array([0.0, -1.0]), np.array([[1.0], [-2.0]]), np.zeros(1)])
    np.testing.assert_array_equal(model(CORNERS), [[0], [1], [1], [0]])
    kernel, bias, *_ = model.get_weights()
    np.testing.assert_array_equal(CORNERS @ kernel + bias, [[0, -1], [1, 0], [1, 0], [2, 1]])


@pytest.mark.parametrize(("shape", "count"), [((640, 480, 3), 921_601_000), ((1024, 1024, 1), 1_048_577_000)])
def test_one_dense_layer_on_an_image_counted_without_allocating(shape, count):
    with keras.StatelessScope(initialize_variables=False):
        model = registry.build("mlp", input_shape=(math.prod(shape),), classes=1000, hidden=())
        assert sum(math.prod(weight.shape) for weight in model.weights) == count


def test_units_that_start_alike_stay_alike():
    model = registry.build("mlp", input_shape=(3,), classes=2, hidden=(4,), seed=5)
    kernel, bias, out, last = model.get_weights()
    model.set_weights([np.repeat(kernel[:, :1], 4, 1), bias, np.repeat(out[:1], 4, 0), last])
    x = np.random.default_rng(0).normal(size=(32, 3)).astype(np.float32)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.5), loss, jit_compile=False)
    model.fit(x, (x[:, 0] > 0).astype(int), epochs=3, batch_size=8, verbose=0)
    trained, _, read, _ = model.get_weights()
    assert np.abs(trained[:, :1] - kernel[:, :1]).max() > 1e-2
    np.testing.assert_allclose(trained, np.repeat(trained[:, :1], 4, 1), atol=1e-6)
    np.testing.assert_allclose(read, np.repeat(read[:1], 4, 0), atol=1e-6)


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


@pytest.mark.parametrize("average", ["logits", "probabilities"])
def test_the_log_loss_of_an_ensemble_is_at_most_that_of_its_members(average):
    """Jensen: the loss is convex in logits and in probabilities. The Brier score is convex in probabilities."""
    model = registry.build("bagging_ensemble", "edge", members=4, average=average)
    random = np.random.default_rng(0)
    model.set_weights([0.3 * random.normal(size=weight.shape) for weight in model.get_weights()])
    members = keras.Model(model.input, [model.get_layer(f"member_{k}_logits").output for k in range(1, 5)])
    x, truth = random.normal(size=(50, 64)).astype(np.float32), np.eye(10)[random.integers(0, 10, 50)]
    alone = [np.asarray(ops.softmax(one)) for one in members(x)]
    whole = np.asarray(model(x) if average == "probabilities" else ops.softmax(model(x)))

    def log_loss(chances):
        return -np.log(np.maximum((chances * truth).sum(1), 1e-30))

    assert (log_loss(whole) <= np.mean([log_loss(one) for one in alone], axis=0) + 1e-5).all()
    if average == "probabilities":
        np.testing.assert_allclose(whole, np.mean(alone, axis=0), atol=1e-6)
        brier = np.mean([np.square(one - truth).sum(1) for one in alone], axis=0)
        assert (np.square(whole - truth).sum(1) <= brier + 1e-6).all()


def test_the_heaviest_member_is_outvoted():
    """Members of weight .4, .3 and .3 say +, - and -: the vote is - with .6."""
    model = registry.build("bagging_ensemble", input_shape=(1,), classes=2, members=3, hidden=(), votes=(0.4, 0.3, 0.3))
    said = [np.float32([[1, -1]]), np.float32([[-1, 1]]), np.float32([[-1, 1]])]
    for k, kernel in enumerate(said, 1):
        model.get_layer(f"member_{k}_logits").set_weights([kernel, np.zeros(2)])
    np.testing.assert_allclose(model(np.ones((1, 1))), [[0.4, 0.6]], atol=1e-6)


def test_three_members_that_are_right_twice_can_be_wrong_together():
    """The right class at .51, .51 and 0: mean accuracy 2/3, the mean of the probabilities names the other one."""
    chances = np.array([[0.51, 0.49], [0.51, 0.49], [0.0, 1.0]])
    assert (chances.argmax(1) == 0).mean() == pytest.approx(2 / 3) and chances.mean(0).argmax() == 1

"""Cross-layer equalisation and bias correction: by hand, and on a net that needs them."""

import keras
import numpy as np
import pytest
from edgewright.quantize import QatConfig, prepare_qat
from edgewright.quantize.graph import nodes as graph
from edgewright.quantize.graph import tracing
from edgewright.quantize.kernels import FORMS
from edgewright.quantize.passes.canonicalize import canonicalize
from edgewright.quantize.passes.correct import bias_shift, equalize
from keras import layers


def lopsided():
    """A convolution, a depthwise one and a product whose channels reach a thousand times as far here as there."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 3), name="x")
    x = layers.Conv2D(8, 3, name="first")(inputs)
    x = layers.ReLU(name="relu")(x)
    x = layers.DepthwiseConv2D(3, name="second")(x)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Conv2D(4, 1, name="third")(x)
    model = keras.Model(inputs, layers.GlobalAveragePooling2D(name="mean")(x))
    factor = np.logspace(-1.5, 1.5, 8).astype("f4")
    kernel, bias = model.get_layer("first").get_weights()
    model.get_layer("first").set_weights([kernel * factor, bias])
    kernel, bias = model.get_layer("second").get_weights()
    model.get_layer("second").set_weights([kernel / factor[:, None], bias])
    return model


def test_equalised_pair_by_hand():
    """Reaches 8 and 2 in a channel: the factor is 2, both reach 4 then."""
    inputs = keras.Input((1,), name="x")
    first, second = layers.Dense(1, activation="relu", name="first"), layers.Dense(1, name="second")
    model = keras.Model(inputs, second(first(inputs)))
    first.set_weights([np.array([[8.0]]), np.array([6.0])])
    second.set_weights([np.array([[2.0]]), np.array([1.0])])
    found = canonicalize(tracing.trace(model))
    assert equalize(found, rounds=1) == 1
    assert [float(leaf.value.reshape(())) for leaf in found.constants] == [4.0, 3.0, 4.0, 1.0]


def test_equalising_changes_no_output_and_levels_the_channels():
    model = lopsided()
    found = canonicalize(tracing.trace(model))
    assert equalize(found) == 2
    x = np.random.default_rng(0).normal(size=(4, 6, 6, 3)).astype("f4")
    result = graph.run(found, [keras.ops.convert_to_tensor(x)])[0]
    np.testing.assert_allclose(np.asarray(result), np.asarray(model(x)), rtol=1e-3, atol=1e-5)
    reach = np.abs(found.constants[0].value).max((0, 1, 2))
    before = np.abs(model.get_weights()[0]).max((0, 1, 2))
    assert reach.max() / reach.min() < 10 and before.max() / before.min() > 500


def error(model, x, **config):
    qat, _ = prepare_qat(model, QatConfig(**config), calibration=x)
    return np.square(np.asarray(qat(x)) - np.asarray(model(x))).mean()


def test_equalising_saves_a_net_with_lopsided_channels():
    x = np.random.default_rng(0).normal(size=(64, 6, 6, 3)).astype("f4")
    model = lopsided()
    assert error(model, x, equalize=True) < 0.1 * error(model, x)


@pytest.mark.parametrize("groups", [1, 2])
def test_shift_of_a_convolution_is_the_mean_of_what_it_adds(groups):
    random = np.random.default_rng(0)
    kernel = random.normal(size=(3, 3, 4 // groups, 6)).astype("f4")
    x = random.normal(1.0, 1.0, size=(64, 8, 8, 4)).astype("f4")
    shift = bias_shift(FORMS["Conv"], kernel, x.mean((0, 1, 2)), 4)
    from edgewright.quantize.fake_quant import fake_quantize_kernel

    rounded = np.asarray(fake_quantize_kernel(kernel, (-1,), 4))
    added = np.asarray(keras.ops.conv(x, rounded) - keras.ops.conv(x, kernel)) if groups == 1 else np.concatenate(
        [keras.ops.conv(x[..., 2 * g : 2 * g + 2], (rounded - kernel)[..., 3 * g : 3 * g + 3]) for g in range(2)], -1
    )  # fmt: skip
    np.testing.assert_allclose(shift, added.mean((0, 1, 2)), atol=0.05)
    assert np.abs(shift).max() > 0.1


def test_corrected_biases_halve_the_error_of_coarse_kernels():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((32,), name="x")
    x = layers.Dense(32, activation="relu", name="hidden")(inputs)
    model = keras.Model(inputs, layers.Dense(4, name="logits")(x))
    x = np.random.default_rng(0).uniform(0.5, 1.5, size=(256, 32)).astype("f4")
    assert error(model, x, default="w4a8", correct_biases=True) < 0.5 * error(model, x, default="w4a8")

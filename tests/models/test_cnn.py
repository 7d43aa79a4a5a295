"""Convolutional classifiers by hand: parameters layer by layer, receptive fields, unshared and sliding windows."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from edgewright.models import registry
from edgewright.models.blocks import LocallyConnected2D
from edgewright.models.cnn import factorized
from keras import layers, ops

RANDOM = np.random.default_rng(0)


def params(model, layer):
    return model.get_layer(layer).count_params()


def test_mnist_cnn_layer_by_layer():
    model = registry.build("mnist_cnn")
    assert params(model, "conv_1") == 832 and params(model, "conv_2") == 51_264  # 5 * 5 * 32 * 64 + 64
    assert model.get_layer("conv_2").output.shape == (None, 14, 14, 64)
    assert model.get_layer("pool_2").output.shape == (None, 7, 7, 64)


@pytest.mark.parametrize(("maps", "count"), [(32, 688_714), (36, 870_706)])
def test_keras_cnn_by_its_number_of_maps(maps, count):
    convolutions = ((maps, 3, "same"), (2 * maps, 3, "same"), (4 * maps, 3, "valid"))
    model = registry.build("keras_cnn", convolutions=convolutions, hidden=16 * maps)
    assert model.count_params() == count
    assert model.input_shape == (None, 32, 32, 3)
    assert [layer.rate for layer in model.layers if isinstance(layer, layers.Dropout)] == [0.25, 0.5]


X = [[0.5, -0.1, 0.2, 0.3, 0.5], [0.8, 0.1, -0.5, 0.5, 0.1], [-1, 0.2, 0, 0.3, -0.2], [0.7, 0.1, 0.2, -0.6, 0.3],
     [-0.4, 0, 0.2, 0.3, -0.3]]  # fmt: skip
VALID = [[-0.35, 1.35, 0.75], [-0.55, 0.85, 0.05], [0.75, 0.05, 1.15]]
SAME = [[0.75, 1.65, -0.15, 0.75, 0.95], [-0.45, -0.35, 1.35, 0.75, 1.15], [1.85, -0.55, 0.85, 0.05, 0.15],
        [-1.05, 0.75, 0.05, 1.15, -0.75], [0.85, 0.15, -0.05, -0.35, 0.65]]  # fmt: skip
POOLED = [[0.8389, 0.7941, 0.7595], [0.8641, 0.7595, 0.5374], [0.7006, 0.4875, 0.6570]]


@pytest.mark.parametrize(("padding", "maps", "pooled"), [("valid", VALID, [[0.794]]), ("same", SAME, POOLED)])
def test_a_convolution_a_sigmoid_and_a_pool_by_hand(padding, maps, pooled):
    model = registry.build("simple_cnn", input_shape=(5, 5, 1), convolutions=((1, 3, padding),), hidden=1)
    convolution = model.get_layer("conv_1")
    kernel = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]], np.float32)[..., None, None]
    convolution.set_weights([kernel, np.float32([0.05])])
    convolution.activation = keras.activations.linear
    found = np.asarray(convolution(np.array(X, np.float32)[None, ..., None]))
    np.testing.assert_allclose(found[0, ..., 0], maps, atol=1e-6)
    squashed = ops.sigmoid(found)
    if padding == "valid":
        np.testing.assert_allclose(
            squashed[0, ..., 0], [[0.413, 0.794, 0.679], [0.366, 0.701, 0.512], [0.679, 0.512, 0.760]], atol=6e-4
        )
    largest = ops.max_pool(squashed, 2, 2, padding)[0, ..., 0]
    np.testing.assert_allclose(largest, pooled, atol=6e-4 if padding == "valid" else 6e-5)
    if padding == "same":
        np.testing.assert_allclose(model.get_layer("pool_1")(squashed)[0, ..., 0], np.array(pooled)[:2, :2], atol=6e-5)


@pytest.mark.parametrize(("depth", "field"), [(1, 3), (2, 7), (3, 15)])
def test_receptive_field_of_dilated_convolutions(depth, field):
    """The inputs that the gradient of one position reaches, in both directions."""
    model = registry.build("dilated_cnn", input_shape=(21, 21, 1), dilations=(1, 2, 4)[:depth])
    context = keras.Model(model.input, model.get_layer(f"context_{depth}").output)
    context.set_weights([np.abs(weight) for weight in context.get_weights()])  # no ReLU hides a path
    x = tf.ones((1, 21, 21, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        centre = tf.reduce_sum(context(x)[:, 10, 10])
    rows, columns = np.nonzero(np.asarray(tape.gradient(centre, x))[0, :, :, 0])
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (field, field)
    assert (rows.min(), rows.max()) == (10 - field // 2, 10 + field // 2)


@pytest.mark.parametrize(("kind", "share"), [("full", 9), ("asymmetric", 6), ("bottleneck", 3.25)])
def test_weights_of_a_factorised_convolution(kind, share):
    """9 F^2, 6 F^2 and 3.25 F^2 without biases; the shape stays."""
    inputs = keras.Input((6, 6, 8))
    model = keras.Model(inputs, factorized(inputs, kind, name="one"))
    assert model.output_shape == (None, 6, 6, 8)
    kernels = [weight for weight in model.trainable_weights if weight.name == "kernel"]
    assert sum(math.prod(kernel.shape) for kernel in kernels) == share * 8**2


def weights_on_a_large_image(layer):
    """Count the kernel of a layer on a 1000x1000 image without allocating it."""
    with keras.StatelessScope(initialize_variables=False):
        image = keras.Input((1000, 1000, 1))
        layer(layers.Flatten()(image) if isinstance(layer, layers.Dense) else image)
        return math.prod(layer.kernel.shape)


def test_weights_of_dense_local_and_shared_connections():
    """10,000 dense units; ten maps of 100x100 local units with 10x10 windows; 100 shared 10x10 filters."""
    assert weights_on_a_large_image(layers.Dense(10_000)) == 10**10
    assert weights_on_a_large_image(LocallyConnected2D(10, 10, strides=10)) == 10**7
    assert weights_on_a_large_image(layers.Conv2D(100, 10)) == 10**4


def test_dense_weights_between_two_large_images_counted_without_allocating():
    """224x224x3 = 150,528 values, onto as many units."""
    with keras.StatelessScope(initialize_variables=False):
        layer = layers.Dense(224 * 224 * 3)
        layer(layers.Flatten()(keras.Input((224, 224, 3))))
        assert layer.kernel.shape[0] == 150_528 and math.prod(layer.kernel.shape) == 22_658_678_784


def test_net_3_layer_by_layer():
    model = registry.build("locally_connected")
    assert params(model, "local_1") == 8 * 8 * (9 + 1) and params(model, "local_2") == 4 * 4 * (25 + 1)
    assert params(model, "logits") == 170


def test_equal_kernels_everywhere_make_a_local_layer_a_convolution():
    local, shared = LocallyConnected2D(4, 3, strides=2, activation="tanh"), layers.Conv2D(4, 3, 2, activation="tanh")
    x = RANDOM.normal(size=(2, 9, 7, 3)).astype(np.float32)
    shared(x), local(x)
    kernel, bias = RANDOM.normal(size=(3, 3, 3, 4)).astype(np.float32), RANDOM.normal(size=4).astype(np.float32)
    shared.set_weights([kernel, bias])
    local.set_weights([np.tile(kernel.reshape(27, 4), (4 * 3, 1, 1)), np.tile(bias, (4, 3, 1))])
    np.testing.assert_allclose(local(x), shared(x), atol=1e-6)


def test_a_local_layer_has_a_kernel_for_each_position():
    local = LocallyConnected2D(1, 2)
    x = RANDOM.normal(size=(1, 4, 4, 2)).astype(np.float32)
    before = np.asarray(local(x))
    kernel, bias = local.get_weights()
    kernel[5] += 1  # position (1, 2) of 3x3
    local.set_weights([kernel, bias])
    moved = np.asarray(local(x)) - before
    assert moved[0, 1, 2, 0] == pytest.approx(x[0, 1:3, 2:4].sum(), abs=1e-5)
    assert np.count_nonzero(moved) == 1


def test_a_time_delay_layer_is_a_dense_layer_on_each_window():
    model = registry.build("tdnn", input_shape=(9, 4))
    delay = keras.Model(model.input, model.get_layer("delay_1").output)
    dense = layers.Dense(8, activation="sigmoid")
    x = RANDOM.normal(size=(2, 9, 4)).astype(np.float32)
    dense.build((None, 12))
    kernel, bias = delay.get_weights()
    dense.set_weights([kernel.reshape(12, 8), bias])
    windows = np.stack([x[:, start : start + 3].reshape(2, 12) for start in range(7)], axis=1)  # (N, 7, 3 * 4)
    np.testing.assert_allclose(delay(x), dense(windows), atol=1e-6)


def test_waibels_net_hears_a_phoneme_wherever_it_is():
    """8 units of 3 frames, 3 of 5: 13 and 9 positions; what is heard is the mean of the evidence over time."""
    model = registry.build("tdnn")
    assert params(model, "delay_1") == 392 and model.get_layer("delay_1").output.shape == (None, 13, 8)
    assert params(model, "evidence") == 123 and model.get_layer("evidence").output.shape == (None, 9, 3)
    long = registry.build("tdnn", input_shape=(40, 16))
    sound = np.zeros((2, 40, 16), np.float32)
    sound[0, 8:20] = sound[1, 15:27] = RANDOM.normal(size=(12, 16))
    early, late = np.asarray(long(sound))
    np.testing.assert_allclose(early, late, atol=1e-5)
    assert np.abs(early - np.asarray(long(np.zeros((1, 40, 16), np.float32)))[0]).max() > 1e-3

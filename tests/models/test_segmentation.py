"""Nets that class pixels: dense layers as convolutions, pools undone, numbers worked by hand."""

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.models.convolved import Bilinear, MaxUnpooling2D, fully_convolutional
from edgewright.quantize import prepare_qat
from keras import layers

R = np.random.default_rng(0)
X = np.array([[120, 150, 120], [100, 50, 110], [25, 25, 10]], np.float32)


def image(values):
    return np.asarray(values, np.float32)[None, :, :, None]


def plane(values):
    return keras.ops.convert_to_numpy(values)[0, :, :, 0]


# ---------------------------------------------------------------- a classifier convolved


@pytest.fixture
def classifier():
    """5x5 -> a valid 3x3 convolution -> a 3x3 map -> a dense layer of one score."""
    inputs = keras.Input((5, 5, 1))
    x = layers.Flatten()(layers.Conv2D(2, 3, name="c1")(inputs))
    model = keras.Model(inputs, layers.Dense(1, name="score")(x))
    for weight in model.weights:
        weight.assign(R.normal(size=weight.shape))
    return model


def test_a_convolved_classifier_scores_every_window_as_the_classifier_does(classifier):
    convolved = fully_convolutional(classifier)
    assert convolved.get_layer("score").kernel.shape == (3, 3, 2, 1)
    x = R.random((3, 7, 7, 1), np.float32)
    scores = np.asarray(convolved(x))
    assert scores.shape == (3, 3, 3, 1)  # 7x7 -> a 5x5 map -> 3x3 scores
    np.testing.assert_allclose(np.asarray(convolved(x[:, :5, :5]))[:, 0, 0], classifier(x[:, :5, :5]), atol=1e-5)
    for row in range(3):
        for column in range(3):
            window = x[:, row : row + 5, column : column + 5]
            np.testing.assert_allclose(scores[:, row, column], classifier(window), atol=1e-5)


def test_a_trained_vgg_becomes_a_heat_map():
    vgg = registry.build("vgg11", "edge", seed=1)
    convolved = fully_convolutional(vgg)
    x = R.random((2, 64, 96, 3), np.float32)
    assert convolved(x).shape == (2, 2, 3, 10)
    np.testing.assert_allclose(np.asarray(convolved(x[:, :32, :32]))[:, 0, 0], vgg(x[:, :32, :32]), atol=1e-5)


def test_a_net_that_flattens_nothing_is_refused():
    with pytest.raises(BadInput, match="flattens maps 0 times"):
        fully_convolutional(registry.build("autoencoder", "edge"))


# ---------------------------------------------------------------- back to the pixels


def test_a_pool_of_overlapping_windows_is_undone():
    pooled = layers.MaxPooling2D(2, 1)(image(X))
    np.testing.assert_array_equal(plane(pooled), [[150, 150], [100, 110]])
    values = image([[300, 450], [100, 250]])
    unpooled = MaxUnpooling2D(2, 1)([image(X), pooled, values])
    np.testing.assert_array_equal(plane(unpooled), [[0, 750, 0], [100, 0, 250], [0, 0, 0]])


def test_a_pool_of_windows_side_by_side_is_undone_and_ties_go_to_all():
    x = image([[1, 2, 5, 5], [3, 0, 5, 4]])
    unpooled = MaxUnpooling2D()([x, layers.MaxPooling2D(2)(x), image([[7, 9]])])
    np.testing.assert_array_equal(plane(unpooled), [[0, 0, 9, 9], [7, 0, 9, 0]])


def test_other_strides_are_refused():
    with pytest.raises(BadInput, match="strides=2 of windows of 3"):
        MaxUnpooling2D(3, 2)


def test_a_transposed_convolution_adds_up_what_overlaps():
    layer = layers.Conv2DTranspose(1, 2, use_bias=False)
    layer.build((None, 3, 3, 1))
    layer.kernel.assign(np.float32([[1, -1], [2, -2]])[..., None, None])
    wanted = [[120, 30, -30, -120], [340, 10, 0, -350], [225, -100, 105, -230], [50, 0, -30, -20]]
    np.testing.assert_allclose(plane(layer(image(X))), wanted, atol=1e-4)


def test_fcn_begins_as_bilinear_interpolation():
    twice = layers.Conv2DTranspose(2, 4, 2, "same", use_bias=False, kernel_initializer=Bilinear())
    x = R.random((1, 6, 6, 2), np.float32)
    ours = np.asarray(twice(x))
    wanted = np.asarray(layers.UpSampling2D(2, interpolation="bilinear")(x))
    np.testing.assert_allclose(ours[:, 1:-1, 1:-1], wanted[:, 1:-1, 1:-1], atol=1e-5)


@pytest.mark.parametrize(("name", "skips"), [("fcn32s", 0), ("fcn16s", 1), ("fcn8s", 2)])
def test_skips_are_told_by_the_name_and_begin_at_nothing(name, skips):
    model = registry.build(name, "edge", seed=0)
    fused = [layer for layer in model.layers if layer.name.startswith("fuse_")]
    assert len(fused) == skips and model.output_shape == (None, 128, 128, 2)
    if skips:
        assert not np.asarray(model.get_layer("score_4").kernel).any()


def test_segnet_learns_its_way_up_where_it_is_told_to():
    model = registry.build("segnet", "edge", unpooling=False)
    assert not any(isinstance(layer, MaxUnpooling2D) for layer in model.layers)
    assert sum(isinstance(layer, layers.Conv2DTranspose) for layer in model.layers) == 5
    assert model.output_shape == (None, 64, 64, 2)


def test_a_pool_is_undone_in_integers_alone():
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    pooled = layers.MaxPooling2D(2)(x)
    up = MaxUnpooling2D(name="up")([x, pooled, layers.Conv2D(4, 1)(pooled)])
    model = keras.Model(inputs, layers.Conv2D(2, 1)(up))
    given = R.random((16, 8, 8, 2), np.float32)
    aware, _ = prepare_qat(model, calibration=given)
    apart = np.abs(np.asarray(aware(given)) - np.asarray(model(given)))
    assert np.median(apart) < 0.05 * np.abs(np.asarray(model(given))).max()

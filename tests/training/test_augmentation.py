"""Training samples changed at random by Keras layers: within bounds, in training only, alike for the same seed."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from edgewright.training import data
from edgewright.training.data import Asked, images
from edgewright.training.learners.wrapped import Augmented
from edgewright.training.train import TrainConfig, train

PARTS = {part: (np.full((20, 8, 8, 1), 3), np.arange(20) % 10) for part in ("train", "validation", "test")}


def shown(shape, task="classification"):
    asked = Asked(input_shape=shape, dtype="float32", task=task)
    return images._images("set", PARTS, 16, asked, (), images.shifted)


def identity(layers):
    inputs = keras.Input((16, 16, 1))
    return Augmented(keras.Model(inputs, keras.layers.Activation("linear")(inputs)), layers)


def test_a_shift_moves_whole_pixels_within_its_share_and_brings_in_zeros():
    x = np.zeros((400, 16, 16, 1), np.float32)
    x[:, 8, 6] = 1
    model = identity(images.shifted(0, share=2 / 16))
    moved = keras.ops.convert_to_numpy(model(x, training=True))
    assert set(np.unique(moved)) == {0, 1} and np.all(moved.sum((1, 2, 3)) == 1)
    places = {tuple(map(int, place)) for place in np.argwhere(moved[..., 0])[:, 1:] - (8, 6)}
    assert places == {(down, right) for down in range(-2, 3) for right in range(-2, 3)}
    assert np.array_equal(model(x, training=False), x) and np.array_equal(model(x), x)


def test_a_mirrored_image_is_its_mirror_half_of_the_time():
    x = np.random.default_rng(0).random((400, 16, 16, 1)).astype(np.float32)
    mirrored = keras.ops.convert_to_numpy(identity(images.shifted(0, share=0.0, mirrored=True))(x, training=True))
    same, turned = ((mirrored == other).all((1, 2, 3)) for other in (x, x[:, :, ::-1]))
    assert np.all(same ^ turned) and 150 < turned.sum() < 250


@pytest.mark.parametrize(("shape", "task"), [
    ((64,), "classification"),
    ((8, 8), "classification"),
    ((8, 8, 1), "reconstruction"),
    ((8, 8, 1), "anomaly_detection"),
])  # fmt: skip
def test_only_classified_images_are_augmented(shape, task):
    assert shown(shape, task).augmentation is None
    assert shown((8, 8, 1)).augmentation is images.shifted


def fit(augment, seed=0):
    """Train a small net for two epochs; return all of its weights in one array."""
    keras.utils.set_random_seed(1)
    dataset = replace(data.load("digits"), augmentation=lambda seed: images.shifted(seed, share=1 / 8))
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
    train(model, dataset, TrainConfig(epochs=2, seed=seed, augment=augment))
    assert len(model.layers) == 2
    return np.concatenate([weights.ravel() for weights in model.get_weights()])


def test_training_obeys_the_setting_and_the_seed():
    first = fit(True)
    assert np.array_equal(first, fit(True)) and not np.array_equal(first, fit(True, seed=1))
    assert not np.array_equal(first, fit(False))

"""Nets of depth: what they are trained on, and in which form."""

import keras
import numpy as np
import pytest
from edgewright import metrics
from edgewright.models import registry
from edgewright.training.data import load


@pytest.fixture(scope="module")
def scenes():
    return load("rendered_scenes", input_shape=(16, 16, 3), task="inverse_depth", limit=256, test_limit=64)


def fitted(scenes, targets):
    keras.utils.set_random_seed(0)
    small = {"input_shape": (16, 16, 3), "maps": (8, 16), "windows": (3, 3)}
    model = registry.build("depth_net", "edge", seed=0, **small)
    model.compile(keras.optimizers.Adam(3e-3), "mse", jit_compile=False)
    model.fit(scenes.train.x, targets, batch_size=16, epochs=6, verbose=0, shuffle=False)
    return np.asarray(model(scenes.test.x))


def test_an_inverse_depth_trains_where_a_raw_one_collapses(scenes):
    metric = metrics.get("log_depth_rmse")

    def error(inverse):
        return metric.reduce(metric.scores(inverse, scenes.test.y))

    farthest = 100.0  # metres: what a depth of the sky is said to be
    raw = fitted(scenes, 1 / np.maximum(scenes.train.y, 1 / farthest))
    inverse = fitted(scenes, scenes.train.y)
    mean = np.full_like(scenes.test.y, scenes.train.y.mean())
    assert error(inverse) < 0.75 * error(mean)
    assert error(inverse) < 0.75 * error(1 / np.maximum(raw, 1.0))


def test_odd_sides_come_back_in_their_own_size():
    model = registry.build("depth_net", "edge", input_shape=(36, 52, 3))  # 13 and 9 are halves of none
    assert model.output_shape == (None, 36, 52, 1)
    assert any(isinstance(layer, keras.layers.Cropping2D) for layer in model.layers)


def test_both_maps_are_read():
    model = registry.build("rgbd_hha", "edge", seed=0)
    given = {name: np.random.default_rng(0).random((2, 32, 32, 3), np.float32) for name in ("image", "hha")}
    whole = np.asarray(model(given))
    for name, values in given.items():
        assert not np.allclose(whole, model({**given, name: values * 0.5}))

"""A GAN that grows: what fades in when, and what is drawn meanwhile."""

import math

import numpy as np
import pytest
from edgewright.keras_internals import without_weights
from edgewright.models import registry
from edgewright.models.growing import Fade, PixelNormalization

R = np.random.default_rng(0)


def test_sizes_come_in_one_after_the_other_and_do_not_go():
    """Two of them in the first half of 12 epochs, of which a third is for the smallest size alone."""
    first, second = Fade(1, 2), Fade(2, 2)
    for layer in (first, second):
        layer.build([(1, 2), (1, 2)])
    found = []
    for epoch in range(8):
        for layer in (first, second):
            layer.begin_epoch(epoch, 12)
        found.append([float(np.asarray(layer.present)) for layer in (first, second)])
    expected = [(0, 0), (0, 0), (0, 0), (0.5, 0), (1, 0), (1, 0.5), (1, 1), (1, 1)]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    first.begin_epoch(0, 12)  # of a network that is trained on
    assert float(np.asarray(first.present)) == 1


def test_the_old_way_is_mixed_with_the_new_in_training_alone():
    fade, old, new = Fade(1, 1), np.float32([[1, 2]]), np.float32([[5, 0]])
    np.testing.assert_array_equal(fade([old, new], training=True), old)
    fade.present.assign(0.25)
    np.testing.assert_allclose(fade([old, new], training=True), [[2, 1.5]])
    np.testing.assert_array_equal(fade([old, new]), new)


def test_places_are_of_length_one_a_map():
    made = np.asarray(PixelNormalization()(R.normal(size=(2, 3, 3, 8)).astype("f4")))
    np.testing.assert_allclose((made**2).mean(-1), 1, rtol=1e-4)


def test_at_first_samples_are_of_squares_and_what_is_finer_in_images_is_not_seen():
    networks = registry.networks("pggan", "edge", seed=1)
    z = R.normal(size=(3, 16)).astype("f4")
    drawn = np.asarray(networks["generator"](z, training=True))
    assert drawn.shape == (3, 16, 16, 1) and drawn.std() > 0
    squares = drawn.reshape(3, 4, 4, 4, 4)
    assert (np.ptp(squares, axis=(2, 4)) == 0).all()
    finer = drawn + np.tile([[0.1, -0.1], [-0.1, 0.1]], (8, 8))[None, :, :, None].astype("f4")
    told, of_finer = (np.asarray(networks["discriminator"](each, training=True)) for each in (drawn, finer))
    np.testing.assert_allclose(told, of_finer, atol=1e-5)
    last = np.asarray(networks["generator"](z))
    assert (np.ptp(last.reshape(3, 4, 4, 4, 4), axis=(2, 4)) > 0).any()


def test_sizes_are_those_of_the_published_code():
    """The discriminator's but for a map of the deviation of a batch, of 3 x 3 x 512 weights."""
    with without_weights():
        networks = registry.networks("pggan")
    found = {name: sum(math.prod(weight.shape) for weight in network.trainable_weights)
             for name, network in networks.items()}  # fmt: skip
    assert found == {"generator": 23_079_115, "discriminator": 23_087_249 - 4_608}


def test_sides_are_those_of_the_widths():
    with pytest.raises(ValueError, match="sizes from 4 to 8"):
        registry.get("pggan").builder((16, 16, 1), widths=(4, 4))

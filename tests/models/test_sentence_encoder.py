"""The sentence encoder: padding does not count, and the largest value over tokens does."""

import numpy as np
from edgewright.models import registry


def test_what_is_masked_does_not_count():
    shape = {"ids": (6,), "mask": (6,)}
    networks = registry.networks("sentence_encoder", "edge", input_shape=shape, vocabulary=20, units=4, width=4)
    encoder, ids = networks["encoder"], np.array([[3, 4, 5, 0, 0, 0]], np.int32)
    inner = encoder.layers[-1].input
    assert inner.shape == (None, 6, 8)
    said = [np.asarray(encoder({"ids": ids, "mask": np.array([mask], np.int32)}))
            for mask in ([1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1], [0] * 6)]  # fmt: skip
    assert (said[1] >= said[0]).all() and (said[1] > said[0]).any()  # more places, larger values
    np.testing.assert_array_equal(said[2], -1)
    assert networks["scorer"].input_shape == (None, 8)

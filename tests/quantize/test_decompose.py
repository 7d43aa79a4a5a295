"""What is written in terms of other operations computes the same, and leaves nothing without an int8 form."""

import keras
import numpy as np
import pytest
from edgewright.quantize.graph import nodes as graphs
from edgewright.quantize.graph import tracing
from edgewright.quantize.operators import rule_for
from edgewright.quantize.passes.canonicalize import canonicalize
from int8_run import by_keras
from keras import ops

IMAGE = (8, 6, 4)
FIRST = (4, 8, 6)
WEIGHTS = np.arange(1, 25, dtype="float32").reshape(4, 3, 2) / 10
MOVEMENTS = {
    "moveaxis": (IMAGE, lambda x: ops.moveaxis(x, (-1, 1), (1, -2))),
    "fliplr": (IMAGE, lambda x: ops.flip(x, (1, -1))),
    "rot90": (IMAGE, lambda x: ops.rot90(x, axes=(1, 2))),
    "rot270": (IMAGE, lambda x: ops.rot90(x, -1, axes=(-2, 3))),
    "roll": (IMAGE, lambda x: ops.roll(x, (2, -3), (1, -2))),
    "roll_round": (IMAGE, lambda x: ops.roll(x, 15, 1)),
    "hstack": (IMAGE, lambda x: ops.hstack([x, 2 * x])),
    "array_split": (IMAGE, lambda x: ops.concatenate(ops.array_split(x, 3, axis=1)[::-1], axis=1)),
    "hsplit_at": (IMAGE, lambda x: ops.hsplit(x, [1, 4])[1]),
    "reflect": (IMAGE, lambda x: ops.pad(x, ((0, 0), (2, 0), (1, 5), (0, 0)), mode="reflect")),
    "symmetric": (IMAGE, lambda x: ops.pad(x, ((0, 0), (2, 0), (1, 6), (0, 1)), mode="symmetric")),
    "pad_images": (IMAGE, lambda x: ops.image.pad_images(x, 1, 2, target_height=12, target_width=9)),
    "pad_images_first": (
        FIRST,
        lambda x: ops.image.pad_images(
            x, bottom_padding=2, right_padding=0, target_height=12, target_width=9, data_format="channels_first"
        ),
    ),
    "crop_images": (IMAGE, lambda x: ops.image.crop_images(x, 1, 0, target_height=4, target_width=3)),
    "crop_images_by_all": (IMAGE, lambda x: ops.image.crop_images(x, 1, 0, 2, 3)),
    "tril": (IMAGE, lambda x: ops.tril(x, -1)),
    "triu": (IMAGE, lambda x: ops.triu(x, 1)),
    "depth_to_space": (IMAGE, lambda x: ops.depth_to_space(x, 2)),
    "depth_to_space_first": (FIRST, lambda x: ops.depth_to_space(x, 2, data_format="channels_first")),
    "space_to_depth": (IMAGE, lambda x: ops.space_to_depth(x, 2)),
    "patches": (IMAGE, lambda x: ops.image.extract_patches(x, (3, 2))),
    "patches_overlap": (IMAGE, lambda x: ops.image.extract_patches(x, 3, strides=2, padding="same")),
    "patches_dilated": (IMAGE, lambda x: ops.image.extract_patches(x, 2, strides=1, dilation_rate=2)),
    "patches_first": (FIRST, lambda x: ops.image.extract_patches(x, 2, data_format="channels_first")),
    "unfold": (FIRST, lambda x: ops.unfold(x, 3, dilation=1, padding=1, stride=2)),
    "unfold_dilated": (FIRST, lambda x: ops.unfold(x, (2, 3), dilation=2, padding=(0, 1), stride=1)),
    "one_hot": (None, lambda x: ops.one_hot(x, 9)),
    "cast_to_bool": (None, lambda x: ops.where(ops.cast(x, "bool"), 2 * x, x + 1)),
    "one_hot_before": (None, lambda x: ops.one_hot(x, 9, axis=1)),
    "select": (IMAGE, lambda x: ops.select([x > 1, x < 0], [x, 0.5 * x], 0.25)),
    "amin": (IMAGE, lambda x: ops.amin(x, axis=(1, 2))),
    "fmax": (IMAGE, lambda x: ops.fmax(x, ops.flip(x, 1))),
    "adaptive_max": (IMAGE, lambda x: ops.adaptive_max_pool(x, (4, 2))),
}
ARITHMETIC = {
    "adaptive_average": (IMAGE, lambda x: ops.adaptive_average_pool(x, (4, 2))),
    "adaptive_average_first": (FIRST, lambda x: ops.adaptive_average_pool(x, (2, 3), data_format="channels_first")),
    "softmax_of_time": (IMAGE, lambda x: ops.softmax(x, axis=1)),
    "softmax_of_two": (IMAGE, lambda x: ops.softmax(x, axis=(1, 2))),
    "softmax_of_last_two": (IMAGE, lambda x: ops.softmax(x, axis=(2, 3))),
    "tensordot": (IMAGE, lambda x: ops.tensordot(x, WEIGHTS, axes=1)),
    "tensordot_of_axes": (IMAGE, lambda x: ops.tensordot(x, WEIGHTS, axes=((3,), (0,)))),
    "dot": (IMAGE, lambda x: ops.dot(x, WEIGHTS[..., 0])),
    "dot_of_vector": (IMAGE, lambda x: ops.dot(x, WEIGHTS[:, 0, 0])),
    "inner": (IMAGE, lambda x: ops.inner(x, WEIGHTS[:, 0, 0])),
    "cumsum": (IMAGE, lambda x: ops.cumsum(x, axis=1)),
    "cumsum_last": (IMAGE, lambda x: ops.cumsum(x, axis=-1)),
    "grey": (IMAGE, lambda x: ops.image.rgb_to_grayscale(x[..., :3])),
    "average": (IMAGE, lambda x: ops.average(x, axis=-2)),
    "average_weighted": (IMAGE, lambda x: ops.average(x, axis=-1, weights=WEIGHTS[:, 0, 0])),
    "deviation": (IMAGE, lambda x: ops.std(x, axis=-1)),
    "norm": (IMAGE, lambda x: ops.norm(x, axis=-1, keepdims=True)),
    "norm_of_matrix": (IMAGE, lambda x: ops.norm(x, axis=(1, 2))),
    "norm_of_magnitudes": (IMAGE, lambda x: ops.norm(x, ord=1, axis=1)),
    "norm_largest": (IMAGE, lambda x: ops.norm(x, ord=np.inf, axis=1)),
    "logsumexp": (IMAGE, lambda x: ops.logsumexp(30 * x, axis=-1)),
    "logsumexp_of_two": (IMAGE, lambda x: ops.logsumexp(x, axis=(1, 2), keepdims=True)),
    "logaddexp": (IMAGE, lambda x: ops.logaddexp(x, ops.flip(x, 1))),
    "batch_normalization": (
        IMAGE,
        lambda x: ops.batch_normalization(x, *WEIGHTS.reshape(6, 4)[:2], -1, *WEIGHTS.reshape(6, 4)[2:4]),
    ),
    "difference": (IMAGE, lambda x: ops.diff(x, 2, axis=1)),
    "hypot": (IMAGE, lambda x: ops.hypot(x, ops.flip(x, 1))),
    "modulo": (IMAGE, lambda x: ops.mod(x, 0.7)),
    "floor_divide": (IMAGE, lambda x: x // 0.7),
    "sinc": (IMAGE, ops.sinc),
    "arctan2": (IMAGE, lambda x: ops.arctan2(x, x * x + 1.0)),
}


def given(shape):
    rng = np.random.default_rng(0)
    return rng.integers(0, 9, (3, 5)) if shape is None else rng.normal(size=(3, *shape)).astype("float32")


def decomposed(shape, function):
    """Return what `function` gives in Keras, and what its simplified graph gives, all of whose nodes have a rule."""
    inputs = keras.Input((5,), dtype="int32") if shape is None else keras.Input(shape)
    graph = canonicalize(tracing.trace(keras.Model(inputs, function(inputs))))
    assert not [node.op_type for node in graph.nodes if rule_for(node) is None]
    x = keras.ops.convert_to_tensor(given(shape), "int32" if shape is None else "float32")
    return np.asarray(by_keras(function, x)), np.asarray(graphs.run(graph, [x])[0])


@pytest.mark.parametrize("name", MOVEMENTS)
def test_values_are_moved_to_the_same_places(name):
    expected, found = decomposed(*MOVEMENTS[name])
    assert expected.shape == found.shape
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ARITHMETIC)
def test_the_same_is_computed(name):
    expected, found = decomposed(*ARITHMETIC[name])
    assert expected.shape == found.shape
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)

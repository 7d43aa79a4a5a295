"""Fake quantization against hand-worked numbers and a NumPy integer quantizer."""

import keras
import numpy as np
import pytest
from edgewright.quantize.fake_quant import (
    SMALLEST_RANGE,
    fake_quantize,
    fake_quantize_bias,
    fake_quantize_kernel,
    kernel_limits,
    nudge,
    scale_and_zero_point,
    value_range,
)
from hypothesis import given, settings
from hypothesis import strategies as st

ends = st.floats(-1e6, 1e6, allow_nan=False, width=32)
ranges = st.tuples(ends, ends).map(sorted)


def test_symmetric_range_by_hand():
    """[-1, 1] in 255 steps: scale 2/255, a little more in float32, so -128 + 127.49999 rounds to -1."""
    low, high = nudge(-1, 1)
    assert low == pytest.approx(-127 * 2 / 255, rel=1e-6)
    assert high == pytest.approx(128 * 2 / 255, rel=1e-6)
    scale, zero_point = scale_and_zero_point(low, high)
    assert (float(scale), zero_point) == (pytest.approx(2 / 255, rel=1e-6), -1)


@pytest.mark.parametrize(
    ("given_range", "expected", "zero_point"),
    [
        ((0, 255), (0, 255), -128),
        ((-255, 0), (-255, 0), 127),
        ((-100, 155), (-100, 155), -28),
        ((10, 255), (0, 255), -128),  # widened to hold zero
        ((-255, -10), (-255, 0), 127),
        ((-0.3, 254.7), (0, 255), -128),  # moved onto the nearest step
        ((-0.7, 254.3), (-1, 254), -127),
    ],
)
def test_nudge_by_hand(given_range, expected, zero_point):
    low, high = nudge(*given_range)
    assert (low, high) == (pytest.approx(expected[0], abs=1e-4), pytest.approx(expected[1], abs=1e-4))
    assert scale_and_zero_point(low, high)[1] == zero_point


def test_empty_range_gets_the_smallest_one():
    low, high = nudge(0, 0)
    assert (low, high) == (0.0, pytest.approx(SMALLEST_RANGE, rel=1e-6))


@settings(max_examples=200, deadline=None)
@given(ranges)
def test_zero_is_exactly_representable(ends):
    low, high = nudge(*ends)
    scale, zero_point = scale_and_zero_point(low, high)
    assert low <= 0.0 <= high
    assert -128 <= zero_point <= 127
    # real value of an integer q is scale * (q - zero_point): zero is q = zero_point, and both ends are whole steps too
    assert float(low) / float(scale) == pytest.approx(-128 - zero_point, abs=1e-3)
    assert float(high) / float(scale) == pytest.approx(127 - zero_point, abs=1e-3)


@settings(max_examples=30, deadline=None)
@given(ranges)
def test_zero_passes_fake_quantize_unchanged(ends):
    low, high = nudge(*ends)
    assert float(fake_quantize(keras.ops.zeros((1,)), low, high)[0]) == 0.0


@settings(max_examples=30, deadline=None)
@given(ranges)
def test_value_range_equals_nudge(ends):
    low, high = (float(end) for end in value_range(keras.ops.array(ends, "float32")))
    expected = nudge(*np.float32(ends))
    step = (expected[1] - expected[0]) / 255
    # float32 here and float64 there may put zero on neighbouring steps where it lies exactly between two
    tie = abs((min(ends[0], 0) / step) % 1 - 0.5) < 1e-3
    assert np.abs(np.array([low, high]) - expected).max() <= step * (1.001 if tie else 1e-3)


@pytest.mark.parametrize("ends", [(-1, 1), (0, 6), (-3, 0.5), (-1e-3, 2e-3), (-1e4, 3e4)])
def test_fake_quantize_equals_an_integer_quantizer(ends):
    low, high = nudge(*ends)
    scale, zero_point = scale_and_zero_point(low, high)
    x = np.random.default_rng(0).uniform(2 * low - high, 2 * high - low, 4096).astype(np.float32)  # also outside
    integers = np.clip(np.round(x.astype(np.float64) / scale) + zero_point, -128, 127)
    real = (integers - zero_point) * np.float64(scale)
    actual = np.asarray(fake_quantize(keras.ops.array(x), low, high), np.float64)
    between = np.abs(np.abs(x / np.float64(scale) % 1) - 0.5) < 1e-3  # too close to a midpoint to prescribe the side
    assert between.mean() < 0.01
    assert np.abs(actual - real)[~between].max() < 1e-3 * scale
    assert np.abs(actual - real).max() < 1.001 * scale


def test_gradient_passes_inside_the_range_and_stops_outside():
    import tensorflow as tf

    x = tf.Variable([-3.0, -0.9, 0.0, 0.4, 3.0])
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(fake_quantize(x, *nudge(-1, 1)))
    assert tape.gradient(y, x).numpy().tolist() == [0, 1, 1, 1, 0]


def test_kernel_rounds_per_channel_by_hand():
    """Channel 0 has limit 127, so scale 1; channel 1 has limit 254, so scale 2 (halves go to even)."""
    kernel = np.array([[127, 254], [1.4, 3.2], [-2.5, -1.1]], np.float32)
    rounded = np.asarray(fake_quantize_kernel(keras.ops.array(kernel), (-1,)))
    np.testing.assert_allclose(rounded, [[127, 254], [1, 4], [-2, -2]], rtol=1e-6)


def test_kernel_limits_of_a_depthwise_kernel_keep_both_channel_axes():
    kernel = np.arange(-12, 12, dtype=np.float32).reshape(2, 2, 3, 2)
    limits = np.asarray(kernel_limits(keras.ops.array(kernel), (-2, -1)))
    assert limits.shape == (1, 1, 3, 2)
    np.testing.assert_array_equal(limits[0, 0], np.abs(kernel).max((0, 1)))


def test_kernel_of_zeros_stays_zero():
    assert not np.any(np.asarray(fake_quantize_kernel(keras.ops.zeros((3, 2)), (-1,))))


def test_kernel_gradient_is_one_everywhere():
    import tensorflow as tf

    kernel = tf.Variable(np.random.default_rng(0).normal(size=(4, 3)).astype("float32"))
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(fake_quantize_kernel(kernel, (-1,)))
    np.testing.assert_array_equal(tape.gradient(y, kernel), np.ones((4, 3)))


def test_bias_rounds_to_the_steps_of_its_accumulator():
    """Input [0, 255] has scale 1; kernel scales 0.5 and 0.25 give steps 0.5 and 0.25."""
    bias = keras.ops.array([0.7, 0.7])
    rounded = fake_quantize_bias(bias, (0.0, 255.0), keras.ops.array([[0.5, 0.25]]))
    np.testing.assert_allclose(np.asarray(rounded), [0.5, 0.75], rtol=1e-6)

"""One convolution with given kernels: worked by hand, by SciPy, in integers, and by its int8 file value by value."""

import math

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from edgewright.export import export_tflite
from edgewright.models import registry
from edgewright.models.filters import FILTERS
from edgewright.quantize import prepare_qat
from edgewright.training.data import load
from keras import layers
from scipy import signal

IMAGE = [[4, 5, 8, 7], [1, 8, 8, 8], [3, 6, 6, 4], [6, 5, 7, 8]]
KERNEL = [[1, 4, 1], [1, 4, 3], [3, 3, 1]]
PATCH = [[200, 150, 150], [100, 50, 100], [25, 25, 10]]


def maps_of(image, *kernels, filters=()):
    """Return what the net of these kernels makes of one image.  Shapes: (H, W) -> (H - 2, W - 2, kernels)."""
    shape = (*np.shape(image), 1)
    maps = registry.networks("fixed_filter_cnn", input_shape=shape, classes=1, filters=filters, kernels=kernels)["maps"]
    return np.asarray(maps(np.float32(image)[None, ..., None]))[0]


def test_maps_of_the_three_filters():
    networks = registry.networks("fixed_filter_cnn")
    assert networks["maps"].output_shape == (None, 26, 26, 3)
    assert networks["classifier"].get_layer("pool").output.shape == (None, 13, 13, 3)
    assert [tuple(weight.shape) for weight in networks["classifier"].trainable_weights] == [(507, 10), (10,)]
    assert not networks["maps"].trainable_weights
    kernel = networks["classifier"].get_layer("maps").get_weights()[0]
    np.testing.assert_array_equal(kernel[:, :, 0, 2], [[3, 4, 3], [4, 5, 4], [3, 4, 3]])
    with pytest.raises(ValueError, match="sobel"):
        registry.networks("fixed_filter_cnn", filters=("sobel",))


def test_a_convolution_by_hand_in_floats_and_in_integers():
    expected = [[122, 148], [126, 134]]
    np.testing.assert_array_equal(maps_of(IMAGE, KERNEL)[..., 0], expected)
    np.testing.assert_array_equal(signal.correlate2d(np.array(IMAGE), np.array(KERNEL), "valid"), expected)


def test_a_patch_by_hand():
    assert maps_of(np.pad(PATCH, (0, 1)), [[1, 0, -1], [2, 0, -2], [1, 0, -1]])[0, 0, 0] == 65
    patch = np.float32(PATCH)[None, ..., None]
    assert float(keras.ops.max_pool(patch, 3)[0, 0, 0, 0]) == 200
    assert float(keras.ops.average_pool(patch, 3)[0, 0, 0, 0]) == 90


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_every_filter_is_a_correlation_and_a_turned_one_a_convolution(name):
    image = np.random.default_rng(0).integers(0, 256, (6, 7))
    kernel = np.asarray(FILTERS[name])
    ours = maps_of(image, filters=(name,))[..., 0]
    np.testing.assert_allclose(ours, signal.correlate2d(image, kernel, "valid"), rtol=1e-5, atol=1e-3)
    turned = maps_of(image, np.rot90(kernel, 2))[..., 0]
    np.testing.assert_allclose(turned, signal.convolve2d(image, kernel, "valid"), rtol=1e-5, atol=1e-3)


def test_what_turning_is():
    np.testing.assert_array_equal(np.rot90(np.arange(1, 10).reshape(3, 3), 2), [[9, 8, 7], [6, 5, 4], [3, 2, 1]])
    x, h = np.array([2.0, 3, 5, 7]), np.array([1.0, -1, 0.5, 4])
    assert np.convolve(x, h)[3] == h[3] * x[0] + h[2] * x[1] + h[1] * x[2] + h[0] * x[3]
    turned = keras.ops.conv(x[None, :, None], h[::-1].copy()[:, None, None])
    assert float(turned[0, 0, 0]) == np.convolve(x, h)[3]


@pytest.mark.parametrize(
    ("layer", "given", "found"),
    [
        (layers.Conv2D(1, 3), (7, 7), (5, 5)),
        (layers.Conv2D(1, 3, 2), (7, 7), (3, 3)),
        (layers.Conv2D(1, 3, 3), (7, 7), (2, 2)),  # does not fit: the last column is dropped
        (layers.Conv2D(1, 3, padding="same"), (7, 7), (7, 7)),
        (layers.Conv2D(1, 5, padding="same"), (32, 32), (32, 32)),
        (layers.Conv2D(1, 5), (32, 32), (28, 28)),
        (layers.Conv2D(1, 3), (5, 6), (3, 4)),
        (layers.MaxPooling2D(3, 2), (55, 55), (27, 27)),
        (layers.Conv2DTranspose(1, 3), (3, 3), (5, 5)),
        (layers.Conv2D(1, 3, padding="same"), (5, 5), (5, 5)),  # of a 3x3 with zeros between its values
    ],
)
def test_output_sizes(layer, given, found):
    assert layer(np.zeros((1, *given, 1))).shape[1:3] == found


def test_full_padding_and_zeros_between_values():
    assert signal.convolve(np.ones(5), np.ones(3), "full").shape == (5 + 3 - 1,)
    spread = np.zeros((5, 5))
    spread[::2, ::2] = np.arange(9).reshape(3, 3)
    assert np.array_equal(spread[::2, ::2].ravel(), np.arange(9)) and (spread != 0).sum() == 8


def sizes(layer, shape):
    """Return parameters, products and outputs of a convolution."""
    y = layer(keras.Input(shape))
    outputs = math.prod(y.shape[1:])
    return layer.count_params(), math.prod(layer.kernel.shape[:-1]) * outputs, outputs


def test_costs_by_hand():
    assert sizes(layers.Conv2D(10, 5), (32, 32, 3))[0] == 760
    assert sizes(layers.Conv2D(64, 3), (32, 32, 3))[0] == 1_792
    _, products, _ = sizes(layers.Conv2D(1, 5), (32, 32, 3))
    assert products == 58_800 and 2 * products == 117_600
    _, products, outputs = sizes(layers.Conv2D(1, (2, 1), use_bias=False), (320, 280, 1))
    assert outputs == 319 * 280 and products == 178_640 and products + outputs == 267_960
    assert outputs * 320 * 280 == 8_003_072_000


@pytest.fixture(scope="module")
def integers():
    """Return float maps, and of the int8 file its interpreter, kernel and scales."""
    dataset = load("digits", input_shape=(28, 28, 1), limit=64)
    names = tuple(sorted(FILTERS))
    maps = registry.networks("fixed_filter_cnn", filters=names)["maps"]
    qat, report = prepare_qat(maps, calibration=dataset.train.x)
    assert all(row["precision"] == "w8a8" for row in report.rows)
    runner = Interpreter(model_content=export_tflite(qat, integer_io=True).data)
    runner.allocate_tensors()
    return maps, dataset.test.x[:16], runner


def test_an_int8_file_is_the_integer_convolution_value_by_value(integers):
    """Every value is the exact sum of products, brought to the output's scale, and half a step from the float maps.

    Beyond that half step float and int8 differ by the rounding of the input and of the kernel, of which all is known.
    """
    maps, images, runner = integers
    (source,), (target,) = runner.get_input_details(), runner.get_output_details()
    (kernel,) = [each for each in runner.get_tensor_details() if tuple(each["shape"]) == (12, 3, 3, 1)]
    weights = runner.get_tensor(kernel["index"]).astype(np.int64)
    of_kernel = kernel["quantization_parameters"]["scales"]
    (step, zero), (out_step, out_zero) = source["quantization"], target["quantization"]
    for image in images:
        given = np.clip(np.rint(image / step) + zero, -128, 127).astype(np.int8)
        runner.set_tensor(source["index"], given[None])
        runner.invoke()
        found = runner.get_tensor(target["index"])[0].astype(np.int64)
        exact = np.stack(
            [signal.correlate2d(given[..., 0].astype(np.int64) - zero, one[..., 0], "valid") for one in weights], -1
        )
        steps = exact * (step * of_kernel.astype(np.float64) / out_step)
        fits = np.abs(steps - np.floor(steps) - 0.5) > 1e-4  # halves are the kernel's own to round
        expected = np.clip(np.rint(steps) + out_zero, -128, 127)
        np.testing.assert_array_equal(found[fits], expected[fits])
        assert fits.mean() > 0.98
        floats = np.asarray(maps(image[None]))[0]
        real = np.moveaxis(maps.get_weights()[0][:, :, 0], -1, 0)  # (12, 3, 3)
        lost = np.abs(real - weights[..., 0] * of_kernel[:, None, None]).sum((1, 2))
        lost = 0.5 * out_step + 1.01 * lost * image.max() + 0.51 * step * np.abs(real).sum((1, 2))
        assert (np.abs((found - out_zero) * out_step - floats) <= lost + 1e-5).all()

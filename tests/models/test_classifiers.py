"""Convolutional classifiers: numbers of the papers that a wrong net would miss."""

import math

import keras
import numpy as np
import pytest
from edgewright.models import registry
from edgewright.models.blocks import LocalResponseNormalization, StandardizedConv2D, divisible


def weightless(name, **options):
    """Return the model with the shapes of its weights alone: nothing is allocated."""
    with keras.StatelessScope(initialize_variables=False):
        return registry.build(name, **options)


def count(layers, kind="kernel"):
    """Return how many weights of `kind` the layers have together."""
    return sum(math.prod(weight.shape) for layer in layers for weight in layer.weights if weight.name == kind)


def trainable(model):
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def maps_of(model, *names):
    return [model.get_layer(name).output.shape[1:] for name in names]


# ---------------------------------------------------------------- VGG


def test_three_small_convolutions_weigh_less_than_one_large():
    maps = 16
    x = keras.Input((8, 8, maps))
    three = [keras.layers.Conv2D(maps, 3, use_bias=False) for _ in range(3)]
    one = keras.layers.Conv2D(maps, 7, use_bias=False)
    y = x
    for layer in three:
        y = layer(y)
    assert y.shape == one(x).shape  # they see as much
    assert (count(three), count([one])) == (27 * maps**2, 49 * maps**2)


def test_vgg16_layer_by_layer():
    model = weightless("vgg16")
    assert maps_of(model, "stage_1_pool", "stage_5_pool") == [(112, 112, 64), (7, 7, 512)]
    assert [count([model.get_layer(name)]) for name in ("fc_1", "fc_2", "logits")] == [
        102_760_448,
        16_777_216,
        4_096_000,
    ]


# ---------------------------------------------------------------- residual nets


def test_blocks_of_residual_nets_by_hand():
    basic, bottleneck = weightless("resnet18"), weightless("resnet50")
    assert count(basic.get_layer(f"stage_1_block_1_conv{i}") for i in (1, 2)) == 73_728
    assert count(bottleneck.get_layer(f"stage_1_block_2_conv{i}") for i in (1, 2, 3)) == 69_632
    assert maps_of(bottleneck, "stem_relu", "stem_pool") == [(112, 112, 64), (56, 56, 64)]
    assert maps_of(bottleneck, *(f"stage_{i}_block_1_out" for i in (1, 2, 3, 4))) == [
        (56, 56, 256), (28, 28, 512), (14, 14, 1024), (7, 7, 2048)
    ]  # fmt: skip


def test_conv4_of_resnet152_has_36_blocks():
    depth = registry.get("resnet152").presets["paper"]["depths"]
    assert depth == (3, 8, 36, 3) and 3 * sum(depth) + 2 == 152


def test_squeeze_and_excitation_by_hand():
    """Its weights: 2 C^2 / 16 with the biases C / 16 + C, in each of the 16 blocks."""
    plain, weighed = registry.get("resnet50").params, registry.get("se_resnet").params
    blocks = {256: 3, 512: 4, 1024: 6, 2048: 3}
    assert weighed - plain == sum(n * (2 * c * c // 16 + c // 16 + c) for c, n in blocks.items())


# ---------------------------------------------------------------- separable convolutions


def test_depthwise_separable_convolution_by_hand():
    """7x7x5 -> 5x5x10 with 3x3 kernels: 450 weights against 95, 11,250 multiplies against 2,375: 1/10 + 1/9."""
    x = keras.Input((7, 7, 5))
    full = keras.layers.Conv2D(10, 3, use_bias=False)
    depthwise = keras.layers.DepthwiseConv2D(3, use_bias=False)
    pointwise = keras.layers.Conv2D(10, 1, use_bias=False)
    assert full(x).shape == pointwise(depthwise(x)).shape == (None, 5, 5, 10)
    weights = count([full]), count([depthwise, pointwise])
    assert weights == (450, 95) and (25 * weights[0], 25 * weights[1]) == (11_250, 2_375)
    assert weights[1] / weights[0] == pytest.approx(1 / 10 + 1 / 9)


def test_visual_wake_words_net_of_mlperf_tiny():
    model = weightless("mobilenet_v1", width=0.25, input_shape=(96, 96, 3), classes=2, bias=True)
    assert trainable(model) == 216_322


@pytest.mark.parametrize(("maps", "rounded"), [(8, 8), (10, 16), (11, 16), (12, 16), (18, 24), (72 * 0.25, 24), (3, 8)])
def test_maps_are_rounded_to_eights_never_down_by_a_tenth(maps, rounded):
    assert divisible(maps) == rounded


def test_stages_of_mobilenet_v2():
    model = weightless("mobilenet_v2")
    assert maps_of(model, "stem_relu6", "stage_7_block_1_project_norm", "head_relu6") == [
        (112, 112, 32), (7, 7, 320), (7, 7, 1280)
    ]  # fmt: skip
    assert sum(layer.name.endswith("_add") for layer in model.layers) == 10


def test_efficientnet_scales_depth_and_width():
    """B1 repeats 23 blocks where B0 has 16 (torchvision and Keras count 7,794,184 weights)."""
    assert trainable(weightless("efficientnet_b0", depth=1.1, input_shape=(240, 240, 3))) == 7_794_184


# ---------------------------------------------------------------- blocks


def test_local_response_normalisation_by_hand():
    x = np.arange(1.0, 8.0, dtype="float32").reshape(1, 1, 1, 7)
    y = LocalResponseNormalization(depth=3, bias=2.0, alpha=0.5, beta=0.75)(x)
    power = [1 + 4, 1 + 4 + 9, 4 + 9 + 16, 9 + 16 + 25, 16 + 25 + 36, 25 + 36 + 49, 36 + 49]
    np.testing.assert_allclose(y[0, 0, 0], x[0, 0, 0] / (2 + 0.5 * np.array(power)) ** 0.75, rtol=1e-5)


def test_standardised_kernels_have_mean_zero_and_variance_one():
    layer = StandardizedConv2D(4, 3, use_bias=False, kernel_initializer=keras.initializers.RandomUniform(1.0, 2.0))
    ones = np.ones((1, 3, 3, 2), "float32")
    np.testing.assert_allclose(layer(ones), np.zeros((1, 1, 1, 4)), atol=1e-4)  # the sum of a kernel
    x = np.random.default_rng(0).normal(size=(1, 3, 3, 2)).astype("float32")
    kernel = np.asarray(layer.kernel)
    expected = (kernel - kernel.mean((0, 1, 2))) / kernel.std((0, 1, 2))
    np.testing.assert_allclose(layer(x)[0, 0, 0], np.einsum("hwc,hwcd->d", x[0], expected), rtol=1e-4)

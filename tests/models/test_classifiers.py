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


# ---------------------------------------------------------------- AlexNet, ZFNet


def test_alexnet_layer_by_layer():
    model = weightless("alexnet")
    names = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "logits")
    assert [count([model.get_layer(name)]) + count([model.get_layer(name)], "bias") for name in names] == [
        34_944, 614_656, 885_120, 1_327_488, 884_992, 37_752_832, 16_781_312, 4_097_000
    ]  # fmt: skip
    kernels = [name for name in names if name.startswith("conv")]
    convolved = sum(count([model.get_layer(name)]) + count([model.get_layer(name)], "bias") for name in kernels)
    assert convolved == 3_747_200 and trainable(model) - convolved == 58_631_144
    flops = [2 * count([layer]) * math.prod(layer.output.shape[1:3]) for layer in map(model.get_layer, kernels)]
    assert flops == [210_830_400, 895_795_200, 299_040_768, 448_561_152, 299_040_768]
    assert maps_of(model, "conv1", "pool1", "pool2", "pool5") == [
        (55, 55, 96), (27, 27, 96), (13, 13, 256), (6, 6, 256)
    ]  # fmt: skip


def test_grouping_halves_the_kernels_of_alexnet():
    """On two GPUs the second, fourth and fifth layer read half of the maps: the 60 million of the paper."""
    assert 62_378_344 - (614_400 + 1_327_104 + 884_736) // 2 == 60_965_224
    assert trainable(weightless("alexnet", groups=2)) == 60_965_224


def test_zfnet_layer_by_layer():
    """Figure 3 of the paper, with biases."""
    model = weightless("zfnet")
    assert maps_of(model, "conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5") == [
        (110, 110, 96), (55, 55, 96), (26, 26, 256), (13, 13, 256), (13, 13, 384), (13, 13, 384), (13, 13, 256),
        (6, 6, 256)
    ]  # fmt: skip
    assert count([model.get_layer("conv1")]) == 7 * 7 * 3 * 96


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


# ---------------------------------------------------------------- inception


def test_reducing_maps_first_halves_the_products_of_a_large_convolution():
    """5x5 on 256 maps, or on 128 after a 1x1 convolution: multiply-adds per pixel."""
    x = keras.Input((7, 7, 256))
    direct = keras.layers.Conv2D(256, 5, padding="same", use_bias=False)
    reduce, reduced = (
        keras.layers.Conv2D(128, 1, use_bias=False),
        keras.layers.Conv2D(256, 5, padding="same", use_bias=False),
    )
    assert direct(x).shape == reduced(reduce(x)).shape
    assert count([reduce, reduced]) / count([direct]) == pytest.approx(1 / 2 + 1 / 50)


@pytest.mark.parametrize(("maps", "share"), [(64, 0.58), (128, 0.54)])
def test_multiply_adds_of_a_5x5_path_behind_a_1x1(maps, share):
    """From 256 maps to 128 to F, against the 5x5 alone: 1/2 + 128 / (25 F)."""
    x = keras.Input((7, 7, 256))
    reduce, reduced, direct = (
        keras.layers.Conv2D(filters, size, padding="same", use_bias=False)
        for filters, size in ((128, 1), (maps, 5), (maps, 5))
    )
    assert direct(x).shape == reduced(reduce(x)).shape
    ratio = count([reduce, reduced]) / count([direct])
    assert ratio == pytest.approx(1 / 2 + 128 / (25 * maps)) == pytest.approx(share, abs=0.005)


def test_googlenet_layer_by_layer():
    model = weightless("googlenet")
    names = ("stem_1", "stem_3", "inception_3a", "inception_3b", "inception_4a", "inception_4e", "inception_5b")
    assert maps_of(model, *names) == [
        (112, 112, 64), (56, 56, 192), (28, 28, 256), (28, 28, 480), (14, 14, 512), (14, 14, 832), (7, 7, 1024)
    ]  # fmt: skip
    assert sum(isinstance(layer, keras.layers.Concatenate) for layer in model.layers) == 9


def test_inception_v2_agrees_with_the_port_that_has_128_maps_behind_the_pools_of_4c_and_4d():
    """That port (Caffe's, in PyTorch) has biases before its normalisations as well: 11,295,240 in all."""
    c, d = (
        [*paths[:3], [*paths[3][:1], (128, 1)]] for paths in registry.get("inception_v2").options["modules"][1][2:4]
    )
    stages = list(registry.get("inception_v2").options["modules"])
    stages[1] = (*stages[1][:2], c, d, *stages[1][4:])
    model = weightless("inception_v2", modules=tuple(stages))
    biases = sum(layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    assert trainable(model) + biases == 11_295_240


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("inception_v2", {"inception_3c": (14, 14, 576), "inception_4e": (7, 7, 1024), "inception_5b": (7, 7, 1024)}),
        ("inception_v3", {"mixed_0": (35, 35, 256), "mixed_3": (17, 17, 768), "mixed_10": (8, 8, 2048)}),
        ("inception_v4", {"stem_6": (35, 35, 384), "mixed_4": (17, 17, 1024), "mixed_15": (8, 8, 1536)}),
    ],
)
def test_later_inception_nets_stage_by_stage(name, shapes):
    assert maps_of(weightless(name), *shapes) == list(shapes.values())


# ---------------------------------------------------------------- residual nets


def test_blocks_of_residual_nets_by_hand():
    basic, bottleneck = weightless("resnet18"), weightless("resnet50")
    assert count(basic.get_layer(f"stage_1_block_1_conv{i}") for i in (1, 2)) == 73_728
    assert count(bottleneck.get_layer(f"stage_1_block_2_conv{i}") for i in (1, 2, 3)) == 69_632
    assert maps_of(bottleneck, "stem_relu", "stem_pool") == [(112, 112, 64), (56, 56, 64)]
    assert maps_of(bottleneck, *(f"stage_{i}_block_1_out" for i in (1, 2, 3, 4))) == [
        (56, 56, 256), (28, 28, 512), (14, 14, 1024), (7, 7, 2048)
    ]  # fmt: skip


def test_a_batch_norm_folds_into_the_convolution_before_it():
    """x g / sqrt(var + eps) + b - mean g / sqrt(var + eps), by hand, gives the net's own outputs."""
    model = registry.build("resnet8")
    random = np.random.default_rng(0)
    norm, convolution = model.get_layer("stem_norm"), model.get_layer("stem")
    gamma, beta, mean = (random.normal(size=16).astype(np.float32) for _ in range(3))
    variance = random.uniform(0.5, 2, 16).astype(np.float32)
    norm.set_weights([gamma, beta, mean, variance])
    x = random.normal(size=(2, 32, 32, 3)).astype(np.float32)
    expected = np.asarray(model(x))
    scale = gamma / np.sqrt(variance + norm.epsilon)
    kernel, *bias = convolution.get_weights()
    before = bias[0] if bias else 0
    assert bias, "the net of MLPerf Tiny has biases before its norms"
    convolution.set_weights([kernel * scale, (before - mean) * scale + beta])
    norm.set_weights([np.ones(16), np.zeros(16), np.zeros(16), np.full(16, 1 - norm.epsilon)])
    np.testing.assert_allclose(model(x), expected, rtol=1e-4, atol=1e-4)


def test_conv4_of_resnet152_has_36_blocks():
    depth = registry.get("resnet152").presets["paper"]["depths"]
    assert depth == (3, 8, 36, 3) and 3 * sum(depth) + 2 == 152


def test_squeeze_and_excitation_by_hand():
    """Its weights: 2 C^2 / 16 with the biases C / 16 + C, in each of the 16 blocks."""
    plain, weighed = registry.get("resnet50").params, registry.get("se_resnet").params
    blocks = {256: 3, 512: 4, 1024: 6, 2048: 3}
    assert weighed - plain == sum(n * (2 * c * c // 16 + c // 16 + c) for c, n in blocks.items())


def test_bit_normalises_without_batches():
    model = weightless("bit")
    kinds = {type(layer).__name__ for layer in model.layers}
    assert "BatchNormalization" not in kinds and "Conv2D" not in kinds
    assert maps_of(model, "stem_pool", "stage_4_block_3_add") == [(56, 56, 64), (7, 7, 2048)]


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


def test_cells_of_nasnet():
    """A normal cell returns six times its maps, a reduction cell four times; 1,056 maps in the end (hence 4 @ 1056)."""
    model = weightless("nasnet")
    assert maps_of(model, "stem", "stem_1", "stem_2", "stage_1_cell_4", "reduce_1", "stage_3_cell_4") == [
        (111, 111, 32), (56, 56, 44), (28, 28, 88), (28, 28, 264), (14, 14, 352), (7, 7, 1056)
    ]  # fmt: skip


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


def test_standardising_keeps_what_was_pruned():
    layer = StandardizedConv2D(2, (1, 4), use_bias=False)
    layer.build((1, 1, 4, 1))
    kernel = np.array([[1.0, 0.0, 3.0, 0.0], [0.0, 0.0, 0.0, 0.0]], "float32").T.reshape(1, 4, 1, 2)
    layer.kernel.assign(kernel)
    seen = [layer(np.eye(4, dtype="float32")[i].reshape(1, 1, 4, 1))[0, 0, 0] for i in range(4)]  # one weight each
    np.testing.assert_allclose(seen, [[-1, 0], [0, 0], [1, 0], [0, 0]], atol=1e-6)  # mean 2, variance 1 of two weights

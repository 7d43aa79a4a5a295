"""Residual networks (He 2016, arXiv:1512.03385), plain and with squeeze-and-excitation."""

from collections.abc import Sequence

from keras import KerasTensor, layers

from .blocks import conv_norm, squeeze_excite
from .registry import register

FAMILY = "cnn"
EPSILON = 1.001e-5  # of the published weights' normalisation


@register(
    task="classification",
    input_shape=(32, 32, 3),
    classes=10,
    params=78_186,
    paper="Banbury 2021, MLPerf Tiny, arXiv:2106.07597 (image classification)",
    data=("cifar10", "digits"),
    edge={"width": 8},
)
def resnet8(inputs: KerasTensor, classes: int, width: int = 16):
    """Build the MLPerf Tiny image classifier: a stem and three basic blocks of `width`, 2 and 4 times `width` maps.

    Shapes: images (N, H, W, C) -> logits (N, classes).
    """
    x = conv_norm(inputs, width, 3, bias=True, activation="relu", name="stem")
    for index, maps in enumerate((width, 2 * width, 4 * width), 1):
        strides, shortcut, name = 1 if index == 1 else 2, x, f"block_{index}"
        x = conv_norm(x, maps, 3, strides, bias=True, name=f"{name}_conv1")
        x = layers.ReLU(name=f"{name}_relu1")(x)
        x = conv_norm(x, maps, 3, bias=True, name=f"{name}_conv2")
        if shortcut.shape != x.shape:  # the benchmark's reference has no normalisation here
            shortcut = layers.Conv2D(maps, 1, strides, "same", name=f"{name}_shortcut")(shortcut)
        x = layers.Add(name=f"{name}_add")([x, shortcut])
        x = layers.ReLU(name=f"{name}_relu2")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return layers.Dense(classes, name="logits")(x)


# For images of 32 pixels, as in the paper's section 4.2, the stem is a 3x3 convolution without a pool.
SMALL = {"input_shape": (32, 32, 3), "classes": 10, "width": 8, "stem_size": 3, "stem_strides": 2, "stem_pool": False}


@register(
    task="classification",
    input_shape=(224, 224, 3),
    classes=1000,
    params=25_557_032,
    paper="He 2016, Deep residual learning for image recognition, arXiv:1512.03385",
    data=("cifar10", "digits"),
    edge={**SMALL, "depths": (1, 1, 1, 1)},
    variants={
        "resnet18": {"params": 11_689_512, "depths": (2, 2, 2, 2), "bottleneck": False,
                     "edge": {"depths": (1, 1, 1, 1)}},
        "resnet34": {"params": 21_797_672, "depths": (3, 4, 6, 3), "bottleneck": False,
                     "edge": {"depths": (1, 1, 2, 1)}},
        "resnet101": {"params": 44_549_160, "depths": (3, 4, 23, 3), "edge": {"depths": (1, 1, 2, 1)}},
        "resnet152": {"params": 60_192_808, "depths": (3, 8, 36, 3), "edge": {"depths": (1, 2, 2, 1)}},
    },
)  # fmt: skip
def resnet50(
    inputs: KerasTensor, classes: int, depths: Sequence[int] = (3, 4, 6, 3), *, bottleneck: bool = True,
    width: int = 64, reduction: int = 0, stem_size: int = 7, stem_strides: int = 2, stem_pool: bool = True
):  # fmt: skip
    """Build a residual net of four stages, `depths` blocks each, at `width`, 2, 4 and 8 times `width` maps.

    bottleneck: blocks of 1x1, 3x3, 1x1 convolutions to four times the maps, rather than of two 3x3. reduction: of
    squeeze-and-excitation, 0 for none. Convolutions have no bias: the normalisation behind each has one.
    Shapes: images (N, H, W, C) -> logits (N, classes).
    """
    x = residual_features(
        inputs, depths, bottleneck=bottleneck, width=width, reduction=reduction, stem_size=stem_size,
        stem_strides=stem_strides, stem_pool=stem_pool
    )  # fmt: skip
    return layers.Dense(classes, name="logits")(x)


def residual_features(
    inputs: KerasTensor, depths: Sequence[int], *, bottleneck: bool = True, width: int = 64, reduction: int = 0,
    stem_size: int = 7, stem_strides: int = 2, stem_pool: bool = True
):  # fmt: skip
    """Add a residual net without its logits, see `resnet50`.  Shapes: images (N, H, W, C) -> means of maps (N, n)."""
    # Padding is spelled out where "same" would pad one side more than the other: the published weights centre it.
    x = layers.ZeroPadding2D(stem_size // 2, name="stem_pad")(inputs)
    x = conv_norm(
        x, width, stem_size, stem_strides, padding="valid", activation="relu", epsilon=EPSILON, name="stem"
    )  # (N, H / 2, W / 2, width)
    if stem_pool:
        x = layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
        x = layers.MaxPooling2D(3, 2, name="stem_pool")(x)  # (N, H / 4, W / 4, width)
    block = bottleneck_block if bottleneck else basic_block
    for stage, depth in enumerate(depths, 1):
        for index in range(1, depth + 1):
            strides = 2 if stage > 1 and index == 1 else 1
            x = block(x, width * 2 ** (stage - 1), strides, reduction, name=f"stage_{stage}_block_{index}")
    return layers.GlobalAveragePooling2D(name="pool")(x)


@register(
    task="classification",
    input_shape=(224, 224, 3),
    classes=1000,
    params=28_088_024,
    paper="Hu 2018, Squeeze-and-excitation networks, arXiv:1709.01507 (SE-ResNet-50)",
    data=("cifar10", "digits"),
    edge={**SMALL, "depths": (1, 1, 1, 1)},
)
def se_resnet(
    inputs: KerasTensor, classes: int, depths: Sequence[int] = (3, 4, 6, 3), *, bottleneck: bool = True,
    width: int = 64, reduction: int = 16, stem_size: int = 7, stem_strides: int = 2, stem_pool: bool = True
):  # fmt: skip
    """Build a residual net whose blocks weigh their maps before the shortcut is added; SE-ResNet-50 by default.

    Shapes: images (N, H, W, C) -> logits (N, classes).
    """
    return resnet50(
        inputs, classes, depths, bottleneck=bottleneck, width=width, reduction=reduction, stem_size=stem_size,
        stem_strides=stem_strides, stem_pool=stem_pool
    )  # fmt: skip


def basic_block(x: KerasTensor, maps: int, strides: int, reduction: int, name: str):
    """Add a block of two 3x3 convolutions."""
    y = conv_norm(x, maps, 3, strides, activation="relu", epsilon=EPSILON, name=f"{name}_conv1")
    y = conv_norm(y, maps, 3, epsilon=EPSILON, name=f"{name}_conv2")
    return join(x, y, strides, reduction, name)


def bottleneck_block(x: KerasTensor, maps: int, strides: int, reduction: int, name: str):
    """Add a block that narrows to `maps`, convolves 3x3 and widens to four times `maps`."""
    y = conv_norm(x, maps, 1, strides, activation="relu", epsilon=EPSILON, name=f"{name}_conv1")
    y = conv_norm(y, maps, 3, activation="relu", epsilon=EPSILON, name=f"{name}_conv2")
    y = conv_norm(y, 4 * maps, 1, epsilon=EPSILON, name=f"{name}_conv3")
    return join(x, y, strides, reduction, name)


def join(shortcut: KerasTensor, y: KerasTensor, strides: int, reduction: int, name: str):
    """Add the shortcut, through a 1x1 convolution where the shape changes."""
    if reduction:
        y = squeeze_excite(y, y.shape[-1] // reduction, name=f"{name}_se")
    if shortcut.shape != y.shape:
        shortcut = conv_norm(shortcut, y.shape[-1], 1, strides, epsilon=EPSILON, name=f"{name}_shortcut")
    x = layers.Add(name=f"{name}_add")([shortcut, y])
    return layers.Activation("relu", name=f"{name}_out")(x)

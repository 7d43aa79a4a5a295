"""Nets of inception modules: paths of convolutions side by side, their maps joined (Szegedy 2014, arXiv:1409.4842).

A path is a list of steps: a convolution as (maps, size) or (maps, size, strides), a pool by its name, or a tuple of
paths that fork from there.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from keras import KerasTensor, layers

from .blocks import LocalResponseNormalization, Size, conv_norm
from .registry import register

FAMILY = "cnn"
AVERAGE, MAXIMUM, HALVE = "average", "maximum", "halve"  # pools of 3x3: at stride 1, and at stride 2
SMALL = {"input_shape": (32, 32, 3), "classes": 10, "width": 0.125, "stem_strides": 1}


def module(x: KerasTensor, *paths: Any, conv: Callable[..., KerasTensor], name: str, padding: str = "same"):
    """Add an inception module: every path starts from `x`.

    conv: function (x, maps, size, strides, name=) that adds one convolution. padding: of what has a stride.
    """
    ends = []
    for number, path in enumerate(paths, 1):
        y = x
        for index, step in enumerate(path, 1):
            label = f"{name}_{number}_{index}"
            if isinstance(step, str):
                y = pool(y, step, padding, name=label)
            elif isinstance(step[0], list):
                y = module(y, *step, conv=conv, name=label)
            else:
                maps, size, strides = (*step, 1)[:3]
                y = conv(y, maps, size, strides, padding=padding if strides > 1 else "same", name=label)
        ends.append(y)
    return layers.Concatenate(name=name)(ends)


def pool(x: KerasTensor, kind: str, padding: str, name: str):
    """Add the pool that `kind` names."""
    if kind == AVERAGE:
        return layers.AveragePooling2D(3, 1, "same", name=name)(x)
    if kind == MAXIMUM:
        return layers.MaxPooling2D(3, 1, "same", name=name)(x)
    return layers.MaxPooling2D(3, 2, padding, name=name)(x)


def convolution(
    x: KerasTensor, maps: int, size: Size, strides: int = 1, *, width: float = 1.0, padding: str = "same", name: str
):
    """Add a biased convolution with ReLU, as nets had it before batch normalisation."""
    return layers.Conv2D(
        max(1, int(maps * width)), size, strides, padding, activation="relu", kernel_initializer="he_normal", name=name
    )(x)


def normalised(
    x: KerasTensor, maps: int, size: Size, strides: int = 1, *, width: float = 1.0, padding: str = "same",
    gamma: bool = True, name: str
):  # fmt: skip
    """Add a convolution, batch normalisation and ReLU."""
    maps = max(1, int(maps * width))
    return conv_norm(x, maps, size, strides, padding=padding, gamma=gamma, activation="relu", name=name)


def head(x: KerasTensor, classes: int, dropout: float):
    """Add the mean over the image, dropout and the logits."""
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return layers.Dense(classes, name="logits")(x)


# ---------------------------------------------------------------- GoogLeNet

# Table 1 of the paper, by stage: 1x1; 1x1 before 3x3, 3x3; 1x1 before 5x5, 5x5; 1x1 behind the pool.
GOOGLENET = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)


@register(
    task="classification",
    input_shape=(224, 224, 3),
    classes=1000,
    params=6_998_552,
    paper="Szegedy 2014, Going deeper with convolutions, arXiv:1409.4842",
    data=("cifar10", "digits"),
    edge={**SMALL, "modules": tuple(stage[:1] for stage in GOOGLENET), "dropout": 0.0},
)
def googlenet(
    inputs: KerasTensor, classes: int, width: float = 1.0, modules: Sequence[Any] = GOOGLENET, *,
    stem_strides: int = 2, response_norm: bool = True, dropout: float = 0.4
):  # fmt: skip
    """Build GoogLeNet without the auxiliary classifiers, which serve training alone.

    width: scales all maps.  Shapes: images (N, H, W, C) -> logits (N, classes).
    """
    conv = partial(convolution, width=width)
    x = conv(inputs, 64, 7, stem_strides, name="stem_1")
    x = layers.MaxPooling2D(3, 2, "same", name="stem_pool_1")(x)
    if response_norm:
        x = LocalResponseNormalization(bias=1.0, alpha=2e-5, name="stem_response_norm_1")(x)
    x = conv(x, 64, 1, name="stem_2")
    x = conv(x, 192, 3, name="stem_3")
    if response_norm:
        x = LocalResponseNormalization(bias=1.0, alpha=2e-5, name="stem_response_norm_2")(x)
    for stage, rows in enumerate(modules, 3):
        x = layers.MaxPooling2D(3, 2, "same", name=f"pool_{stage - 1}")(x)
        for letter, (single, before_3, three, before_5, five, pooled) in zip("abcde", rows, strict=False):
            paths = [(single, 1)], [(before_3, 1), (three, 3)], [(before_5, 1), (five, 5)], [MAXIMUM, (pooled, 1)]
            x = module(x, *paths, conv=conv, name=f"inception_{stage}{letter}")
    return head(x, classes, dropout)


# ---------------------------------------------------------------- version 2: batch normalisation, 5x5 as two 3x3


def _v2(single: int, before_3: int, three: int, before_double: int, double: int, pooled: int, *, kind: str = AVERAGE):
    """Return the paths of a module of version 2."""
    doubled = [(before_double, 1), (double, 3), (double, 3)]
    return [(single, 1)], [(before_3, 1), (three, 3)], doubled, [kind, (pooled, 1)]


def _v2_halving(before_3: int, three: int, before_double: int, double: int):
    """Return the paths of a module of version 2 that halves the image."""
    return [(before_3, 1), (three, 3, 2)], [(before_double, 1), (double, 3), (double, 3, 2)], [HALVE]


# Table of the paper's appendix; where it prints 128 maps behind the pools of 4c and 4d, its sums ask for 96.
V2 = (
    (_v2(64, 64, 64, 64, 96, 32), _v2(64, 64, 96, 64, 96, 64), _v2_halving(128, 160, 64, 96)),
    (
        _v2(224, 64, 96, 96, 128, 128),
        _v2(192, 96, 128, 96, 128, 128),
        _v2(160, 128, 160, 128, 160, 96),
        _v2(96, 128, 192, 160, 192, 96),
        _v2_halving(128, 192, 192, 256),
    ),
    (_v2(352, 192, 320, 160, 224, 128), _v2(352, 192, 320, 192, 224, 128, kind=MAXIMUM)),
)


@register(
    task="classification",
    input_shape=(224, 224, 3),
    classes=1000,
    params=11_194_984,
    paper="Ioffe 2015, Batch normalization, arXiv:1502.03167 (appendix: the variant of the inception net)",
    data=("cifar10", "digits"),
    edge={**SMALL, "modules": (V2[0][1:], V2[1][3:], V2[2][:1])},
)
def inception_v2(
    inputs: KerasTensor, classes: int, width: float = 1.0, modules: Sequence[Any] = V2, *, stem_strides: int = 2,
    dropout: float = 0.2
):  # fmt: skip
    """Build the inception net of the batch normalisation paper.

    width: scales all maps.  Shapes: images (N, H, W, C) -> logits (N, classes).
    """
    conv = partial(normalised, width=width)
    x = conv(inputs, 64, 7, stem_strides, name="stem_1")
    x = layers.MaxPooling2D(3, 2, "same", name="stem_pool_1")(x)
    x = conv(x, 64, 1, name="stem_2")
    x = conv(x, 192, 3, name="stem_3")
    x = layers.MaxPooling2D(3, 2, "same", name="stem_pool_2")(x)
    for stage, rows in enumerate(modules, 3):
        for letter, paths in zip("abcde", rows, strict=False):
            x = module(x, *paths, conv=conv, name=f"inception_{stage}{letter}")
    return head(x, classes, dropout)


# ---------------------------------------------------------------- version 3: factorised convolutions

ACROSS, DOWN = (1, 7), (7, 1)  # a row and a column
V3_FORK = [(384, (1, 3))], [(384, (3, 1))]


def _v3_a(pooled: int):
    return [(64, 1)], [(48, 1), (64, 5)], [(64, 1), (96, 3), (96, 3)], [AVERAGE, (pooled, 1)]


def _v3_b(maps: int):
    once = [(maps, 1), (maps, ACROSS), (192, DOWN)]
    twice = [(maps, 1), (maps, DOWN), (maps, ACROSS), (maps, DOWN), (192, ACROSS)]
    return [(192, 1)], once, twice, [AVERAGE, (192, 1)]


V3_C = (
    [(320, 1)],
    [(384, 1), V3_FORK],
    [(448, 1), (384, 3), V3_FORK],
    [AVERAGE, (192, 1)],
)
V3_HALVE_A = [(384, 3, 2)], [(64, 1), (96, 3), (96, 3, 2)], [HALVE]
V3_HALVE_B = [(192, 1), (320, 3, 2)], [(192, 1), (192, ACROSS), (192, DOWN), (192, 3, 2)], [HALVE]
V3 = (
    *(_v3_a(pooled) for pooled in (32, 64, 64)),
    V3_HALVE_A,
    *(_v3_b(maps) for maps in (128, 160, 160, 192)),
    V3_HALVE_B,
    V3_C,
    V3_C,
)


@register(
    task="classification",
    input_shape=(299, 299, 3),
    classes=1000,
    params=23_817_352,
    paper="Szegedy 2015, Rethinking the inception architecture for computer vision, arXiv:1512.00567",
    data=("cifar10", "digits"),
    edge={**SMALL, "modules": (V3[0], V3_HALVE_A, V3[4], V3_C), "padding": "same"},
)
def inception_v3(
    inputs: KerasTensor, classes: int, width: float = 1.0, modules: Sequence[Any] = V3, *, stem_strides: int = 2,
    padding: str = "valid", dropout: float = 0.2
):  # fmt: skip
    """Build Inception-v3 without the auxiliary classifier, which serves training alone.

    width: scales all maps. padding: of stem, strides and pools; "same" lets small images through.
    Shapes: images (N, H, W, C) -> logits (N, classes).
    """
    conv = partial(normalised, width=width, gamma=False)
    x = conv(inputs, 32, 3, stem_strides, padding=padding, name="stem_1")
    x = conv(x, 32, 3, padding=padding, name="stem_2")
    x = conv(x, 64, 3, name="stem_3")
    x = layers.MaxPooling2D(3, 2, padding, name="stem_pool_1")(x)
    x = conv(x, 80, 1, name="stem_4")
    x = conv(x, 192, 3, padding=padding, name="stem_5")
    x = layers.MaxPooling2D(3, 2, padding, name="stem_pool_2")(x)  # (N, 35, 35, 192)
    for index, paths in enumerate(modules):
        x = module(x, *paths, conv=conv, padding=padding, name=f"mixed_{index}")
    return head(x, classes, dropout)


# ---------------------------------------------------------------- version 4: the same blocks throughout

V4_A = [(96, 1)], [(64, 1), (96, 3)], [(64, 1), (96, 3), (96, 3)], [AVERAGE, (96, 1)]
V4_HALVE_A = [(384, 3, 2)], [(192, 1), (224, 3), (256, 3, 2)], [HALVE]
V4_B = (
    [(384, 1)],
    [(192, 1), (224, ACROSS), (256, DOWN)],
    [(192, 1), (192, DOWN), (224, ACROSS), (224, DOWN), (256, ACROSS)],
    [AVERAGE, (128, 1)],
)
V4_HALVE_B = [(192, 1), (192, 3, 2)], [(256, 1), (256, ACROSS), (320, DOWN), (320, 3, 2)], [HALVE]
V4_FORK = [(256, (1, 3))], [(256, (3, 1))]
V4_C = (
    [(256, 1)],
    [(384, 1), V4_FORK],
    [(384, 1), (448, (3, 1)), (512, (1, 3)), V4_FORK],
    [AVERAGE, (256, 1)],
)
V4 = (*4 * (V4_A,), V4_HALVE_A, *7 * (V4_B,), V4_HALVE_B, *3 * (V4_C,))


@register(
    task="classification",
    input_shape=(299, 299, 3),
    classes=1000,
    params=42_679_816,
    paper="Szegedy 2016, Inception-v4, Inception-ResNet and the impact of residual connections, arXiv:1602.07261",
    data=("cifar10", "digits"),
    edge={**SMALL, "modules": (V4_A, V4_HALVE_A, V4_B, V4_C), "padding": "same"},
)
def inception_v4(
    inputs: KerasTensor, classes: int, width: float = 1.0, modules: Sequence[Any] = V4, *, stem_strides: int = 2,
    padding: str = "valid", dropout: float = 0.2
):  # fmt: skip
    """Build Inception-v4.

    width: scales all maps. padding: of stem, strides and pools; "same" lets small images through.
    Shapes: images (N, H, W, C) -> logits (N, classes).
    """
    conv = partial(normalised, width=width)
    x = conv(inputs, 32, 3, stem_strides, padding=padding, name="stem_1")
    x = conv(x, 32, 3, padding=padding, name="stem_2")
    x = conv(x, 64, 3, name="stem_3")  # (N, 147, 147, 64)
    x = module(x, [HALVE], [(96, 3, 2)], conv=conv, padding=padding, name="stem_4")  # (N, 73, 73, 160)
    short = conv(conv(x, 64, 1, name="stem_5_1_1"), 96, 3, padding=padding, name="stem_5_1_2")
    long = conv(conv(x, 64, 1, name="stem_5_2_1"), 64, ACROSS, name="stem_5_2_2")
    long = conv(conv(long, 64, DOWN, name="stem_5_2_3"), 96, 3, padding=padding, name="stem_5_2_4")
    x = layers.Concatenate(name="stem_5")([short, long])  # (N, 71, 71, 192)
    x = module(x, [(192, 3, 2)], [HALVE], conv=conv, padding=padding, name="stem_6")  # (N, 35, 35, 384)
    for index, paths in enumerate(modules):
        x = module(x, *paths, conv=conv, padding=padding, name=f"mixed_{index}")
    return head(x, classes, dropout)

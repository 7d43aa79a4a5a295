"""Depthwise separable convolutions (Howard 2017, arXiv:1704.04861) and inverted residuals (arXiv:1801.04381)."""

from collections.abc import Sequence
from typing import Any

from keras import KerasTensor, layers

from .blocks import conv_norm, depthwise_norm, divisible, inverted_residual
from .registry import register

FAMILY = "cnn"
SMALL = {"input_shape": (32, 32, 3), "classes": 10}


@register(
    task="classification",
    input_shape=(49, 10, 1),
    classes=12,
    params=23_756,
    paper="Zhang 2017, Hello Edge, arXiv:1711.07128; sizes of MLPerf Tiny, arXiv:2106.07597 (keyword spotting)",
    data=("fsdd", "digits"),
    edge={"classes": 10, "width": 32},
)
def ds_cnn(inputs: KerasTensor, classes: int, width: int = 64, depth: int = 4, dropout: float = 0.2):
    """Build the keyword spotter: a 10x4 stem, `depth` separable blocks, average over time and frequency.

    Convolutions have biases, as in the reference.  Shapes: mfcc (N, T, F, 1) -> logits (N, classes).
    """
    x = conv_norm(inputs, width, (10, 4), 2, bias=True, activation="relu", name="stem")
    x = layers.Dropout(dropout, name="stem_dropout")(x)
    for index in range(1, depth + 1):
        x = separable(x, width, bias=True, activation="relu", name=f"block_{index}")
    x = layers.Dropout(2 * dropout, name="dropout")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return layers.Dense(classes, name="logits")(x)


# Maps and strides of the blocks (table 1 of the paper).
V1 = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *5 * ((512, 1),), (1024, 2), (1024, 1))


@register(
    task="classification",
    input_shape=(224, 224, 3),
    classes=1000,
    params=4_231_976,
    paper="Howard 2017, MobileNets, arXiv:1704.04861",
    data=("cifar10", "digits"),
    edge={**SMALL, "width": 0.25, "blocks": (V1[0], V1[1], V1[3], V1[5], V1[11])},
)
def mobilenet_v1(
    inputs: KerasTensor, classes: int, width: float = 1.0, blocks: Sequence[Any] = V1, dropout: float = 0.001,
    bias: bool = False
):  # fmt: skip
    """Build MobileNet: a stem and separable `blocks` of (maps, strides), all maps times `width`.

    bias: of the convolutions; MLPerf Tiny's net for visual wake words (width 0.25, 96x96, 2 classes) has it.
    Shapes: images (N, H, W, C) -> logits (N, classes).
    """
    x = v1_blocks(inputs, width, blocks, bias=bias)[-1]
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return layers.Dense(classes, name="logits")(x)


def v1_blocks(inputs: KerasTensor, width: float, blocks: Sequence[Any], *, bias: bool = False) -> list[Any]:
    """Add MobileNet's stem and blocks; return the maps behind the stem and behind each block."""
    found = [conv_norm(inputs, int(32 * width), 3, 2, bias=bias, activation="relu6", name="stem")]
    for index, (maps, strides) in enumerate(blocks, 1):
        x = separable(found[-1], int(maps * width), strides, bias=bias, activation="relu6", name=f"block_{index}")
        found.append(x)
    return found


def separable(x: KerasTensor, maps: int, strides: int = 1, *, activation: str, bias: bool = False, name: str):
    """Add a 3x3 depthwise convolution and a pointwise one, each normalised."""
    x = depthwise_norm(x, 3, strides, bias=bias, activation=activation, name=f"{name}_depthwise")
    return conv_norm(x, maps, 1, bias=bias, activation=activation, name=f"{name}_pointwise")


# Expansion, maps, blocks and first strides of the stages (table 2 of the paper).
V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


@register(
    task="classification",
    input_shape=(224, 224, 3),
    classes=1000,
    params=3_504_872,
    paper="Sandler 2018, MobileNetV2: inverted residuals and linear bottlenecks, arXiv:1801.04381",
    data=("cifar10", "digits"),
    edge={**SMALL, "width": 0.25, "stages": ((1, 16, 1, 1), (6, 24, 1, 2), (6, 32, 2, 2), (6, 64, 1, 1)), "head": 128},
)
def mobilenet_v2(inputs: KerasTensor, classes: int, width: float = 1.0, stages: Sequence[Any] = V2, head: int = 1280):
    """Build MobileNetV2: a stem, inverted residuals by `stages` of (expansion, maps, blocks, strides), a 1x1 `head`.

    width: scales all maps, the head's only upwards.  Shapes: images (N, H, W, C) -> logits (N, classes).
    """
    x = conv_norm(inputs, divisible(32 * width), 3, 2, activation="relu6", name="stem")
    for stage, (expansion, maps, depth, strides) in enumerate(stages, 1):
        for index in range(1, depth + 1):
            x = inverted_residual(
                x, divisible(int(maps * width)), expanded=expansion * x.shape[-1],
                strides=strides if index == 1 else 1, name=f"stage_{stage}_block_{index}"
            )  # fmt: skip
    x = conv_norm(x, divisible(head * max(width, 1)), 1, activation="relu6", name="head")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return layers.Dense(classes, name="logits")(x)


# Kernel, expanded maps, maps, squeeze-and-excitation, activation and strides of the blocks (table 2 of the paper).
V3_SMALL = (
    (3, 16, 16, True, "relu", 2),
    (3, 72, 24, False, "relu", 2),
    (3, 88, 24, False, "relu", 1),
    (5, 96, 40, True, "hard_silu", 2),
    (5, 240, 40, True, "hard_silu", 1),
    (5, 240, 40, True, "hard_silu", 1),
    (5, 120, 48, True, "hard_silu", 1),
    (5, 144, 48, True, "hard_silu", 1),
    (5, 288, 96, True, "hard_silu", 2),
    (5, 576, 96, True, "hard_silu", 1),
    (5, 576, 96, True, "hard_silu", 1),
)


@register(
    task="classification",
    input_shape=(224, 224, 3),
    classes=1000,
    params=2_542_856,
    paper="Howard 2019, Searching for MobileNetV3, arXiv:1905.02244 (small)",
    data=("cifar10", "digits"),
    edge={**SMALL, "width": 0.25, "blocks": (V3_SMALL[0], V3_SMALL[2], V3_SMALL[3], V3_SMALL[5]), "head": 64},
)
def mobilenet_v3_small(
    inputs: KerasTensor, classes: int, width: float = 1.0, blocks: Sequence[Any] = V3_SMALL, head: int = 1024,
    dropout: float = 0.2
):  # fmt: skip
    """Build MobileNetV3: inverted residuals, some with squeeze-and-excitation, and a head of `head` units on the means.

    blocks: (kernel, expanded maps, maps, squeeze-and-excitation, activation, strides) each; width: scales the maps.
    Shapes: images (N, H, W, C) -> logits (N, classes).
    """
    x = conv_norm(inputs, divisible(16 * width), 3, 2, activation="hard_silu", name="stem")
    for index, (size, expanded, maps, squeezes, activation, strides) in enumerate(blocks, 1):
        expanded = divisible(expanded * width)
        x = inverted_residual(
            x, divisible(maps * width), expanded=expanded, size=size, strides=strides, activation=activation,
            squeezed=divisible(expanded / 4) if squeezes else 0, gate="hard_sigmoid", name=f"block_{index}"
        )  # fmt: skip
    x = conv_norm(x, divisible(6 * x.shape[-1]), 1, activation="hard_silu", name="last")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(head, "hard_silu", name="head")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return layers.Dense(classes, name="logits")(x)

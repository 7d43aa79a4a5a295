"""Compound scaling of inverted residuals (Tan 2019, arXiv:1905.11946)."""

import math
from collections.abc import Sequence
from typing import Any

from keras import KerasTensor, layers

from .blocks import conv_norm, divisible, inverted_residual
from .registry import register

FAMILY = "cnn"

# Kernel, expansion, maps, blocks and first strides of the stages (table 1 of the paper).
STAGES = (
    (3, 1, 16, 1, 1),
    (3, 6, 24, 2, 2),
    (5, 6, 40, 2, 2),
    (3, 6, 80, 3, 2),
    (5, 6, 112, 3, 1),
    (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
)
SMALL = {
    "input_shape": (32, 32, 3),
    "classes": 10,
    "width": 0.25,
    "stages": ((3, 1, 16, 1, 1), (3, 6, 24, 1, 2), (5, 6, 40, 2, 2), (3, 6, 80, 1, 1)),
    "head": 256,
    "drop_connect": 0.0,
}


@register(
    task="classification",
    input_shape=(224, 224, 3),
    classes=1000,
    params=5_288_548,
    paper="Tan 2019, EfficientNet: rethinking model scaling, arXiv:1905.11946",
    data=("cifar10", "digits"),
    edge=SMALL,
    variants={"efficientnet_lite0": {"params": 4_652_008, "activation": "relu6", "squeeze": 0.0}},
)
def efficientnet_b0(
    inputs: KerasTensor, classes: int, width: float = 1.0, depth: float = 1.0, *, stages: Sequence[Any] = STAGES,
    head: int = 1280, activation: str = "silu", squeeze: float = 0.25, dropout: float = 0.2, drop_connect: float = 0.2
):  # fmt: skip
    """Build an EfficientNet; `width` and `depth` scale maps and blocks of the `stages` (1.0 and 1.1 make B1).

    squeeze: share of a block's input maps that squeeze-and-excitation narrows to, 0 for none: the lite nets drop it and
    take ReLU6, for hardware that computes in integers. drop_connect: chance of skipping the last block in training, the
    others' grow towards it.  Shapes: images (N, H, W, C) -> logits (N, classes).
    """
    *_, x = scaled_stages(
        inputs, width, depth, stages=stages, activation=activation, squeeze=squeeze, drop_connect=drop_connect
    )
    x = conv_norm(x, divisible(head * width), 1, activation=activation, name="head")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return layers.Dense(classes, name="logits")(x)


def scaled_stages(
    inputs: KerasTensor, width: float, depth: float, *, stages: Sequence[Any] = STAGES, activation: str = "silu",
    squeeze: float = 0.25, drop_connect: float = 0.2
) -> list[Any]:  # fmt: skip
    """Add EfficientNet's stem and stages; return the maps behind each stage.  Arguments: see `efficientnet_b0`."""
    x = conv_norm(inputs, divisible(32 * width), 3, 2, activation=activation, name="stem")
    repeats = [math.ceil(depth * blocks) for _, _, _, blocks, _ in stages]
    done, found = 0, []
    for stage, (size, expansion, maps, _, strides) in enumerate(stages, 1):
        for index in range(1, repeats[stage - 1] + 1):
            x = inverted_residual(
                x, divisible(maps * width), expanded=expansion * x.shape[-1], size=size,
                strides=strides if index == 1 else 1, activation=activation, squeezed=int(squeeze * x.shape[-1]),
                squeeze_activation=activation, drop=drop_connect * done / sum(repeats),
                name=f"stage_{stage}_block_{index}"
            )  # fmt: skip
            done += 1
        found.append(x)
    return found

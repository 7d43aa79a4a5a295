"""Cells found by architecture search (Zoph 2017, arXiv:1707.07012)."""

from keras import KerasTensor, layers

from .blocks import MOMENTUM, Size, conv_norm
from .registry import register

FAMILY = "cnn"


@register(
    task="classification",
    input_shape=(224, 224, 3),
    classes=1000,
    params=5_289_978,
    paper="Zoph 2017, Learning transferable architectures for scalable image recognition, arXiv:1707.07012 (mobile)",
    data=("cifar10", "digits"),
    edge={"input_shape": (32, 32, 3), "classes": 10, "maps": 8, "repeats": 1, "stages": 2, "stem": 8, "stem_cells": 0},
)
def nasnet(
    inputs: KerasTensor, classes: int, maps: int = 44, repeats: int = 4, stages: int = 3, *, stem: int = 32,
    stem_cells: int = 2
):  # fmt: skip
    """Build NASNet-A mobile: `stages` of `repeats` normal cells, a reduction cell between each two.

    maps: of the first stage's operations, doubled from stage to stage; a normal cell returns six times as many.
    stem_cells: reduction cells before the first stage, none for small images.
    Shapes: images (N, H, W, C) -> logits (N, classes).
    """
    x = conv_norm(inputs, stem, 3, 2, padding="valid", name="stem")
    before = None  # what the cell before the last returned: the second input of a cell
    for index in range(stem_cells, 0, -1):
        x, before = reduction_cell(x, before, maps // 2**index, name=f"stem_{stem_cells - index + 1}"), x
    for stage in range(stages):
        width = maps * 2**stage
        if stage:
            x, before = reduction_cell(x, before, width, name=f"reduce_{stage}"), x
        for index in range(1, repeats + 1):
            x, before = normal_cell(x, before, width, name=f"stage_{stage + 1}_cell_{index}"), x
    x = layers.Activation("relu", name="last_relu")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return layers.Dense(classes, name="logits")(x)


def normal_cell(x: KerasTensor, before: KerasTensor | None, maps: int, name: str):
    """Add a normal cell (figure 4, left).  Shapes: (N, H, W, C) -> (N, H, W, 6 * maps)."""
    p = adjusted(before, x, maps, name=f"{name}_before")
    h = squeezed(x, maps, name=f"{name}_input")
    one = separable(h, maps, 5, name=f"{name}_1_left"), separable(p, maps, 3, name=f"{name}_1_right")
    two = separable(p, maps, 5, name=f"{name}_2_left"), separable(p, maps, 3, name=f"{name}_2_right")
    three = average(h, name=f"{name}_3_left"), p
    four = average(p, name=f"{name}_4_left"), average(p, name=f"{name}_4_right")
    five = separable(h, maps, 3, name=f"{name}_5_left"), h
    sums = [layers.Add(name=f"{name}_{i}")(pair) for i, pair in enumerate((one, two, three, four, five), 1)]
    return layers.Concatenate(name=name)([p, *sums])


def reduction_cell(x: KerasTensor, before: KerasTensor | None, maps: int, name: str):
    """Add a reduction cell (figure 4, right).  Shapes: (N, H, W, C) -> (N, H / 2, W / 2, 4 * maps)."""
    p = adjusted(before, x, maps, name=f"{name}_before")
    h = squeezed(x, maps, name=f"{name}_input")
    padded = same_with_zeros(h, 3, name=f"{name}_pad")
    one = layers.Add(name=f"{name}_1")(
        [separable(h, maps, 5, 2, name=f"{name}_1_left"), separable(p, maps, 7, 2, name=f"{name}_1_right")]
    )
    largest = layers.MaxPooling2D(3, 2, name=f"{name}_largest")(padded)
    mean = layers.AveragePooling2D(3, 2, name=f"{name}_mean")(padded)
    two = layers.Add(name=f"{name}_2")([largest, separable(p, maps, 7, 2, name=f"{name}_2_right")])
    three = layers.Add(name=f"{name}_3")([mean, separable(p, maps, 5, 2, name=f"{name}_3_right")])
    four = layers.Add(name=f"{name}_4")([two, average(one, name=f"{name}_4_right")])
    five = layers.Add(name=f"{name}_5")([separable(one, maps, 3, name=f"{name}_5_left"), largest])
    return layers.Concatenate(name=name)([two, three, four, five])


def adjusted(before: KerasTensor | None, x: KerasTensor, maps: int, name: str):
    """Bring what the cell before the last returned to the size of `x`, and to `maps` maps."""
    if before is None:
        return x
    if before.shape[1] == x.shape[1]:
        return before if before.shape[-1] == maps else squeezed(before, maps, name=name)
    # Halve the image without losing every other row: two samplings, one pixel apart, each giving half of the maps.
    y = layers.Activation("relu", name=f"{name}_relu")(before)
    moved = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"{name}_2_pad")(y)
    moved = layers.Cropping2D(((1, 0), (1, 0)), name=f"{name}_2_crop")(moved)
    halves = [
        layers.Conv2D(maps // 2, 1, 2, use_bias=False, kernel_initializer="he_normal", name=f"{name}_{index}")(part)
        for index, part in ((1, y), (2, moved))
    ]
    y = layers.Concatenate(name=f"{name}_halves")(halves)
    return layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_norm")(y)


def squeezed(x: KerasTensor, maps: int, name: str):
    """Add ReLU, a 1x1 convolution and batch normalisation."""
    x = layers.Activation("relu", name=f"{name}_relu")(x)
    return conv_norm(x, maps, 1, name=name)


def separable(x: KerasTensor, maps: int, size: Size, strides: int = 1, *, name: str):
    """Add ReLU, a separable convolution and batch normalisation, twice; the first has the strides."""
    for index in (1, 2):
        x = layers.Activation("relu", name=f"{name}_relu{index}")(x)
        x = layers.SeparableConv2D(
            maps, size, strides if index == 1 else 1, "same", use_bias=False, depthwise_initializer="he_normal",
            pointwise_initializer="he_normal", name=f"{name}_conv{index}"
        )(x)  # fmt: skip
        x = layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_norm{index}")(x)
    return x


def average(x: KerasTensor, name: str):
    """Add a 3x3 average pool at stride 1."""
    return layers.AveragePooling2D(3, 1, "same", name=name)(x)


def same_with_zeros(x: KerasTensor, size: int, name: str):
    """Pad with zeros as a convolution of stride 2 does; a pool's own padding would not count."""
    pads = [((size - 2 + side % 2) // 2, size // 2) for side in x.shape[1:3]]
    return layers.ZeroPadding2D(pads, name=name)(x)

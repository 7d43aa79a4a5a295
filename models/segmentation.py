"""Nets that class every pixel: FCN (Long 2015), SegNet (Badrinarayanan 2015), U-Net (Ronneberger 2015)."""

from collections.abc import Sequence
from typing import Any

from keras import KerasTensor, layers

from . import vgg
from .blocks import conv_norm
from .convolved import Bilinear, MaxUnpooling2D
from .registry import register

FAMILY = "dense"


@register(
    task="segmentation",
    input_shape=(512, 512, 3),
    classes=21,
    params=134_346_581,
    paper="Long 2015, Fully convolutional networks for semantic segmentation, arXiv:1411.4038",
    data=("isbi_membrane", "drawn_cells"),
    training={"label_smoothing": 0.0},
    edge={"input_shape": (128, 128, 3), "classes": 2, "width": 8, "hidden": 64, "dropout": 0.0},
    variants={
        "fcn16s": {"params": 134_364_410, "skips": 1},
        "fcn8s": {"params": 134_376_863, "skips": 2},
    },
)
def fcn32s(
    inputs: KerasTensor, classes: int, skips: int = 0, depths: Sequence[int] = (2, 2, 3, 3, 3), width: int = 64,
    *, hidden: int = 4096, dropout: float = 0.5
):  # fmt: skip
    """Build a VGG-16 whose dense layers are convolutions, and bring its scores back to the size of the image.

    skips: how many finer stages score too; before each is added, the coarser scores double in size by transposed
    convolutions that begin as bilinear interpolation and are learned. The last up-sampling is the fixed interpolation,
    as an operator in place of a convolution by a constant kernel. Sides are multiples of 32, and borders are padded by
    half the 7x7 window in place of 100 pixels before the first layer.
    Shapes: images (N, H, W, C) -> logits (N, H, W, classes).
    """
    pooled = vgg.stages(inputs, depths, width)
    x = pooled[-1]
    for index, window in enumerate((7, 1), 1):
        x = layers.Conv2D(
            hidden, window, padding="same", activation="relu", kernel_initializer="he_normal", name=f"fc_{index}"
        )(x)
        x = layers.Dropout(dropout, name=f"dropout_{index}")(x)
    x = layers.Conv2D(classes, 1, name="score")(x)  # (N, H / 32, W / 32, classes)
    bilinear: Any = Bilinear()
    stride = 2 ** len(depths)
    for stage in range(len(depths) - 1, len(depths) - 1 - skips, -1):
        x = layers.Conv2DTranspose(
            classes, 4, 2, "same", use_bias=False, kernel_initializer=bilinear, name=f"twice_{stage}"
        )(x)
        finer = layers.Conv2D(classes, 1, kernel_initializer="zeros", name=f"score_{stage}")(pooled[stage - 1])
        x = layers.Add(name=f"fuse_{stage}")([x, finer])
        stride //= 2
    return layers.UpSampling2D(stride, interpolation="bilinear", name="logits")(x)


@register(
    task="segmentation",
    input_shape=(352, 480, 3),
    classes=11,
    params=29_449_355,
    paper="Badrinarayanan 2015, SegNet: a deep convolutional encoder-decoder architecture, arXiv:1511.00561",
    data=("isbi_membrane", "drawn_cells"),
    training={"label_smoothing": 0.0},
    edge={"input_shape": (64, 64, 3), "classes": 2, "width": 8},
)
def segnet(
    inputs: KerasTensor, classes: int, depths: Sequence[int] = (2, 2, 3, 3, 3), width: int = 64,
    unpooling: bool = True
):  # fmt: skip
    """Build a VGG-16 without its dense layers, and its mirror image, which puts values back to where maxima were.

    unpooling: False learns transposed convolutions in its place. Sides are multiples of 32.
    Shapes: images (N, H, W, C) -> logits (N, H, W, classes).
    """
    x, pools = inputs, []
    for stage, depth in enumerate(depths, 1):
        for index in range(1, depth + 1):
            x = conv_norm(x, _maps(stage, width), 3, activation="relu", bias=True, name=f"down_{stage}_conv{index}")
        pools.append((x, pooled := layers.MaxPooling2D(2, name=f"down_{stage}_pool")(x)))
        x = pooled
    for stage, depth in reversed(list(enumerate(depths, 1))):
        if unpooling:
            x = MaxUnpooling2D(name=f"up_{stage}_unpool")([*pools[stage - 1], x])
        else:
            x = layers.Conv2DTranspose(_maps(stage, width), 2, 2, name=f"up_{stage}_twice")(x)
        for index in range(depth, 0, -1):
            name = f"up_{stage}_conv{index}"
            if (stage, index) == (1, 1):
                return layers.Conv2D(classes, 3, padding="same", name="logits")(x)
            maps = _maps(stage - (index == 1), width)
            x = conv_norm(x, maps, 3, activation="relu", bias=True, name=name)
    return x


def _maps(stage: int, width: int) -> int:
    return width * min(2 ** (stage - 1), 8)


@register(
    task="segmentation",
    input_shape=(512, 512, 1),
    classes=2,
    params=31_030_658,
    paper="Ronneberger 2015, U-Net: convolutional networks for biomedical image segmentation, arXiv:1505.04597",
    data=("isbi_membrane", "drawn_cells"),
    training={"label_smoothing": 0.0, "batch_size": 8},
    edge={"input_shape": (128, 128, 1), "width": 8, "dropout": 0.0},
)
def unet(inputs: KerasTensor, classes: int, width: int = 64, depth: int = 4, dropout: float = 0.5):
    """Build a contracting and an expanding path of two 3x3 convolutions a level, joined level by level.

    Convolutions are padded, so that an image comes back in its own size: the paper's see no border, and answer for 388
    of 572 pixels. Sides are multiples of 2 ** depth. A larger image is cut into tiles by the host.
    Shapes: images (N, H, W, C) -> logits (N, H, W, classes).
    """
    x, skips = inputs, []
    for level in range(depth):
        x = _twice(x, width * 2**level, f"down_{level}")
        skips.append(x)
        x = layers.MaxPooling2D(2, name=f"down_{level}_pool")(x)
    x = _twice(x, width * 2**depth, "bottom")
    x = layers.Dropout(dropout, name="dropout")(x)
    for level in reversed(range(depth)):
        x = layers.Conv2DTranspose(
            width * 2**level, 2, 2, "same", kernel_initializer="he_normal", name=f"up_{level}_twice"
        )(x)
        x = layers.Concatenate(name=f"up_{level}_join")([skips[level], x])
        x = _twice(x, width * 2**level, f"up_{level}")
    return layers.Conv2D(classes, 1, name="logits")(x)


def _twice(x: KerasTensor, maps: int, name: str):
    for index in (1, 2):
        x = layers.Conv2D(
            maps, 3, padding="same", activation="relu", kernel_initializer="he_normal", name=f"{name}_conv{index}"
        )(x)
    return x

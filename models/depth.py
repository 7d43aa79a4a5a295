"""Nets of depth: one that tells it of an image, one that reads it beside the image."""

from collections.abc import Mapping, Sequence
from typing import Any

from keras import KerasTensor, layers

from .alexnet import convolutions, dense
from .registry import register

FAMILY = "dense"


@register(
    task="inverse_depth",
    input_shape=(128, 416, 3),
    params=31_593_873,
    paper="Zhou 2017, Unsupervised learning of depth and ego-motion from video, arXiv:1704.07813; its finest scale",
    data=("rendered_scenes",),
    learning_rate=1e-3,
    edge={"input_shape": (64, 64, 3), "maps": (8, 16, 24, 32), "windows": (7, 5, 3, 3)},
)
def depth_net(
    inputs: KerasTensor, maps: Sequence[int] = (32, 64, 128, 256, 512, 512, 512),
    windows: Sequence[int] = (7, 5, 3, 3, 3, 3, 3)
):  # fmt: skip
    """Build an encoder of strided convolutions, and a decoder that goes back to the image's size joined with it.

    maps: of each level, which halves the image by the first of two convolutions of its `windows`. The output is linear,
    and is fitted to known depths. The host takes 1 / x.  Shapes: images (N, H, W, 3) -> inverse depth (N, H, W, 1).
    """
    active: Any = {"padding": "same", "activation": "relu", "kernel_initializer": "he_normal"}
    x, skips = inputs, []
    for level, (width, window) in enumerate(zip(maps, windows, strict=True)):
        skips.append(x)
        x = layers.Conv2D(width, window, 2, name=f"down_{level}_half", **active)(x)
        x = layers.Conv2D(width, window, name=f"down_{level}", **active)(x)
    for level in reversed(range(len(maps))):
        width = maps[level - 1] if level else maps[0] // 2
        x = layers.Conv2DTranspose(width, 3, 2, name=f"up_{level}_twice", **active)(x)
        if level:
            x = layers.Concatenate(name=f"up_{level}_join")([_cut(x, skips[level], f"up_{level}_cut"), skips[level]])
        x = layers.Conv2D(width, 3, name=f"up_{level}", **active)(x)
    # From zero: what fresh weights answer is ten times too near, and unlearning that leaves most units silent.
    return layers.Conv2D(1, 3, padding="same", kernel_initializer="zeros", name="inverse_depth")(x)


def _cut(x: KerasTensor, like: KerasTensor, name: str):
    """Cut off the last row and column, where half of an odd side was rounded up."""
    more = [mine - wanted for mine, wanted in zip(x.shape[1:3], like.shape[1:3], strict=True)]
    return layers.Cropping2D(((0, more[0]), (0, more[1])), name=name)(x) if any(more) else x


@register(
    task="classification",
    input_shape={"image": (227, 227, 3), "hha": (227, 227, 3)},
    classes=19,
    params=116_718_355,
    paper="Gupta 2014, Learning rich features from RGB-D images, arXiv:1407.5736; one net in place of an SVM on two",
    data=("rendered_objects",),
    edge={
        "input_shape": {"image": (32, 32, 3), "hha": (32, 32, 3)},
        "classes": 4,
        "width": 1 / 12,
        "hidden": 64,
        "stem_size": 5,
        "stem_strides": 1,
        "dropout": 0.0,
    },
)
def rgbd_hha(
    inputs: Mapping[str, KerasTensor], classes: int, width: float = 1.0, hidden: int = 4096, *, stem_size: int = 11,
    stem_strides: int = 4, dropout: float = 0.5
):  # fmt: skip
    """Build an AlexNet for the image and one for the depth map, whose features are joined.

    The host encodes depth as nearness, height and angle with gravity.
    Shapes: image, hha (N, H, W, 3) each -> logits (N, classes).
    """
    joined = []
    for name, x in inputs.items():
        x = convolutions(x, width, stem_size, stem_strides, prefix=f"{name}_")
        joined.append(dense(x, hidden, dropout, prefix=f"{name}_"))
    return layers.Dense(classes, name="logits")(layers.Concatenate(name="join")(joined))

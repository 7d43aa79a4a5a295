"""Non-local networks: a classifier of clips, of convolutions over frames and attention between all places and times."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, layers

from .blocks import MOMENTUM, conv_norm
from .registry import register
from .resnet import EPSILON, bottleneck_block

FAMILY = "dense"


@register(
    task="classification",
    input_shape=(32, 224, 224, 3),
    classes=400,
    params=31_686_096,
    paper="Wang 2018, Non-local neural networks, arXiv:1711.07971; ResNet-50 C2D with 5 blocks, embedded Gaussian",
    data=("moving_mnist", "moving_digits"),
    edge={
        "input_shape": (8, 16, 16, 1), "classes": 10, "depths": (1, 2), "attending": ((), (2,)), "width": 16,
        "stem_size": 3, "stem_pool": False, "every": 1, "dropout": 0.0,
    },
)  # fmt: skip
def nonlocal_net(
    inputs: KerasTensor, classes: int, *, depths: Sequence[int] = (3, 4, 6, 3),
    attending: Sequence[Sequence[int]] = ((), (2, 4), (2, 4, 6), ()), width: int = 64, stem_size: int = 7,
    stem_pool: bool = True, every: int = 2, dropout: float = 0.5
):  # fmt: skip
    """Build a residual net that sees each frame by itself, halves time by maxima, and attends between its blocks.

    depths: blocks a stage. attending: before which of them, from 1, all places of all frames attend to each other.
    every: one frame in so many is seen. All but the attention has two axes at most, so that it has int8 kernels.
    Shapes: clips (N, T, H, W, C) -> logits (N, classes).
    """
    x: Any = inputs[:, ::every] if every > 1 else inputs
    x = _each_frame(x, lambda frame: _stem(frame, width, stem_size, stem_pool), "stem")
    x = halved_in_time(x, "stem_time") if stem_pool else x
    for stage, (depth, places) in enumerate(zip(depths, attending, strict=True), 1):
        for index in range(1, depth + 1):
            name = f"stage_{stage}_block_{index}"
            if index in places:
                x = non_local(x, f"stage_{stage}_attention_{index}")
            x = _each_frame(x, _block(width * 2 ** (stage - 1), 2 if stage > 1 and index == 1 else 1, name), name)
        x = halved_in_time(x, "stage_1_time") if stage == 1 else x
    x = layers.Reshape((-1, x.shape[-1]), name="places")(x)
    x = layers.GlobalAveragePooling1D(name="pool")(x)
    return layers.Dense(classes, name="logits")(layers.Dropout(dropout, name="dropout")(x))


def _each_frame(x: KerasTensor, body: Any, name: str) -> Any:
    """Run what `body` adds on each frame of a clip."""
    frame: Any = keras.Input(tuple(x.shape[2:]), name="frame")
    return layers.TimeDistributed(keras.Model(frame, body(frame), name=f"{name}_net"), name=name)(x)


def _stem(x: KerasTensor, width: int, size: int, pool: bool) -> Any:
    x = layers.ZeroPadding2D(size // 2, name="pad")(x)
    x = conv_norm(x, width, size, 2, padding="valid", activation="relu", epsilon=EPSILON, name="stem")
    if not pool:
        return x
    return layers.MaxPooling2D(3, 2, name="pool")(layers.ZeroPadding2D(1, name="pool_pad")(x))


def _block(maps: int, strides: int, name: str) -> Any:
    return lambda frame: bottleneck_block(frame, maps, strides, 0, name=name)


def halved_in_time(x: KerasTensor, name: str) -> Any:
    """Take the maxima of three frames, at every second.  Shapes: (N, T, H, W, C) -> (N, T / 2, H, W, C)."""
    frames, *place = x.shape[1:]
    x = layers.Reshape((frames, place[0] * place[1], place[2]), name=f"{name}_flat")(x)
    x = layers.MaxPooling2D((3, 1), (2, 1), "same", name=name)(x)
    return layers.Reshape((x.shape[1], *place), name=f"{name}_frames")(x)


def non_local(x: KerasTensor, name: str) -> Any:
    """Add z = W y + x, y_i = sum_j softmax_j(theta(x_i) phi(x_j)) g(x_j), over all places of all frames.

    W ends in a normalisation whose scale begins at zero: the block is the identity at first.
    Shapes: (N, T, H, W, C) -> the same.  Source: Wang 2018, arXiv:1711.07971, equations 1 to 6, embedded Gaussian.
    """
    maps = x.shape[-1]
    flat = layers.Reshape((-1, maps), name=f"{name}_flat")(x)  # (N, THW, C)
    theta, phi, g = (layers.Dense(maps // 2, name=f"{name}_{part}")(flat) for part in ("theta", "phi", "g"))
    alike = layers.Dot((2, 2), name=f"{name}_scores")([theta, phi])  # (N, THW, THW)
    y = layers.Dot((2, 1), name=f"{name}_mean")([layers.Softmax(name=f"{name}_weights")(alike), g])
    y = layers.Dense(maps, name=f"{name}_out")(y)
    y = layers.BatchNormalization(momentum=MOMENTUM, gamma_initializer="zeros", name=f"{name}_norm")(y)
    return layers.Reshape(tuple(x.shape[1:]), name=name)(layers.Add(name=f"{name}_add")([flat, y]))

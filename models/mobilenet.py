"""Depthwise separable convolutions (Howard 2017, arXiv:1704.04861)."""

from keras import layers

from .registry import register

FAMILY = "cnn"
MOMENTUM = 0.9  # as in resnet.py: few steps must be enough for the moving statistics


@register(
    task="classification",
    input_shape=(49, 10, 1),
    classes=12,
    params=23_756,
    paper="Zhang 2017, Hello Edge, arXiv:1711.07128; sizes of MLPerf Tiny, arXiv:2106.07597 (keyword spotting)",
    data=("fsdd", "digits"),
    edge={"classes": 10, "width": 32},
)
def ds_cnn(inputs, classes, width=64, depth=4, dropout=0.2):
    """Build the keyword spotter: a 10x4 stem, `depth` separable blocks, average over time and frequency.

    Shapes: mfcc (N, T, F, 1) -> logits (N, classes).
    """
    x = layers.Conv2D(width, (10, 4), 2, "same", name="stem")(inputs)
    x = norm_relu(x, name="stem")
    x = layers.Dropout(dropout, name="stem_dropout")(x)
    for index in range(1, depth + 1):
        x = separable_block(x, width, name=f"block_{index}")
    x = layers.Dropout(2 * dropout, name="dropout")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return layers.Dense(classes, name="logits")(x)


def separable_block(x, maps, name):
    """Add a 3x3 depthwise convolution and a pointwise one, each normalised."""
    x = layers.DepthwiseConv2D(3, padding="same", name=f"{name}_depthwise")(x)
    x = norm_relu(x, name=f"{name}_depthwise")
    x = layers.Conv2D(maps, 1, name=f"{name}_pointwise")(x)
    return norm_relu(x, name=f"{name}_pointwise")


def norm_relu(x, name):
    """Add batch normalisation and ReLU."""
    x = layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)

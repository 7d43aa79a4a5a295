"""Classifiers that learn from few labels and many samples without: what is special is their learners."""

from collections.abc import Sequence
from typing import Any

from keras import KerasTensor, layers

from .blocks import norm
from .registry import Bars, register

FAMILY = "low_label"
BARS = Bars(floor=0.6)


@register(
    task="classification",
    data=("mnist_40_labels", "digits_40_labels"),
    bars=BARS,
    learner="semi_supervised:ratio=7,strong=1,threshold=0.95",
    input_shape=(32, 32, 3),
    classes=10,
    params=1_467_610,
    paper="Sohn 2020, FixMatch, arXiv:2001.07685, with the Wide ResNet 28-2 of Zagoruyko 2016, arXiv:1605.07146",
    edge={"input_shape": (8, 8, 1), "depth": 10, "width": 1},
)
def fixmatch(inputs: KerasTensor, classes: int, depth: int = 28, width: int = 2):
    """Build a wide residual net that normalises before each convolution.

    depth: of convolutions and the last layer, 6 n + 4. width: times 16, 32 and 64 maps.
    Shapes: images (N, H, W, C) -> logits (N, classes).
    """
    x: Any = _conv(inputs, 16, 1, "stem")
    for stage, maps in enumerate((16 * width, 32 * width, 64 * width), 1):
        for index in range(1, (depth - 4) // 6 + 1):
            x = _wide_block(x, maps, 2 if stage > 1 and index == 1 else 1, f"stage_{stage}_block_{index}")
    x = norm(x, "relu", name="last")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return layers.Dense(classes, name="logits")(x)


def _wide_block(x: Any, maps: int, strides: int, name: str) -> Any:
    """Add two convolutions and the shortcut, through a 1x1 convolution where the shape changes."""
    y = norm(x, "relu", name=f"{name}_conv1")
    shortcut = x if x.shape[-1] == maps else _conv(y, maps, strides, f"{name}_shortcut", 1)
    y = _conv(y, maps, strides, f"{name}_conv1")
    y = _conv(norm(y, "relu", name=f"{name}_conv2"), maps, 1, f"{name}_conv2")
    return layers.Add(name=f"{name}_add")([shortcut, y])


def _conv(x: Any, maps: int, strides: int, name: str, size: int = 3) -> Any:
    return layers.Conv2D(maps, size, strides, "same", use_bias=False, kernel_initializer="he_normal", name=name)(x)


@register(
    task="classification",
    data=("mnist_40_labels", "digits_40_labels"),
    bars=BARS,
    learner="semi_supervised:ratio=8,threshold=0.5,ramp=1",
    input_shape=(784,),
    classes=10,
    params=3_975_010,
    paper="Lee 2013, Pseudo-label: the simple and efficient semi-supervised learning method for deep neural networks",
    edge={"input_shape": (64,), "hidden": (128,)},
)
def pseudo_label(inputs: KerasTensor, classes: int, hidden: Sequence[int] = (5000,), dropout: float = 0.5):
    """Build rectified layers with dropout.  Shapes: (N, features) -> logits (N, classes)."""
    x = inputs
    for index, width in enumerate(hidden, 1):
        x = layers.Dense(width, activation="relu", name=f"hidden_{index}")(x)
        x = layers.Dropout(dropout, name=f"drop_{index}")(x)
    return layers.Dense(classes, name="logits")(x)


@register(
    task="classification",
    data=("mnist_40_labels", "digits_40_labels"),
    bars=BARS,
    learner="co_training",
    input_shape=(28, 28),
    classes=10,
    params=806_020,
    paper="Blum and Mitchell 1998, Combining labeled and unlabeled data with co-training; views and sizes ours",
    edge={"input_shape": (8, 8), "hidden": 64},
)
def co_training(inputs: KerasTensor, classes: int, hidden: int = 1000):
    """Build two nets of which each sees one half of the picture, left and right, and the mean of what they say.

    Shapes: rows (N, H, W) -> logits (N, classes).
    """
    middle = inputs.shape[2] // 2
    said = []
    for name, view in (("left", inputs[:, :, :middle]), ("right", inputs[:, :, middle:])):
        x = layers.Flatten(name=f"{name}_view")(view)
        x = layers.Dense(hidden, activation="relu", name=f"{name}_hidden")(x)
        said.append(layers.Dense(classes, name=f"{name}_logits")(x))
    return layers.Average(name="logits")(said)

"""The first deep nets on ImageNet: AlexNet (Krizhevsky 2012) and ZFNet (Zeiler 2013, arXiv:1311.2901)."""

from keras import KerasTensor, layers

from .blocks import LocalResponseNormalization, Size
from .registry import register

FAMILY = "cnn"
SMALL = {"input_shape": (32, 32, 3), "classes": 10, "width": 1 / 12, "hidden": 64, "dropout": 0.0}


@register(
    task="classification",
    input_shape=(227, 227, 3),
    classes=1000,
    params=62_378_344,
    paper="Krizhevsky 2012, ImageNet classification with deep convolutional neural networks",
    data=("cifar10", "digits"),
    edge={**SMALL, "stem_size": 5, "stem_strides": 1},
)
def alexnet(
    inputs: KerasTensor, classes: int, width: float = 1.0, hidden: int = 4096, *, stem_size: int = 11,
    stem_strides: int = 4, groups: int = 1, response_norm: bool = True, dropout: float = 0.5
):  # fmt: skip
    """Build AlexNet on one device.

    groups: 2 splits the second, fourth and fifth convolution as the paper did between two GPUs. response_norm: local
    response normalisation after the first two.  Shapes: images (N, H, W, C) -> logits (N, classes).
    """
    x = alexnet_maps(inputs, width, stem_size=stem_size, stem_strides=stem_strides, groups=groups,
                     response_norm=response_norm)  # fmt: skip
    return classifier(x, classes, hidden, dropout)


def alexnet_maps(
    inputs: KerasTensor, width: float = 1.0, *, stem_size: int = 11, stem_strides: int = 4, groups: int = 1,
    response_norm: bool = True
):  # fmt: skip
    """Add AlexNet's convolutions and pools.  Shapes: images (N, H, W, C) -> (N, H', W', 256 width)."""
    x = convolution(inputs, 96 * width, stem_size, stem_strides, padding="valid", name="conv1")  # (N, 55, 55, 96)
    if response_norm:
        x = LocalResponseNormalization(name="norm1")(x)
    x = layers.MaxPooling2D(3, 2, name="pool1")(x)  # (N, 27, 27, 96)
    x = convolution(x, 256 * width, 5, groups=groups, name="conv2")
    if response_norm:
        x = LocalResponseNormalization(name="norm2")(x)
    x = layers.MaxPooling2D(3, 2, name="pool2")(x)  # (N, 13, 13, 256)
    x = convolution(x, 384 * width, 3, name="conv3")
    x = convolution(x, 384 * width, 3, groups=groups, name="conv4")
    x = convolution(x, 256 * width, 3, groups=groups, name="conv5")
    return layers.MaxPooling2D(3, 2, name="pool5")(x)  # (N, 6, 6, 256)


@register(
    task="classification",
    input_shape=(224, 224, 3),
    classes=1000,
    params=62_357_608,
    paper="Zeiler 2013, Visualizing and understanding convolutional networks, arXiv:1311.2901",
    data=("cifar10", "digits"),
    edge={**SMALL, "stem_strides": 1, "strides": 1},
)
def zfnet(
    inputs: KerasTensor, classes: int, width: float = 1.0, hidden: int = 4096, *, stem_strides: int = 2,
    strides: int = 2, response_norm: bool = True, dropout: float = 0.5
):  # fmt: skip
    """Build ZFNet: AlexNet with a first layer of 7x7 at stride 2, and a second at stride 2 after it.

    response_norm: contrast normalisation across maps after the first two.
    Shapes: images (N, H, W, C) -> logits (N, classes).
    """
    x = layers.ZeroPadding2D(1, name="pad1")(inputs)
    x = convolution(x, 96 * width, 7, stem_strides, padding="valid", name="conv1")  # (N, 110, 110, 96)
    x = layers.MaxPooling2D(3, 2, "same", name="pool1")(x)  # (N, 55, 55, 96)
    if response_norm:
        x = LocalResponseNormalization(name="norm1")(x)
    x = convolution(x, 256 * width, 5, strides, padding="valid", name="conv2")  # (N, 26, 26, 256)
    x = layers.MaxPooling2D(3, 2, "same", name="pool2")(x)  # (N, 13, 13, 256)
    if response_norm:
        x = LocalResponseNormalization(name="norm2")(x)
    x = convolution(x, 384 * width, 3, name="conv3")
    x = convolution(x, 384 * width, 3, name="conv4")
    x = convolution(x, 256 * width, 3, name="conv5")
    x = layers.MaxPooling2D(3, 2, name="pool5")(x)  # (N, 6, 6, 256)
    return classifier(x, classes, hidden, dropout)


def convolution(
    x: KerasTensor, maps: float, size: Size, strides: int = 1, *, padding: str = "same", groups: int = 1, name: str
):
    """Add a convolution with ReLU."""
    return layers.Conv2D(
        int(maps), size, strides, padding, groups=groups, activation="relu", kernel_initializer="he_normal", name=name
    )(x)


def classifier(x: KerasTensor, classes: int, hidden: int, dropout: float):
    """Add two dense layers with dropout, and the logits."""
    x = layers.Flatten(name="flatten")(x)
    for index in (6, 7):
        x = layers.Dense(hidden, "relu", kernel_initializer="he_normal", name=f"fc{index}")(x)
        x = layers.Dropout(dropout, name=f"dropout{index}")(x)
    return layers.Dense(classes, name="logits")(x)

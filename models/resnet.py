"""Residual networks (He 2016, arXiv:1512.03385)."""

from keras import layers

from .registry import register

FAMILY = "cnn"
# Keras' default of 0.99 needs some 500 steps to forget its start; a short training on a small set has fewer.
MOMENTUM = 0.9


@register(
    task="classification",
    input_shape=(32, 32, 3),
    classes=10,
    params=78_186,
    paper="Banbury 2021, MLPerf Tiny, arXiv:2106.07597 (image classification)",
    data=("cifar10", "digits"),
    edge={"width": 8},
)
def resnet8(inputs, classes, width=16):
    """Build the MLPerf Tiny image classifier: a stem and three basic blocks of `width`, 2 and 4 times `width` maps.

    Shapes: images (N, H, W, C) -> logits (N, classes).
    """
    x = conv_norm(inputs, width, 3, name="stem")
    x = layers.ReLU(name="stem_relu")(x)
    for index, maps in enumerate((width, 2 * width, 4 * width), 1):
        x = basic_block(x, maps, strides=1 if index == 1 else 2, name=f"block_{index}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return layers.Dense(classes, name="logits")(x)


def basic_block(x, maps, strides, name):
    """Add a block of two 3x3 convolutions; a 1x1 convolution carries the shortcut where its shape changes."""
    shortcut = x
    x = conv_norm(x, maps, 3, strides, name=f"{name}_conv1")
    x = layers.ReLU(name=f"{name}_relu1")(x)
    x = conv_norm(x, maps, 3, name=f"{name}_conv2")
    if shortcut.shape != x.shape:  # the benchmark's reference has no normalisation here
        shortcut = layers.Conv2D(maps, 1, strides, "same", name=f"{name}_shortcut")(shortcut)
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu2")(x)


def conv_norm(x, maps, size, strides=1, *, name):
    """Add a convolution (biased, as in the reference) and its batch normalisation."""
    x = layers.Conv2D(maps, size, strides, "same", kernel_initializer="he_normal", name=name)(x)
    return layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_norm")(x)

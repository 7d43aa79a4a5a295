"""Plain convolutional classifiers, and what they do with one convolution: dilate, factorise, unshare, slide in time."""

from collections.abc import Sequence

from keras import KerasTensor, layers, ops

from .blocks import LocallyConnected2D
from .noise import Cutout, MaxPoolingDropout2D
from .registry import register

# Table I of LeCun 1998: which of the six maps of S2 each of the sixteen maps of C3 reads.
CONNECTIONS = (
    *(tuple((first + offset) % 6 for offset in (0, 1, 2)) for first in range(6)),
    *(tuple((first + offset) % 6 for offset in (0, 1, 2, 3)) for first in range(6)),
    *(tuple((first + offset) % 6 for offset in (0, 1, 3, 4)) for first in range(3)),
    tuple(range(6)),
)


@register(
    task="classification",
    input_shape=(32, 32, 1),
    classes=10,
    params=61_706,
    paper="LeCun 1998, Gradient-based learning applied to document recognition",
    data=("mnist", "digits"),
    edge={"activation": "relu"},
)
def lenet5(
    inputs: KerasTensor, classes: int, activation: str = "tanh", connections: Sequence[Sequence[int]] | None = None
):
    """Build LeNet-5 with plain average pooling and a linear output in place of the RBF units.

    connections: for each map of C3 the maps of S2 it reads, as in `CONNECTIONS`; by default it reads all.
    Shapes: images (N, 32, 32, 1) -> logits (N, classes).
    """
    x = layers.Conv2D(6, 5, activation=activation, name="c1")(inputs)  # (N, 28, 28, 6)
    x = layers.AveragePooling2D(2, name="s2")(x)
    if connections is None:
        x = layers.Conv2D(16, 5, activation=activation, name="c3")(x)  # (N, 10, 10, 16)
    else:
        maps = [
            layers.Conv2D(1, 5, activation=activation, name=f"c3_{index}")(ops.take(x, read, axis=-1))
            for index, read in enumerate(connections)
        ]
        x = layers.Concatenate(name="c3")(maps)
    x = layers.AveragePooling2D(2, name="s4")(x)  # (N, 5, 5, 16)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(120, activation=activation, name="c5")(x)
    x = layers.Dense(84, activation=activation, name="f6")(x)
    return layers.Dense(classes, name="logits")(x)


@register(
    task="classification",
    input_shape=(28, 28, 1),
    classes=10,
    params=3_274_634,
    paper="LeCun 1998, Gradient-based learning applied to document recognition; sizes of TensorFlow's MNIST tutorial",
    data=("fashion_mnist", "digits"),
    edge={"convolutions": ((8, 5, "same"), (16, 5, "same")), "hidden": 64},
    variants={
        "mnist_cnn": {"params": 3_274_634, "data": ("mnist", "digits")},
        "keras_cnn": {
            "params": 688_714,
            "input_shape": (32, 32, 3),
            "convolutions": ((32, 3, "same"), (64, 3, "same"), (128, 3, "valid")),
            "hidden": 512,
            "dropout": (0.25, 0.5),
            "data": ("cifar10", "digits"),
            "edge": {"convolutions": ((8, 3, "same"), (16, 3, "same"), (32, 3, "valid")), "hidden": 128},
        },
    },
)
def simple_cnn(
    inputs: KerasTensor, classes: int,
    convolutions: Sequence[tuple[int, int, str]] = ((32, 5, "same"), (64, 5, "same")), hidden: int = 1024,
    dropout: Sequence[float] = (0.0, 0.5)
):  # fmt: skip
    """Build a convolution with ReLU and a pool for each (maps, size, padding), then one hidden layer.

    dropout: before and after the hidden layer.  Shapes: images (N, H, W, C) -> logits (N, classes).
    """
    x = inputs
    for index, (maps, size, padding) in enumerate(convolutions, 1):
        x = layers.Conv2D(maps, size, padding=padding, activation="relu", name=f"conv_{index}")(x)
        x = layers.MaxPooling2D(2, name=f"pool_{index}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dropout(dropout[0], name="dropout_1")(x)
    x = layers.Dense(hidden, activation="relu", name="hidden")(x)
    x = layers.Dropout(dropout[1], name="dropout_2")(x)
    return layers.Dense(classes, name="logits")(x)


@register(
    task="classification",
    input_shape=(32, 32, 3),
    classes=10,
    params=545_098,
    paper="Tompson 2015, Efficient object localization using convolutional networks, arXiv:1411.4280, section 3.1",
    data=("cifar10", "fashion_mnist", "digits"),
    edge={"convolutions": (16, 32), "hidden": 64, "rate": 0.1},
    variants={
        "cutout_cnn": {
            "params": 545_098,
            "scheme": "cutout",
            "paper": "DeVries 2017, Improved regularization of convolutional neural networks with cutout, "
            "arXiv:1708.04552",
        },
        "max_pooling_dropout_cnn": {
            "params": 545_098,
            "scheme": "max_pooling",
            "paper": "Wu 2015, Max-pooling dropout for regularization of convolutional neural networks, "
            "arXiv:1512.01400",
        },
    },
)
def spatial_dropout_cnn(
    inputs: KerasTensor, classes: int, convolutions: Sequence[int] = (32, 64), hidden: int = 128,
    scheme: str = "spatial", rate: float = 0.25
):  # fmt: skip
    """Build 3x3 convolutions with a max pool each and a hidden layer, with something dropped in training.

    scheme: "spatial", whole maps before each pool; "max_pooling", units inside each window of a pool; "cutout", a
    square of half a side of the image. rate: the share that the first two drop.
    Shapes: images (N, H, W, C) -> logits (N, classes).
    """
    if scheme not in ("spatial", "max_pooling", "cutout"):
        raise ValueError(f"scheme={scheme!r}; allowed: spatial, max_pooling, cutout")
    x = Cutout(0.5, name="cutout")(inputs) if scheme == "cutout" else inputs
    for index, maps in enumerate(convolutions, 1):
        x = layers.Conv2D(maps, 3, padding="same", kernel_initializer="he_normal", name=f"conv_{index}")(x)
        x = layers.ReLU(name=f"relu_{index}")(x)
        if scheme == "spatial":
            x = layers.SpatialDropout2D(rate, name=f"dropout_{index}")(x)
        pool = MaxPoolingDropout2D(2, rate, name=f"pool_{index}") if scheme == "max_pooling" else None
        x = (pool or layers.MaxPooling2D(2, name=f"pool_{index}"))(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(hidden, activation="relu", name="hidden")(x)
    return layers.Dense(classes, name="logits")(x)


@register(
    task="classification",
    input_shape=(28, 28, 1),
    classes=10,
    params=19_146,
    paper="Yu 2016, Multi-scale context aggregation by dilated convolutions, arXiv:1511.07122",
    data=("mnist", "digits"),
    edge={"input_shape": (16, 16, 1), "width": 16},
)
def dilated_cnn(inputs: KerasTensor, classes: int, width: int = 32, dilations: Sequence[int] = (1, 2, 4)):
    """Build 3x3 convolutions of growing dilation: the receptive field doubles with each, the weights do not.

    Shapes: images (N, H, W, C) -> logits (N, classes).
    """
    x = inputs
    for index, dilation in enumerate(dilations, 1):
        x = layers.Conv2D(
            width, 3, dilation_rate=dilation, padding="same", activation="relu", kernel_initializer="he_normal",
            name=f"context_{index}"
        )(x)  # fmt: skip
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return layers.Dense(classes, name="logits")(x)


# How a 3x3 convolution of F maps is split: (size, share of the maps) of its parts. They hold 9, 6 and 3.25 F^2 weights.
FACTORS = {
    "full": ((3, 1),),
    "asymmetric": (((1, 3), 1), ((3, 1), 1)),
    "bottleneck": ((1, 1 / 2), (3, 1 / 2), (1, 1)),
}


@register(
    task="classification",
    input_shape=(28, 28, 1),
    classes=10,
    params=25_610,
    paper="Szegedy 2016, Rethinking the inception architecture, arXiv:1512.00567; bottleneck: arXiv:1512.03385",
    data=("mnist", "digits"),
    edge={"input_shape": (16, 16, 1), "width": 16},
)
def factorized_cnn(
    inputs: KerasTensor, classes: int, width: int = 32, stages: Sequence[str] = ("asymmetric", "bottleneck")
):
    """Build a 3x3 stem and, behind a pool each, `stages` of a convolution split as `FACTORS` says.

    Shapes: images (N, H, W, C) -> logits (N, classes).
    """
    x = layers.Conv2D(width, 3, padding="same", activation="relu", kernel_initializer="he_normal", name="stem")(inputs)
    for index, kind in enumerate(stages, 1):
        x = layers.MaxPooling2D(2, name=f"pool_{index}")(x)
        x = factorized(x, kind, name=f"stage_{index}")
    x = layers.Flatten(name="flatten")(x)
    return layers.Dense(classes, name="logits")(x)


def factorized(x: KerasTensor, kind: str, name: str):
    """Add the convolutions of `FACTORS[kind]`.  Shapes: (N, H, W, F) -> the same."""
    width = x.shape[-1]
    for index, (size, share) in enumerate(FACTORS[kind], 1):
        x = layers.Conv2D(
            int(share * width), size, padding="same", activation="relu", kernel_initializer="he_normal",
            name=f"{name}_conv{index}"
        )(x)  # fmt: skip
    return x


@register(
    task="classification",
    input_shape=(16, 16, 1),
    classes=10,
    params=1_226,
    paper="LeCun 1989, Generalization and network design strategies (Net-3)",
    data=("mnist", "digits"),
    learning_rate=0.01,
)
def locally_connected(inputs: KerasTensor, classes: int, maps: Sequence[int] = (1, 1), activation: str = "tanh"):
    """Build two layers of units that see 3x3 and 5x5 windows, each with weights of its own.

    Shapes: images (N, 16, 16, 1) -> logits (N, classes).
    """
    x = layers.ZeroPadding2D(((0, 1), (0, 1)), name="pad")(inputs)
    x = LocallyConnected2D(maps[0], 3, strides=2, activation=activation, name="local_1")(x)  # (N, 8, 8, maps)
    x = LocallyConnected2D(maps[1], 5, activation=activation, name="local_2")(x)  # (N, 4, 4, maps)
    x = layers.Flatten(name="flatten")(x)
    return layers.Dense(classes, name="logits")(x)


@register(
    task="classification",
    input_shape=(15, 16),
    classes=3,
    params=515,
    paper="Waibel 1989, Phoneme recognition using time-delay neural networks",
    data=("fsdd", "digits"),
    edge={"input_shape": (32, 16), "classes": 10, "hidden": ((32, 5), (32, 5)), "window": 9, "activation": "relu"},
)
def tdnn(
    inputs: KerasTensor, classes: int, hidden: Sequence[tuple[int, int]] = ((8, 3),), window: int = 5,
    activation: str = "sigmoid"
):  # fmt: skip
    """Build dense layers that slide over time, (units, window) each, and average the evidence of the last over time.

    Shapes: frames (N, T, F) -> logits (N, classes).
    """
    x = inputs
    for index, (units, width) in enumerate(hidden, 1):
        x = layers.Conv1D(units, width, activation=activation, name=f"delay_{index}")(x)  # (N, T - width + 1, units)
    x = layers.Conv1D(classes, window, name="evidence")(x)
    return layers.GlobalAveragePooling1D(name="logits")(x)

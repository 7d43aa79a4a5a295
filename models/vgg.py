"""Deep nets of 3x3 convolutions alone (Simonyan 2014, arXiv:1409.1556)."""

from collections.abc import Sequence

from keras import KerasTensor, layers

from .registry import register

FAMILY = "cnn"


@register(
    task="classification",
    input_shape=(224, 224, 3),
    classes=1000,
    params=138_357_544,
    paper="Simonyan 2014, Very deep convolutional networks for large-scale image recognition, arXiv:1409.1556",
    data=("cifar10", "digits"),
    edge={"input_shape": (32, 32, 3), "classes": 10, "width": 8, "hidden": 64, "dropout": 0.0},
    variants={
        "vgg11": {"params": 132_863_336, "depths": (1, 1, 2, 2, 2)},
        "vgg13": {"params": 133_047_848, "depths": (2, 2, 2, 2, 2)},
        "vgg19": {"params": 143_667_240, "depths": (2, 2, 4, 4, 4), "learning_rate": 5e-4},  # more and it never starts
    },
)
def vgg16(
    inputs: KerasTensor, classes: int, depths: Sequence[int] = (2, 2, 3, 3, 3), width: int = 64, hidden: int = 4096,
    dropout: float = 0.5
):  # fmt: skip
    """Build a VGG net: stages of `depths` 3x3 convolutions, each halved by a pool, and three dense layers.

    width: maps of the first stage; they double up to eight times.  Shapes: images (N, H, W, C) -> logits (N, classes).
    """
    x = layers.Flatten(name="flatten")(stages(inputs, depths, width)[-1])
    for index in (1, 2):
        x = layers.Dense(hidden, "relu", kernel_initializer="he_normal", name=f"fc_{index}")(x)
        x = layers.Dropout(dropout, name=f"dropout_{index}")(x)
    return layers.Dense(classes, name="logits")(x)


def stages(x: KerasTensor, depths: Sequence[int], width: int) -> list[KerasTensor]:
    """Add the stages of a VGG net; return what each comes to, half as high and wide as the one before."""
    pooled = []
    for stage, depth in enumerate(depths, 1):
        x = convolutions(x, depth, width * min(2 ** (stage - 1), 8), name=f"stage_{stage}")
        x = layers.MaxPooling2D(2, name=f"stage_{stage}_pool")(x)
        pooled.append(x)
    return pooled


def convolutions(x: KerasTensor, depth: int, maps: int, name: str):
    """Add the 3x3 convolutions of a stage.  Shapes: (N, H, W, C) -> (N, H, W, maps)."""
    for index in range(1, depth + 1):
        x = layers.Conv2D(
            maps, 3, padding="same", activation="relu", kernel_initializer="he_normal", name=f"{name}_conv{index}"
        )(x)  # fmt: skip
    return x

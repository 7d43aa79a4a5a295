"""Big Transfer: residual nets normalised without batches (Kolesnikov 2019, arXiv:1912.11370)."""

from collections.abc import Sequence

from keras import KerasTensor, layers

from .blocks import StandardizedConv2D
from .registry import register

FAMILY = "cnn"


@register(
    task="classification",
    input_shape=(224, 224, 3),
    classes=1000,
    params=25_549_352,
    paper="Kolesnikov 2019, Big Transfer (BiT): general visual representation learning, arXiv:1912.11370 (R50x1)",
    data=("cifar10", "digits"),
    edge={"input_shape": (32, 32, 3), "classes": 10, "width": 16, "groups": 4, "depths": (1, 1), "stem_size": 3,
          "stem_pool": False},
)  # fmt: skip
def bit(
    inputs: KerasTensor, classes: int, depths: Sequence[int] = (3, 4, 6, 3), width: int = 64, groups: int = 32, *,
    stem_size: int = 7, stem_pool: bool = True
):  # fmt: skip
    """Build BiT-R50x1: pre-activation bottlenecks with group normalisation and standardised kernels.

    width: maps of the first stage's 3x3 convolutions, doubled from stage to stage; groups: of each normalisation.
    Shapes: images (N, H, W, C) -> logits (N, classes).
    """
    x = layers.ZeroPadding2D(stem_size // 2, name="stem_pad")(inputs)
    x = StandardizedConv2D(width, stem_size, 2, use_bias=False, name="stem")(x)
    if stem_pool:
        x = layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
        x = layers.MaxPooling2D(3, 2, name="stem_pool")(x)
    for stage, depth in enumerate(depths, 1):
        for index in range(1, depth + 1):
            strides = 2 if stage > 1 and index == 1 else 1
            x = preactivated(x, width * 2 ** (stage - 1), strides, groups, name=f"stage_{stage}_block_{index}")
    x = norm_relu(x, groups, name="last")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return layers.Dense(classes, name="logits")(x)


def preactivated(x: KerasTensor, maps: int, strides: int, groups: int, name: str):
    """Add a bottleneck that normalises before each convolution (He 2016, arXiv:1603.05027)."""
    shortcut = x
    y = norm_relu(x, groups, name=f"{name}_conv1")
    if strides > 1 or x.shape[-1] != 4 * maps:
        shortcut = StandardizedConv2D(4 * maps, 1, strides, use_bias=False, name=f"{name}_shortcut")(y)
    y = StandardizedConv2D(maps, 1, use_bias=False, name=f"{name}_conv1")(y)
    y = norm_relu(y, groups, name=f"{name}_conv2")
    y = StandardizedConv2D(maps, 3, strides, "same", use_bias=False, name=f"{name}_conv2")(y)
    y = norm_relu(y, groups, name=f"{name}_conv3")
    y = StandardizedConv2D(4 * maps, 1, use_bias=False, name=f"{name}_conv3")(y)
    return layers.Add(name=f"{name}_add")([shortcut, y])


def norm_relu(x: KerasTensor, groups: int, name: str):
    """Add group normalisation and ReLU."""
    x = layers.GroupNormalization(groups, epsilon=1e-5, name=f"{name}_norm")(x)
    return layers.Activation("relu", name=f"{name}_relu")(x)

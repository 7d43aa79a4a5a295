"""Encoders that learn from surrogate tasks, without labels: each with the network that answers, which stays behind.

Only the encoder goes to a device: a picture, or a part of it -> vector. The surrogate network reads the vector of a
sample, or those of its parts.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, layers

from .blocks import conv_norm
from .registry import Bars, register
from .resnet import residual_features

FAMILY = "low_label"
NETWORKS = ("encoder", "surrogate")
Networks = dict[str, keras.Model]


def _networks(inputs: Any, vector: Any, seen: Any, answer: Any) -> Networks:
    return {
        "encoder": keras.Model(inputs, vector, name="encoder"),
        "surrogate": keras.Model(seen, answer, name="surrogate"),
    }


# ---------------------------------------------------------------- networks in networks


@register(
    task="linear_probe",
    learner="pretext:surrogate=rotation",
    input_shape=(32, 32, 3),
    params=1_411_140,
    paper="Gidaris 2018, Unsupervised representation learning by predicting image rotations, arXiv:1803.07728",
    data=("fashion_mnist", "digits"),
    networks=NETWORKS,
    deploy=("encoder",),
    edge={"input_shape": (8, 8, 1), "stem": (48, 40, 24), "maps": 24},
)
def rotation_pretext(
    input_shape: tuple[int, ...], stem: Sequence[int] = (192, 160, 96), maps: int = 192, depth: int = 4,
    kept: int = 2, turns: int = 4
):  # fmt: skip
    """Build a network in network of `depth` blocks, each a convolution and two of 1x1, that tells turns.

    The first `kept` blocks are the encoder: what the second makes is what the paper finds a linear classifier to read
    best.  Shapes: images (N, H, W, C) -> maps side by side (N, h w maps); vector -> logits (N, turns).
    """
    inputs: Any = keras.Input(input_shape, name="images")
    x = inputs
    for block in range(1, kept + 1):
        x = _nin_block(x, block, stem if block == 1 else (maps,) * 3, depth)
    vector = layers.Flatten(name="vector")(x)
    seen: Any = keras.Input(vector.shape[1:], name="vector")
    y = layers.Reshape(x.shape[1:], name="maps")(seen)
    for block in range(kept + 1, depth + 1):
        y = _nin_block(y, block, (maps,) * 3, depth)
    y = layers.GlobalAveragePooling2D(name="pool")(y)
    return _networks(inputs, vector, seen, layers.Dense(turns, name="logits")(y))


def _nin_block(x: KerasTensor, block: int, widths: Sequence[int], depth: int):
    """Add a convolution, of 5x5 in the first two blocks, two of 1x1, and but behind the last block a pool."""
    for place, width in enumerate(widths, 1):
        size = (5 if block < 3 else 3) if place == 1 else 1
        x = conv_norm(x, width, size, activation="relu", name=f"block_{block}_conv{place}")
    if block == depth:
        return x
    pool = layers.MaxPooling2D if block == 1 else layers.AveragePooling2D
    return pool(3, 2, "same", name=f"pool_{block}")(x)  # (N, H / 2, W / 2, maps)


# ---------------------------------------------------------------- AlexNet, with batch normalisation


def _alexnet(x: KerasTensor, width: float, stem_size: int, stem_strides: int, padding: str):
    """Add the convolutions of AlexNet, normalised as Caron 2018 has them.  Shapes: (N, H, W, C) -> (N, h, w, maps)."""
    sizes = ((96, stem_size, stem_strides), (256, 5, 1), (384, 3, 1), (384, 3, 1), (256, 3, 1))
    for place, (maps, size, strides) in enumerate(sizes, 1):
        around = padding if place == 1 else "same"
        x = conv_norm(x, int(maps * width), size, strides, padding=around, activation="relu", name=f"conv{place}")
        if place in (1, 2, 5):
            x = layers.MaxPooling2D(3, 2, padding, name=f"pool{place}")(x)
    return x


SMALL = {"width": 1 / 8, "stem_size": 5, "stem_strides": 1, "padding": "same"}


@register(
    task="linear_probe_of_tiles",
    learner="pretext:surrogate=jigsaw",
    input_shape=(64, 64, 3),
    params=23_561_540,
    paper="Noroozi 2016, Unsupervised learning of visual representations by solving jigsaw puzzles, arXiv:1603.09246",
    data=("fashion_mnist", "digits"),
    networks=NETWORKS,
    deploy=("encoder",),
    edge={**SMALL, "input_shape": (12, 12, 1), "code": 32, "hidden": 256, "orders": 16},
)
def jigsaw_pretext(
    input_shape: tuple[int, ...], width: float = 1.0, code: int = 512, hidden: int = 4096, orders: int = 100, *,
    stem_size: int = 11, stem_strides: int = 2, padding: str = "valid"
):  # fmt: skip
    """Build AlexNet for a tile of a picture; its surrogate tells the order of nine of them.

    Shapes: tiles (N, H, W, C) -> vectors (N, code); those of a picture (N, 9, code) -> logits (N, orders).
    """
    inputs: Any = keras.Input(input_shape, name="tiles")
    x = layers.Flatten(name="flat")(_alexnet(inputs, width, stem_size, stem_strides, padding))
    vector = layers.Dense(code, "relu", kernel_initializer="he_normal", name="fc6")(x)
    seen: Any = keras.Input((9, code), name="vectors")
    x = layers.Flatten(name="side_by_side")(seen)
    x = layers.Dense(hidden, "relu", kernel_initializer="he_normal", name="fc7")(x)
    return _networks(inputs, vector, seen, layers.Dense(orders, name="logits")(x))


@register(
    task="linear_probe_of_grey",
    learner="pretext:surrogate=colorization",
    input_shape=(227, 227, 1),
    params=14_448_985,
    paper="Zhang 2016, Colorful image colorization, arXiv:1603.08511; of AlexNet as in Zhang 2017, arXiv:1611.09842",
    data=("cifar10", "coloured_digits"),
    networks=NETWORKS,
    deploy=("encoder",),
    edge={**SMALL, "input_shape": (24, 24, 1), "hidden": 64, "colours": 32},
)
def colorization_pretext(
    input_shape: tuple[int, ...], width: float = 1.0, hidden: int = 4096, colours: int = 313, *, stem_size: int = 11,
    stem_strides: int = 4, padding: str = "valid"
):  # fmt: skip
    """Build AlexNet for grey pictures; its surrogate tells the colour of each place of the last maps.

    Shapes: images (N, H, W, 1) -> the last maps side by side (N, h w maps); vector -> logits (N, h, w, colours).
    """
    inputs: Any = keras.Input(input_shape, name="images")
    x = _alexnet(inputs, width, stem_size, stem_strides, padding)
    vector = layers.Flatten(name="vector")(x)
    seen: Any = keras.Input(vector.shape[1:], name="vector")
    y = layers.Reshape(x.shape[1:], name="maps")(seen)
    y = layers.Conv2D(hidden, 3, padding="same", activation="relu", kernel_initializer="he_normal", name="fc6")(y)
    return _networks(inputs, vector, seen, layers.Conv2D(colours, 1, name="logits")(y))


@register(
    task="linear_probe",
    learner="pretext:surrogate=clusters",
    input_shape=(227, 227, 3),
    params=99_252_720,
    paper="Caron 2018, Deep clustering for unsupervised learning of visual features, arXiv:1807.05520; of colours",
    data=("fashion_mnist", "digits"),
    networks=NETWORKS,
    deploy=("encoder",),
    bars=Bars(floor=0.88, drop=0.06),  # random: 0.87; half pruned it makes other clusters
    edge={**SMALL, "input_shape": (16, 16, 1), "hidden": 64, "clusters": 32, "dropout": 0.0},
)
def deep_cluster(
    input_shape: tuple[int, ...], width: float = 1.0, hidden: int = 4096, clusters: int = 10_000, *,
    stem_size: int = 11, stem_strides: int = 4, padding: str = "valid", dropout: float = 0.5
):  # fmt: skip
    """Build AlexNet up to its second dense layer; its surrogate tells the cluster of a vector.

    Shapes: images (N, H, W, C) -> vectors (N, hidden); vector -> logits (N, clusters).
    """
    inputs: Any = keras.Input(input_shape, name="images")
    x = layers.Flatten(name="flat")(_alexnet(inputs, width, stem_size, stem_strides, padding))
    x = layers.Dropout(dropout, name="dropout6")(x)
    x = layers.Dense(hidden, "relu", kernel_initializer="he_normal", name="fc6")(x)
    x = layers.Dropout(dropout, name="dropout7")(x)
    vector = layers.Dense(hidden, "relu", kernel_initializer="he_normal", name="fc7")(x)
    seen: Any = keras.Input((hidden,), name="vector")
    return _networks(inputs, vector, seen, layers.Dense(clusters, name="logits")(seen))


@register(
    task="linear_probe",
    learner="pretext:surrogate=original_or_distorted",
    input_shape=(227, 227, 3),
    params=41_505_505,
    paper="Jenni 2018, Self-supervised feature learning by learning to spot artifacts, arXiv:1806.05024",
    data=("fashion_mnist", "digits"),
    networks=NETWORKS,
    deploy=("encoder",),
    edge={**SMALL, "input_shape": (16, 16, 1), "hidden": 64},
)
def original_or_distorted_pretext(
    input_shape: tuple[int, ...], width: float = 1.0, hidden: int = 4096, *, stem_size: int = 11,
    stem_strides: int = 4, padding: str = "valid"
):  # fmt: skip
    """Build the convolutions of AlexNet; its surrogate scores each of two versions of a picture.

    Shapes: images (N, H, W, C) -> the last maps side by side (N, h w maps); vectors of two versions (N, 2, h w maps) ->
    logits (N, 2).
    """
    inputs: Any = keras.Input(input_shape, name="images")
    vector = layers.Flatten(name="vector")(_alexnet(inputs, width, stem_size, stem_strides, padding))
    seen: Any = keras.Input((2, *vector.shape[1:]), name="vectors")
    y = layers.Dense(hidden, "relu", kernel_initializer="he_normal", name="fc6")(seen)
    scores = layers.Dense(1, name="scores")(y)  # (N, 2, 1)
    return _networks(inputs, vector, seen, layers.Reshape((2,), name="logits")(scores))


# ---------------------------------------------------------------- residual networks


@register(
    task="linear_probe",
    learner="contrastive:queue=1024,momentum=0.99",
    input_shape=(224, 224, 3),
    params=23_770_304,
    paper="He 2020, Momentum contrast for unsupervised visual representation learning, arXiv:1911.05722",
    data=("fashion_mnist", "digits"),
    networks=NETWORKS,
    deploy=("encoder",),
    edge={"input_shape": (16, 16, 1), "depths": (1, 1, 1, 1), "width": 8, "stem_size": 3, "stem_strides": 1,
          "stem_pool": False, "directions": 32},
    variants={
        "instance_discrimination": {
            "params": 11_242_176,
            "learner": "contrastive",
            "paper": "Wu 2018, Unsupervised feature learning via non-parametric instance discrimination, "
                     "arXiv:1805.01978",
            "depths": (2, 2, 2, 2),
            "bottleneck": False,
            "edge": {"depths": (1, 1, 1, 1)},
        }
    },
)  # fmt: skip
def momentum_contrast(
    input_shape: tuple[int, ...], depths: Sequence[int] = (3, 4, 6, 3), directions: int = 128, *,
    bottleneck: bool = True, width: int = 64, stem_size: int = 7, stem_strides: int = 2, stem_pool: bool = True
):  # fmt: skip
    """Build a residual net up to the means of its last maps; its surrogate projects them to directions.

    Shapes: images (N, H, W, C) -> vectors (N, maps); vector -> (N, directions), of any length.
    """
    inputs: Any = keras.Input(input_shape, name="images")
    vector = residual_features(inputs, depths, bottleneck=bottleneck, width=width, stem_size=stem_size,
                               stem_strides=stem_strides, stem_pool=stem_pool)  # fmt: skip
    seen: Any = keras.Input(vector.shape[1:], name="vector")
    return _networks(inputs, vector, seen, layers.Dense(directions, name="direction")(seen))


# ---------------------------------------------------------------- videos


@register(
    task="linear_probe_of_past",
    learner="pretext:surrogate=next_frame",
    input_shape=(64, 64, 15),
    params=7_884_097,
    paper="Srivastava 2015, Unsupervised learning of video representations using LSTMs, arXiv:1502.04681 (moving "
          "digits, cross-entropy); frames as channels of convolutions as in Mathieu 2016, arXiv:1511.05440; our sizes",
    data=("moving_mnist", "moving_digits"),
    networks=NETWORKS,
    deploy=("encoder",),
    bars=Bars(floor=0.25),  # a random encoder has 0.20: where a digit is tells nothing of which it is
    edge={"input_shape": (16, 16, 7), "widths": (24, 48)},
)  # fmt: skip
def next_frame_pretext(input_shape: tuple[int, ...], widths: Sequence[int] = (64, 128, 256, 512)):
    """Build strided convolutions over the frames so far; its surrogate draws the next, by transposed ones.

    Nothing in it is of one place, so that a linear classifier may add up what was seen anywhere.
    Shapes: frames as channels (N, H, W, T) -> the last maps side by side (N, h w maps); vector -> logits of the values
    of the next frame (N, H, W, 1).
    """
    inputs: Any = keras.Input(input_shape, name="frames")
    x = inputs
    for place, width in enumerate(widths, 1):
        x = conv_norm(x, width, 4, 2, activation="relu", name=f"down_{place}")
    x = conv_norm(x, widths[-1], 3, activation="relu", name="around")
    vector = layers.Flatten(name="vector")(x)
    seen: Any = keras.Input(vector.shape[1:], name="vector")
    y = layers.Reshape(x.shape[1:], name="maps")(seen)
    for place, width in enumerate(reversed(widths[:-1]), 1):
        y = layers.Conv2DTranspose(width, 4, 2, "same", activation="relu", kernel_initializer="he_normal",
                                   name=f"up_{place}")(y)  # fmt: skip
    return _networks(inputs, vector, seen, layers.Conv2DTranspose(1, 4, 2, "same", name="logits")(y))

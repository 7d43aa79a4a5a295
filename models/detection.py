"""Detectors with default boxes: of each place of some maps, offsets of boxes from those of a table, and their classes.

The net goes to a device as it is; what offsets mean, suppression and the table of default boxes are the host's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, layers, ops

from .blocks import MOMENTUM, conv_norm, divisible, norm
from .default_boxes import NAME, liu_scales, liu_sizes, on_maps, table
from .efficientnet import STAGES, scaled_stages
from .mobilenet import V1, v1_blocks
from .registry import Deployable, register
from .vgg import convolutions

FAMILY = "dense"
NETWORKS: dict[str, Any] = {
    "networks": ("detector", NAME),
    "deploy": (Deployable(network="detector", tables=(NAME,)),),
}
PRIOR = 0.01  # chance of a class that a focal loss begins with: Lin 2017, arXiv:1708.02002, section 3.3


def with_heads(
    inputs: KerasTensor, maps: Sequence[Any], sizes: Sequence[Any], classes: int, *, window: int = 3
) -> dict[str, keras.Model]:
    """Build a detector of maps: a convolution each for offsets and for logits of classes, and the table beside it.

    sizes: of the default boxes of each map, see `default_boxes`.
    Shapes: pictures (N, H, W, C) -> boxes (N, B, 4), scores (N, B, classes + 1), of which the first is the background.
    """
    told: dict[str, list[Any]] = {"boxes": [], "scores": []}
    for index, (x, own) in enumerate(zip(maps, sizes, strict=True), 1):
        for name, width in (("boxes", 4), ("scores", classes + 1)):
            said = layers.Conv2D(len(own) * width, window, padding="same", name=f"{name}_{index}")(x)
            told[name].append(layers.Reshape((-1, width), name=f"{name}_{index}_rows")(said))
    outputs = {name: joined(parts, name) for name, parts in told.items()}
    default = on_maps([x.shape[1:3] for x in maps], sizes)
    return {"detector": keras.Model(inputs, outputs, name="detector"), NAME: table(default)}


def joined(parts: Sequence[Any], name: str):
    """Join the rows of all maps.  Shapes: (N, B_i, n) each -> (N, B, n)."""
    return layers.Concatenate(axis=1, name=name)(parts) if len(parts) > 1 else layers.Identity(name=name)(parts[0])


# ---------------------------------------------------------------- SSD

# Maps of the extra layers, narrowed and widened, and their strides; stride 1 is a 3x3 window without padding.
EXTRAS = ((256, 512, 2), (128, 256, 2), (128, 256, 1), (128, 256, 1))


@register(
    **NETWORKS,
    task="detection",
    data=("bccd", "drawn_shapes"),
    learner="detecting",
    input_shape=(300, 300, 3),
    classes=20,
    params=26_285_486,
    paper="Liu 2016, SSD: single shot multibox detector, arXiv:1512.02325 (SSD300 on VGG-16)",
    learning_rate=1e-3,
    edge={"input_shape": (64, 64, 3), "classes": 3, "width": 8, "hidden": 64, "extras": ((32, 64, 2),),
          "counts": (4, 6, 4), "scales": (0.15, 0.3, 0.6, 0.9)},
)  # fmt: skip
def ssd300(
    input_shape: tuple[int, ...], classes: int, *, width: int = 64, hidden: int = 1024,
    extras: Sequence[Any] = EXTRAS, counts: Sequence[int] = (4, 6, 6, 6, 4, 4),
    scales: Sequence[float] = (0.1, *liu_scales(5))
):  # fmt: skip
    """Build SSD on VGG-16, whose dense layers are convolutions, the first dilated.

    width: maps of the first stage. hidden: maps of what was dense. extras: see `EXTRAS`. counts, scales: how many
    default boxes a place of each map has, and their sizes; one scale more than maps. Shapes: see `with_heads`.
    """
    inputs: Any = keras.Input(tuple(input_shape), name="pictures")
    x = inputs
    maps = []
    for stage, depth in enumerate((2, 2, 3, 3, 3), 1):
        x = convolutions(x, depth, width * min(2 ** (stage - 1), 8), name=f"stage_{stage}")
        if stage == 4:
            maps.append(ScaledNorm(name="stage_4_scaled")(x))
        last = stage == 5
        x = layers.MaxPooling2D(3 if last else 2, 1 if last else 2, padding="same", name=f"stage_{stage}_pool")(x)
    dilation = 6 if min(x.shape[1:3]) > 6 else 2  # a window wider than the map would see its margin alone
    for name, size, step in (("conv6", 3, dilation), ("conv7", 1, 1)):
        x = layers.Conv2D(
            hidden, size, padding="same", dilation_rate=step, activation="relu", kernel_initializer="he_normal",
            name=name
        )(x)  # fmt: skip
    maps.append(x)
    for index, (narrow, wide, strides) in enumerate(extras, 8):
        for name, filters, size, step in (("narrow", narrow, 1, 1), ("wide", wide, 3, strides)):
            x = layers.Conv2D(
                filters, size, step, "same" if size == 1 or strides == 2 else "valid", activation="relu",
                kernel_initializer="he_normal", name=f"conv{index}_{name}"
            )(x)  # fmt: skip
        maps.append(x)
    return with_heads(inputs, maps, _sizes(scales, counts), classes)


def _sizes(scales: Sequence[float], counts: Sequence[int]) -> list[Any]:
    return [liu_sizes(scales[index], scales[index + 1], count) for index, count in enumerate(counts)]


@keras.saving.register_keras_serializable("edgewright")
class ScaledNorm(layers.Layer):
    """Divide each place's vector by its length, and multiply each map by a learned number that begins with 20.

    Shapes: (N, H, W, C) -> the same.  Source: Liu 2016, ParseNet, arXiv:1506.04579, section 3.3.
    """

    def build(self, input_shape: Sequence[int]):
        """Make the numbers."""
        start: Any = keras.initializers.Constant(20.0)
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer=start, name="scale")

    def call(self, inputs: KerasTensor):
        """Compute the layer.  Shapes: see the class."""
        power: Any = ops.mean(ops.square(inputs), axis=-1, keepdims=True)  # a mean: its integers do not overflow
        unit: Any = inputs * ops.rsqrt(power + 1e-3)
        return unit * (self.scale * (1 / inputs.shape[-1] ** 0.5))


# How the published configuration does it: 3 boxes at a place of the first map, 6 at others, 1x1 windows.
@register(
    **NETWORKS,
    task="detection",
    data=("bccd", "drawn_shapes"),
    learner="detecting",
    input_shape=(300, 300, 3),
    classes=90,
    params=6_819_839,
    paper="Howard 2017, MobileNets, arXiv:1704.04861, section 4.6; Liu 2016, SSD, arXiv:1512.02325",
    edge={"input_shape": (120, 160, 3), "classes": 3, "width": 0.25, "sources": (5, 11, 13), "extras": (),
          "counts": (4, 4, 4), "scales": (0.1, 0.18, 0.36, 0.6), "window": 3},
)  # fmt: skip
def ssd_mobilenet(
    input_shape: tuple[int, ...], classes: int, *, width: float = 1.0, blocks: Sequence[Any] = V1,
    sources: Sequence[int] = (11, 13), extras: Sequence[Any] = ((256, 512), (128, 256), (128, 256), (64, 128)),
    counts: Sequence[int] = (3, 6, 6, 6, 6, 6), scales: Sequence[float] = tuple(liu_scales(6, 0.2, 0.95)),
    window: int = 1
):  # fmt: skip
    """Build SSD on MobileNet: maps of the blocks `sources`, and `extras` of (narrowed, widened) maps of half the size.

    width: scales all maps. window: of the heads' convolutions. counts, scales: see `ssd300`.
    Shapes: see `with_heads`.
    """
    inputs: Any = keras.Input(tuple(input_shape), name="pictures")
    behind = v1_blocks(inputs, width, blocks)
    maps = [behind[place] for place in sources]
    for index, (narrow, wide) in enumerate(extras, 1):
        x = conv_norm(maps[-1], divisible(narrow * width), 1, activation="relu6", name=f"extra_{index}_narrow")
        x = conv_norm(x, divisible(wide * width), 3, 2, activation="relu6", name=f"extra_{index}_wide")
        maps.append(x)
    return with_heads(inputs, maps, _sizes(scales, counts), classes, window=window)


# ---------------------------------------------------------------- EfficientDet


@register(
    **NETWORKS,
    task="detection",
    data=("bccd", "drawn_shapes"),
    learner="detecting:gamma=1.5,weight=50",
    input_shape=(512, 512, 3),
    classes=90,
    params=3_880_067,
    paper="Tan 2020, EfficientDet: scalable and efficient object detection, arXiv:1911.09070 (D0)",
    edge={"input_shape": (64, 64, 3), "classes": 3, "trunk": 0.25, "width": 24, "levels": 3, "layers_of_fusion": 1,
          "drop_connect": 0.0, "stages": tuple((size, min(ratio, 3), maps, 1, step) for size, ratio, maps, _, step
                                               in STAGES)},
)  # fmt: skip
def efficientdet(
    input_shape: tuple[int, ...], classes: int, *, trunk: float = 1.0, width: int = 64, levels: int = 5,
    layers_of_fusion: int = 3, layers_of_heads: int = 3, stages: Sequence[Any] = STAGES, drop_connect: float = 0.2
):  # fmt: skip
    """Build EfficientDet: EfficientNet's maps of 1/8, 1/16, 1/32 and smaller ones, fused both ways, and shared heads.

    trunk: scales the maps of EfficientNet. width: maps that are fused. levels: how many, from 3. Places have nine
    default boxes. Heads share convolutions over the levels, each with a normalisation of its own.
    Shapes: pictures (N, H, W, C) -> boxes (N, B, 4), scores (N, B, classes), of yes or no each.
    """
    inputs: Any = keras.Input(tuple(input_shape), name="pictures")
    behind = scaled_stages(inputs, trunk, 1.0, stages=stages, drop_connect=drop_connect)
    maps = _levels([behind[2], behind[4], behind[6]], width, levels)
    for index in range(1, layers_of_fusion + 1):
        maps = _fused(maps, [behind[2], behind[4], behind[6]] if index == 1 else [], width, f"fusion_{index}")
    sizes = [_nine(x.shape[1:3]) for x in maps]
    outputs = {}
    for name, each in (("boxes", 4), ("scores", classes)):
        outputs[name] = _shared_head(maps, width, layers_of_heads, each, name)
    default = on_maps([x.shape[1:3] for x in maps], sizes)
    return {"detector": keras.Model(inputs, outputs, name="detector"), NAME: table(default)}


def _nine(shape: Sequence[int]) -> list[tuple[float, float]]:
    """Return three scales, from four places on, by three ratios."""
    height, width = shape
    return [(4 * 2 ** (octave / 3) * ratio / width, 4 * 2 ** (octave / 3) / ratio / height)
            for octave in range(3) for ratio in (1.0, 1.4, 1 / 1.4)]  # fmt: skip


def _levels(behind: Sequence[Any], width: int, levels: int) -> list[Any]:
    """Return the maps that are fused first: those of the trunk narrowed to `width`, and smaller ones by pools."""
    maps = [conv_norm(x, width, 1, bias=True, name=f"level_{index}") for index, x in enumerate(behind, 3)]
    for index in range(6, levels + 3):
        x = conv_norm(behind[-1], width, 1, bias=True, name="level_6") if index == 6 else maps[-1]
        maps.append(layers.MaxPooling2D(3, 2, "same", name=f"level_{index}_pool")(x))
    return maps


def _fused(maps: Sequence[Any], behind: Sequence[Any], width: int, name: str) -> list[Any]:
    """Add a layer of fusion: from the smallest map to the largest, and back.

    behind: the trunk's maps, of which the way back takes a narrowing of its own where they are given.
    Source: arXiv:1911.09070, figure 2d.
    """
    down = [maps[-1]]  # from the smallest on
    for index in range(len(maps) - 2, -1, -1):
        larger = layers.UpSampling2D(2, name=f"{name}_up_{index}")(down[-1])
        down.append(_node([maps[index], larger], width, f"{name}_down_{index}"))
    down.reverse()
    up = [down[0]]
    for index in range(1, len(maps)):
        smaller = layers.MaxPooling2D(3, 2, "same", name=f"{name}_pool_{index}")(up[-1])
        own = maps[index]
        if index < len(behind):
            own = conv_norm(behind[index], width, 1, bias=True, name=f"{name}_again_{index}")
        parts = [own, smaller] if index == len(maps) - 1 else [own, down[index], smaller]
        up.append(_node(parts, width, f"{name}_out_{index}"))
    return up


def _node(parts: Sequence[Any], width: int, name: str):
    x = Fusion(name=f"{name}_fusion")(parts)
    x = layers.Activation("silu", name=f"{name}_silu")(x)
    x = layers.SeparableConv2D(width, 3, padding="same", name=name)(x)
    return norm(x, name=name)


@keras.saving.register_keras_serializable("edgewright")
class Fusion(layers.Layer):
    """The mean of maps, weighted by ReLU(w) / (sum + 0.0001): constants when training is over.

    Shapes: (N, H, W, C) each -> the same.  Source: arXiv:1911.09070, section 3.3, fast normalized fusion.
    """

    def build(self, input_shape: Sequence[Sequence[int]]):
        """Make the weights."""
        self.shares = self.add_weight(shape=(len(input_shape),), initializer="ones", name="shares")

    def call(self, inputs: Sequence[Any]):
        """Compute the layer.  Shapes: see the class."""
        positive: Any = ops.relu(self.shares)
        total: Any = ops.sum(positive)
        shares: Any = positive / (total + 1e-4)
        mean = inputs[0] * shares[0]
        for index in range(1, len(inputs)):
            mean = mean + inputs[index] * shares[index]
        return mean

    def compute_output_shape(self, input_shape: Sequence[Sequence[int]]):
        """Return the shape of the outputs, batch included."""
        return input_shape[0]


def _shared_head(maps: Sequence[Any], width: int, depth: int, each: int, name: str):
    """Add convolutions that all maps go through, and return what they say of each box."""
    shared = [layers.SeparableConv2D(width, 3, padding="same", name=f"{name}_conv{index}")
              for index in range(1, depth + 1)]  # fmt: skip
    start: Any = keras.initializers.Constant(-math.log(1 / PRIOR - 1) if name == "scores" else 0.0)
    last = layers.SeparableConv2D(9 * each, 3, padding="same", bias_initializer=start, name=f"{name}_last")
    parts = []
    for level, x in enumerate(maps, 3):
        for index, convolution in enumerate(shared, 1):
            x = convolution(x)
            x = layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_{level}_norm{index}")(x)
            x = layers.Activation("silu", name=f"{name}_{level}_silu{index}")(x)
        parts.append(layers.Reshape((-1, each), name=f"{name}_{level}_rows")(last(x)))
    return joined(parts, name)


# ---------------------------------------------------------------- OverFeat

# Maps, window, strides and padding of the convolutions, and the pool behind each (0 for none): the fast model, table 1.
FAST = ((96, 11, 4, "valid", 2), (256, 5, 1, "valid", 2), (512, 3, 1, "same", 0), (1024, 3, 1, "same", 0),
        (1024, 3, 1, "same", 2))  # fmt: skip


@register(
    **NETWORKS,
    task="detection",
    data=("bccd", "drawn_shapes"),
    learner="detecting:squared=1,weight=1",
    input_shape=(231, 231, 3),
    classes=1000,
    params=301_123_437,
    paper="Sermanet 2014, OverFeat: integrated recognition, localization and detection, arXiv:1312.6229 (fast model)",
    edge={"input_shape": (64, 64, 3), "classes": 3, "hidden": (64, 64), "box_hidden": (64, 64), "window": 3,
          "convolutions_of": ((16, 3, 1, "same", 2), (32, 3, 1, "same", 2), (64, 3, 1, "same", 0),
                              (64, 3, 1, "same", 2)), "sizes": ((0.28, 0.28),)},
)  # fmt: skip
def overfeat(
    input_shape: tuple[int, ...], classes: int, *, convolutions_of: Sequence[Any] = FAST,
    hidden: Sequence[int] = (3072, 4096), box_hidden: Sequence[int] = (4096, 1024), window: int = 6,
    sizes: Sequence[tuple[float, float]] = ((1.0, 1.0),)
):  # fmt: skip
    """Build OverFeat: a classifier and a regressor of boxes that slide over the maps of a convolutional net.

    What classifies one window of 231 pixels is a convolution, so that larger pictures give a map of answers. One graph
    is one scale of the pyramid. window: of the map that the first of each branch's `hidden` layers sees; padded in the
    edge preset, where the map is as large as its places. sizes: of the box at a place, a share of the picture.
    Boxes are told as offsets from it. Shapes: see `with_heads`, B places with a box for each of `sizes`.
    """
    inputs: Any = keras.Input(tuple(input_shape), name="pictures")
    x = inputs
    for index, (maps, size, strides, padding, pool) in enumerate(convolutions_of, 1):
        x = layers.Conv2D(
            maps, size, strides, padding, activation="relu", kernel_initializer="he_normal", name=f"conv{index}"
        )(x)  # fmt: skip
        if pool:
            x = layers.MaxPooling2D(pool, name=f"pool{index}")(x)
    padding = "valid" if window == x.shape[1] else "same"
    outputs, places = {}, ()
    for name, branch, width in (("boxes", box_hidden, 4), ("scores", hidden, classes + 1)):
        y = x
        for index, (units, size) in enumerate(zip(branch, (window, 1), strict=True), 1):
            y = layers.Conv2D(
                units, size, padding=padding, activation="relu", kernel_initializer="he_normal",
                name=f"{name}_fc{index}"
            )(y)  # fmt: skip
        said = layers.Conv2D(len(sizes) * width, 1, name=f"{name}_map")(y)
        places = said.shape[1:3]
        outputs[name] = layers.Reshape((-1, width), name=name)(said)
    default = on_maps([places], [list(sizes)])
    return {"detector": keras.Model(inputs, outputs, name="detector"), NAME: table(default)}

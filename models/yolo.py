"""Detectors whose answers are grids: of each cell boxes and classes, all at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, layers, ops

from .blocks import conv_norm
from .default_boxes import table
from .registry import Bars, Deployable, register

FAMILY = "dense"
ANCHORED: dict[str, Any] = {
    "networks": ("detector", "anchors"),
    "deploy": (Deployable(network="detector", tables=("anchors",)),),
    "learner": "detecting",
}
SLOPE = 0.1  # of a leaky rectifier below zero

# Maps and window of each convolution of the first YOLO with its strides, and "pool" for a pool (figure 3 of the paper).
V1 = ((64, 7, 2), "pool", (192, 3, 1), "pool", (128, 1, 1), (256, 3, 1), (256, 1, 1), (512, 3, 1), "pool",
      *4 * ((256, 1, 1), (512, 3, 1)), (512, 1, 1), (1024, 3, 1), "pool", *2 * ((512, 1, 1), (1024, 3, 1)),
      (1024, 3, 1), (1024, 3, 2), (1024, 3, 1), (1024, 3, 1))  # fmt: skip


@register(
    task="grid_detection",
    learner="detecting",
    input_shape=(448, 448, 3),
    classes=20,
    params=271_703_550,
    paper="Redmon 2016, You only look once: unified, real-time object detection, arXiv:1506.02640",
    data=("bccd", "drawn_shapes"),
    learning_rate=1e-3,
    edge={"input_shape": (64, 64, 3), "classes": 3, "hidden": 256, "dropout": 0.0,
          "blocks": ((16, 3, 1), "pool", (32, 3, 1), "pool", (32, 1, 1), (64, 3, 1), "pool", (64, 3, 1))},
    networks=("detector",),
    bars=Bars(floor=0.1),  # of 800 pictures the dense layers learn little about places
)  # fmt: skip
def yolo_v1(
    input_shape: tuple[int, ...], classes: int, *, blocks: Sequence[Any] = V1, hidden: int = 4096, grid: int = 7,
    boxes: int = 2, dropout: float = 0.5
):  # fmt: skip
    """Build YOLO: 24 convolutions and two dense layers, which see the whole picture.

    blocks: see `V1`. boxes: of a cell, each with confidence, place in the cell and roots of its size; `classes` follow.
    Shapes: pictures (N, H, W, C) -> grid (N, grid, grid, 5 boxes + classes).
    """
    inputs: Any = keras.Input(tuple(input_shape), name="pictures")
    x = inputs
    for index, block in enumerate(blocks, 1):
        if block == "pool":
            x = layers.MaxPooling2D(2, name=f"pool_{index}")(x)
            continue
        maps, size, strides = block
        x = layers.Conv2D(maps, size, strides, "same", kernel_initializer="he_normal", name=f"conv_{index}")(x)
        x = layers.LeakyReLU(SLOPE, name=f"conv_{index}_leaky")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(hidden, kernel_initializer="he_normal", name="hidden")(x)
    x = layers.LeakyReLU(SLOPE, name="hidden_leaky")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    width = 5 * boxes + classes
    x = layers.Dense(grid * grid * width, name="cells")(x)
    return {"detector": keras.Model(inputs, {"grid": layers.Reshape((grid, grid, width), name="grid")(x)},
                                    name="detector")}  # fmt: skip


# Anchors of the two grids in pixels of a picture of 416, the coarse grid first (yolov3-tiny.cfg of Darknet).
TINY_ANCHORS = (((81, 82), (135, 169), (344, 319)), ((10, 14), (23, 27), (37, 58)))
SMALL_ANCHORS = (((110, 110), (140, 140), (170, 170)), ((60, 60), (80, 80), (95, 95)))
PIXELS = 416  # the side of the picture that anchors are told for
BESIDES = 5  # what a box is told by besides classes: place, size, object


@register(
    **ANCHORED,
    task="anchored_grid_detection",
    data=("bccd", "drawn_shapes"),
    input_shape=(416, 416, 3),
    classes=80,
    params=8_852_366,  # as published for COCO
    paper="Redmon 2018, YOLOv3: an incremental improvement, arXiv:1804.02767 (yolov3-tiny of Darknet)",
    edge={"input_shape": (64, 64, 3), "classes": 3, "width": 8, "stages": 4, "anchors": SMALL_ANCHORS},
)
def yolo_v3_tiny(
    input_shape: tuple[int, ...], classes: int, *, width: int = 16, stages: int = 6,
    anchors: Sequence[Any] = TINY_ANCHORS
):  # fmt: skip
    """Build tiny YOLOv3: convolutions and pools, a grid of 1/32 of the picture and, with the maps before, one of 1/16.

    width: maps of the first convolution. stages: convolutions with a pool behind them; all but the last halve. anchors:
    of each grid, pixels of a picture of 416.  Shapes: pictures (N, H, W, C) -> grid_1 (N, H / 32, W / 32, A (5 +
    classes)), grid_2 of twice as many cells a side.
    """
    inputs: Any = keras.Input(tuple(input_shape), name="pictures")
    x = finer = inputs
    for stage in range(1, stages + 1):
        x = _leaky(x, width * 2 ** (stage - 1), 3, f"stage_{stage}")
        finer = x if stage < stages else finer
        x = layers.MaxPooling2D(2, 1 if stage == stages else 2, "same", name=f"stage_{stage}_pool")(x)
    maps = width * 2 ** (stages - 2)  # as many as `finer` has
    x = _leaky(x, 4 * maps, 3, "deepest")
    narrow = _leaky(x, maps, 1, "narrow")
    coarse = _leaky(narrow, 2 * maps, 3, "coarse")
    x = _leaky(narrow, maps // 2, 1, "route")
    x = layers.UpSampling2D(2, name="route_up")(x)
    x = layers.Concatenate(name="route_joined")([x, finer])
    fine = _leaky(x, maps, 3, "fine")
    return _grids(inputs, [coarse, fine], anchors, BESIDES + classes)


def _grids(inputs: KerasTensor, maps: Sequence[Any], anchors: Sequence[Any], each: int) -> dict[str, keras.Model]:
    """Build the detector that says of each place and anchor of the maps `each` numbers, and the table of anchors."""
    outputs = {}
    for index, (x, own) in enumerate(zip(maps, anchors, strict=True), 1):
        outputs[f"grid_{index}"] = layers.Conv2D(len(own) * each, 1, name=f"grid_{index}")(x)
    shares = np.asarray(anchors, np.float32) / PIXELS
    return {"detector": keras.Model(inputs, outputs, name="detector"), "anchors": table(shares, "anchors")}


def _leaky(x: KerasTensor, maps: int, size: int, name: str, strides: int = 1):
    x = conv_norm(x, maps, size, strides, name=name)
    return layers.LeakyReLU(SLOPE, name=f"{name}_leaky")(x)


# ---------------------------------------------------------------- PP-YOLO

PP_ANCHORS = (((116, 90), (156, 198), (373, 326)), ((30, 61), (62, 45), (59, 119)), ((10, 13), (16, 30), (33, 23)))


@register(
    **ANCHORED,
    task="aware_grid_detection",
    data=("bccd", "drawn_shapes"),
    input_shape=(608, 608, 3),
    classes=80,
    params=39_783_782,
    paper="Long 2020, PP-YOLO: an effective and efficient implementation of object detector, arXiv:2007.12099",
    edge={
        "input_shape": (64, 64, 3),
        "classes": 3,
        "width": 8,
        "depths": (1, 1, 1),
        "anchors": SMALL_ANCHORS,
        "neck": 32,
        "stem_pool": False,
    },
)
def pp_yolo(
    input_shape: tuple[int, ...], classes: int, *, width: int = 64, depths: Sequence[int] = (3, 4, 6, 3),
    anchors: Sequence[Any] = PP_ANCHORS, neck: int = 512, stem_pool: bool = True, drop: float = 0.1
):  # fmt: skip
    """Build PP-YOLO: a residual net of the "d" kind, a pyramid of pools, places as maps, grids from coarse to fine.

    Its convolutions are ordinary ones: the deformable ones of the last stage have no integer kernel. DropBlock is
    dropout of whole maps. width: maps of the stem; depths: blocks of the stages, the last of which, one for each entry
    of `anchors`, have grids. neck: maps before the coarsest grid, half as many before each next one.
    Shapes: pictures (N, H, W, C) -> grid_1 (N, H / 32, W / 32, A (6 + classes)), grid_2, ... twice as many cells a
    side each; the sixth number of a box is the logit of its overlap with a true one.
    """
    inputs: Any = keras.Input(tuple(input_shape), name="pictures")
    behind = _residual_stages(inputs, width, depths, stem_pool)
    maps, route = [], None
    for index in range(len(anchors)):
        x: Any = behind[-1 - index]
        if route is not None:
            x = layers.Concatenate(name=f"neck_{index}_joined")([route, x])
        x, narrow = _neck(x, neck // 2**index, index == 0, drop, f"neck_{index}")
        maps.append(x)
        if index + 1 < len(anchors):
            route = _leaky(narrow, neck // 2 ** (index + 1), 1, f"route_{index}")
            route = layers.UpSampling2D(2, name=f"route_{index}_up")(route)
    return _grids(inputs, maps, anchors, BESIDES + 1 + classes)


def _residual_stages(inputs: KerasTensor, width: int, depths: Sequence[int], pool: bool) -> list[Any]:
    """Add ResNet-D: a stem of three convolutions; shortcuts that change are means of 2x2.  Source: arXiv:1812.01187."""
    x = inputs
    for index, (maps, strides) in enumerate(((width // 2, 2), (width // 2, 1), (width, 1)), 1):
        x = conv_norm(x, maps, 3, strides, activation="relu", name=f"stem_{index}")
    if pool:
        x = layers.MaxPooling2D(3, 2, "same", name="stem_pool")(x)
    behind = []
    for stage, depth in enumerate(depths, 1):
        for index in range(1, depth + 1):
            strides = 2 if stage > 1 and index == 1 else 1
            x = _block_d(x, width * 2 ** (stage - 1), strides, f"stage_{stage}_block_{index}")
        behind.append(x)
    return behind


def _block_d(x: KerasTensor, maps: int, strides: int, name: str):
    shortcut: Any = x
    y = conv_norm(x, maps, 1, activation="relu", name=f"{name}_conv1")
    y = conv_norm(y, maps, 3, strides, activation="relu", name=f"{name}_conv2")
    y = conv_norm(y, 4 * maps, 1, name=f"{name}_conv3")
    if shortcut.shape[-1] != 4 * maps:
        if strides > 1:
            shortcut = layers.AveragePooling2D(2, 2, "same", name=f"{name}_shortcut_pool")(shortcut)
        shortcut = conv_norm(shortcut, 4 * maps, 1, name=f"{name}_shortcut")
    x = layers.Add(name=f"{name}_add")([shortcut, y])
    return layers.Activation("relu", name=f"{name}_out")(x)


def _neck(x: Any, maps: int, pyramid: bool, drop: float, name: str) -> tuple[Any, Any]:
    """Add the convolutions before a grid; return their last maps, and the narrow ones before, for the finer grid."""
    x = _leaky(_with_places(x, f"{name}_places_1"), maps, 1, f"{name}_narrow_1")
    if pyramid:
        pools = [layers.MaxPooling2D(size, 1, "same", name=f"{name}_pool_{size}")(x) for size in (5, 9, 13)]
        x = _leaky(layers.Concatenate(name=f"{name}_pyramid")([x, *pools]), maps, 1, f"{name}_pyramid_narrow")
    x = _leaky(x, 2 * maps, 3, f"{name}_wide_1")
    x = layers.SpatialDropout2D(drop, name=f"{name}_drop")(x)
    narrow = _leaky(_with_places(x, f"{name}_places_2"), maps, 1, f"{name}_narrow_2")
    return _leaky(_with_places(narrow, f"{name}_places_3"), 2 * maps, 3, f"{name}_wide_2"), narrow


def _with_places(x: Any, name: str):
    return Places(name=name)(x)


@keras.saving.register_keras_serializable("edgewright")
class Places(layers.Layer):
    """Add two maps that tell column and row of each place, from -1 to 1.  Shapes: (N, H, W, C) -> (N, H, W, C + 2).

    Source: Liu 2018, CoordConv, arXiv:1807.03247.
    """

    def call(self, inputs: KerasTensor):
        """Compute the layer.  Shapes: see the class."""
        _, height, width, _ = inputs.shape
        across, down = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
        places = np.stack([across, down], -1)[None].astype(np.float32)
        zeros: Any = ops.zeros_like(inputs[..., :2])
        whole = zeros + places  # of every picture the same
        return ops.concatenate([inputs, whole], axis=-1)

    def compute_output_shape(self, input_shape: Sequence[int]):
        """Return the shape of the outputs, batch included."""
        return (*input_shape[:-1], input_shape[-1] + 2)

"""Detectors of two stages: boxes that may hold something are proposed, then what each holds is told, and refined.

The host stands between the stages: it suppresses, keeps the best K, and hands them to the second as shares of the
picture's sides. For `rcnn` and `fast_rcnn` it proposes too, by selective search, or of a table of windows by the edges
inside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from .alexnet import convolutions as alexnet_maps
from .default_boxes import NAME, on_maps, table
from .registry import Deployable, register
from .vgg import convolutions

FAMILY = "dense"
CLASSES, REFINED, MASKS = "scores", "boxes", "masks"  # what the second stage says
MASK_HEAD = "mask_head"
SCALES, RATIOS = (128 / 600, 256 / 600, 512 / 600), (1.0, 2.0, 0.5)  # of the picture's smaller side; width to height
SMALL: dict[str, Any] = {
    "input_shape": (64, 64, 3), "classes": 3, "depths": (1, 1, 1), "width": 16, "hidden": 64, "count": 24,
    "cells": (4, 4), "scales": (0.2, 0.28, 0.38), "dropout": 0.0,
}  # fmt: skip


@register(
    task="searched_crops_detection",
    learner="proposing",
    input_shape=(227, 227, 3),
    classes=20,
    params=58_695_141,
    paper="Girshick 2014, Rich feature hierarchies for accurate object detection, arXiv:1311.2524",
    data=("bccd", "drawn_shapes"),
    learning_rate=1e-3,
    networks=("classifier", NAME),
    deploy=(Deployable(network="classifier", tables=(NAME,)),),
    edge={"input_shape": (32, 32, 3), "classes": 3, "trunk": 1 / 16, "hidden": 64, "stem_size": 5, "stem_strides": 1,
          "scales": (0.2, 0.28, 0.38), "dropout": 0.0, "places": 12},
)  # fmt: skip
def rcnn(
    input_shape: tuple[int, ...], classes: int, *, trunk: float = 1.0, hidden: int = 4096, stem_size: int = 11,
    stem_strides: int = 4, scales: Sequence[float] = SCALES, ratios: Sequence[float] = RATIOS, places: int = 24,
    dropout: float = 0.5
):  # fmt: skip
    """Build R-CNN: AlexNet on each crop, which the host resizes; a softmax in place of the paper's support vectors.

    Shapes: crop (N, H, W, C) -> scores (N, classes + 1), of which the first is the background, boxes (N, classes, 4):
    offsets from the crop's box by class. The table has windows of `scales` and `ratios` on `places` x `places`.
    """
    crop: Any = keras.Input(tuple(input_shape), name="crop")
    x = alexnet_maps(crop, trunk, stem_size=stem_size, stem_strides=stem_strides)
    x = layers.Flatten(name="flatten")(x)
    outputs = _told(x, classes, hidden, dropout)
    windows = on_maps([(places, places)], [_sizes(scales, ratios)])
    return {"classifier": keras.Model(crop, outputs, name="classifier"), NAME: table(windows)}


@register(
    task="searched_detection",
    learner="proposing",
    input_shape=(608, 608, 3),
    classes=20,
    params=134_674_341,
    paper="Girshick 2015, Fast R-CNN, arXiv:1504.08083 (VGG-16)",
    data=("bccd", "drawn_shapes"),
    learning_rate=1e-3,
    networks=("proposer", "classifier", NAME),
    deploy=(Deployable(network="proposer", tables=(NAME,)), "classifier"),
    edge=SMALL,
    variants={
        "faster_rcnn": {
            "params": 137_061_851, "proposes": True, "task": "proposed_detection", "edge": {"rpn": 32},
            "paper": "Ren 2015, Faster R-CNN: towards real-time object detection with region proposal networks, "
                     "arXiv:1506.01497 (VGG-16)",
        },
        "mask_rcnn": {
            "params": 141_524_055, "proposes": True, "masks": 256, "classes": 80, "task": "masked_detection",
            "data": ("drawn_shapes",), "networks": ("proposer", "classifier", MASK_HEAD, NAME),
            "deploy": (Deployable(network="proposer", tables=(NAME,)), "classifier", MASK_HEAD),
            "edge": {"classes": 3, "rpn": 32, "masks": 32, "mask_depth": 2, "mask_cells": 7},
            "paper": "He 2017, Mask R-CNN, arXiv:1703.06870 (here on VGG-16, without a pyramid of maps)",
        },
    },
)  # fmt: skip
def fast_rcnn(
    input_shape: tuple[int, ...], classes: int, *, depths: Sequence[int] = (2, 2, 3, 3, 3), width: int = 64,
    hidden: int = 4096, cells: tuple[int, int] = (7, 7), count: int = 128, proposes: bool = False, rpn: int = 512,
    masks: int = 0, mask_depth: int = 4, mask_cells: int = 14, scales: Sequence[float] = SCALES,
    ratios: Sequence[float] = RATIOS, dropout: float = 0.5
):  # fmt: skip
    """Build Fast R-CNN, or Faster R-CNN where it `proposes`: a convolutional net once, and of its map each proposal.

    With `masks` it is Mask R-CNN, whose third network tells which part of each box the thing of each class fills.
    count: K. cells: of the pooled map of a proposal, rows and columns. rpn: maps of the net that proposes, at each
    place a box for each of `scales` and `ratios`; without it the host proposes of the same boxes. masks, mask_depth:
    maps and number of the convolutions on `mask_cells` a side of a box.
    Shapes: proposer: pictures (N, H, W, C) -> map (N, h, w, c), and rpn_boxes (N, B, 4), rpn_scores (N, B, 2) of
    background and not; classifier: map, rois (N, K, 4), left, top, right, bottom in [0, 1] -> scores (N, K,
    classes + 1) and boxes (N, K, classes, 4), offsets by class; mask_head: the same -> masks (N, K, m, m, classes), of
    twice `mask_cells` a side.
    """
    pictures: Any = keras.Input(tuple(input_shape), name="pictures")
    x = pictures
    for stage, depth in enumerate(depths, 1):
        x = convolutions(x, depth, width * min(2 ** (stage - 1), 8), name=f"stage_{stage}")
        if stage < len(depths):
            x = layers.MaxPooling2D(2, name=f"stage_{stage}_pool")(x)
    sizes = _sizes(scales, ratios)
    outputs: dict[str, Any] = {"map": x}
    if proposes:
        said = layers.Conv2D(rpn, 3, padding="same", activation="relu", name="rpn")(x)
        for name, each in (("boxes", 4), ("scores", 2)):
            told = layers.Conv2D(len(sizes) * each, 1, name=f"rpn_{name}_map")(said)
            outputs[f"rpn_{name}"] = layers.Reshape((-1, each), name=f"rpn_{name}")(told)
    proposer = keras.Model(pictures, outputs, name="proposer")
    given = keras.Input(x.shape[1:], name="map")
    rois = keras.Input((count, 4), name="rois")
    pooled = RoiPool(*cells, name="pool")([given, rois])
    classifier = keras.Model([given, rois], _told(pooled, classes, hidden, dropout), name="classifier")
    networks = {"proposer": proposer, "classifier": classifier}
    if masks:
        networks[MASK_HEAD] = _mask_head(x.shape[1:], count, classes, masks, mask_depth, mask_cells)
    return networks | {NAME: table(on_maps([x.shape[1:3]], [sizes]))}


def _mask_head(shape: Sequence[int], count: int, classes: int, width: int, depth: int, cells: int) -> keras.Model:
    """Return the network of masks.  Shapes: see `fast_rcnn`.  Source: He 2017, arXiv:1703.06870, figure 4, right."""
    given: Any = keras.Input(shape, name="map")
    rois: Any = keras.Input((count, 4), name="rois")
    x = RoiPool(cells, cells, samples=1, flat=False, name="align")([given, rois])
    x = convolutions(x, depth, width, name="mask")
    x = layers.Conv2DTranspose(width, 2, 2, activation="relu", kernel_initializer="he_normal", name="mask_up")(x)
    x = layers.Conv2D(classes, 1, name="mask_logits")(x)
    said = ops.reshape(x, (-1, count, *x.shape[1:]))
    return keras.Model([given, rois], {MASKS: said}, name=MASK_HEAD)


def _sizes(scales: Sequence[float], ratios: Sequence[float]) -> list[tuple[float, float]]:
    return [(scale * ratio**0.5, scale / ratio**0.5) for scale in scales for ratio in ratios]


def _told(x: Any, classes: int, hidden: int, dropout: float) -> dict[str, Any]:
    """Return what is said of each row: its class and, for each class, where its box is.  Shapes: (..., n) -> (...)."""
    for index in (1, 2):
        x = layers.Dense(hidden, "relu", kernel_initializer="he_normal", name=f"fc_{index}")(x)
        x = layers.Dropout(dropout, name=f"dropout_{index}")(x)
    boxes = layers.Dense(4 * classes, name="box_rows")(x)
    boxes = layers.Reshape((*x.shape[1:-1], classes, 4), name=REFINED)(boxes)
    return {CLASSES: layers.Dense(classes + 1, name=CLASSES)(x), REFINED: boxes}


@keras.saving.register_keras_serializable("edgewright")
class RoiPool(layers.Layer):
    """The largest of each map in each of `rows` x `columns` cells of boxes, as one vector a box or, not `flat`, a map.

    Each cell is sampled at `samples` places a side, bilinearly: two products of the map with weights that the boxes
    tell. So a box may lie anywhere, and all of it has an integer kernel. One sample a cell is RoIAlign's simplest form.
    Shapes: map (N, H, W, C), boxes (N, K, 4) -> (N, K, n), or (N K, rows, columns, C).
    Source: Girshick 2015, arXiv:1504.08083, section 2.1; sampled, Chen and Gupta 2017, arXiv:1702.02138, section 2;
    one sample, He 2017, arXiv:1703.06870, section 3, footnote.
    """

    def __init__(self, rows: int, columns: int, *, samples: int = 2, flat: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        self.rows, self.columns, self.samples, self.flat = rows, columns, samples, flat

    def call(self, inputs: Sequence[Any]):
        """Compute the layer.  Shapes: see the class."""
        maps, boxes = inputs
        _, height, width, channels = maps.shape
        count, high, wide = boxes.shape[1], self.samples * self.rows, self.samples * self.columns
        down = self._weights(boxes, 1, high, height)  # (N, K, high, H)
        across = self._weights(boxes, 0, wide, width)  # (N, K, wide, W)
        x: Any = ops.matmul(ops.reshape(down, (-1, count * high, height)),
                            ops.reshape(maps, (-1, height, width * channels)))  # fmt: skip
        x = ops.transpose(ops.reshape(x, (-1, count, high, width, channels)), (0, 1, 3, 2, 4))
        x = ops.matmul(across, ops.reshape(x, (-1, count, width, high * channels)))  # (N, K, wide, high C)
        x = ops.reshape(x, (-1, count * wide, high, channels))
        if self.samples > 1:
            x = ops.max_pool(x, self.samples, self.samples)  # (N, K columns, rows, C)
        if not self.flat:
            return ops.transpose(ops.reshape(x, (-1, self.columns, self.rows, channels)), (0, 2, 1, 3))
        return ops.reshape(x, (-1, count, self.columns * self.rows * channels))

    def _weights(self, boxes: Any, axis: int, samples: int, size: int) -> Any:
        """Return how much each of `size` places counts for each sample of the boxes.  Shape (N, K, samples, size)."""
        share = (np.arange(samples) + 0.5) / samples
        ends = np.zeros((4, samples), np.float32)  # the place of a sample, in pixels of the map, is linear in the box
        ends[axis], ends[axis + 2] = (1 - share) * size, share * size
        place: Any = ops.matmul(boxes, ends)
        place = ops.clip(place - 0.5, 0, size - 1)
        apart: Any = ops.expand_dims(place, -1)
        apart = ops.abs(apart - np.arange(size, dtype="float32"))
        return ops.relu(1 - apart)

    def compute_output_shape(self, input_shape: Sequence[Sequence[int]]):
        """Return the shape of the outputs, batch included."""
        maps, boxes = input_shape
        if not self.flat:
            return (None, self.rows, self.columns, maps[-1])
        return (maps[0], boxes[1], self.rows * self.columns * maps[-1])

    def get_config(self):
        """Return the constructor's arguments."""
        own = {"rows": self.rows, "columns": self.columns, "samples": self.samples, "flat": self.flat}
        return {**super().get_config(), **own}

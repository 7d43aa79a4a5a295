"""Detectors of two stages: boxes that may hold something are proposed, then what each holds is told, and refined.

The host stands between the stages: it suppresses, keeps the best K, and hands them to the second as shares of the
picture's sides. In the nets of `rcnn` and `fast_rcnn` it proposes too, of a table of windows by the edges inside them.
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
CLASSES, REFINED = "scores", "boxes"  # what the second stage says
SCALES, RATIOS = (128 / 600, 256 / 600, 512 / 600), (1.0, 2.0, 0.5)  # of the picture's smaller side; width to height
SMALL: dict[str, Any] = {
    "input_shape": (64, 64, 3), "classes": 3, "depths": (1, 1, 1), "width": 16, "hidden": 64, "count": 24,
    "cells": (4, 4), "scales": (0.2, 0.28, 0.38), "dropout": 0.0,
}  # fmt: skip


@register(
    task="proposed_crops_detection",
    learner="proposing",
    input_shape=(227, 227, 3),
    classes=20,
    params=58_695_141,
    paper="Girshick 2014, Rich feature hierarchies for accurate object detection, arXiv:1311.2524",
    data=("bccd", "drawn_shapes"),
    learning_rate=1e-3,
    networks=("classifier", NAME),
    deploy=(Deployable(network="classifier", tables=(NAME,)),),
    edge={"input_shape": (32, 32, 3), "classes": 3, "trunk": 1 / 6, "hidden": 64, "stem_size": 5, "stem_strides": 1,
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
    task="proposed_detection",
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
            "params": 137_061_851, "proposes": True, "edge": {"rpn": 32},
            "paper": "Ren 2015, Faster R-CNN: towards real-time object detection with region proposal networks, "
                     "arXiv:1506.01497 (VGG-16)",
        },
    },
)  # fmt: skip
def fast_rcnn(
    input_shape: tuple[int, ...], classes: int, *, depths: Sequence[int] = (2, 2, 3, 3, 3), width: int = 64,
    hidden: int = 4096, cells: tuple[int, int] = (7, 7), count: int = 128, proposes: bool = False, rpn: int = 512,
    scales: Sequence[float] = SCALES, ratios: Sequence[float] = RATIOS, dropout: float = 0.5
):  # fmt: skip
    """Build Fast R-CNN, or Faster R-CNN where it `proposes`: a convolutional net once, and of its map each proposal.

    count: K. cells: of the pooled map of a proposal, rows and columns. rpn: maps of the net that proposes, at each
    place a box for each of `scales` and `ratios`; without it the host proposes of the same boxes.
    Shapes: proposer: pictures (N, H, W, C) -> map (N, h, w, c), and rpn_boxes (N, B, 4), rpn_scores (N, B, 2) of
    background and not; classifier: map, rois (N, K, 4), left, top, right, bottom in [0, 1] -> scores (N, K,
    classes + 1) and boxes (N, K, classes, 4), offsets by class.
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
    return {"proposer": proposer, "classifier": classifier, NAME: table(on_maps([x.shape[1:3]], [sizes]))}


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
    """The largest of each map in each of `rows` x `columns` cells of boxes, as one vector a box.

    Each cell is sampled at 2 x 2 places, bilinearly: two products of the map with weights that the boxes tell. So a box
    may lie anywhere, and all of it has an integer kernel.  Shapes: map (N, H, W, C), boxes (N, K, 4) -> (N, K, n).
    Source: Girshick 2015, arXiv:1504.08083, section 2.1; sampled, Chen and Gupta 2017, arXiv:1702.02138, section 2.
    """

    def __init__(self, rows: int, columns: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.rows, self.columns = rows, columns

    def call(self, inputs: Sequence[Any]):
        """Compute the layer.  Shapes: see the class."""
        maps, boxes = inputs
        _, height, width, channels = maps.shape
        count, high, wide = boxes.shape[1], 2 * self.rows, 2 * self.columns
        down = self._weights(boxes, 1, high, height)  # (N, K, high, H)
        across = self._weights(boxes, 0, wide, width)  # (N, K, wide, W)
        x: Any = ops.matmul(ops.reshape(down, (-1, count * high, height)),
                            ops.reshape(maps, (-1, height, width * channels)))  # fmt: skip
        x = ops.transpose(ops.reshape(x, (-1, count, high, width, channels)), (0, 1, 3, 2, 4))
        x = ops.matmul(across, ops.reshape(x, (-1, count, width, high * channels)))  # (N, K, wide, high C)
        x = ops.reshape(x, (-1, count * wide, high, channels))
        x = ops.max_pool(x, 2, 2)  # (N, K columns, rows, C)
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
        return (maps[0], boxes[1], self.rows * self.columns * maps[-1])

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "rows": self.rows, "columns": self.columns}

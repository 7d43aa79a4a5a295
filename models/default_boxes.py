"""Default boxes: where the places of a map are in the picture, and of what sizes objects are looked for there.

They are a table that the host has: a network of one weight (B, 4), whose rows are centre and size of a box, shares of
the picture's sides. Rows are in the order of maps, then of rows, columns and sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

NAME = "default_boxes"
Sizes = Sequence[tuple[float, float]]  # width and height of each box at a place, as shares of the picture's sides


def table(values: np.ndarray, name: str = NAME) -> keras.Model:
    """Build the network of one weight that holds `values`, which nothing trains.

    Shapes: values (rows, ...); row (N,) int32 -> (N, product of the rest).
    """
    row = keras.Input((), dtype="int32", name="row")
    return keras.Model(row, Constants(values.tolist(), name="values")(row), name=name)


@keras.saving.register_keras_serializable("edgewright")
class Constants(layers.Layer):
    """Rows of a table that is not trained.  Shapes: (N,) int32 -> (N, ...)."""

    def __init__(self, values: Sequence[Any], **kwargs: Any):
        super().__init__(**kwargs)
        self.values = values

    def build(self, input_shape: Any):
        """Make the weight."""
        values = np.asarray(self.values, np.float32)
        self.kept = self.add_weight(
            shape=values.shape, initializer=lambda shape, dtype=None: keras.ops.convert_to_tensor(values, dtype),
            trainable=False, name="kept"
        )  # fmt: skip

    def call(self, inputs: keras.KerasTensor):
        """Return rows."""
        return keras.ops.take(self.kept, inputs, axis=0)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "values": self.values}


def on_maps(maps: Sequence[Sequence[int]], sizes: Sequence[Sizes]) -> np.ndarray:
    """Return the default boxes of maps (height, width), each with boxes of `sizes` in the middle of each place.

    Shape (B, 4) float32.
    """
    parts = []
    for (height, width), own in zip(maps, sizes, strict=True):
        x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
        places = np.repeat(np.stack([x, y], -1).reshape(-1, 2), len(own), 0)
        parts.append(np.concatenate([places, np.tile(np.asarray(own, float).reshape(-1, 2), (height * width, 1))], 1))
    return np.concatenate(parts).astype(np.float32)


def liu_sizes(scale: float, following: float, count: int) -> list[tuple[float, float]]:
    """Return `count` sizes of a map of SSD: ratios 1, 2, 1/2, a larger square (from 4 on), 3, 1/3 (6).

    scale: of this map, as a share of the picture; following: that of the next.
    Source: Liu 2016, arXiv:1512.02325, section 2.2.
    """

    def of(ratio: float) -> tuple[float, float]:
        return scale * ratio**0.5, scale / ratio**0.5

    between = (scale * following) ** 0.5
    return [of(1), of(2), of(1 / 2), (between, between), of(3), of(1 / 3)][:count]


def liu_scales(count: int, least: float = 0.2, most: float = 0.9) -> list[float]:
    """Return the scales of `count` maps, evenly apart, and one behind them.  Source: the same, equation 4."""
    return [least + (most - least) * index / max(1, count - 1) for index in range(count)] + [1.0]

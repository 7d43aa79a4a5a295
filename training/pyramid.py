"""A detector at several scales of a picture: windows of the size that it takes, and what it finds in all, as one.

A sliding net of one static shape sees a picture enlarged by 2 in overlapping windows of half its sides, each resized to
what the net takes: one file serves all scales. Source: Sermanet 2014, OverFeat, arXiv:1312.6229, sections 3.3 and 4.3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .boxes import Array
from .proposals import cropped

BEYOND = 0.02  # of a window, by which a box may reach over a border that cuts the picture


def windows(scale: float) -> Array:
    """Return windows over a whole picture enlarged by `scale`, as corners; neighbours share half of their sides.

    Below 1 there is one, which the picture does not fill.  Shape (n, 4).
    """
    side = 1 / scale
    count = 1 + math.ceil(2 * (scale - 1) - 1e-9) if scale > 1 else 1
    starts = np.linspace(0, 1 - side, count) if count > 1 else np.array([(1 - side) / 2])
    left, top = (each.ravel() for each in np.meshgrid(starts, starts))
    return np.stack([left, top, left + side, top + side], -1)


def of_scales(scales: Sequence[float]) -> Array:
    """Return the windows of all scales.  Shape (n, 4)."""
    return np.concatenate([windows(scale) for scale in scales])


def crops(images: Array, within: Array, shape: Sequence[int]) -> Array:
    """Return what lies in windows of each picture, in the size `shape`; outside a picture its edge goes on.

    Shapes: (N, H, W, C), (n, 4) -> (N n, *shape, C).
    """
    return np.concatenate([cropped(image, within, shape) for image in images])


def joined(boxes: Array, scores: Array, within: Array) -> tuple[Array, Array]:
    """Return boxes of windows as boxes of their pictures, scored 0 where a window's border may have cut what is there.

    The border of the picture itself cuts nothing off.
    Shapes: boxes (N n, B, 4), scores (N n, B, K), (n, 4) -> (N, n B, 4), (N, n B, K).
    """
    count, classes = len(within), scores.shape[-1]
    boxes = boxes.reshape(-1, count, *boxes.shape[1:])
    first, last = within[:, None, :2], within[:, None, 2:]
    cut = ((boxes[..., :2] < -BEYOND) & (first > 1e-6)) | ((boxes[..., 2:] > 1 + BEYOND) & (last < 1 - 1e-6))
    placed = np.concatenate([first, first], -1) + boxes * np.concatenate([last - first] * 2, -1)
    whole = scores.reshape(-1, count, *scores.shape[1:]) * ~cut.any(-1, keepdims=True)
    return placed.reshape(len(placed), -1, 4), whole.reshape(len(placed), -1, classes)

"""Boxes that may hold something, proposed on the host: windows with edges inside and few across their border.

Faster than `selective_search`, which R-CNN took, and finds less: a table of windows is scored by the edges of the
picture as Zitnick and Dollar 2014, Edge boxes, do, by sums of gradients rather than contours.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from .boxes import Array, corners, suppressed

OVERLAP = 0.7  # of proposals, from which the worse one goes: Ren 2015, arXiv:1506.01497, section 3.3
MOST = 400  # that are looked at when the best are chosen


def edges(images: Array) -> Array:
    """Return how steep the brightness is at each pixel.  Shapes: (N, H, W, C) -> (N, H, W)."""
    down, across = (reduce(np.maximum, np.moveaxis(np.abs(np.gradient(images, axis=axis)), -1, 0)) for axis in (1, 2))
    return np.hypot(down, across)


def scored(images: Array, windows: Array) -> Array:
    """Return what edges lie inside each window, without its middle, less those on its outside, over its perimeter.

    Shapes: (N, H, W, C), centred (B, 4) -> (N, B).
    """
    sums = np.pad(edges(images).cumsum(1).cumsum(2), [(0, 0), (1, 0), (1, 0)])  # (N, H + 1, W + 1)

    def within(scale: float) -> Array:
        grown = np.concatenate([windows[:, :2], windows[:, 2:] * scale], 1)
        ends = np.clip(corners(grown), 0, 1) * np.tile((images.shape[2], images.shape[1]), 2)
        left, top, right, bottom = np.rint(ends).astype(int).T
        return sums[:, bottom, right] - sums[:, top, right] - sums[:, bottom, left] + sums[:, top, left]

    rim = within(1.1) - within(0.7)
    outside = within(1.5) - within(1.1)
    return (rim - outside) / windows[:, 2:].sum(1)


def best(boxes: Array, scores: Array, count: int) -> Array:
    """Return the `count` best boxes within the picture that do not overlap much; the last is there again if too few.

    Shapes: corners (B, 4), (B,) -> (count, 4).
    """
    first = np.argsort(-scores, kind="stable")[:MOST]
    inside = np.clip(boxes[first], 0, 1)
    inside[:, 2:] = np.maximum(inside[:, 2:], inside[:, :2] + 1e-3)
    kept = inside[suppressed(inside, scores[first], OVERLAP, count)]
    return np.concatenate([kept, np.repeat(kept[-1:], count - len(kept), 0)]).astype(np.float32)


def cropped(image: Array, boxes: Array, shape: Sequence[int]) -> Array:
    """Return what lies in boxes of a picture, resized bilinearly.  Shapes: (H, W, C), (K, 4) -> (K, *shape, C)."""
    height, width = image.shape[:2]
    rows = _between(boxes[:, 1], boxes[:, 3], shape[0], height)
    columns = _between(boxes[:, 0], boxes[:, 2], shape[1], width)
    lines = (rows.reshape(-1, height) @ image.reshape(height, -1)).reshape(*rows.shape[:2], width, -1)
    lines = lines.transpose(0, 2, 1, 3).reshape(len(boxes), width, -1)  # (K, W, rows C)
    crops = (columns @ lines).reshape(*columns.shape[:2], shape[0], -1)
    return np.ascontiguousarray(crops.transpose(0, 2, 1, 3), np.float32)


def _between(first: Array, last: Array, samples: int, size: int) -> Array:
    """Return the weights of bilinear samples from `first` to `last`.  Shape (K, samples, size)."""
    share = (np.arange(samples) + 0.5) / samples
    place = np.clip((first[:, None] + (last - first)[:, None] * share) * size - 0.5, 0, size - 1)
    return np.maximum(1 - np.abs(place[..., None] - np.arange(size)), 0).astype(np.float32)

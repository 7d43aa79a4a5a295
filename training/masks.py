"""Masks in NumPy: which cells of a box, or pixels of a picture, the thing in a box fills."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .boxes import Array

Inside = Callable[[Array, Array, Array], Array]  # see `Dataset.inside`
SMALLEST = 1e-6  # side of a box, against division by zero


def in_cells(inside: Inside, cells: Sequence[int], truth: Array, boxes: Array) -> Array:
    """Return the cells of each box whose middle lies in the thing of its true box, a row each.

    Shapes: class and corners (n, 5), corners (n, 4) -> (n, rows, columns) bool.
    """
    places = []
    for axis, count in ((0, cells[1]), (1, cells[0])):
        first, last = boxes[:, axis, None], boxes[:, axis + 2, None]
        place = first + (last - first) * (np.arange(count) + 0.5) / count
        start, end = truth[:, axis + 1, None], truth[:, axis + 3, None]
        places.append((place - start) / np.maximum(end - start, SMALLEST))
    across, down = places
    return inside(truth[:, 0, None, None], across[:, None, :], down[:, :, None])


def of_picture(inside: Inside, shape: Sequence[int], truth: Array) -> Array:
    """Return the pixels of each thing, as if nothing lay on it.  Shapes: (n, 5) -> (n, H, W) bool."""
    return in_cells(inside, shape, truth, np.tile([0.0, 0.0, 1.0, 1.0], (len(truth), 1)))


def pasted(chances: Array, boxes: Array, shape: Sequence[int]) -> Array:
    """Return the pixels of each thing by the chances of its box's cells: bilinear, from one half.

    Shapes: (n, rows, columns), corners (n, 4) -> (n, H, W) bool.  Source: He 2017, arXiv:1703.06870, section 3.1.
    """
    down = _weights(boxes[:, 1], boxes[:, 3], chances.shape[1], shape[0])
    across = _weights(boxes[:, 0], boxes[:, 2], chances.shape[2], shape[1])
    return down @ chances @ across.transpose(0, 2, 1) >= 0.5


def _weights(first: Array, last: Array, cells: int, size: int) -> Array:
    """Return how much each cell counts for each of `size` pixels, none outside the box.  Shape (n, size, cells)."""
    share = ((np.arange(size) + 0.5) / size - first[:, None]) / np.maximum(last - first, SMALLEST)[:, None]
    place = np.clip(share * cells - 0.5, 0, cells - 1)
    weights = np.maximum(1 - np.abs(place[..., None] - np.arange(cells)), 0)
    return weights * ((share >= 0) & (share <= 1))[..., None]


def overlaps(a: Array, b: Array) -> Array:
    """Return the intersection over union of each pair.  Shapes: (n, H, W), (m, H, W) bool -> (n, m)."""
    one, other = (each.reshape(len(each), int(np.prod(each.shape[1:]))).astype(np.float64) for each in (a, b))
    shared = one @ other.T
    return shared / np.maximum(one.sum(1)[:, None] + other.sum(1)[None] - shared, 1)

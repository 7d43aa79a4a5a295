"""Selective search: boxes around segments of a picture, and around what comes of joining the most alike of them.

Source: Uijlings 2013, Selective search for object recognition, IJCV 104, sections 3.1 and 3.2; the first segments are
those of Felzenszwalb and Huttenlocher 2004, Efficient graph-based image segmentation, IJCV 59.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from .boxes import Array

SMOOTHED = 0.8  # deviation in pixels, before the first segments are looked for
LEVELS = (30.0, 100.0)  # k of two runs, for colours in [0, 255]: the larger, the larger segments
LEAST = 12  # pixels of a segment
COLOURS, SLOPES, DIRECTIONS = 25, 10, 8  # bins of histograms
STEEPEST = 0.4  # slope of a step from 0 to 1, smoothed by a deviation of 1 pixel: 1 / sqrt(2 pi)
OFFSETS = ((0, 1), (1, 0), (1, 1), (1, -1))  # to half of the neighbours of a pixel
SEED = 20_130_902


def proposed(image: Array, count: int) -> Array:
    """Return `count` boxes, those of whole objects likely first; the last is there again if there are too few.

    Boxes come in the order in which their segments were joined, the last first, shaken by chance (section 4.2).
    Shapes: (H, W, C) in [0, 1] -> (count, 4), corners as shares of the sides.
    """
    random, found = np.random.default_rng(SEED), []
    for level in LEVELS:
        boxes = grouped(image, segments(image, level))[::-1]
        found.append(np.column_stack([random.uniform(size=len(boxes)) * np.arange(1, len(boxes) + 1), boxes]))
    ranked = np.concatenate(found)
    boxes = ranked[np.argsort(ranked[:, 0], kind="stable"), 1:]
    _, first = np.unique(boxes, axis=0, return_index=True)
    kept = boxes[np.sort(first)][:count] / np.tile((image.shape[1], image.shape[0]), 2)
    return np.concatenate([kept, np.repeat(kept[-1:], count - len(kept), 0)]).astype(np.float32)


def segments(image: Array, level: float) -> Array:
    """Return the number of the segment of each pixel, from 0 on.

    Two segments are joined over their least difference of colours, unless that is larger than the largest that holds
    either together by more than `level` over its size; then the small ones, likewise.
    Shapes: (H, W, C) -> (H, W) int.
    """
    smooth: Any = ndimage.gaussian_filter(image.astype(np.float64) * 255, (SMOOTHED, SMOOTHED, 0))
    differences, firsts, seconds = (np.concatenate(each) for each in zip(*_edges(smooth), strict=True))
    order = np.argsort(differences, kind="stable")
    ordered = list(zip(firsts[order].tolist(), seconds[order].tolist(), differences[order].tolist(), strict=True))
    forest = _Forest(smooth.shape[0] * smooth.shape[1], level)
    for a, b, apart in ordered:
        forest.join(a, b, apart)
    for a, b, _ in ordered:
        forest.absorb(a, b)
    roots = np.array([forest.root(place) for place in range(len(forest.parent))])
    return np.unique(roots, return_inverse=True)[1].reshape(smooth.shape[:2])


def _edges(image: Array) -> Iterator[tuple[Array, Array, Array]]:
    """Yield, of neighbours in each direction, how far colours are apart and the numbers of both pixels."""
    height, width = image.shape[:2]
    places = np.arange(height * width).reshape(height, width)
    for down, across in OFFSETS:
        of = slice(0, height - down), slice(max(0, -across), width - max(0, across))
        to = slice(down, height), slice(max(0, across), width + min(0, across))
        yield np.sqrt(((image[of] - image[to]) ** 2).sum(-1)).ravel(), places[of].ravel(), places[to].ravel()


class _Forest:
    """Segments as trees of pixels."""

    def __init__(self, count: int, level: float):
        self.parent, self.size = list(range(count)), [1] * count
        self._level, self._bound = level, [level] * count

    def root(self, place: int) -> int:
        parent = self.parent
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    def join(self, a: int, b: int, apart: float) -> None:
        a, b = self.root(a), self.root(b)
        if a != b and apart <= min(self._bound[a], self._bound[b]):
            self._unite(a, b)
            self._bound[a] = apart + self._level / self.size[a]

    def absorb(self, a: int, b: int) -> None:
        a, b = self.root(a), self.root(b)
        if a != b and min(self.size[a], self.size[b]) < LEAST:
            self._unite(a, b)

    def _unite(self, a: int, b: int) -> None:
        self.parent[b] = a
        self.size[a] += self.size[b]


def grouped(image: Array, labels: Array) -> Array:
    """Return the boxes of segments and of all that they are joined to, two at a time, the most alike first.

    Likeness is the sum of four: shared colours, shared slopes, how small both are, how well they fill their box.
    Shapes: (H, W, C), (H, W) from 0 on -> (2 n - 1, 4), corners in pixels, in the order in which they came to be.
    """
    regions = _Regions(image, labels)
    near = _neighbours(labels)
    alike = {pair: regions.likeness(*pair) for pair in near}
    while alike:
        a, b = max(alike, key=lambda pair: (alike[pair], pair))
        new = regions.join(a, b)
        touching = [pair for pair in alike if a in pair or b in pair]
        others = {each for pair in touching for each in pair} - {a, b}
        for pair in touching:
            del alike[pair]
        alike |= {(other, new): regions.likeness(other, new) for other in others}
    return np.array(regions.boxes)


def _neighbours(labels: Array) -> list[tuple[int, int]]:
    """Return the pairs of segments that touch, the smaller number first."""
    height, width = labels.shape
    pairs = [np.stack([labels[: height - 1].ravel(), labels[1:].ravel()], 1),
             np.stack([labels[:, : width - 1].ravel(), labels[:, 1:].ravel()], 1)]  # fmt: skip
    found = np.unique(np.sort(np.concatenate(pairs), 1), axis=0)
    return [(int(a), int(b)) for a, b in found if a != b]


class _Regions:
    """Segments and what they were joined to: sizes, boxes, and histograms that add up to 1."""

    def __init__(self, image: Array, labels: Array):
        count = labels.max() + 1
        self.sizes = np.bincount(labels.ravel(), minlength=count).astype(float).tolist()
        self.whole = float(labels.size)
        self.boxes = [np.array([across.start, down.start, across.stop, down.stop], float)
                      for down, across in ndimage.find_objects(labels + 1)]  # fmt: skip
        told = [_histogram(labels, image[..., channel], COLOURS, (0.0, 1.0)) for channel in range(image.shape[-1])]
        sloping = [_histogram(labels, slope, SLOPES, (0.0, STEEPEST)) for slope in _slopes(image)]
        self.told = [list(_normed(told)), list(_normed(sloping))]

    def likeness(self, a: int, b: int) -> float:
        """Return how alike two are, from 0 to 4."""
        both = self.sizes[a] + self.sizes[b]
        left, top, right, bottom = _around(self.boxes[a], self.boxes[b])
        gap = ((right - left) * (bottom - top) - both) / self.whole
        return sum(float(np.minimum(each[a], each[b]).sum()) for each in self.told) + 2 - both / self.whole - gap

    def join(self, a: int, b: int) -> int:
        """Join two, and return the number of what they are together."""
        both = self.sizes[a] + self.sizes[b]
        for each in self.told:
            each.append((self.sizes[a] * each[a] + self.sizes[b] * each[b]) / both)
        self.sizes.append(both)
        self.boxes.append(_around(self.boxes[a], self.boxes[b]))
        return len(self.sizes) - 1


def _around(a: Array, b: Array) -> Array:
    return np.concatenate([np.minimum(a[:2], b[:2]), np.maximum(a[2:], b[2:])])


def _slopes(image: Array) -> Iterator[Array]:
    """Yield how steeply each channel rises in each direction."""
    orders: Any = ((1, 0), (0, 1))
    for channel in np.moveaxis(image, -1, 0):
        down, across = (ndimage.gaussian_filter(channel, 1.0, order) for order in orders)
        for turn in np.arange(DIRECTIONS) * 2 * np.pi / DIRECTIONS:
            yield np.maximum(np.cos(turn) * across + np.sin(turn) * down, 0)


def _histogram(labels: Array, values: Array, bins: int, within: tuple[float, float]) -> Array:
    """Count values of each segment.  Shape (segments, bins)."""
    low, high = within
    of = np.clip(((values - low) / (high - low) * bins).astype(int), 0, bins - 1)
    count = labels.max() + 1
    return np.bincount((labels * bins + of).ravel(), minlength=count * bins).reshape(count, bins)


def _normed(parts: Sequence[Array]) -> Array:
    whole = np.concatenate(parts, 1).astype(float)
    return whole / whole.sum(1, keepdims=True)

"""Boxes in NumPy: overlap, matching, offsets from default boxes, suppression, what counts as found.

A box is its corners (left, top, right, bottom) as shares of the picture's width and height; a default box, as tables of
models hold it, is its centre and size (x, y, width, height). Truth of pictures is an array (N, most, 5): class and
corners, the class -1 where there is none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Array = np.ndarray
VARIANCES = (0.1, 0.1, 0.2, 0.2)  # by which offsets are divided: Liu 2016, arXiv:1512.02325, in its code
OVERLAP = 0.5  # from which a box is the other one
FAINT = 0.05  # score of what is not kept: it is too seldom right to change the average precision
AT_ONCE = 48  # boxes that are compared with all others: few are enough where few are to be kept
LARGEST_LOG = 4.0  # of a size over the default one, against overflow


def corners(centred: Array) -> Array:
    """Return (x, y, width, height) as corners.  Shapes: (..., 4) -> the same."""
    middle, half = centred[..., :2], centred[..., 2:] / 2
    return np.concatenate([middle - half, middle + half], -1)


def centred(boxes: Array) -> Array:
    """Return corners as (x, y, width, height).  Shapes: (..., 4) -> the same."""
    first, last = boxes[..., :2], boxes[..., 2:]
    return np.concatenate([(first + last) / 2, last - first], -1)


def iou(a: Array, b: Array) -> Array:
    """Return the intersection over union of each pair.  Shapes: (N, 4), (M, 4) -> (N, M)."""
    first = np.maximum(a[:, None, :2], b[None, :, :2])
    last = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = _area(last - first)
    areas = [_area(each[:, 2:] - each[:, :2]) for each in (a, b)]
    return shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-12)


def _area(sides: Array) -> Array:
    """Return width by height, 0 where one is negative: a product of two, for reductions along two cost ten times it."""
    sides = np.maximum(sides, 0)
    return sides[..., 0] * sides[..., 1]


def suppressed(boxes: Array, scores: Array, overlap: float = OVERLAP, most: int | None = None) -> Array:
    """Return the places of the boxes that are left, best first: none overlaps a better one by more than `overlap`.

    Shapes: (N, 4), (N,) -> (kept,).
    """
    order, kept = np.argsort(-scores, kind="stable"), []
    while len(order):
        first = order[:AT_ONCE]
        near = iou(boxes[first], boxes[order]) > overlap
        left = np.ones(len(order), bool)
        for place in range(len(first)):
            if left[place]:
                kept.append(order[place])
                if len(kept) == most:
                    return np.array(kept, int)
                left &= ~near[place]
        order = order[len(first) :][left[len(first) :]]
    return np.array(kept, int)


def offsets(boxes: Array, default: Array) -> Array:
    """Return where boxes lie as seen from default boxes: ((x, y) / size, log size), over `VARIANCES`.

    Shapes: corners (..., 4), centred (..., 4) -> (..., 4).
    """
    of = centred(boxes)
    place = (of[..., :2] - default[..., :2]) / default[..., 2:]
    size = np.log(np.maximum(of[..., 2:], 1e-6) / default[..., 2:])
    return np.concatenate([place, size], -1) / np.array(VARIANCES, np.float32)


def placed(told: Array, default: Array) -> Array:
    """Return the boxes that offsets tell: the inverse of `offsets`."""
    told = told * np.array(VARIANCES, np.float32)
    place = told[..., :2] * default[..., 2:] + default[..., :2]
    size = np.exp(np.minimum(told[..., 2:], LARGEST_LOG)) * default[..., 2:]
    return corners(np.concatenate([place, size], -1))


def there(truth: Array) -> Array:
    """Return the rows of one picture's truth that are boxes.  Shapes: (most, 5) -> (n, 5)."""
    return truth[truth[:, 0] >= 0]


def matched(default: Array, truth: Array, overlap: float = OVERLAP) -> Array:
    """Return which true box each default box stands for, -1 for none: one it overlaps by `overlap`, and of each true
    box its best default box in any case.

    Shapes: corners (B, 4), corners (n, 4) -> (B,).  Source: Liu 2016, arXiv:1512.02325, section 2.2.
    """
    if not len(truth):
        return np.full(len(default), -1)
    shared = iou(default, truth)  # (B, n)
    chosen = np.where(shared.max(1) >= overlap, shared.argmax(1), -1)
    for _ in range(len(truth)):  # the best pairs first, so that no true box takes another's
        best, of = np.unravel_index(shared.argmax(), shared.shape)
        chosen[best] = of
        shared[best], shared[:, of] = -1, -1
    return chosen


def found(boxes: Array, scores: Array, floor: float = FAINT, most: int = 100, overlap: float = OVERLAP) -> Array:
    """Return what is detected in a picture, best first: class, score, corners.

    Of each class the boxes above `floor` that are not suppressed; of all together the `most` best.
    Shapes: (B, 4), scores (B, K) -> (n, 6).
    """
    parts = []
    for label in range(scores.shape[1]):
        above = np.flatnonzero(scores[:, label] > floor)
        above = above[np.argsort(-scores[above, label], kind="stable")[: 4 * most]]
        kept = above[suppressed(boxes[above], scores[above, label], overlap, most)]
        parts.append(np.column_stack([np.full(len(kept), label), scores[kept, label], boxes[kept]]))
    whole = np.concatenate(parts) if parts else np.zeros((0, 6))
    return whole[np.argsort(-whole[:, 1], kind="stable")[:most]]


def judged(detected: Array, truth: Array, overlap: float = OVERLAP, shared: Array | None = None) -> Array:
    """Return what a picture adds to the average precision: rows of class, score, whether it hits, how many there are.

    A detection hits the true box of its class that it overlaps most, by at least `overlap`, if no better one has hit
    it; true boxes are counted in rows of their own, whose score is 0. At least one row.
    shared: how much each overlaps each true one, None as boxes do.
    Shapes: (n, 6), (m, 5), (n, m) -> (rows, 4).
    """
    shared = iou(detected[:, 2:], truth[:, 1:]) if shared is None else shared
    rows = []
    for label in np.unique(np.concatenate([detected[:, 0], truth[:, 0]])):
        said, true = detected[:, 0] == label, truth[:, 0] == label
        if true.any():
            rows.append((label, 0.0, 0.0, true.sum()))
        free = np.ones(true.sum(), bool)
        for score, each in zip(detected[said, 1], shared[said][:, true], strict=True):
            best = int(each.argmax()) if len(free) else -1
            hit = bool(best >= 0 and each[best] >= overlap and free[best])
            if hit:
                free[best] = False
            rows.append((label, score, float(hit), 0.0))
    return np.array(rows or [(0.0, 0.0, 0.0, 0.0)], np.float64)


def drawn(images: Array, boxes: Sequence[Array], colours: Array) -> Array:
    """Return pictures with the edges of boxes in the colour of their class.

    Shapes: (N, H, W, C), N arrays (n, 5) of class and corners, (K, 3) -> (N, H, W, 3).
    """
    shown = np.repeat(images, 3, -1) if images.shape[-1] == 1 else images.copy()
    height, width = shown.shape[1:3]
    for image, of in zip(shown, boxes, strict=True):
        scaled = of[:, 1:] * (width, height, width, height)
        edges = np.clip(np.rint(scaled), 0, (width - 1, height - 1) * 2).astype(int)
        for label, (left, top, right, bottom) in zip(of[:, 0].astype(int), edges, strict=True):
            colour = colours[label % len(colours)]
            image[[top, bottom], left : right + 1] = colour
            image[top : bottom + 1, [left, right]] = colour
    return shown

"""Pictures changed at random on the host, as learners need them that look at one picture twice."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

SHIFT = 1 / 8  # of a side, at most
TURN = 0.35  # radians; the most that strong changes turn, and by which share they stretch and shear
HIDDEN = 0.4  # of a side, at most, that a grey square hides


def weakly(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return pictures shifted by whole pixels, zeros coming in.  Shapes: (N, H, W, C); others are left as they are."""
    if x.ndim != 4:
        return x
    most = [max(1, round(SHIFT * size)) for size in x.shape[1:3]]
    wide = np.pad(x, ((0, 0), *((size, size) for size in most), (0, 0)))
    starts = np.stack([random.integers(0, 2 * size + 1, len(x)) for size in most], axis=1)
    return np.stack([one[a : a + x.shape[1], b : b + x.shape[2]] for one, (a, b) in zip(wide, starts, strict=True)])


def strongly(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return pictures turned, stretched, sheared and shifted, with a square of them hidden by their mean.

    Shapes: (N, H, W, C); others are left as they are.  Source: those of RandAugment, Cubuk 2020, arXiv:1909.13719, that
    move pixels, and Cutout, DeVries 2017, arXiv:1708.04552.
    """
    if x.ndim != 4:
        return x
    made = np.empty_like(x)
    middle = (np.array(x.shape[1:3]) - 1) / 2
    for place, picture in enumerate(weakly(x, random)):
        (angle, shear), stretch = random.uniform(-TURN, TURN, 2), random.uniform(1 - TURN, 1 + TURN, 2)
        turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = turned @ np.array([[1, shear], [0, 1]]) @ np.diag(stretch)
        offset: Any = middle - matrix @ middle
        for channel in range(x.shape[-1]):
            made[place, ..., channel] = ndimage.affine_transform(picture[..., channel], matrix, offset, order=1)
        size = [round(random.uniform(0, HIDDEN) * side) for side in x.shape[1:3]]
        top, left = (random.integers(0, side - hidden + 1) for side, hidden in zip(x.shape[1:3], size, strict=True))
        made[place, top : top + size[0], left : left + size[1]] = x[place].mean()
    return made

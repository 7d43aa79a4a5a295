"""Scenes of boxes, and what each is to each other: what a detector would hand on to who tells relations."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import BadInput
from .dataset import Dataset, Split
from .sets import Asked, dataset

RELATIONS = ("none", "inside", "holds", "left of", "right of", "above", "below")
COUNTS = {"train": 1600, "validation": 200, "test": 400}
BOXES, KINDS = 5, 4
HELD = 0.35  # of the boxes lie in one drawn before
NEAR = 0.55  # of the scene's side between middles, beyond which nothing is said


@dataset(input_shape=(BOXES, KINDS + 4), tasks=("classification",))
def box_scenes(asked: Asked) -> Dataset:
    """Return five boxes a scene, kind one-hot and left, top, right, bottom in [0, 1], and all pairs' relations.

    A box that lies in another is inside it; middles apart by more than 0.55 say nothing; else the longer way, across or
    down, tells. A box is nothing to itself.
    """
    if asked.input_shape != (BOXES, KINDS + 4):
        raise BadInput(f"data set 'box_scenes' has samples {(BOXES, KINDS + 4)}, asked is {asked.input_shape}")
    random, splits = np.random.default_rng(0), {}
    for part, count in COUNTS.items():
        boxes = np.stack([_scene(random) for _ in range(count)])
        kinds = np.eye(KINDS)[random.integers(KINDS, size=(count, BOXES))]
        x = np.concatenate([kinds, boxes], -1).astype(np.float32)
        splits[part] = Split(x=x, y=relations(boxes).astype(np.int32))
    made: dict[str, Any] = splits
    return Dataset(name="box_scenes", task="classification", classes=len(RELATIONS), labels=RELATIONS,
                   source=("drawn by Edgewright",), **made)  # fmt: skip


def relations(boxes: np.ndarray) -> np.ndarray:
    """Return what each box is to each other, by number of `RELATIONS`.  Shapes: (..., K, 4) -> (..., K, K)."""
    one, other = boxes[..., :, None, :], boxes[..., None, :, :]
    inside = np.all(one[..., :2] >= other[..., :2], -1) & np.all(one[..., 2:] <= other[..., 2:], -1)
    holds = np.swapaxes(inside, -1, -2)
    middles = (boxes[..., :2] + boxes[..., 2:]) / 2
    across, down = np.moveaxis(middles[..., None, :, :] - middles[..., :, None, :], -1, 0)
    same = np.eye(boxes.shape[-2], dtype=bool)
    far = np.hypot(across, down) > NEAR
    beside = np.where(np.abs(across) > np.abs(down), np.where(across > 0, 3, 4), np.where(down > 0, 5, 6))
    return np.select([same | (inside & holds), inside, holds, far], [0, 1, 2, 0], beside)


def _scene(random: np.random.Generator) -> np.ndarray:
    """Return boxes (K, 4): left, top, right, bottom."""
    boxes = np.empty((BOXES, 4))
    for place in range(BOXES):
        left, top, right, bottom = 0.0, 0.0, 1.0, 1.0
        sizes = random.uniform(0.1, 0.4, 2)
        if place and random.uniform() < HELD:
            left, top, right, bottom = boxes[random.integers(place)]
            sizes = np.array([right - left, bottom - top]) * random.uniform(0.3, 0.8, 2)
        corner = np.array([left, top]) + random.uniform(size=2) * (np.array([right - left, bottom - top]) - sizes)
        boxes[place] = *corner, *(corner + sizes)
    return boxes

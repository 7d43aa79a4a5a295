"""Videos of a digit that moves and bounces off the edges of its frames, made of the images of other sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ...errors import BadInput
from .dataset import Dataset, Split
from .images import digits, mnist
from .sets import Asked, dataset, sources, split_for

TASKS = ("classification", "reconstruction")
COUNTS = {"train": 2000, "validation": 250, "test": 500}
SPEEDS = 1 / 16, 1 / 8  # least and most of a frame's shorter side that a digit moves from frame to frame
ANOMALOUS = -1  # no class is held out


@dataset(input_shape=(8, 16, 16, 1), tasks=TASKS, floor=0.5)
def moving_digits(asked: Asked) -> Dataset:
    """Return videos of scikit-learn's digits; a video's class is its digit, no digit is in two splits."""
    return _moving(digits, asked)


@dataset(input_shape=(16, 64, 64, 1), tasks=TASKS, here=lambda: sources()["mnist"].here(), floor=0.5)
def moving_mnist(asked: Asked) -> Dataset:
    """Return videos of MNIST's digits, one in each (Srivastava 2015, arXiv:1502.04681, has two)."""
    return _moving(mnist, asked)


def _moving(images: Callable[[Asked], Dataset], asked: Asked) -> Dataset:
    if asked.dtype != "float32" or len(asked.input_shape) != 4 or asked.input_shape[-1] != 1:
        raise BadInput(f"videos of digits cannot be shown as {asked.dtype} {asked.input_shape}; give float32 of shape "
                       "(frames, height, width, 1)")  # fmt: skip
    frames, height, width, _ = asked.input_shape
    side = min(height, width) // 2
    known = images(replace(asked, input_shape=(side, side, 1), task="classification"))
    random, splits = np.random.default_rng(0), {}
    for part, count in COUNTS.items():
        split: Split = known.splits[part]
        chosen = random.integers(0, len(split), count)
        x = videos(np.asarray(split.x)[chosen, ..., 0], frames, (height, width), random)
        splits[part] = split_for(asked.task, part, x, np.asarray(split.y)[chosen], ANOMALOUS)
    facts: dict[str, Any] = {"classes": known.classes} if asked.task == "classification" else {}
    return Dataset(
        name=f"moving_{known.name}",
        task=asked.task,
        preprocessing=f"{known.preprocessing}; moved in {frames} frames of {height}x{width}",
        source=known.source,
        **facts,
        **splits,
    )


def videos(pictures: np.ndarray, frames: int, size: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Move each picture on black at a speed and in a direction of its own, by whole pixels.

    Shapes: pictures (N, h, w) -> (N, frames, H, W, 1) float32.
    """
    count, *inner = pictures.shape
    room = np.array(size) - inner  # (2,) for rows and columns
    angle, speed = random.uniform(0, 2 * np.pi, count), random.uniform(*SPEEDS, count) * min(size)
    velocity = speed[:, None] * np.stack([np.sin(angle), np.cos(angle)], -1)  # (N, 2)
    path = random.uniform(0, room, (count, 2))[:, None] + np.arange(frames)[:, None] * velocity[:, None]  # (N, T, 2)
    corner = np.rint(bounced(path, room)).astype(int)
    rows, columns = (corner[..., axis, None] + np.arange(inner[axis]) for axis in range(2))  # (N, T, h), (N, T, w)
    found = np.zeros((count, frames, *size, 1), np.float32)
    video, frame = np.ogrid[:count, :frames]
    found[video[..., None, None], frame[..., None, None], rows[..., None], columns[..., None, :], 0] = pictures[:, None]
    return found


def bounced(path: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Return where what goes straight on is, if it is thrown back at 0 and at `room`.  Shapes: (..., k), (k,)."""
    return room - np.abs(path % (2 * np.maximum(room, 1)) - room)

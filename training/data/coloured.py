"""Digits in colours: a set without files for what learns from the colours of pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...errors import BadInput
from .dataset import Dataset
from .images import GREY, digits
from .sets import Asked, dataset

LIGHT = 0.45  # luma of every hue at full ink: what is grey tells nothing of it
DEVIATION = 0.3  # radians of a hue around that of its class


@dataset(input_shape=(8, 8, 3), tasks=("classification",), floor=0.65)
def coloured_digits(asked: Asked) -> Dataset:
    """Return scikit-learn's digits, each in the hue of its class, more or less; all hues are equally light."""
    if len(asked.input_shape) != 3 or asked.input_shape[-1] != 3:
        raise BadInput(f"coloured_digits cannot be shown as {asked.input_shape}; give (height, width, 3)")
    known, random = digits(asked), np.random.default_rng(0)
    splits: dict[str, Any] = {}
    for part, split in known.splits.items():
        labels = np.asarray(split.y)
        hues = 2 * np.pi * labels / known.classes + random.normal(0, DEVIATION, len(labels))
        splits[part] = replace(split, x=(np.asarray(split.x) * inks(hues)[:, None, None]).astype(np.float32))
    words = f"{known.preprocessing}; each in a hue near that of its class"
    return replace(known, name="coloured_digits", preprocessing=words, augmentation=None, **splits)


def inks(hues: np.ndarray) -> np.ndarray:
    """Return colours of hues in radians, all of one luma and in [0, 1].  Shapes: (N,) -> (N, 3)."""
    wheel = 1 + np.cos(hues[:, None] - 2 * np.pi * np.arange(3) / 3)  # red, green, blue
    chroma = wheel - (wheel @ GREY)[:, None]
    room = np.where(chroma > 0, (1 - LIGHT) / np.maximum(chroma, 1e-6), LIGHT / np.maximum(-chroma, 1e-6)).min(1)
    return LIGHT + room[:, None] * chroma

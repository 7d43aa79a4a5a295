"""Test samples made worse, by a stated strength: what a model keeps of its metric, in float and in 8 bits alike.

Source: Hendrycks and Dietterich 2019, arXiv:1903.12261, of which these are three.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import BadInput
from .config import CORRUPTIONS, measured_by
from .data import Dataset

Change = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Corruption:
    """A kind. strength: where nothing is said; 0 leaves samples as they are. image: it is of images alone."""

    strength: float
    change: Change
    image: bool = True


def _noise(x: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    return x + strength * random.standard_normal(x.shape, np.float32)  # of that standard deviation


def _blur(x: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(x, (0, strength, strength, 0))  # standard deviation in pixels


def _contrast(x: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    return x - min(strength, 1.0) * (x - x.mean((1, 2), keepdims=True))  # a share of it is taken


KINDS = {
    "noise": Corruption(0.1, _noise, image=False),
    "blur": Corruption(1.0, _blur),
    "contrast": Corruption(0.5, _contrast),
}


def corrupted(dataset: Dataset, asked: Sequence[str]) -> Dataset:
    """Return `dataset` with its test samples changed, in the order in which the changes are named, as "noise:0.1".

    Values stay in the range that they had; the same samples for the same words.
    Raises: BadInput for samples that are not one float array, or for a change of images where they are none.
    """
    x, random = dataset.test.x, np.random.default_rng(0)
    for text in asked:
        name, strength = measured_by(f"--corrupt {text}:", text, CORRUPTIONS)
        kind = KINDS[name]
        if not isinstance(x, np.ndarray) or x.dtype != np.float32 or (kind.image and x.ndim != 4):
            what = "images (height, width, channels)" if kind.image else "one float array"
            raise BadInput(f"--corrupt {text}: samples of {dataset.name!r} are not {what}; leave it out")
        changed = kind.change(x, kind.strength if strength is None else strength, random)
        x = np.clip(changed, x.min(), x.max()).astype(np.float32)
    if not asked:
        return dataset
    return replace(dataset, name=f"{dataset.name} ({', '.join(asked)})", test=replace(dataset.test, x=x))

"""Pictures of one shape each, all of whose factors are known: drawn here, or the official ones of dSprites.

Matthey 2017, dSprites: disentanglement testing sprites dataset.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...errors import BadInput
from . import sources
from .dataset import Dataset, Split
from .images import FORMS
from .sets import Asked, dataset, present

NAMES = ("shape", "scale", "orientation", "x", "y")
LEVELS = (3, 6, 40, 32, 32)  # of each factor
CHOSEN = 4000  # pictures to train on; a quarter as many to validate and to test
FINE = 2  # samples of a pixel's side
OFFICIAL = "dsprites/dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
TASKS = ("reconstruction",)

Draw = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Scenes(Dataset):
    """Pictures, and how one is had of its factors: draw(factors (N, 5), integers below `LEVELS`) -> pictures."""

    draw: Draw


@dataset(input_shape=(64, 64, 1), tasks=TASKS)
def shapes(asked: Asked) -> Dataset:
    """Return squares, ellipses and hearts, drawn in the size that the model takes."""
    show, words = present(FORMS, "shapes", asked)
    side = _side(asked.input_shape)
    words = f"drawn as {side}x{side} pixels; {words.format(asked.input_shape)}"
    return _scenes("shapes", asked, lambda factors: show(drawn(factors, side)[..., None], asked.input_shape), words,
                   ("drawn by Edgewright",))  # fmt: skip


@dataset(input_shape=(64, 64, 1), tasks=TASKS, here=lambda: bool(sources.find(OFFICIAL)))
def dsprites(asked: Asked) -> Dataset:
    """Return pictures of the official file, of the shape that the model takes."""
    path = sources.find(OFFICIAL)
    if path is None:
        raise BadInput(f"{OFFICIAL} was not found; put the official file in $EDGEWRIGHT_DATA, or take data 'shapes'")
    with np.load(path, allow_pickle=False) as file:  # its member of metadata is a pickle, and is left unread
        pictures = file["imgs"]
    show, words = present(FORMS, "dsprites", asked)

    def draw(factors: np.ndarray) -> np.ndarray:
        places = np.ravel_multi_index(tuple(np.asarray(factors).T), LEVELS)
        return show(pictures[places].astype(np.float32)[..., None], asked.input_shape)

    return _scenes("dsprites", asked, draw, words.format(asked.input_shape), (OFFICIAL,))


def _scenes(name: str, asked: Asked, draw: Draw, words: str, source: tuple[str, ...]) -> Dataset:
    random = np.random.default_rng(0)
    splits = {}
    for part, count in (("train", CHOSEN), ("validation", CHOSEN // 4), ("test", CHOSEN // 4)):
        x = draw(random.integers(0, LEVELS, (count, len(LEVELS))))
        splits[part] = Split(x=x, y=x)
    return Scenes(name=name, task=asked.task, preprocessing=words, source=source, draw=draw, **splits)


def _side(shape: tuple[int, ...]) -> int:
    """Return the side of a square picture.  Raises: BadInput for what is none."""
    size = shape[0] * shape[1] if len(shape) == 3 else shape[0]
    side = round(size**0.5)
    if side**2 != size or len(shape) == 2 or (len(shape) == 3 and shape[0] != shape[1]):
        raise BadInput(f"data set 'shapes' draws square pictures, asked is {shape}; give (n, n, channels) or (n * n,)")
    return side


def drawn(factors: np.ndarray, side: int) -> np.ndarray:
    """Draw shapes, white on black, anti-aliased.  Shapes: (N, 5) -> (N, side, side) float32 in [0, 1].

    A half of the side is what the largest is wide; scale 0 is half of that. All lie inside the picture.
    """
    factors = np.asarray(factors)
    steps = (np.arange(side * FINE) + 0.5) / (side * FINE)  # of the picture's side
    found = np.empty((len(factors), side, side), np.float32)
    for start in range(0, len(factors), 256):
        part = factors[start : start + 256]
        inside = _inside(part, steps).reshape(len(part), side, FINE, side, FINE)
        found[start : start + 256] = inside.mean((2, 4))
    return found


def _inside(factors: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return which of a grid of points lie in the shapes, (N, rows, columns)."""
    kind, scale, turn, column, row = (factors[:, k, None, None].astype(np.float32) for k in range(len(LEVELS)))
    half = (0.5 + 0.5 * scale / (LEVELS[1] - 1)) * np.float32(0.2)
    right = steps[None, None, :].astype(np.float32) - (0.25 + 0.5 * column / (LEVELS[3] - 1))
    down = steps[None, :, None].astype(np.float32) - (0.25 + 0.5 * row / (LEVELS[4] - 1))
    angle = 2 * np.pi * turn / LEVELS[2]
    u = (np.cos(angle) * right + np.sin(angle) * down) / half
    v = (np.cos(angle) * down - np.sin(angle) * right) / half
    square = (np.abs(u) < 0.85) & (np.abs(v) < 0.85)
    ellipse = u**2 + (v / 0.6) ** 2 < 1
    a, b = 1.2 * u, -1.2 * v + 0.1
    heart = (a**2 + b**2 - 1) ** 3 - a**2 * b**3 < 0
    return np.where(kind == 0, square, np.where(kind == 1, ellipse, heart))

"""Pictures and what is said of them: shapes with captions, and lines of digits with their text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...errors import BadInput
from . import sets
from .audio import packed
from .dataset import Dataset, Split
from .images import resize, to_channels
from .marks import BOS, EOS, SPECIAL
from .sets import Asked, dataset
from .shapes import drawn
from .translation import SPACE, padded

COUNTS = {"train": 4000, "validation": 400, "test": 600}
KINDS, SIZES = ("square", "ellipse", "heart"), {"small": 1, "large": 5}  # of `shapes`, and their scales
WHERE = ("left of", "above")
NEAR, FAR = (0, 5), (27, 32)  # levels of a place, of what lies first and of what lies behind
ALONE = 0.2  # share of pictures of one shape
WORDS = ("a", *SIZES, *KINDS, "left", "of", "above")
LINE = (3, 5)  # digits of a line, at least and at most
DRAWN = ("digits", "mnist")  # whose frames are columns
SPOKEN = (1, 3)  # of a string that is spoken
PER_DIGIT = 8  # columns of a digit in the lines' own shape


@dataset(input_shape={"source": (24, 24, 1), "target": (10,)}, tasks=("captioning",), floor=40.0)
def captioned_shapes(asked: Asked) -> Dataset:
    """Return pictures of one or two shapes, and captions as "a small heart left of a large square"; 4,000/400/600."""
    size, (length,) = asked.shapes("captioned_shapes", "source", "target")
    random = np.random.default_rng(0)
    parts = {part: _scenes(random, count, size) for part, count in COUNTS.items()}
    words = f"drawn as {size[0]}x{size[1]} pixels; {len(WORDS)} words"
    return _captioned("captioned_shapes", asked, parts, WORDS, length=length, told=words, read="source")


def _scenes(random: np.random.Generator, count: int, size: tuple[int, ...]) -> tuple[np.ndarray, list[str]]:
    """Return pictures (N, H, W, C) and their captions."""
    kinds, scales = random.integers(0, len(KINDS), (count, 2)), random.integers(0, len(SIZES), (count, 2))
    beside, alone = random.integers(0, len(WHERE), count), random.random(count) < ALONE
    factors = np.empty((count, 2, 5), int)
    factors[..., 0], factors[..., 2] = kinds, random.integers(0, 40, (count, 2))
    factors[..., 1] = np.array(list(SIZES.values()))[scales]
    along = np.stack([random.integers(*each, count) for each in (NEAR, FAR)], -1)
    across = random.integers(0, 32, (count, 2))
    factors[..., 3] = np.where(beside[:, None] == 0, along, across)  # columns
    factors[..., 4] = np.where(beside[:, None] == 0, across, along)
    side = max(size[:2])
    first, second = (drawn(factors[:, place], side) for place in (0, 1))
    pictures = np.maximum(first, np.where(alone[:, None, None], 0, second))[..., None].astype(np.float32)
    shown = to_channels(resize(pictures, size[:2]), size[2])
    names = [[f"a {tuple(SIZES)[scale]} {KINDS[kind]}" for kind, scale in zip(*row, strict=True)]
             for row in zip(kinds, scales, strict=True)]  # fmt: skip
    told = [first if lone else f"{first} {WHERE[at]} {second}"
            for (first, second), at, lone in zip(names, beside, alone, strict=True)]  # fmt: skip
    return shown, told


SHAPE = {"source": (8, LINE[1] * PER_DIGIT, 1), "target": (LINE[1] + 2,)}


@dataset(input_shape=SHAPE, tasks=("captioning", "transduction"), floor=40.0)
def digit_lines(asked: Asked) -> Dataset:
    """Return lines of 3 to 5 digits of `digits` beside each other, and what they say; 4,000/400/600."""
    return _lines("digit_lines", "digits", asked)


@dataset(input_shape=SHAPE, tasks=("captioning",), floor=40.0, here=lambda: sets.source("mnist").here())
def mnist_lines(asked: Asked) -> Dataset:
    """Return such lines of digits of MNIST."""
    return _lines("mnist_lines", "mnist", asked)


@dataset(input_shape={"frames": (60, 20), "target": (6,)}, tasks=("transduction",), here=lambda: packed() is not None)
def fsdd_strings(asked: Asked) -> Dataset:
    """Return 1 to 3 spoken digits of `fsdd` behind each other, by whoever says them, and what they say."""
    return _lines("fsdd_strings", "fsdd", asked, SPOKEN)


def _lines(name: str, base: str, asked: Asked, line: tuple[int, int] = LINE) -> Dataset:
    """Return digits of data `base` behind each other: of a picture from left to right, of frames in time."""
    frames = asked.task == "transduction"
    read = "frames" if frames else "source"
    shape, (length,) = asked.shapes(name, read, "target")
    height, width = (shape[1], shape[0]) if frames else shape[:2]
    if width % line[1] or length < line[1] + 1:
        raise BadInput(f"data set {name!r} has lines of {line[1]} digits, asked is {read} {shape} and {length} tokens: "
                       f"the length must be a multiple of {line[1]}, tokens {line[1] + 1} at least")  # fmt: skip
    known = _digits(base, width // line[1], height)
    random = np.random.default_rng(0)
    parts = {}
    for part, split in known.splits.items():
        joined, told = _joined(random, np.asarray(split.x), split.y, COUNTS[part], line)
        pictures = joined if frames else to_channels(joined.transpose(0, 2, 1)[..., None], shape[2])
        parts[part] = (np.ascontiguousarray(pictures, np.float32), told)
    words = f"{line[0]} to {line[1]} digits of {base!r} behind each other; {known.preprocessing}"
    return _captioned(name, asked, parts, list("0123456789"), length=length, told=words, read=read,
                      source=known.source)  # fmt: skip


def _digits(base: str, frames: int, features: int) -> Dataset:
    """Return digits as frames (N, frames, features): those of a picture are its columns."""
    entry = sets.source(base)
    drawn = base in DRAWN
    shape = (features, frames, 1) if drawn else (frames, features)
    known = entry.load(sets.asked(entry, input_shape=shape, dtype="float32", task="classification", vocabulary=None))
    if not drawn:
        return known
    splits = {part: replace(split, x=np.asarray(split.x)[..., 0].transpose(0, 2, 1))
              for part, split in known.splits.items()}  # fmt: skip
    return replace(known, **splits)


def _joined(
    random: np.random.Generator, x: np.ndarray, digits: np.ndarray, count: int, line: tuple[int, int]
) -> tuple[np.ndarray, list[str]]:
    """Return frames (N, most T, F) of digits (n, T, F) behind each other, zeros behind the last, and what they say."""
    chosen, many = random.integers(0, len(x), (count, line[1])), random.integers(line[0], line[1] + 1, count)
    there = np.arange(line[1]) < many[:, None]
    joined = np.where(there[..., None, None], x[chosen], 0).reshape(count, -1, x.shape[-1])
    told = [" ".join(map(str, digits[row[:size]])) for row, size in zip(chosen, many, strict=True)]
    return joined, told


def _captioned(
    name: str, asked: Asked, parts: dict[str, Any], words: Sequence[str], *, length: int, told: str, read: str,
    source: tuple[str, ...] = ("drawn by Edgewright",),
) -> Dataset:  # fmt: skip
    """Return pictures and their captions as ids: the target begins with <s>, and y is what follows.

    Of transduction the target begins with 0, the blank, and y has no end: when a line ends its frames say.
    Raises: BadInput for captions that are longer than the model's.
    """
    ids = {word: place for place, word in enumerate(words, len(SPECIAL))}
    show = _of_blanks if asked.task == "transduction" else _of_marks
    splits = {}
    for part, (pictures, captions) in parts.items():
        rows = [[ids[word] for word in caption.split()] for caption in captions]
        if (longest := max(map(len, rows))) >= length:
            raise BadInput(f"data set {name!r} has captions of {longest} words, which take {longest + 1} tokens; the "
                           f"model has {length}")  # fmt: skip
        splits[part] = Split(**show(read, pictures, rows, length))
    labels = (*SPECIAL, *(f"{SPACE}{word}" for word in words))
    return Dataset(name=name, task=asked.task, classes=len(labels), vocabulary=len(labels), labels=labels,
                   preprocessing=f"{told}; ids 0 on: {' '.join(SPECIAL)}, then words", source=source,
                   **splits)  # fmt: skip


Show = Callable[[str, np.ndarray, list[list[int]], int], dict[str, Any]]


def _of_marks(read: str, pictures: np.ndarray, rows: list[list[int]], length: int) -> dict[str, Any]:
    return {"x": {read: pictures, "target": padded([[BOS, *row] for row in rows], length)},
            "y": padded([[*row, EOS] for row in rows], length)}  # fmt: skip


def _of_blanks(read: str, pictures: np.ndarray, rows: list[list[int]], length: int) -> dict[str, Any]:
    return {"x": {read: pictures, "target": padded([[0, *row] for row in rows], length)},
            "y": padded(rows, length)}  # fmt: skip

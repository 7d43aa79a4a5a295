"""Digits as codes, each behind a caption made of its label: what a model of texts and pictures together reads.

A picture is cut into patches, and each is told by the nearest of so many prototypes of training patches: the table that
a vector-quantized autoencoder would learn, found by k-means.
"""

from __future__ import annotations

from math import isqrt
from typing import Any

import numpy as np

from ...errors import BadInput
from . import sets
from .dataset import Dataset, Split
from .sets import Asked, dataset
from .targets import Head

PATCH = 2  # pixels a side
CODES = 64  # ids of a picture, before those of words
ROUNDS = 20  # of k-means
FITTED = 1000  # pictures whose patches the prototypes are found of
AT_ONCE = 4096  # pictures whose distances are held at once
WORDS = ("even", "odd", "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
BEGIN, END = "<picture>", "</picture>"
TOKENS = (*(f"<{code}>" for code in range(CODES)), *WORDS, BEGIN, END)
TEXT = 3  # tokens before a picture: even or odd, which digit, and that it begins
LOGITS, IMAGE = "logits", "image"


@dataset(input_shape=(TEXT + 16,), dtype="int32", tasks=("text_to_image",))
def captioned_digits(asked: Asked) -> Dataset:
    """Return the digits of scikit-learn as codes, behind captions as "odd seven"."""
    return _captioned("captioned_digits", "digits", asked)


@dataset(
    input_shape=(TEXT + 196,), dtype="int32", tasks=("text_to_image",), here=lambda: sets.source("mnist").here()
)  # fmt: skip
def captioned_mnist(asked: Asked) -> Dataset:
    """Return MNIST so."""
    return _captioned("captioned_mnist", "mnist", asked)


def _captioned(name: str, base: str, asked: Asked) -> Dataset:
    """Return captions and codes, what follows each token, and the picture itself.

    Raises: BadInput for a length that leaves no square of codes.
    """
    (length,) = asked.input_shape
    grid = isqrt(max(0, length - TEXT))
    if grid < 1 or grid**2 + TEXT != length:
        raise BadInput(f"data set {name!r} has {TEXT} tokens before a square of codes, asked is a length of {length}; "
                       f"{TEXT} + 16 is a picture of 8x8 pixels")  # fmt: skip
    entry, side = sets.source(base), grid * PATCH
    known = entry.load(sets.asked(entry, input_shape=(side, side, 1), dtype="float32", task="classification",
                                  vocabulary=None))  # fmt: skip
    table = prototypes(patches(np.asarray(known.train.x)[:FITTED]).reshape(-1, PATCH**2), CODES)
    splits: dict[str, Any] = {part: _told(np.asarray(split.x), split.y, table) for part, split in known.splits.items()}
    heads = {LOGITS: Head(task="language_model", classes=len(TOKENS)), IMAGE: Head(task="reconstruction")}
    return Dataset(
        name=name, task=asked.task, classes=len(TOKENS), vocabulary=len(TOKENS), labels=TOKENS, tokens=TOKENS,
        sizes={"codes": CODES}, heads=heads, source=known.source, **splits,
        preprocessing=f"{known.preprocessing}; patches of {PATCH}x{PATCH} pixels by the nearest of {CODES} prototypes",
    )  # fmt: skip


def _told(x: np.ndarray, digits: np.ndarray, table: np.ndarray) -> Split:
    """Return pictures and their labels as tokens, what follows each, and the pictures."""
    words, (begin, end) = CODES + np.array([digits % 2, 2 + digits]).T, map(TOKENS.index, (BEGIN, END))
    count = len(x)
    codes = [nearest(patches(x[start : start + AT_ONCE]), table) for start in range(0, count, AT_ONCE)]
    parts: list[Any] = [words, np.full((count, 1), begin), np.concatenate(codes), np.full((count, 1), end)]
    tokens = np.concatenate(parts, axis=1).astype(np.int32)
    return Split(x=tokens[:, :-1], y={IMAGE: x.astype(np.float32), LOGITS: tokens[:, 1:]})


def patches(x: np.ndarray) -> np.ndarray:
    """Cut pictures into patches, row by row.  Shapes: (N, H, W, 1) -> (N, H W / PATCH^2, PATCH^2)."""
    count, height, width, _ = x.shape
    cut = x.reshape(count, height // PATCH, PATCH, width // PATCH, PATCH).transpose(0, 1, 3, 2, 4)
    return cut.reshape(count, -1, PATCH**2)


def nearest(x: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Return which prototype is the nearest.  Shapes: (..., n), (K, n) -> (...)."""
    return (np.sum(table**2, axis=1) - 2 * x @ table.T).argmin(-1)


def prototypes(x: np.ndarray, count: int) -> np.ndarray:
    """Return k-means' centres of x (N, n), darkest first, (count, n); one that nothing is near to stays.

    Source: van den Oord 2017, arXiv:1711.00937, whose codes follow such means.
    """
    different = np.unique(x, axis=0)
    table = different[np.linspace(0, len(different) - 1, count).astype(int)].astype(np.float64)
    for _ in range(ROUNDS):
        owner = nearest(x, table)
        sizes = np.bincount(owner, minlength=count)
        sums = np.stack([np.bincount(owner, column, count) for column in x.T], axis=1)
        table = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], table)
    return table[np.argsort(table.sum(1), kind="stable")]

"""A task of memory: what was seen is to be said again, once a mark says so."""

from typing import Any

import numpy as np

from ...errors import BadInput
from ...metrics.recalled import UNASKED
from .dataset import Dataset, Split
from .sets import Asked, dataset

SIZES = {"train": 12_000, "validation": 300, "test": 500}


@dataset(input_shape=(41, 9), tasks=("recall",))
def copy_task(asked: Asked) -> Dataset:
    """Return sequences of bits drawn by seed, as long as fit twice, a mark behind each, and the same bits to be said.

    A frame is bits and mark. Lengths are drawn evenly from 1 on.  Source: Graves 2014, arXiv:1410.5401, section 4.1.
    """
    steps, width = asked.input_shape if len(asked.input_shape) == 2 else (0, 0)
    if steps < 3 or width < 2 or asked.dtype != "float32":
        raise BadInput(f"copy_task cannot be shown as {asked.dtype} {asked.input_shape}: float32 frames of 2 values or "
                       "more, the last of which is the mark, 3 or more of them")  # fmt: skip
    random, longest = np.random.default_rng(0), (steps - 1) // 2
    splits: dict[str, Any] = {
        part: copied(random, random.integers(1, longest + 1, count), steps, width - 1) for part, count in SIZES.items()
    }
    return Dataset(
        name="copy_task",
        task=asked.task,
        preprocessing=f"1 to {longest} times {width - 1} bits, a mark, zeros; targets of -1 are not asked for",
        source=("generated, seed 0",),
        **splits,
    )


def copied(random: np.random.Generator, lengths: np.ndarray, steps: int, width: int) -> Split:
    """Return sequences of these lengths.  Shapes: lengths (N,) -> x (N, steps, width + 1), y (N, steps, width)."""
    x = np.zeros((len(lengths), steps, width + 1), np.float32)
    y = np.full((len(lengths), steps, width), UNASKED, np.float32)
    for row, target, length in zip(x, y, map(int, lengths), strict=True):
        row[:length, :width] = random.integers(0, 2, (length, width))
        row[length, width] = 1
        target[length + 1 : 2 * length + 1] = row[:length, :width]
    return Split(x=x, y=y)

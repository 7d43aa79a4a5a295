"""A task of memory: each value follows from what came up to seven time steps before."""

from typing import Any

import numpy as np

from ...errors import BadInput
from .dataset import Dataset, Split
from .sets import Asked, dataset

COUNTS = {"train": 1024, "validation": 256, "test": 512}  # sequences
NOISE = 0.1  # standard deviation of what cannot be told
LONGEST = 7  # time steps back


@dataset(input_shape=(32, 2), tasks=("regression",))
def lag_task(asked: Asked) -> Dataset:
    """Return sequences of two inputs and y = 5 x1(t-1) x2(t-2) - 2 x1(t-7) + 3.5 x2(t-5)^2 + 0.1 e at each step.

    x is uniform in [-1, 1] and zero before the sequence, e normal. A frame holds x (T, 2), or with (T, 16) the seven
    before it as well, the last one first. y is brought to the deviation 1, and to the mean 0, of the training part.
    """
    steps, width = asked.input_shape if len(asked.input_shape) == 2 else (0, 0)
    if steps < LONGEST + 1 or width not in (2, 2 * (LONGEST + 1)) or asked.dtype != "float32":
        raise BadInput(
            f"lag_task cannot be shown as {asked.dtype} {asked.input_shape}: float32 frames of 2 values, or of 16 with "
            f"the seven before, {LONGEST + 1} or more of them"
        )
    random = np.random.default_rng(0)
    raw = {part: sequences(random, count, steps) for part, count in COUNTS.items()}
    mean, deviation = raw["train"][1].mean(), raw["train"][1].std()
    splits: dict[str, Any] = {
        part: Split(x=x if width == 2 else tapped(x), y=((y - mean) / deviation).astype(np.float32))
        for part, (x, y) in raw.items()
    }
    return Dataset(
        name="lag_task",
        task=asked.task,
        preprocessing=f"y less {mean:.4f}, divided by {deviation:.4f}"
        + ("" if width == 2 else "; a frame with the seven before it"),
        source=("generated, seed 0",),
        **splits,
    )


def sequences(random: np.random.Generator, count: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs (N, T, 2) float32 and what follows from them, (N, T, 1)."""
    x = random.uniform(-1, 1, (count, steps, 2)).astype(np.float32)
    past = np.pad(x, ((0, 0), (LONGEST, 0), (0, 0)))

    def back(lag: int, which: int) -> np.ndarray:
        return past[:, LONGEST - lag : LONGEST - lag + steps, which]

    y = 5 * back(1, 0) * back(2, 1) - 2 * back(7, 0) + 3.5 * back(5, 1) ** 2
    return x, (y + NOISE * random.normal(size=y.shape))[..., None]


def tapped(x: np.ndarray) -> np.ndarray:
    """Return each frame with the seven before it.  Shapes: (N, T, 2) -> (N, T, 16)."""
    past = np.pad(x, ((0, 0), (LONGEST, 0), (0, 0)))
    return np.concatenate([past[:, LONGEST - lag : LONGEST - lag + x.shape[1]] for lag in range(LONGEST + 1)], -1)

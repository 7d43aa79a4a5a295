"""Samples of densities that are known, for generators that are judged by their moments."""

from __future__ import annotations

import numpy as np

from .dataset import Dataset, Split
from .sets import Asked, dataset

COUNTS = {"train": 4000, "validation": 1000, "test": 1000}


@dataset(input_shape=(1,), tasks=("reconstruction",))
def normal(asked: Asked) -> Dataset:
    """Return samples of a normal distribution of mean 1 and deviation 1, each value by itself."""
    random, splits = np.random.default_rng(0), {}
    for part, count in COUNTS.items():
        x = random.normal(1, 1, (count, *asked.input_shape)).astype(np.float32)
        splits[part] = Split(x=x, y=x)
    return Dataset(name="normal", task=asked.task, source=("drawn by Edgewright",), **splits)

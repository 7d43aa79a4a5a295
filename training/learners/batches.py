"""Training batches in an order that can be repeated."""

from typing import Any

import keras
import numpy as np

from ..config import TrainConfig
from ..data import Split


class Batches(keras.utils.PyDataset):
    """Training batches whose order is a function of (seed, epoch) alone; the incomplete last one is dropped.

    So every step has one shape (nothing is compiled twice), and an epoch can be repeated in another process.
    parts: samples, targets and, if there are any, weights, in the order of the split. size: samples in a batch.
    """

    def __init__(self, split: Split, targets: Any, config: TrainConfig, weights: Any = None):
        super().__init__()
        self.parts = (split.x, targets) if weights is None else (split.x, targets, weights)
        self._samples, self._seed = len(split), config.seed
        self.size, self._passes = config.batch_for(len(split)), config.passes
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Take the order of `epoch`; each pass has one of its own."""
        random = np.random.default_rng([self._seed, epoch])
        kept = self._samples // self.size * self.size
        self._order = np.concatenate([random.permutation(self._samples)[:kept] for _ in range(self._passes)])

    def __len__(self) -> int:
        return self._passes * (self._samples // self.size)

    def __getitem__(self, index: int):
        chosen = self._order[index * self.size : (index + 1) * self.size]
        return tuple(keras.tree.map_structure(lambda array: array[chosen], part) for part in self.parts)

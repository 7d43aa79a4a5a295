"""Training batches in an order that can be repeated."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from ..config import TrainConfig
from ..data import Split

MOST_BYTES = 1 << 28  # of samples that memory may hold a second time, for TensorFlow to read them


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
        self._followed: Any = None  # the variable that TensorFlow reads the order from
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Take the order of `epoch`; each pass has one of its own."""
        random = np.random.default_rng([self._seed, epoch])
        kept = self._samples // self.size * self.size
        self._order = np.concatenate([random.permutation(self._samples)[:kept] for _ in range(self._passes)])
        if self._followed is not None:
            self._followed.assign(self._order)

    def read(self) -> Any:
        """Return what `Model.fit` reads: these batches, on TensorFlow by a pipeline of its own where that can be.

        It takes half the time for a batch, and a tenth for what Keras traces to call Python from a pipeline.
        """
        if not readable(self.parts):
            return self
        import tensorflow as tf

        with tf.device("CPU"):  # where pipelines run, and can read a variable
            whole = keras.tree.map_structure(tf.constant, self.parts)
            order, size = tf.Variable(tf.constant(self._order), trainable=False), self.size
        self._followed = order

        def batch(index: Any) -> Any:
            chosen = order[index * size : (index + 1) * size]
            return keras.tree.map_structure(lambda array: tf.gather(array, chosen), whole)

        return tf.data.Dataset.range(len(self)).map(batch)

    def __len__(self) -> int:
        return self._passes * (self._samples // self.size)

    def __getitem__(self, index: int):
        chosen = self._order[index * self.size : (index + 1) * self.size]
        return tuple(keras.tree.map_structure(lambda array: array[chosen], part) for part in self.parts)


def in_turn(parts: tuple[Any, ...], size: int) -> Any:
    """Return samples, targets and weights as `Model.fit` validates on them quickest: on TensorFlow as batches of it."""
    if not readable(parts):
        return parts
    import tensorflow as tf

    floats = keras.backend.floatx()  # what Keras makes of arrays
    cast: Any = keras.tree.map_structure(lambda one: one.astype(floats) if one.dtype.kind == "f" else one, parts)
    with tf.device("CPU"):
        return tf.data.Dataset.from_tensor_slices(cast).batch(size)


def readable(parts: Any) -> bool:
    """Tell if TensorFlow can read the arrays: numbers, in tuples and dicts, few enough to lie in memory twice."""
    if keras.backend.backend() != "tensorflow" or not _nested(parts):
        return False
    return sum(array.nbytes for array in keras.tree.flatten(parts)) <= MOST_BYTES


def _nested(part: Any) -> bool:
    if isinstance(part, np.ndarray):
        return part.dtype.kind in "fiub"
    if isinstance(part, dict):
        return all(map(_nested, part.values()))
    return type(part) is tuple and all(map(_nested, part))  # a list is one tensor to a pipeline

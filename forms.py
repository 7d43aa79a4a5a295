"""The forms in which samples come, told by what they offer: pandas is no dependency, TensorFlow is not imported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def is_frame(value: Any) -> bool:
    """Tell a pandas (or like) DataFrame: named columns, each taken by name."""
    return hasattr(value, "columns") and hasattr(value, "to_numpy")


def is_series(value: Any) -> bool:
    """Tell a pandas (or like) Series."""
    return hasattr(value, "to_numpy") and hasattr(value, "name") and not hasattr(value, "columns")


def is_tensors(value: Any) -> bool:
    """Tell a tf.data.Dataset."""
    return hasattr(value, "element_spec")


def is_batches(value: Any) -> bool:
    """Tell a keras.utils.PyDataset or a tf.data.Dataset."""
    return is_tensors(value) or (hasattr(value, "__getitem__") and hasattr(value, "num_batches"))


def as_ranked(array: np.ndarray, shape: Sequence[int | None]) -> np.ndarray:
    """Return (N,) as (N, 1) for samples of shape (1,) or (None,), and (N, 1) as (N,) for single values.

    So Keras does when it is called.
    """
    if array.ndim == 1 and len(shape) == 1 and shape[0] in (1, None):
        return array[:, None]
    return array[:, 0] if len(shape) == 0 and array.ndim == 2 and array.shape[1] == 1 else array

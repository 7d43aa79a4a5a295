"""Tables of vectors whose rows a learner reads and assigns, whatever became of the networks around them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from ..errors import BadInput


def matrix_of(network: keras.Model) -> Any:
    """Return the one matrix among the trainable weights of a network, pruned or quantization-aware or not.

    Raises: BadInput if there are several or none.
    """
    matrices = [variable for variable in network.trainable_variables if len(variable.shape) == 2]
    if len(matrices) != 1:
        raise BadInput(f"network {network.name!r} has {len(matrices)} trainable matrices; a table is one")
    return matrices[0]


def rows_of(network: keras.Model) -> np.ndarray:
    """Return the rows of a network that looks them up, (rows, width) float32."""
    return np.asarray(keras.ops.convert_to_numpy(matrix_of(network)), np.float32)


def assign(lookup: keras.Model, vectors: np.ndarray, scorer: keras.Model, targets: np.ndarray | None = None) -> None:
    """Set what is looked up to `vectors`, and the rows that are scored to `targets`, or to the same.

    Shapes: (rows, width) both.
    """
    matrix_of(lookup).assign(vectors.astype(np.float32))
    matrix_of(scorer).assign((vectors if targets is None else targets).T.astype(np.float32))


def follow(lookup: keras.Model, scorer: keras.Model) -> None:
    """Set the rows that are scored to those that are looked up: the end of an epoch, where they shall be the same."""
    matrix_of(scorer).assign(rows_of(lookup).T)


def principal(vectors: np.ndarray) -> np.ndarray:
    """Return vectors turned so that their columns are orthogonal, the longest first; no product of two vectors changes.

    Magnitudes are the least alike in these axes, so that pruning by them takes what products miss least.
    Shapes: (rows, width) -> the same.
    """
    _, axes = np.linalg.eigh(vectors.T.astype(np.float64) @ vectors)
    return (vectors @ axes[:, ::-1]).astype(vectors.dtype)

"""Linear chains: scores of tags and of the steps between them, the sum over all paths, and the best path.

A chain's table is (K + 2, K): row i < K scores the step from tag i to each tag, row K each tag as the first, row K + 1
each as the last. A path scores the sum of its emissions and of its steps. Source: Lafferty 2001, Conditional random
fields; Rabiner 1989, A tutorial on hidden Markov models, for the two recursions.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from .data.tagging import HIDDEN

ENDS = 2  # rows of a table behind those of the tags: of the first tag, of the last


def viterbi(emissions: np.ndarray, lengths: np.ndarray, table: np.ndarray | None = None) -> np.ndarray:
    """Return the best path of each sequence, HIDDEN behind its end; without a table the best tag at each place.

    Shapes: emissions (N, T, K), lengths (N,) from 1 to T, table (K + 2, K) -> tags (N, T) int32.
    """
    emissions = np.asarray(emissions, np.float64)
    count, steps, kinds = emissions.shape
    table = np.zeros((kinds + ENDS, kinds)) if table is None else np.asarray(table, np.float64)
    moves, first, last = table[:kinds], table[kinds], table[kinds + 1]
    score = first + emissions[:, 0]
    came = np.zeros((count, steps, kinds), np.int32)  # from which tag the best path to each tag came
    for step in range(1, steps):
        through = score[:, :, None] + moves  # (N, from, to)
        came[:, step] = through.argmax(1)
        inside = (step < lengths)[:, None]
        score = np.where(inside, through.max(1) + emissions[:, step], score)
    path = np.full((count, steps), HIDDEN, np.int32)
    tag = (score + last).argmax(1)
    for step in range(steps - 1, -1, -1):
        inside = step < lengths
        path[inside, step] = tag[inside]
        tag = np.where(inside, came[np.arange(count), step, tag], tag)
    return path


def log_partition(emissions: Any, mask: Any, table: Any) -> Any:
    """Return the logarithm of the sum over all paths of exp(score).

    Shapes: emissions (N, T, K), mask (N, T) of truths, table (K + 2, K), or (N, K + 2, K) of each its own -> (N,).
    """
    kinds = emissions.shape[-1]
    moves, first, last = table[..., :kinds, :], table[..., kinds, :], table[..., kinds + 1, :]

    def step(sums: Any, given: Any) -> tuple[Any, Any]:
        emission, inside = given
        through: Any = ops.logsumexp(sums[:, :, None] + moves, axis=1)  # (N, to)
        sums = ops.where(inside[:, None], through + emission, sums)
        return sums, sums  # on TensorFlow what is stacked must be shaped as what is carried

    by_step: Any = [ops.swapaxes(each, 0, 1) for each in (emissions, mask)]
    carried: Any = ops.scan(step, first + emissions[:, 0], tuple(each[1:] for each in by_step))
    sums, _ = carried
    return ops.logsumexp(sums + last, axis=-1)


def path_score(emissions: Any, tags: Any, table: Any) -> Any:
    """Return the score of the path `tags`, which is HIDDEN behind its end.

    Shapes: as `log_partition`, tags (N, T) int32 -> (N,).
    """
    kinds = emissions.shape[-1]
    moves, first, last = table[..., :kinds, :], table[..., kinds, :], table[..., kinds + 1, :]
    chosen: Any = ops.one_hot(tags, kinds, dtype=emissions.dtype)  # (N, T, K), zeros where hidden
    before, after = chosen[:, :-1], chosen[:, 1:]
    ends = ops.concatenate([before - before * ops.sum(after, axis=-1, keepdims=True), chosen[:, -1:]], axis=1)
    steps: Any = ops.sum(ops.matmul(before, moves) * after, axis=(1, 2))
    places: Any = ops.sum(emissions * chosen, axis=(1, 2))
    return places + steps + ops.sum(first * chosen[:, 0], axis=-1) + ops.sum(last * ops.sum(ends, axis=1), axis=-1)


@keras.saving.register_keras_serializable("edgewright")
class PathLoss(keras.losses.Loss):
    """The negative log-likelihood of a path in nats, divided by T, of emissions with their table behind them.

    Shapes: tags (N, T), HIDDEN behind the end; emissions and table (N, T + K + 2, K), as `packed` returns them.
    """

    def __init__(self, name: str = "path_loss"):
        super().__init__(name=name)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each sequence (N,)."""
        steps = y_pred.shape[1] - y_pred.shape[2] - ENDS
        tags = ops.cast(y_true, "int32")
        emissions, table = y_pred[:, :steps], y_pred[:, steps:]
        total = log_partition(emissions, tags != HIDDEN, table)
        return (total - path_score(emissions, tags, table)) / steps

    def get_config(self):
        """Return the name."""
        return {"name": self.name}


def packed(emissions: Any, table: Any) -> Any:
    """Return emissions with the table behind them: (N, T, K), (K + 2, K) -> (N, T + K + 2, K)."""
    size: Any = ops.shape(emissions)
    each = ops.broadcast_to(table[None], (size[0], *table.shape))
    return ops.concatenate([emissions, each], axis=1)


__all__ = ["ENDS", "HIDDEN", "PathLoss", "log_partition", "packed", "path_score", "viterbi"]

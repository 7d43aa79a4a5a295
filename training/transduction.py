"""The loss of a transducer, and what it says: the chance of a text is the sum over all ways to emit it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ..untyped import ops

BLANK = 0  # says that the next frame shall be read; as a target it is padding
NEVER = -1e4  # the logarithm of no chance: finite, so that gradients are


@keras.saving.register_keras_serializable("edgewright")
class TransducerLoss(keras.losses.Loss):
    """Minus the log-likelihood of symbols, of any length, by a lattice of logits, in nats a symbol of the longest.

    alpha(t, u) = alpha(t - 1, u) blank(t - 1, u) + alpha(t, u - 1) symbol(t, u - 1), in logarithms, the places of one
    diagonal t + u together; the chance of u symbols is alpha(T - 1, u) blank(T - 1, u).
    Shapes: symbols (N, U - 1) or (N, U), behind the last zeros, logits (N, T, U, K) -> (N,).
    Source: Graves 2012, arXiv:1211.3711, section 2.4.
    """

    def __init__(self, name: str = "transducer_loss"):
        super().__init__(name=name)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each sample, (N,)."""
        return -log_likelihood(y_true, y_pred) / max(1, y_pred.shape[2] - 1)

    def get_config(self):
        """Return the name."""
        return {"name": self.name}


def log_likelihood(symbols: Any, logits: Any) -> Any:
    """Return the log-likelihood of each sample's symbols, (N,); see `TransducerLoss`."""
    frames, places = logits.shape[1], logits.shape[2]
    symbols = ops.cast(symbols[:, : places - 1], "int32")
    likely = ops.log_softmax(logits, axis=-1)
    blank = likely[..., BLANK]  # (N, T, U)
    wanted = ops.one_hot(symbols, logits.shape[-1])  # (N, U - 1, K)
    said = ops.sum(likely[:, :, : places - 1] * ops.expand_dims(wanted, 1), axis=-1)  # (N, T, U - 1)
    said = ops.pad(said, ((0, 0), (0, 0), (1, 0)), constant_values=NEVER)  # at u what leads there
    # Row d of a skewed array holds what lies on the diagonal t + u = d: time d - u at place u.
    times = np.arange(frames + places - 1)[:, None] - np.arange(places)  # (T + U - 1, U)
    inside = (times >= 0) & (times < frames)
    at = np.clip(times, 0, frames - 1) * places + np.arange(places)
    blank_on, said_on = (_skewed(each, at) for each in (blank, said))
    alpha = ops.where(inside[0], ops.zeros_like(blank_on[:, 0]), NEVER)  # of the diagonal 0: place 0 alone
    found = [alpha]
    for d in range(1, len(times)):
        waited = alpha + blank_on[:, d - 1]
        spoken = ops.pad(alpha[:, :-1], ((0, 0), (1, 0)), constant_values=NEVER) + said_on[:, d]
        alpha = ops.where(inside[d], ops.logaddexp(waited, spoken), NEVER)
        found.append(alpha)
    # The end of u symbols lies at time T - 1 on the diagonal T - 1 + u.
    ends = ops.stack([found[frames - 1 + u][:, u] + blank[:, -1, u] for u in range(places)], axis=1)  # (N, U)
    count = ops.sum(ops.cast(ops.not_equal(symbols, BLANK), "int32"), axis=1)
    return ops.sum(ops.one_hot(count, places) * ends, axis=1)


def _skewed(lattice: Any, at: np.ndarray) -> Any:
    """Return the places `at` (D, U) of a flat lattice.  Shapes: (N, T, U) -> (N, D, U)."""
    flat = ops.reshape(lattice, (-1, lattice.shape[1] * lattice.shape[2]))
    return ops.reshape(ops.take(flat, at.ravel(), axis=1), (-1, *at.shape))


def said_greedily(
    frames: np.ndarray,
    before: Callable[[np.ndarray, np.ndarray], np.ndarray],
    logits: Callable[[np.ndarray, np.ndarray], np.ndarray],
    longest: int,
) -> np.ndarray:
    """Return the symbols said where the likeliest answer is always taken, ids (N, longest), zeros behind the last.

    A blank moves on to the next frame, a symbol stays. before(tokens (N, 1), who (N,) bool) -> what was said, (N, ...),
    those told again who just spoke; logits(frame (N, 1, F), said) -> (N, K).  Shapes: frames (N, T, F).
    """
    count, length = frames.shape[:2]
    time, spoken = np.zeros(count, int), np.zeros(count, int)
    text = np.full((count, longest), BLANK, np.int32)
    told = before(np.full((count, 1), BLANK, np.int32), np.ones(count, bool))
    rows = np.arange(count)
    while (going := time < length).any():
        said = logits(frames[rows, np.minimum(time, length - 1)][:, None], told)
        answer = said.reshape(count, -1).argmax(-1)
        speaks = going & (answer != BLANK) & (spoken < longest)
        text[rows[speaks], spoken[speaks]] = answer[speaks]
        spoken[speaks] += 1
        time[~speaks] += 1
        if speaks.any():
            told = before(np.where(speaks, answer, BLANK)[:, None].astype(np.int32), speaks)
    return text

"""What a gradient is taken of: the logit of a class, or the loss that it has.

One logit stands for two classes: it is that of the second, and the negative of it that of the first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..untyped import ops
from .net import Score


def predicted(logits: np.ndarray) -> np.ndarray:
    """Return the class of the largest logit, (N,)."""
    return (logits[:, 0] > 0).astype(int) if logits.shape[-1] == 1 else logits.argmax(-1)


def confidence(logits: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the probability that logits (N, K) give to a class of each sample, (N,)."""
    from scipy.special import softmax

    return softmax(_two_sided(logits), -1)[np.arange(len(logits)), classes]


def _two_sided(logits: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros_like(logits), logits], -1) if logits.shape[-1] == 1 else logits


def of_class(classes: np.ndarray) -> Callable[[slice], Score]:
    """Return the score that is the logit of a class of each sample."""

    def here(part: slice) -> Score:
        def score(logits: Any) -> Any:
            if logits.shape[-1] == 1:
                return logits[:, 0] * ops.cast(2 * classes[part] - 1, logits.dtype)
            return ops.sum(logits * ops.one_hot(classes[part], logits.shape[-1], dtype=logits.dtype), axis=-1)

        return score

    return here


def log_probability(classes: np.ndarray) -> Callable[[slice], Score]:
    """Return the score that is the log of the probability of a class of each sample: the loss is its negative."""

    def here(part: slice) -> Score:
        def score(logits: Any) -> Any:
            if logits.shape[-1] == 1:
                logits = ops.concatenate([ops.zeros_like(logits), logits], axis=-1)
            chosen = ops.one_hot(classes[part], logits.shape[-1], dtype=logits.dtype)
            return ops.sum(ops.log_softmax(logits, axis=-1) * chosen, axis=-1)

        return score

    return here


def of_channel(channel: int) -> Callable[[slice], Score]:
    """Return the score that is the largest value of one channel of a place."""

    def score(values: Any) -> Any:
        one = values[..., channel]
        return ops.max(ops.reshape(one, (one.shape[0], -1)), axis=-1)

    return lambda part: score

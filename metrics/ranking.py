"""Where a true answer stands among all that might be given, and what of that a metric counts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def rank(scores: np.ndarray, answer: int, known: np.ndarray | None = None) -> float:
    """Return the place of `answer` by scores (rows,), from 1: each row as good as it is half a place ahead of it.

    known: rows that are left out, since they are true as well or were asked by; the answer itself may be among them.
    Source: Bordes 2013, Translating embeddings for modeling multi-relational data, section 4.2 (the filtered setting).
    """
    own, there = scores[answer], np.ones(len(scores), bool)
    if known is not None:
        there[known] = False
    there[answer] = False
    others = scores[there]
    return float(1 + np.sum(others > own) + np.sum(others == own) / 2)


def reciprocal(ranks: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Score ranks by one over them.  Shapes: (N,) -> (N, 1)."""
    return 1 / np.asarray(ranks, np.float64).reshape(-1, 1)


def hits(most: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return what scores ranks (N,) by whether they are among the first `most`, (N, 1)."""

    def scores(ranks: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return (np.asarray(ranks).reshape(-1, 1) <= most).astype(np.float64)

    return scores

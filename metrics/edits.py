"""Edits that make one sequence of symbols of another (Levenshtein 1966); 0 is none."""

from __future__ import annotations

import numpy as np


def counts(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the edits that each sequence needs, and how many symbols it should have.  (N, U), (N, V) -> (N, 2)."""
    rows = [(distance(*(row[row != 0] for row in pair)), np.count_nonzero(pair[1]))
            for pair in zip(np.asarray(outputs), np.asarray(targets), strict=True)]  # fmt: skip
    return np.array(rows, np.float64).reshape(-1, 2)


def distance(said: np.ndarray, truth: np.ndarray) -> int:
    """Return how many symbols must be put in, left out or changed."""
    costs = list(range(len(truth) + 1))
    for count, symbol in enumerate(said, 1):
        before, costs = costs, [count]
        for place, other in enumerate(truth, 1):
            costs.append(min(before[place] + 1, costs[-1] + 1, before[place - 1] + int(symbol != other)))
    return costs[-1]


def share(rows: np.ndarray) -> float:
    """Return edits by symbol, 0 where there are none."""
    edits, symbols = rows.sum(0)
    return float(edits / symbols) if symbols else 0.0


def same(a: np.ndarray, b: np.ndarray) -> float:
    """Return how many sequences are the same, as a share."""
    return float((np.asarray(a) == np.asarray(b)).all(-1).mean())

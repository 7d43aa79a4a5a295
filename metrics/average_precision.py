"""How precise detections are at each share of what is found: the average precision of PASCAL VOC."""

from __future__ import annotations

import numpy as np


def average_precisions(scores: np.ndarray) -> dict[int, float]:
    """Return the average precision of each class that occurs: the mean over recalls 0, .1, ... 1 of the best precision
    at such a recall or a higher one (Everingham 2010, The PASCAL visual object classes challenge, section 4.2).

    scores: rows of class, score, whether it hits, and in rows of their own how many there are.
    """
    labels = scores[:, 0].astype(int)
    true = np.bincount(labels, weights=scores[:, 3])
    order = np.argsort(-scores[:, 1], kind="stable")
    order = order[scores[order, 1] > 0]
    labels, hit = labels[order], scores[order, 2]
    found = {}
    for label in np.flatnonzero(true):
        hits = np.cumsum(hit[labels == label])
        precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
        places = np.searchsorted(hits, np.arange(11) / 10 * true[label] - 1e-9)  # the first of such a recall
        found[int(label)] = float(np.append(precision, 0.0)[places].sum() / 11)
    return found


def mean_average_precision(scores: np.ndarray) -> float:
    """Return the mean of `average_precisions` over the classes, 0 where there is none."""
    return float(np.mean(list(average_precisions(scores).values()) or [0.0]))

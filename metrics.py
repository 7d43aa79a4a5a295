"""Task metrics in NumPy: a per-sample score first, then one number over the samples.

Keeping the scores per sample is what makes paired intervals possible: the same resampled indices are reduced for the
float model and for the compressed one. Every metric is higher-is-better and lies on a scale where 0.01 is one point.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata


@dataclass(frozen=True, kw_only=True)
class Metric:
    """How a task's outputs become a number.

    scores: (outputs (N, ...), targets (N, ...)) -> (N, k) float64, one row a sample.
    reduce: (n, k) scores -> float, for any resample of the rows.
    agreement: (outputs_a, outputs_b) -> float in [0, 1], how far two models say the same.
    """

    name: str
    scores: Callable[[np.ndarray, np.ndarray], np.ndarray]
    reduce: Callable[[np.ndarray], float]
    agreement: Callable[[np.ndarray, np.ndarray], float]


def _correct(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return (outputs.argmax(-1) == targets).reshape(len(targets), -1).mean(-1, keepdims=True).astype(np.float64)


def _same_class(a: np.ndarray, b: np.ndarray) -> float:
    return float((a.argmax(-1) == b.argmax(-1)).mean())


def _residuals(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    flat = targets.reshape(len(targets), -1).astype(np.float64)
    error = ((outputs.reshape(flat.shape) - flat) ** 2).sum(-1)
    spread = ((flat - flat.mean(0)) ** 2).sum(-1)
    return np.stack([error, spread], -1)


def _explained(scores: np.ndarray) -> float:
    error, spread = scores.sum(0)
    return float(1 - error / spread) if spread else 0.0


def _explained_by(a: np.ndarray, b: np.ndarray) -> float:
    return max(0.0, _explained(_residuals(b, a)))


def _anomaly(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Score a sample by its reconstruction error. Targets hold the sample and, last, its label (1: anomalous)."""
    flat = targets.reshape(len(targets), -1)
    error = ((outputs.reshape(len(outputs), -1) - flat[:, :-1]) ** 2).mean(-1)
    return np.stack([error, flat[:, -1]], -1).astype(np.float64)


def _auc(scores: np.ndarray) -> float:
    """Area under the ROC curve by the rank sum (Mann and Whitney 1947); 0.5 where only one class is present."""
    anomalous = scores[:, 1] > 0.5
    positives = int(anomalous.sum())
    negatives = len(scores) - positives
    if not positives or not negatives:
        return 0.5
    ranks = rankdata(scores[:, 0])
    return float((ranks[anomalous].sum() - positives * (positives + 1) / 2) / (positives * negatives))


METRICS = {
    metric.name: metric
    for metric in (
        Metric(name="accuracy", scores=_correct, reduce=lambda scores: float(scores.mean()), agreement=_same_class),
        Metric(name="explained_variance", scores=_residuals, reduce=_explained, agreement=_explained_by),
        Metric(name="auc", scores=_anomaly, reduce=_auc, agreement=_explained_by),
    )
}

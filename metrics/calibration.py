"""How far a classifier's confidence can be believed, in NumPy: expected calibration error, log-loss, Brier score."""

from __future__ import annotations

import numpy as np

BINS = 15  # Guo 2017, arXiv:1706.04599, section 2
REJECTED = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)  # shares of the samples, those that a model is least sure of


def probabilities(outputs: np.ndarray) -> np.ndarray:
    """Return logits (N, K) as their softmax, float64; what is a distribution already stays."""
    from scipy.special import softmax

    values = outputs.astype(np.float64)
    if ((values >= 0) & (values <= 1)).all() and np.allclose(values.sum(-1), 1, atol=0.05):
        return values / values.sum(-1, keepdims=True)
    return softmax(values, -1)


def calibration(outputs: np.ndarray, truth: np.ndarray, bins: int = BINS) -> dict[str, object]:
    """Return how answers (N, K) and classes (N,) agree in confidence; plain values for JSON.

    ece: expected calibration error, the mean over samples of |accuracy - confidence| of each one's bin. log_loss: mean
    nats of the true class. brier: mean squared distance of all probabilities from the truth, in [0, 2]. reliability:
    of each bin that occurs its mean confidence, accuracy and number of samples. kept: shares of the samples that are
    rejected for their confidence, and the accuracy of those which are kept.
    """
    chances = probabilities(outputs)
    sure, said = chances.max(-1), chances.argmax(-1)
    right = (said == truth).astype(np.float64)
    place = np.minimum((sure * bins).astype(int), bins - 1)
    occurring = [place == index for index in range(bins) if (place == index).any()]
    rows = [(float(sure[own].mean()), float(right[own].mean()), int(own.sum())) for own in occurring]
    given = chances[np.arange(len(truth)), truth]
    return {
        "ece": float(sum(abs(hits - meant) * count for meant, hits, count in rows) / len(truth)),
        "log_loss": float(-np.log(np.maximum(given, np.finfo(np.float64).tiny)).mean()),
        "brier": float(((chances**2).sum(-1) - 2 * given + 1).mean()),
        "reliability": [list(row) for row in rows],
        "kept": [[share, accuracy_of_kept(outputs, truth, share)] for share in REJECTED],
    }


def accuracy_of_kept(outputs: np.ndarray, truth: np.ndarray, rejected: float) -> float:
    """Return the accuracy of the samples that are left when a share of the least confident is rejected."""
    chances = probabilities(outputs)
    kept = np.argsort(chances.max(-1), kind="stable")[int(rejected * len(truth)) :]
    return float((chances[kept].argmax(-1) == truth[kept]).mean())


def top(outputs: np.ndarray, truth: np.ndarray, k: int) -> float:
    """Return the share of samples whose class is among the k largest of outputs (N, K); of ties the first count."""
    own = np.take_along_axis(outputs, truth[:, None], -1)
    ahead = (outputs > own).sum(-1) + ((outputs == own) & (np.arange(outputs.shape[-1]) < truth[:, None])).sum(-1)
    return float((ahead < k).mean())

"""Images judged pixel by pixel: how far two masks overlap, and how far depths are off.

What is kept of masks is, of each of K classes, how many pixels of an image both say are of it (the intersection) and
how many either does (the union): of any resample of images the sums give mean IoU and pixel error alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np

FARTHEST = 0.05  # inverse depth: what is farther is as far


def counts(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return intersections and unions of each image, (N, 2 K) float64; one score is yes or no above 0, two classes.

    Shapes: scores (N, ..., K), class numbers (N, ...).
    """
    said, kinds = classes_of(outputs).reshape(len(outputs), -1), max(2, outputs.shape[-1])
    truth = np.asarray(targets).reshape(len(targets), -1)
    found = np.empty((len(said), 2, kinds))
    for kind in range(kinds):
        ours, theirs = said == kind, truth == kind
        found[:, 0, kind], found[:, 1, kind] = (ours & theirs).sum(1), (ours | theirs).sum(1)
    return found.reshape(len(said), -1)


def classes_of(outputs: np.ndarray) -> np.ndarray:
    """Return the class of the largest score, or whether the only one is above 0.  Shapes: (N, ..., K) -> (N, ...)."""
    return outputs.argmax(-1) if outputs.shape[-1] > 1 else (outputs[..., 0] > 0).astype(np.int64)


def of_classes(rows: np.ndarray) -> np.ndarray:
    """Return the intersection over the union of each class over all images, (K,); NaN where neither has any of it."""
    both, either = np.split(rows.sum(0), 2)
    return np.divide(both, either, out=np.full(len(both), np.nan), where=either > 0)


def mean_iou(rows: np.ndarray) -> float:
    """Return the mean over the classes that occur, or are said.  Source: Everingham 2010, The PASCAL VOC challenge."""
    return float(np.nanmean(of_classes(rows)))


def pixel_error(rows: np.ndarray) -> float:
    """Return the share of pixels whose class is not the one said: each of them is in two unions, the others in one."""
    both, either = np.split(rows.sum(0), 2)
    wrong = (either - both).sum() / 2
    return float(wrong / (both.sum() + wrong))


def log_depth_errors(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Score inverse depths by the mean squared difference of the logarithms of depths.  Shapes: (N, ...), -> (N, 1)."""
    said, truth = (np.maximum(np.asarray(each, np.float64).reshape(len(each), -1), FARTHEST)
                   for each in (outputs, targets))  # fmt: skip
    return (np.log(said / truth) ** 2).mean(-1, keepdims=True)


def root_mean(rows: np.ndarray) -> float:
    """Return the root of the mean of squares."""
    return float(np.sqrt(rows.mean()))


def figures(outputs: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
    """Return what mean IoU does not tell: plain values for JSON, None for the IoU of a class that does not occur.

    Pixel error, the IoU of each class, and by pixels what `metrics.figures` tells of samples; F1 of a class is Dice's.
    """
    kinds, rows = max(2, outputs.shape[-1]), counts(outputs, targets)
    pairs = np.asarray(targets, np.int64).ravel() * kinds + classes_of(outputs).ravel()
    table = np.bincount(pairs, minlength=kinds**2).reshape(kinds, kinds)  # rows true
    hit, true, said = np.diag(table), table.sum(1), table.sum(0)
    rest = table.sum() - true - said + hit  # true negatives
    each = {
        "precision": hit / np.maximum(said, 1),
        "recall": hit / np.maximum(true, 1),
        "f1": 2 * hit / np.maximum(true + said, 1),
        "specificity": rest / np.maximum(table.sum() - true, 1),
        "npv": rest / np.maximum(table.sum() - said, 1),
    }
    judged = ("precision", "recall", "f1")
    return {
        "pixel_error": pixel_error(rows),
        "iou": [None if np.isnan(value) else float(value) for value in of_classes(rows)],
        **{name: values.tolist() for name, values in each.items()},
        "support": true.tolist(),
        "macro": {name: float(each[name].mean()) for name in judged},
        "micro": dict.fromkeys(judged, float(hit.sum() / table.sum())),
        "confusion": table.tolist(),
        "roc_auc": None,
    }

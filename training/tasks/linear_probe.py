"""What an encoder that saw no label has learned, by what a linear classifier makes of its vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ... import metrics
from ...metrics import Metric, Scores
from ...runners import Arrays, Judge, Runner
from ..answers import outputs_of
from ..data import Dataset, Shown, Split, calibration, load
from ..data.dataset import subset
from ..presented import takes
from ..surrogates import READINGS, Reading
from .register import Bound, Networks, enter
from .supervised import SHOWN, shown

ENCODER = "encoder"
LEARNED_FROM = 2000  # training samples whose labels the classifier sees, at most
STEPS = 1000  # of the classifier's solver, at most


@dataclass(frozen=True, kw_only=True)
class LinearProbe:
    """Classes by logistic regression on the vectors of an encoder, fitted to those that the same runner makes.

    reading: what the encoder sees of a sample; the vectors of several parts are one. The unit is a sample.
    Source: Zhang 2016, arXiv:1603.08511, section 3.2.
    """

    name: str
    reading: Reading

    @property
    def metric(self) -> Metric:
        """Accuracy."""
        return metrics.get("accuracy")

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Load `data` as the classification that it is, of samples of which the encoder reads parts."""
        known = takes(networks[ENCODER])
        if isinstance(data, Dataset):
            dataset = data
        else:
            shape = self.reading.shape(known["input_shape"])
            dataset = load(data, input_shape=shape, dtype=known["dtype"], task="classification", **asked)
        presented = Shown(network=ENCODER, inputs=known["inputs"], outputs=outputs_of(networks[ENCODER]))
        return replace(dataset, task=self.name, shown=presented, augmentation=None)

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return what the encoder reads of training samples, n parts."""
        parts = self.reading.read(np.asarray(calibration(dataset, n, seed)))
        return {shown(dataset).inputs[0].name: parts.reshape(-1, *parts.shape[2:])[:n]}

    def vectors(self, run: Runner, dataset: Dataset, x: np.ndarray) -> np.ndarray:
        """Return what the encoder that `run` computes makes of samples, (N, d)."""
        parts = self.reading.read(x)
        (said,) = run(ENCODER, {shown(dataset).inputs[0].name: parts.reshape(-1, *parts.shape[2:])}).values()
        return np.asarray(said).reshape(len(x), -1)

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score the classifier on the test split."""
        learned = self._learned_from(dataset)
        classify = fitted(self.vectors(run, dataset, np.asarray(learned.x)), learned.y)
        chances = classify(self.vectors(run, dataset, np.asarray(dataset.test.x)))
        return Scores.by_row(self.metric.scores(chances, dataset.test.y))

    def pictures(self, run: Runner, dataset: Dataset) -> Mapping[str, np.ndarray]:
        """Return test samples, and of each the training sample whose vector has the largest cosine with its own."""
        asked, known = np.asarray(dataset.test.x)[:SHOWN], np.asarray(self._learned_from(dataset).x)
        ours, theirs = (_unit(self.vectors(run, dataset, x)) for x in (asked, known))
        nearest = known[(ours @ theirs.T).argmax(1)]
        return {"samples": _picture(asked), "nearest": _picture(nearest)}

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)

    def _learned_from(self, dataset: Dataset) -> Split:
        return subset(dataset.train, LEARNED_FROM, 0, stratify=True)


def fitted(vectors: np.ndarray, labels: np.ndarray) -> Any:
    """Return vectors -> chances of each class, (N, classes): logistic regression of standardised vectors."""
    from sklearn.linear_model import LogisticRegression

    mean, deviation = vectors.mean(0), vectors.std(0)
    scale = np.where(deviation > 0, deviation, 1)
    model = LogisticRegression(max_iter=STEPS).fit((vectors - mean) / scale, labels)
    place = np.searchsorted(model.classes_, np.arange(model.classes_.max() + 1))

    def chances(others: np.ndarray) -> np.ndarray:
        found = model.predict_proba((others - mean) / scale)
        return np.where(np.isin(np.arange(len(place)), model.classes_), found[:, place], 0)

    return chances


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)


def _picture(samples: np.ndarray) -> np.ndarray:
    """Return images as they are, of videos the frame before the last."""
    return samples[:, -2] if samples.ndim == 5 else samples


enter(LinearProbe(name="linear_probe", reading=READINGS["whole"]))
for kind in ("tiles", "grey", "past"):
    enter(LinearProbe(name=f"linear_probe_of_{kind}", reading=READINGS[kind]))

"""Tasks that answer at every pixel: the class of each, or how far away it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import metrics
from ...runners import Runner
from ..data import Dataset
from ..losses import SmoothedCrossentropy, squared_error
from ..presented import by_name
from .register import TASKS, enter
from .supervised import SHOWN, Supervised, shown


@dataclass(frozen=True, kw_only=True)
class PerPixel(Supervised):
    """Images (N, H, W, C) that one network answers pixel by pixel."""

    def pictures(self, run: Runner, dataset: Dataset) -> Mapping[str, np.ndarray]:
        """Return test images, what is true of their pixels, and what the runner says of them."""
        x, truth = np.asarray(dataset.test.x)[:SHOWN], np.asarray(dataset.test.y)[:SHOWN]
        (said,) = run(shown(dataset).network, by_name(shown(dataset), x)).values()
        return {"images": x, "truth": self.drawn(truth, dataset), "said": self.drawn(self.said(said), dataset)}

    def said(self, answers: np.ndarray) -> np.ndarray:
        """Return answers in the form of targets: the class of each pixel, where targets are classes."""
        return np.asarray(answers).argmax(-1) if self.labelled else np.asarray(answers)

    def drawn(self, targets: np.ndarray, dataset: Dataset) -> np.ndarray:
        """Return targets as grey levels: the last class, or what is nearest, is white."""
        most: Any = max(1, dataset.classes - 1) if self.labelled else dataset.test.y.max()
        return (targets / most).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class YesOrNo(PerPixel):
    """One answer a pixel: is it of the object?"""

    def said(self, answers: np.ndarray) -> np.ndarray:
        """Return how probable it is."""
        answers = np.asarray(answers, np.float32)
        return answers if metrics.are_probabilities(answers) else 1 / (1 + np.exp(-answers))


enter(PerPixel(name="segmentation", loss=SmoothedCrossentropy, logs=lambda threshold: ["accuracy"], labelled=True,
               metric_name="mean_iou", ending="softmax"))  # fmt: skip
enter(YesOrNo(name="binary_segmentation", loss=TASKS["binary_classification"].loss,
              logs=TASKS["binary_classification"].logs, metric_name="binary_mean_iou", ending="sigmoid"))  # fmt: skip
enter(PerPixel(name="inverse_depth", loss=squared_error, metric_name="log_depth_rmse"))

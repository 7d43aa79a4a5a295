"""Test images judged by several views each: shifted into the corners and mirrored, their chances averaged.

Source: Krizhevsky 2012, ImageNet classification with deep convolutional neural networks, section 4.1; crops of larger
images are here those of the image within a border of zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import metrics
from ..errors import BadInput
from ..metrics import Metric, Scores
from ..metrics.calibration import probabilities
from ..runners import Runner
from .data import Dataset

SHARE = 1 / 16  # of a side, that an image is shifted by
PLACES = ((0, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))
NETWORK = "classifier"  # what a runner calls the network that is judged


def views(x: np.ndarray) -> list[np.ndarray]:
    """Return images (N, H, W, C) ten times: as they are, shifted into each corner, and each of these mirrored."""
    height, width = x.shape[1:3]
    down, right = (max(1, round(SHARE * size)) for size in (height, width))
    wide = np.pad(x, ((0, 0), (down, down), (right, right), (0, 0)))
    seen = [wide[:, down * (1 + i) :, right * (1 + j) :][:, :height, :width] for i, j in PLACES]
    return [np.ascontiguousarray(view) for each in seen for view in (each, each[:, :, ::-1])]


@dataclass(frozen=True)
class ByViews:
    """A judge of a classifier, see `runners.Judge`: the class is that of the mean chances over the views of an image.

    name: of the input that takes the images. count: of the test samples that are judged, the first; None for all.
    Raises: BadInput for data that are not images of a class each.
    """

    dataset: Dataset
    name: str
    count: int | None = None

    def __post_init__(self) -> None:
        x: Any = self.dataset.test.x
        if self.dataset.task != "classification" or not isinstance(x, np.ndarray) or x.ndim != 4:
            raise BadInput(f"--views: samples of {self.dataset.name!r} are not images (height, width, channels) of a "
                           "class each; leave it out")  # fmt: skip

    @property
    def metric(self) -> Metric:
        """Accuracy."""
        return metrics.get("accuracy")

    def evaluate(self, run: Runner) -> Scores:
        """Score each image by its views."""
        test, mean = self.dataset.test, 0.0
        assert isinstance(test.x, np.ndarray)
        seen = views(test.x[: self.count])
        for view in seen:
            (answers,) = run(NETWORK, {self.name: view}).values()
            mean = mean + probabilities(np.asarray(answers)) / len(seen)
        return Scores.by_row(self.metric.scores(mean, test.y[: self.count]))

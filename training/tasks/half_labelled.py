"""Classification by the discriminator of a game, which learns of samples without a label too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ... import metrics
from ...metrics import Metric, Scores
from ...runners import Runner
from ..data import Dataset
from .generative import LABEL, Drawn, Generation
from .register import enter


@dataclass(frozen=True, kw_only=True)
class HalfLabelled(Generation):
    """Classes of images, some of which have a label, told by the network that tells them from drawn ones.

    Networks: "generator", latents -> sample, and "discriminator", sample -> "label", logits of the classes. The
    generator is for training alone. The unit is an image.
    Source: Salimans 2016, Improved techniques for training GANs, arXiv:1606.03498, section 5.
    """

    @property
    def metric(self) -> Metric:
        """The share of images whose class is told."""
        return metrics.get("accuracy")

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score each test image by whether its class is told, (N, 1)."""
        assert isinstance(dataset, Drawn)
        (given,) = dataset.judged
        said = run("discriminator", {given.name: np.asarray(dataset.test.x)})[LABEL]
        return Scores.by_row(self.metric.scores(np.asarray(said), np.asarray(dataset.test.y).argmax(-1)))

    def pictures(self, run: Runner, dataset: Dataset) -> Mapping[str, np.ndarray]:
        """Return nothing: what it tells are numbers, and the generator is on no device."""
        return {}


enter(HalfLabelled(name="half_labelled_classification", game=True, signed=True))

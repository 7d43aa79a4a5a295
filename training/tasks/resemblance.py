"""Generation judged by the distance of two clouds: features of what is drawn, and of real images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import metrics
from ...metrics import Metric, Scores
from ...runners import Runner
from ..data import Dataset, load
from ..data.dataset import facts_of
from ..feature_space import FeatureSpace, feature_space
from .generative import LATENT_SEED, Drawn, Generation, unsigned
from .register import Networks, enter


@dataclass(frozen=True, kw_only=True)
class Resembling(Drawn):
    """Samples, and the space in which they are compared."""

    space: FeatureSpace


@dataclass(frozen=True, kw_only=True)
class Resemblance(Generation):
    """Samples of a generator, judged by the Frechet distance from the test images in a feature space of our own.

    The space is that of a classifier of the same images (see `feature_space`), so the figures are no Inception
    distances. As many samples are drawn as there are test images, from the same latents for all runners. The unit is a
    pair of a drawn and a real image. Source: Heusel 2017, arXiv:1706.08500.
    """

    @property
    def metric(self) -> Metric:
        """The distance of two normal distributions."""
        return metrics.get("frechet_distance")

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return images as a game takes them, and the space, for which a classifier is trained."""
        dataset = super().present(data, networks, rebuilt=rebuilt, **asked)
        assert isinstance(dataset, Drawn)
        shape = np.asarray(dataset.test.x).shape[1:]
        told = load(data, input_shape=shape, dtype="float32", task="classification", **asked)
        facts = facts_of(dataset)
        return Resembling(**facts, space=feature_space(told))

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score pairs by their features, (N, 2 FEATURES)."""
        assert isinstance(dataset, Resembling)
        real = unsigned(dataset.test.x)
        made = unsigned(self.drawn(run, dataset, len(real), LATENT_SEED)).reshape(real.shape)
        return Scores.by_row(self.metric.scores(dataset.space.features(made), dataset.space.features(real)))


enter(Resemblance(name="resemblance", game=True, signed=True))

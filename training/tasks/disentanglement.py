"""Disentanglement: does the code keep apart what pictures are made of?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import metrics
from ...errors import BadInput
from ...metrics import Metric, Scores
from ...runners import Runner
from ..data import Dataset
from ..data.shapes import LEVELS, NAMES, Scenes
from ..losses import loss_of_logits
from .autoencoding import CODE, ENCODER, MEAN, Variational
from .register import Networks, enter

FIXED = tuple(NAMES.index(name) for name in ("scale", "orientation", "x", "y"))
TRIALS = {"train": 300, "test": 500}
PAIRS = 12  # in a trial
SEED = 20_170_424


@dataclass(frozen=True, kw_only=True)
class Disentanglement(Variational):
    """Codes of pictures, judged by how often a linear classifier names the factor that two pictures share.

    A trial has pairs of pictures that share one factor, the others being drawn; of their codes the mean absolute
    difference is told the classifier, which is fitted to trials of their own. Networks: as of `Variational`, or an
    encoder of codes alone. The unit is a trial. Source: Higgins 2017, beta-VAE, section 3, algorithm 1.
    """

    @property
    def metric(self) -> Metric:
        """The share of trials that are named rightly."""
        return metrics.get("disentanglement")

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return pictures whose factors are known.  Raises: BadInput for others."""
        dataset = super().present(data, networks, rebuilt=rebuilt, **asked)
        if not isinstance(dataset, Scenes):
            raise BadInput(f"task {self.name!r} needs pictures of known factors, data {dataset.name!r} has none; take "
                           "shapes or dsprites")  # fmt: skip
        return dataset

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score each trial by whether its factor is named, (N, 1)."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        assert isinstance(dataset, Scenes)
        parts = {}
        for place, (part, count) in enumerate(TRIALS.items()):
            first, second, shared = trials(count, np.random.default_rng([SEED, place]))
            codes = [self.coded(run, dataset, dataset.draw(each.reshape(-1, len(LEVELS)))) for each in (first, second)]
            apart = np.abs(codes[0] - codes[1]).reshape(count, PAIRS, -1).mean(1)
            parts[part] = apart, shared
        namer = make_pipeline(StandardScaler(), LogisticRegression(C=100.0, max_iter=1000)).fit(*parts["train"])
        differences, truth = parts["test"]
        return Scores.by_row((namer.predict(differences) == truth)[:, None].astype(np.float64))

    def coded(self, run: Runner, dataset: Dataset, x: np.ndarray) -> np.ndarray:
        """Return what stands for the code of pictures: the mean of a distribution where there is one, flat."""
        said = run(ENCODER, {name: values * (values is x) for name, values in self.read(dataset, x, 0).items()})
        code = said[MEAN] if MEAN in said else said[CODE]
        return np.asarray(code, np.float64).reshape(len(x), -1)


def trials(count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return factors of the pictures of pairs, (N, PAIRS, 5) twice, and which of `FIXED` each trial's pairs share."""
    first, second = (random.integers(0, LEVELS, (count, PAIRS, len(LEVELS))) for _ in range(2))
    shared = random.integers(0, len(FIXED), count)
    for trial, place in enumerate(shared):
        second[trial, :, FIXED[place]] = first[trial, :, FIXED[place]]
    return first, second, shared


enter(Disentanglement(name="disentanglement", loss=loss_of_logits))

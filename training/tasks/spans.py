"""Span corruption: what stood where a text has gaps, judged by how likely it was."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ... import metrics
from ...metrics import Metric, Scores
from ...runners import Runner
from ..data import Dataset
from ..decoding import LOGITS, TOKEN
from ..losses import PaddedCrossentropy
from .register import enter
from .stepping import POSITION
from .translation import PAD, SOURCE, STEP, TARGET, Translation, positions, token_logs


@dataclass(frozen=True, kw_only=True)
class SpanCorruption(Translation):
    """The networks of a translation, told the true tokens on the way: perplexity, the end of the target included.

    A gap can be filled in many ways, so that none is compared word by word. The unit is a text.
    """

    @property
    def metric(self) -> Metric:
        """Perplexity."""
        return metrics.get("perplexity")

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score each token of the targets by its negative log-likelihood, (M, 1)."""
        target, truth = np.asarray(dataset.test.x[TARGET]), np.asarray(dataset.test.y)
        speaker = self.speaker(run, dataset, np.asarray(dataset.test.x[SOURCE]))
        given = {TOKEN: target[..., None]}
        if speaker.position:
            given[POSITION] = positions(*target.shape)
        logits = np.asarray(run.unroll(STEP, given, first=speaker.first, held=speaker.held)[LOGITS])
        rows = self.metric.scores(logits.reshape(*truth.shape, -1), truth).reshape(truth.shape)
        text, place = np.nonzero(truth != PAD)
        return Scores(rows[text, place][:, None], text)


enter(SpanCorruption(name="span_corruption", loss=PaddedCrossentropy, logs=token_logs, labelled=True))

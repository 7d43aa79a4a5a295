"""Reading: the span of a passage that answers a question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import log_softmax

from ... import metrics
from ...metrics import Metric, Scores
from ...runners import Arrays, Judge, Runner
from ..data import Dataset
from ..data.dataset import subset
from ..data.reading import HEADS, INPUTS
from ..presented import prepared
from .objective import Objective
from .register import TASKS, Bound, Networks, enter
from .supervised import shown

NOWHERE = -1e9  # the log-probability of padding


@dataclass(frozen=True, kw_only=True)
class Reading(Objective):
    """Answers that are spans, judged by the share of those whose first and last word are the right ones.

    The network: context, question, their letters and masks (see `data.reading`) -> "start" and "end" (N, T), logits of
    places. The unit is a question.
    """

    @property
    def metric(self) -> Metric:
        """Accuracy."""
        return metrics.get("accuracy")

    def present(self, data: Any, networks: Networks, **asked: Any) -> Dataset:
        """Load `data` as passages of the lengths that the network takes."""
        ((name, network),) = networks.items()
        return prepared(network, data, network=name, task=self.name, **asked)[1]

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n training questions with their passages."""
        return dict(subset(dataset.train, n, seed, stratify=False).x)  # pyright: ignore[reportCallIssue, reportArgumentType]

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score each test question by whether its span is the right one, (N, 1)."""
        split = dataset.test
        given: Any = split.x
        answers = run(shown(dataset).network, {name: given[name] for name in INPUTS})
        said = best_spans(*(np.asarray(answers[head]) for head in ("start", "end")), there=given["context_mask"] != 0)
        truth = np.stack([split.y["start"], split.y["end"]], -1)
        return Scores.by_row((said == truth).all(-1, keepdims=True).astype(np.float64))

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)


def best_spans(start: np.ndarray, end: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Return the likeliest spans p(i) q(j), i <= j, none of them over padding.

    Shapes: logits (N, T) each, there (N, T) bool -> first and last place (N, 2).  Source: arXiv:1611.01603, section 2.
    """
    first, last = (log_softmax(np.where(there, logits.astype(np.float64), NOWHERE), -1) for logits in (start, end))
    both = first[:, :, None] + last[:, None]  # (N, i, j)
    both[:, *np.tril_indices(start.shape[1], -1)] = -np.inf
    return np.stack(np.unravel_index(both.reshape(len(both), -1).argmax(-1), both.shape[1:]), -1)


enter(Reading(name="reading", loss=TASKS["classification"].loss, labelled=True,
              heads=dict.fromkeys(HEADS, TASKS["classification"])))  # fmt: skip

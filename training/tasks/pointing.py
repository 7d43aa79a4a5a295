"""Pointing: a step network points at one item of its input after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import metrics
from ...errors import BadInput
from ...metrics import Metric, Scores
from ...runners import Arrays, Judge, Runner
from ..data import Dataset, Input, load
from ..data.dataset import facts_of, subset
from ..losses import SmoothedCrossentropy
from ..presented import presented_as, takes
from .objective import Objective
from .register import Bound, Networks, enter

NETWORKS = SEQUENCE, ENCODER, STEP = "sequence", "encoder", "step"
ITEMS, LAST, USED, LOGITS = "items", "last", "used", "logits"


@dataclass(frozen=True, kw_only=True)
class Pointed(Dataset):
    """Items and their order. step: what the step network reads."""

    step: tuple[Input, ...]


@dataclass(frozen=True, kw_only=True)
class Pointing(Objective):
    """An order of items, judged by the share of places that hold the right one when the net goes by its own choices.

    Networks: "sequence", items (N, n, d), last (N, T, d), used (N, T, n) -> logits (N, T, n), which is trained;
    "encoder", items -> what the step reads at each step and its first states; "step", these, "last" (N, 1, d) and
    "used" (N, 1, n) -> "logits" (N, 1, n), and for each state "x" an output "x_out". What was pointed at is not pointed
    at again. The unit is a set of items.
    """

    @property
    def metric(self) -> Metric:
        """Accuracy."""
        return metrics.get("accuracy")

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return items in the shapes of the sequence net.  Raises: BadInput if a network is missing."""
        if missing := [name for name in NETWORKS if name not in networks]:
            raise BadInput(f"task {self.name!r} needs a network {missing[0]!r}, got {', '.join(networks)}")
        shape = {each.name: each.shape for each in takes(networks[SEQUENCE])["inputs"]}
        loaded = load(data, input_shape=shape, task=self.name, **asked)
        facts = facts_of(loaded, Dataset)
        return Pointed(**facts, step=takes(networks[STEP])["inputs"])

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return the inputs of n training sets; of the step by time, on made-up keys, as `Translation` does."""
        x = subset(dataset.train, n, seed, stratify=False).x
        if network != STEP:
            return dict(x) if network == SEQUENCE else {ITEMS: x[ITEMS]}
        random, (count, steps) = np.random.default_rng(seed), x[USED].shape[:2]
        given = {LAST: x[LAST], USED: x[USED]}
        for each in presented_as(dataset, Pointed).step:
            if each.name not in given and len(each.shape) > 1:  # what stays; states begin at zero
                made = random.standard_normal((count, *(size or 1 for size in each.shape)), np.float32)
                given[each.name] = np.repeat(made[:, None], steps, axis=1)
        return given

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score each test set by the share of its places that are right, (N, 1)."""
        said = pointed_at(run, np.asarray(dataset.test.x[ITEMS]))
        return Scores.by_row((said == dataset.test.y).mean(1, keepdims=True).astype(np.float64))

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)


def pointed_at(run: Runner, items: np.ndarray) -> np.ndarray:
    """Return which item is pointed at first, second and so on: the likeliest of those left.  (N, n, d) -> (N, n)."""
    count, number = items.shape[:2]
    given, rows = dict(run(ENCODER, {ITEMS: items})), np.arange(count)
    last, used, said = np.zeros_like(items[:, :1]), np.zeros((count, 1, number), np.float32), []
    for _ in range(number):
        answers = run(STEP, {**given, LAST: last, USED: used})
        logits = np.asarray(answers[LOGITS]).reshape(count, number)
        chosen = np.where(used[:, 0] > 0, -np.inf, logits).argmax(-1)
        given |= {name: answers[f"{name}_out"] for name in given if f"{name}_out" in answers}
        last, used = items[rows, chosen][:, None], used.copy()
        used[rows, 0, chosen] = 1.0
        said.append(chosen)
    return np.stack(said, 1)


def _classes(threshold: float) -> list[Any]:
    return ["accuracy"]


enter(Pointing(name="pointing", loss=SmoothedCrossentropy, logs=_classes, labelled=True))

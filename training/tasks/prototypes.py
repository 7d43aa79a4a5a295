"""Classification by a table of entries without names: the nearest ones vote for what the training samples call them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ... import metrics
from ...metrics import Metric, Scores
from ...runners import Arrays, Judge, Runner
from ..answers import outputs_of
from ..data import Dataset, Shown, Split, calibration, load
from ..presented import by_name, takes
from .register import Bound, Networks, enter
from .supervised import shown

BLOCK = 512  # samples whose answers are held at once


@dataclass(frozen=True, kw_only=True)
class Prototypes:
    """Classes of samples by the entries of a table that a network finds nearest: the higher its answer, the nearer.

    vote: how many entries have a vote. An entry is called as `names_of` says.
    """

    name: str
    vote: int = 1

    @property
    def metric(self) -> Metric:
        """Accuracy."""
        return metrics.get("accuracy")

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Load `data` as the classification that it is, as the one network takes it."""
        name, network = next(iter(networks.items()))
        known = takes(network)
        if isinstance(data, Dataset):
            dataset = data
        else:
            shape, dtype = known["input_shape"], known["dtype"]
            dataset = load(data, input_shape=shape, dtype=dtype, task="classification", **asked)
        presented = Shown(network=name, inputs=known["inputs"], outputs=outputs_of(network))
        return replace(dataset, task=self.name, shown=presented)

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return the inputs of n training samples."""
        return by_name(shown(dataset), calibration(dataset, n, seed))

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score the votes on the test split; the entries are named by what the same runner answers to training data."""
        names = names_of(run, dataset)
        votes = [self.votes(answers, names, dataset.classes) for answers, _ in _answers(run, dataset, dataset.test)]
        return Scores.by_row(self.metric.scores(np.concatenate(votes), dataset.test.y))

    def votes(self, answers: np.ndarray, names: np.ndarray, classes: int) -> np.ndarray:
        """Return how many of the nearest entries are of each class; of equally many that of the nearest wins.

        Shapes: answers (N, entries), names (entries,) -> (N, classes).
        """
        ranks = np.argsort(-answers, axis=1, kind="stable")[:, : self.vote]  # (N, vote)
        worth = 1 + 0.5 ** np.arange(1, self.vote + 1)  # the nearest outweighs all behind it, all less than one vote
        counted = np.zeros((len(answers), classes))
        np.add.at(counted, (np.arange(len(answers))[:, None], names[ranks]), worth)
        return counted

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)


def names_of(run: Runner, dataset: Dataset) -> np.ndarray:
    """Return the class of each entry, (entries,): the most frequent one of the training samples nearest to it.

    An entry that is the nearest to none has the class of the sample that comes closest to it.
    """
    counts, closest, names = np.zeros((0, 0)), np.zeros(0), np.zeros(0, int)
    for answers, labels in _answers(run, dataset, dataset.train):
        if not len(counts):
            entries = answers.shape[1]
            counts, closest = np.zeros((entries, dataset.classes)), np.full(entries, -np.inf)
            names = np.zeros(entries, int)
        np.add.at(counts, (answers.argmax(1), labels), 1)
        near = answers.max(0)
        names[near > closest] = labels[answers.argmax(0)][near > closest]
        closest = np.maximum(near, closest)
    names[counts.any(1)] = counts.argmax(1)[counts.any(1)]
    return names


def _answers(run: Runner, dataset: Dataset, split: Split) -> Any:
    """Yield what the network answers to blocks of `split`, with their labels."""
    network = shown(dataset)
    for start in range(0, len(split), BLOCK):
        block = split.take(np.arange(start, min(start + BLOCK, len(split))))
        (answers,) = run(network.network, by_name(network, block.x)).values()
        yield np.asarray(answers), block.y


enter(Prototypes(name="prototypes"))
enter(Prototypes(name="nearest_neighbours", vote=5))

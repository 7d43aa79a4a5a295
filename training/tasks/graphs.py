"""Node classification: one graph is one sample, and some of its nodes have a class that is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from ... import metrics
from ...errors import BadInput
from ...metrics import Metric, Scores
from ...runners import Arrays, Judge, Runner
from ..answers import outputs_of
from ..data import Dataset, Input, Shown, check, sets
from ..data.graphs import HIDDEN
from ..presented import takes
from .objective import Objective
from .register import Bound, Networks, enter


@dataclass(frozen=True, kw_only=True)
class NodeClassification(Objective):
    """Classes of nodes, of which each split tells its own; judged by the share that is right, the unit being a node."""

    @property
    def metric(self) -> Metric:
        """Accuracy."""
        return metrics.get("accuracy")

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return the graph `data`, a name or a Dataset, for the one network; limits have no say, a graph is whole.

        Raises: BadInput for a network of other inputs, or labels that are neither classes nor hidden.
        """
        name, network = next(iter(networks.items()))
        known = takes(network)
        dataset = data if isinstance(data, Dataset) else graph_of(data, self.name, known["inputs"])
        for part, split in dataset.splits.items():
            check(replace(split, y=np.maximum(split.y, 0)), f"{dataset.name} {part}", classes=dataset.classes)
        wanted = {each.name: each.shape for each in known["inputs"]}
        if not rebuilt and wanted != dataset.input_shape:
            raise BadInput(
                f"{name!r} takes {wanted}, data {dataset.name!r} is {dataset.input_shape}; build it for them"
            )
        return replace(dataset, shown=Shown(network=name, inputs=known["inputs"], outputs=outputs_of(network)))

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return the one graph, by input name."""
        x = dataset.train.x
        assert isinstance(x, Mapping)
        return dict(x)

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score the nodes of the test split, (n, 1); the unit is the node's number."""
        assert dataset.shown
        (logits,) = run(dataset.shown.network, self.samples(dataset, dataset.shown.network)).values()
        truth = dataset.test.y[0]
        nodes = np.flatnonzero(truth != HIDDEN)
        return Scores(self.metric.scores(np.asarray(logits)[0, nodes], truth[nodes]), nodes)

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)


def graph_of(name: str, task: str, inputs: Sequence[Input]) -> Dataset:
    """Return the graph `name` as inputs of these names take it.  Raises: BadInput for a set that is no graph."""
    entry = sets.source(name)
    return entry.load(sets.asked(entry, input_shape=None, dtype=None, task=task, vocabulary=None, inputs=inputs))


def _of_told(smoothing: float) -> keras.losses.Loss:
    """Return the cross-entropy of the nodes whose class is told."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=HIDDEN)


enter(NodeClassification(name="node_classification", loss=_of_told, labelled=True))

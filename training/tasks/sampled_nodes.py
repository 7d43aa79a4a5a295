"""Node classification by neighbourhoods of a fixed size: a node, drawn neighbours, and drawn neighbours of theirs."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import keras
import numpy as np

from ... import metrics
from ...errors import BadInput
from ...metrics import Metric, Scores
from ...runners import Arrays, Judge, Runner
from ..answers import outputs_of
from ..data import Dataset, Input, Shown, Split
from ..data.dataset import subset
from ..data.graphs import HIDDEN
from ..neighbourhoods import FAR, NEAR, TARGET, WEIGHTS, Neighbourhoods
from ..presented import takes
from .graphs import graph_of
from .objective import Objective
from .register import Bound, Networks, enter

LOGITS, VECTOR = "logits", "vector"  # the networks' outputs
INPUTS = (TARGET, NEAR, FAR, *WEIGHTS.values())
WHOLE = (Input(name="features", shape=(None, None), dtype="float32"),
         Input(name="links", shape=(None, None), dtype="float32"))  # fmt: skip
DRAWN_BY = 0  # the seed of the neighbourhoods that are judged, whatever that of the training is
AT_ONCE = 64  # nodes, whose neighbourhoods' features lie in memory


@dataclass(frozen=True, kw_only=True)
class Sampled(Dataset):
    """Nodes, their neighbourhoods as numbers of nodes (see `Neighbourhoods.drawn`), and the graph they are drawn of."""

    graph: Neighbourhoods = field(repr=False)

    @property
    def input_shape(self) -> dict[str, tuple[int, ...]]:
        """Shapes of what a network reads of one node."""
        width, (near, far) = self.graph.features.shape[1], self.graph.sizes
        return {TARGET: (width,), NEAR: (near, width), FAR: (near, far, width), WEIGHTS[NEAR]: (near,),
                WEIGHTS[FAR]: (near, far)}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SampledNodeClassification(Objective):
    """Classes of nodes, told by their neighbourhoods alone; the unit of an interval is the node.

    Network: target (N, F), near (N, k1, F), far (N, k1, k2, F), and the share that each has in a mean, near_weights
    (N, k1), far_weights (N, k1, k2), 0 for a neighbour that is not there -> "logits" (N, K), and "vector" besides.
    """

    @property
    def metric(self) -> Metric:
        """Accuracy."""
        return metrics.get("accuracy")

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Sampled:
        """Return the nodes of the graph `data`, with as many neighbours as the network takes.

        Raises: BadInput for a network of other inputs, or one built for other features or fewer classes.
        """
        name, network = next(iter(networks.items()))
        known = takes(network)
        shapes = {each.name: each.shape for each in known["inputs"]}
        if set(shapes) != set(INPUTS):
            raise BadInput(f"task {self.name!r} is for inputs {', '.join(INPUTS)}; {name!r} has {', '.join(shapes)}")
        whole = graph_of(data, self.name, WHOLE)
        features, links = (whole.train.x[each.name][0] for each in WHOLE)  # pyright: ignore[reportArgumentType]
        graph = Neighbourhoods.of(features, links, (shapes[FAR][0], shapes[FAR][1]))
        random, splits = np.random.default_rng(DRAWN_BY), {}
        for part, split in whole.splits.items():
            nodes = np.flatnonzero(split.y[0] != HIDDEN)
            splits[part] = Split(x=graph.drawn(nodes, random), y=split.y[0, nodes])
        facts = {each.name: getattr(whole, each.name) for each in fields(Dataset)}
        shown = Shown(network=name, inputs=known["inputs"], outputs=outputs_of(network))
        dataset = Sampled(**{**facts, **splits, "task": self.name, "shown": shown}, graph=graph)
        if not rebuilt and dataset.input_shape != shapes:
            raise BadInput(f"{name!r} takes {shapes}, data {data!r} is {dataset.input_shape}; build it for them")
        return dataset

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n training nodes' neighbourhoods."""
        assert isinstance(dataset, Sampled)
        few: Any = subset(dataset.train, n, seed, stratify=True).x
        return dataset.graph.arrays(few)

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score the test nodes, (n, 1); the unit is the node's number."""
        assert isinstance(dataset, Sampled) and dataset.shown
        drawn: Any = dataset.test.x
        rows = []
        for start in range(0, len(dataset.test), AT_ONCE):
            few = {name: nodes[start : start + AT_ONCE] for name, nodes in drawn.items()}
            logits = np.asarray(run(dataset.shown.network, dataset.graph.arrays(few))[LOGITS])
            rows.append(self.metric.scores(logits, dataset.test.y[start : start + AT_ONCE]))
        return Scores(np.concatenate(rows), drawn[TARGET])

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)


def _of_nodes(smoothing: float) -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


enter(SampledNodeClassification(name="sampled_node_classification", loss=_of_nodes, labelled=True))

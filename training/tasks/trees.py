"""Labels of trees: a network computes a node from its children, and the walk from the leaves to the root is ours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ... import metrics
from ...errors import BadInput
from ...metrics import Metric, Scores
from ...runners import Arrays, Judge, Recording, Runner
from ..answers import outputs_of
from ..data import Dataset, Shown, sets
from ..data.dataset import limited, subset
from ..data.trees import levels, roots
from ..presented import takes
from .register import Bound, Networks, task

LEAF, NODE = "leaf", "node"
TOKEN, MASK, LOGITS = "token", "mask", "logits"
OF_CHILDREN = "_children"  # how the input is called that takes what the children's output of that name was


@task
class TreeClassification:
    """Classes of trees, told at the root; judged by the share that is right, the unit being a tree.

    Networks: "node", for each of its states, as "h", the children's "h_children" (N, children, units), and "mask" (N,
    children) [and "token" (N, 1)] -> the states (N, units) and "logits" (N, K); "leaf", token -> states, where leaves
    are no nodes with an empty mask.
    """

    name = "tree_classification"

    @property
    def metric(self) -> Metric:
        """Accuracy."""
        return metrics.get("accuracy")

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return trees whose nodes have as many children as the network takes.

        Raises: BadInput if there is no network of nodes, or it tells fewer classes or tokens apart than there are.
        """
        if NODE not in networks:
            raise BadInput(f"task {self.name!r} is for a network {NODE!r}, got {', '.join(networks)}")
        node = networks[NODE]
        inputs = takes(node)["inputs"]
        arity = next(each.shape[0] for each in inputs if each.name == MASK)
        dataset = data if isinstance(data, Dataset) else _trees(data, self.name, arity)
        told = np.asarray(dataset.train.x).shape[-1] - 1
        if told != arity:
            raise BadInput(f"{NODE!r} takes {arity} children, data {dataset.name!r} has {told}")
        outputs = tuple(replace(each, shape=(None,)) for each in outputs_of(node)) if rebuilt else outputs_of(node)
        width = next(each.shape[-1] for each in outputs if each.name == LOGITS)
        if width is not None and width < dataset.classes:
            raise BadInput(f"{NODE!r} has {width} classes, data {dataset.name!r} has {dataset.classes}; build it with "
                           f"classes={dataset.classes}")  # fmt: skip
        few = limited(dataset, asked.get("limit"), asked.get("test_limit"), asked.get("seed", 0))
        return replace(few, shown=Shown(network=NODE, inputs=inputs, outputs=outputs))

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return what n nodes of training trees read; the states of their children are made up, of [-1, 1].

        `observed` has those that networks give.
        """
        assert dataset.shown
        x = np.asarray(subset(dataset.train, n, seed, stratify=False).x)
        trees, nodes = np.nonzero(x[..., 0] > 0 if network == LEAF else (x[..., 1:] > 0).any(-1))
        random = np.random.default_rng(seed)
        chosen = random.permutation(len(trees))[:n]
        rows = x[trees[chosen], nodes[chosen]]  # (n, 1 + children)
        if network == LEAF:
            return {TOKEN: rows[:, :1]}
        made = {name: random.uniform(-1, 1, zeros.shape).astype(np.float32)
                for name, zeros in _nothing(dataset, len(rows)).items()}  # fmt: skip
        given = {TOKEN: rows[:, :1], MASK: (rows[:, 1:] > 0).astype(np.float32), **made}
        return {each.name: given[each.name] for each in dataset.shown.inputs}

    def observed(self, run: Runner, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return what `network` reads at n nodes while training trees are walked."""
        seen = Recording(run, network)
        self.evaluate(seen, replace(dataset, test=subset(dataset.train, n, seed, stratify=False)))
        return seen.chosen(n, seed)

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Walk the test trees; score the label of each root, (N, 1)."""
        x = np.asarray(dataset.test.x)
        logits, last = walked(run, dataset, x)[LOGITS], roots(x)
        every = np.arange(len(x))
        return Scores.by_row(self.metric.scores(logits[every, last], dataset.test.y[every, last]))

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)


def walked(run: Runner, dataset: Dataset, x: np.ndarray) -> dict[str, np.ndarray]:
    """Return what each node of trees comes to, those of one height being computed at once.

    Shapes: x (N, nodes, 1 + children) -> output (N, nodes, ...), zeros where it is not known.
    """
    assert dataset.shown
    names = [each.name for each in dataset.shown.inputs]
    found: dict[str, np.ndarray] = {}

    def put(trees: np.ndarray, nodes: np.ndarray, outputs: Arrays) -> None:
        for name, values in outputs.items():
            found.setdefault(name, np.zeros((*x.shape[:2], *np.shape(values)[1:]), np.float32))[trees, nodes] = values

    def compute(trees: np.ndarray, nodes: np.ndarray) -> None:
        rows = x[trees, nodes]
        given = {TOKEN: rows[:, :1], MASK: (rows[:, 1:] > 0).astype(np.float32)}
        for name, zeros in _nothing(dataset, len(rows)).items():
            states = found.get(name.removesuffix(OF_CHILDREN))
            below = zeros if states is None else states[trees[:, None], np.maximum(rows[:, 1:] - 1, 0)]
            given[name] = below * given[MASK][..., None]
        put(trees, nodes, run(NODE, {name: given[name] for name in names}))

    trees, nodes = np.nonzero((x[..., 0] > 0) & (x[..., 1:] == 0).all(-1))
    if TOKEN in names:
        compute(trees, nodes)
    else:
        put(trees, nodes, run(LEAF, {TOKEN: x[trees, nodes, :1]}))
    for trees, nodes in levels(x):
        compute(trees, nodes)
    return found


def _nothing(dataset: Dataset, count: int) -> dict[str, np.ndarray]:
    """Return the states of `count` nodes' children, all of them zero."""
    assert dataset.shown
    shapes = {each.name: [size or 1 for size in each.shape] for each in dataset.shown.inputs}
    return {name: np.zeros((count, *shape), np.float32) for name, shape in shapes.items() if name.endswith(OF_CHILDREN)}


def _trees(name: str, task: str, arity: int) -> Dataset:
    entry = sets.source(name)
    return entry.load(sets.asked(entry, input_shape=(1, 1 + arity), dtype=None, task=task, vocabulary=None))

"""Kernel machines that are solved for with samples that have no label: their labels spread, or move the boundary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import BadInput
from ..config import TrainConfig
from ..data import Dataset
from .register import Networks
from .solved import solver
from .tables import COST, filled, lone, store

NONE = -1  # in the place of a label that is not known
FIRST, FASTER = 0.01, 4.0  # share of the cost that samples without a label have at first, and by which it grows


@solver("label_propagation")
def label_propagation(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig) -> None:
    """Let labels spread along the graph of samples that are alike, and store what each comes to, the rows of it.

    A new sample is told by the mean of these, weighted by likeness.  Source: Zhu and Ghahramani 2002, Learning from
    labeled and unlabeled data with label propagation; of new samples Delalleau 2005, Efficient non-parametric function
    induction in semi-supervised learning.  Raises: BadInput for data without samples that have no label.
    """
    network = lone(networks)
    support, logits = network.get_layer("support"), network.get_layer("logits")
    room, classes = support.table.shape[1], logits.bias.shape[0]
    x, labels = with_and_without(dataset, room)
    told = propagated(x, labels, support.scale, classes)
    support.table.assign(filled(x, room).T)
    logits.kernel.assign(np.pad(told, [(0, room - len(x)), (0, 0)]).astype(np.float32))
    logits.bias.assign(np.zeros(classes, np.float32))


def propagated(x: np.ndarray, labels: np.ndarray, gamma: float, classes: int) -> np.ndarray:
    """Return the classes that samples come to, (N, classes): a known one, else the mean of all others by likeness.

    These are balanced, see below. x: (N, n); labels: (N,), NONE where unknown. The likeness of two is
    exp(-gamma |x - y|^2).
    """
    lengths = (x**2).sum(1)
    alike = np.exp(-gamma * np.maximum(lengths[:, None] + lengths - 2 * x @ x.T, 0))
    np.fill_diagonal(alike, 0)
    moves = alike / np.maximum(alike.sum(1, keepdims=True), np.finfo(np.float64).tiny)
    known, told = labels != NONE, np.zeros((len(x), classes))
    told[known, labels[known]] = 1
    inner = np.eye((~known).sum()) - moves[np.ix_(~known, ~known)]
    spread = np.linalg.solve(inner, moves[np.ix_(~known, known)] @ told[known])
    told[~known] = balanced(spread, told[known].mean(0))
    return told


def balanced(told: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return classes of samples, scaled so that all samples together have each class by its share of those known.

    Where labels are few, the one that lies a little nearer to all others outweighs them everywhere: of MNIST with four
    labels a class it told 13% right, and balanced 69%.  Shapes: (N, classes), (classes,) -> (N, classes).
    Source: class mass normalization, Zhu 2003, Semi-supervised learning using Gaussian fields and harmonic functions.
    """
    least = np.finfo(np.float64).tiny
    scaled = told * shares / np.maximum(told.sum(0), least)
    return scaled / np.maximum(scaled.sum(1, keepdims=True), least)


@solver("transductive_support_vectors")
def transductive_support_vectors(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig) -> None:
    """Fit one transductive machine a class against the rest, and store the vectors that any of them needs.

    Source: Joachims 1999, Transductive inference for text classification using support vector machines.
    Raises: BadInput for data without samples that have no label.
    """
    network = lone(networks)
    support, logits = network.get_layer("support"), network.get_layer("logits")
    x, labels = with_and_without(dataset, support.table.shape[1])
    machines = [transductive(x, np.where(labels == NONE, 0, np.where(labels == label, 1, -1)), support.scale)
                for label in range(logits.bias.shape[0])]  # fmt: skip
    store(network, x, machines)


def transductive(x: np.ndarray, sides: np.ndarray, gamma: Any) -> Any:
    """Return a machine of scikit-learn whose margin keeps clear of samples without a label, too.

    sides: 1 or -1, 0 where unknown: as large a share of those gets 1 as of the known, first by a machine of the known
    alone. Then they count more and more, and two of different sides, both on the wrong side of the margin by more than
    2 together, change places while there are such.  Shapes: x (N, n), sides (N,).
    """
    from sklearn.svm import SVC

    open_ = np.flatnonzero(sides == 0)
    known = sides != 0
    machine = SVC(C=COST, gamma=gamma).fit(x[known], sides[known])
    positive = max(1, round((sides[known] > 0).mean() * len(open_)))
    now = sides.copy()
    now[open_] = -1
    now[open_[np.argsort(-machine.decision_function(x[open_]), kind="stable")[:positive]]] = 1
    share = FIRST
    while share < 1:
        share = min(1.0, share * FASTER)
        while True:
            weights = np.where(known, 1.0, share)
            machine = SVC(C=COST, gamma=gamma).fit(x, now, sample_weight=weights)
            change = switched(now[open_], machine.decision_function(x[open_]))
            if not len(change):
                break
            now[open_[change]] *= -1
    return machine


def switched(sides: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return which samples change sides: the worst of both, in pairs whose slacks are above 0 and sum to more than 2.

    All such pairs at once, each of which lowers the objective (Sindhwani 2006).  Shapes: (N,), (N,) -> (M,).
    """
    slack = np.maximum(0, 1 - sides * scores)
    orders = [np.flatnonzero(sides == side)[np.argsort(-slack[sides == side], kind="stable")] for side in (1, -1)]
    worst = [order[slack[order] > 0] for order in orders]
    pairs = min(map(len, worst))
    together = slack[worst[0][:pairs]] + slack[worst[1][:pairs]] > 2 + 1e-6
    return np.concatenate([each[:pairs][together] for each in worst])


def with_and_without(dataset: Dataset, room: int) -> tuple[np.ndarray, np.ndarray]:
    """Return at most `room` samples, first all that have a label, and labels, NONE where there is none.

    Shapes: (N, n) float64, (N,).  Raises: BadInput where all have one, or there is no room for those that have.
    """
    x, y = np.asarray(dataset.train.x), np.asarray(dataset.train.y)
    if not isinstance(dataset.unlabelled, np.ndarray):
        raise BadInput(f"data {dataset.name!r} have no samples without a label; name data that have, as "
                       "'digits_40_labels'")  # fmt: skip
    if len(x) > room:
        raise BadInput(f"{len(x)} samples have a label, there is room for {room}; build it with vectors={len(x)}")
    seen = {row.tobytes() for row in x}
    more = _unseen(dataset.unlabelled, seen)[: room - len(x)]
    return np.concatenate([x, more]).astype(np.float64), np.concatenate([y, np.full(len(more), NONE)])


def _unseen(rows: Sequence[np.ndarray] | np.ndarray, seen: set[bytes]) -> np.ndarray:
    return np.asarray(rows)[[row.tobytes() not in seen for row in rows]]

"""Tables that are solved for: support vectors, cluster centres, training samples, mixtures of Gaussians."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from ...errors import BadInput
from ...progress import tracked
from ..config import TrainConfig
from ..data import Dataset
from ..state import Row
from .register import Networks
from .solved import solver

COST = 1.0  # of a sample on the wrong side of a margin
ITERATIONS = 100
LEAST_VARIANCE = 0.02  # added to every variance: of a feature that never changes it would be zero


@solver("support_vectors")
def support_vectors(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig) -> None:
    """Fit one machine a class against the rest, and store the vectors that any of them needs.

    Raises: BadInput if there are more than the network holds.  Source: Cortes 1995, Support-vector networks.
    """
    from sklearn.svm import SVC

    network = lone(networks)
    x, y = _flat(dataset), dataset.train.y
    gamma, classes = network.get_layer("support").scale, network.get_layer("logits").bias.shape[0]
    store(network, x, [SVC(C=COST, gamma=gamma).fit(x, y == label) for label in range(classes)])


def store(network: Any, x: np.ndarray, machines: Sequence[Any]) -> None:
    """Store the vectors, rows of x (N, n), that any of the machines of scikit-learn needs, and their coefficients.

    Raises: BadInput if there are more than the network holds.
    """
    support, logits = network.get_layer("support"), network.get_layer("logits")
    room, classes = support.table.shape[1], len(machines)
    needed = np.unique(np.concatenate([machine.support_ for machine in machines]))
    if len(needed) > room:
        raise BadInput(
            f"{network.name}: {len(needed)} support vectors of {len(x)} samples, it holds {room}; build it with "
            f"vectors={len(needed)} or more, or give fewer samples"
        )
    place = np.zeros(len(x), int)
    place[needed] = np.arange(len(needed))
    coefficients = np.zeros((room, classes), np.float32)
    for label, machine in enumerate(machines):
        coefficients[place[machine.support_], label] = machine.dual_coef_[0]
    support.table.assign(filled(x[needed], room).T)
    logits.kernel.assign(coefficients)
    logits.bias.assign(np.concatenate([machine.intercept_ for machine in machines]).astype(np.float32))


@solver("k_means")
def k_means(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig) -> list[Row]:
    """Move the centres to the means of the samples nearest to them until none changes; the loss is their mean distance.

    They start as k-means++ draws them.  Source: Lloyd 1982; Arthur 2007.
    """
    from sklearn.cluster import kmeans_plusplus

    x, table = _flat(dataset), _table(networks)
    start, _ = kmeans_plusplus(x, table.shape[1], random_state=config.seed)
    centres, losses = lloyd(x, start)
    table.assign(centres.T)
    return [{"loss": loss} for loss in losses]


def lloyd(x: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Return centres (k, n) and the mean squared distance to the nearest before each move; an empty cluster stays."""
    from sklearn.metrics import pairwise_distances_argmin_min

    losses: list[float] = []
    nearest = None
    for _ in tracked("move centres", range(ITERATIONS)):
        before, (nearest, distances) = nearest, pairwise_distances_argmin_min(x, centres, metric="sqeuclidean")
        losses.append(float(distances.mean()))
        if before is not None and np.array_equal(before, nearest):
            break
        moved = [x[nearest == k].mean(0) if (nearest == k).any() else centre for k, centre in enumerate(centres)]
        centres = np.stack(moved)
    return centres, losses


@solver("training_samples")
def training_samples(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig) -> None:
    """Store the training samples: all of them, or as many of each class alike as there is room for."""
    x, table = _flat(dataset), _table(networks)
    table.assign(filled(x[_even(dataset.train.y, table.shape[1])], table.shape[1]).T)


def _even(labels: np.ndarray, count: int) -> np.ndarray:
    """Return the indices of the first `count` samples if every class takes turns, in their order."""
    turn = np.zeros(len(labels), int)
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        turn[of_class] = np.arange(len(of_class))
    return np.sort(np.argsort(turn, kind="stable")[:count])


@solver("gaussian_mixture")
def gaussian_mixture(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig) -> list[Row]:
    """Fit a mixture of Gaussians with diagonal covariances by EM; the loss is minus the mean log-likelihood.

    Source: Dempster 1977, Maximum likelihood from incomplete data via the EM algorithm.
    """
    layer = lone(networks).get_layer("log_densities")
    mixture, losses = expectation_maximisation(_flat(dataset), layer.entries, config.seed)
    layer.means.assign(mixture.means_.T)
    layer.variances.assign(mixture.covariances_.T)
    layer.shares.assign(mixture.weights_)
    return [{"loss": loss} for loss in losses]


def expectation_maximisation(x: np.ndarray, entries: int, seed: int) -> tuple[Any, list[float]]:
    """Return scikit-learn's mixture, and minus the mean log-likelihood (nats) before each step of EM."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(entries, covariance_type="diag", reg_covar=LEAST_VARIANCE, random_state=seed,
                              max_iter=1, warm_start=True)  # fmt: skip
    losses: list[float] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a step at a time never converges by itself
        while len(losses) < ITERATIONS and (len(losses) < 2 or losses[-2] - losses[-1] > mixture.tol):
            losses.append(-float(mixture.fit(x).lower_bound_))
    return mixture, losses


def lone(networks: Networks) -> Any:
    """Return the only network.  Raises: BadInput for several."""
    if len(networks) != 1:
        raise BadInput(f"this learner fills the table of one network, got {', '.join(networks)}")
    return next(iter(networks.values()))


def _table(networks: Networks) -> keras.Variable:
    return lone(networks).get_layer("nearness").table


def _flat(dataset: Dataset) -> np.ndarray:
    return np.asarray(dataset.train.x, np.float32)


def filled(rows: np.ndarray, room: int) -> np.ndarray:
    """Return `room` rows: those there are, from the first again where they do not fill it."""
    return rows[np.arange(room) % len(rows)]

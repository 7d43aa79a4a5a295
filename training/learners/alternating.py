"""Matrix factorization by least squares in turn: users given items, items given users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ...errors import BadInput
from ...models.tables import LOOKUP, SCORER, SCORES
from ...progress import tracked
from ..config import TrainConfig
from ..data import Dataset
from ..rows import matrix_of
from ..state import Row
from .register import Networks
from .solved import solver


@dataclass(frozen=True, kw_only=True)
class Turns:
    """How users and items take turns.

    rounds: how often each is solved. ridge: by how much squared vectors of one cost, for each of its entries.
    Raises: BadInput for a number outside its range.
    """

    rounds: int = 30
    ridge: float = 0.001

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise BadInput(f"rounds={self.rounds}: allowed is an integer from 1")
        if self.ridge <= 0:
            raise BadInput(f"ridge={self.ridge}: allowed is a number above 0")


@solver("alternating_least_squares", again=True, options=Turns)
def alternating_least_squares(
    networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, *, support: Mapping[int, Any], options: Turns
) -> list[Row]:
    """Fit entries by p.q + b + c on those of the training data, p and b of the user, q and c of the item.

    networks: "lookup", whose vectors are p and behind it b; "scorer", of which a layer "scores" has q and c.
    Source: Koren 2009, Matrix factorization techniques for recommender systems; the ridge by entries as in Zhou 2008,
    Large-scale parallel collaborative filtering for the Netflix prize.
    """
    users, dense = matrix_of(networks[LOOKUP]), networks[SCORER].get_layer(SCORES)
    x, truth = np.asarray(dataset.train.x), np.asarray(dataset.train.y, np.float64)[:, 0]
    width, columns = dense.kernel.shape
    alive = np.asarray(support.get(id(dense.kernel), np.ones((width, columns))), bool).T  # (items, width)
    if support:  # what pruning left of them
        items = _numbers(dense.kernel).T
        mean = _numbers(dense.bias)
    else:
        items = np.random.default_rng(config.seed).normal(size=(columns, width)) / np.sqrt(width)
        mean = np.full(columns, truth.mean())
    by_user, by_item = (_groups(x[:, side], count) for side, count in ((0, users.shape[0]), (1, columns)))
    tastes, losses = np.zeros((users.shape[0], width + 1)), []
    every = np.ones(width, bool)
    for _ in tracked("alternating least squares", range(options.rounds)):
        for user, own in enumerate(by_user):
            given = x[own, 1]
            tastes[user] = fitted(items[given], truth[own] - mean[given], every, options.ridge)
        for item, own in enumerate(by_item):
            given = x[own, 0]
            found = fitted(tastes[given, :-1], truth[own] - tastes[given, -1], alive[item], options.ridge)
            items[item], mean[item] = found[:-1], found[-1]
        said = (tastes[x[:, 0], :-1] * items[x[:, 1]]).sum(1) + tastes[x[:, 0], -1] + mean[x[:, 1]]
        losses.append({"loss": float(((said - truth) ** 2).mean())})
    users.assign(tastes.astype(np.float32))
    dense.kernel.assign(items.T.astype(np.float32))
    dense.bias.assign(mean.astype(np.float32))
    return losses


def fitted(x: np.ndarray, y: np.ndarray, alive: np.ndarray, ridge: float) -> np.ndarray:
    """Return weights of x, zero where not alive, and an offset behind them, nearest to y; the offset costs nothing.

    Shapes: x (n, width), y (n,) -> (width + 1,). Of no samples all are zero.
    """
    weights = np.zeros(len(alive) + 1)
    if len(y):
        chosen = np.append(alive, True)
        design = np.append(x, np.ones((len(x), 1)), axis=1)[:, chosen]
        cost = ridge * len(y) * np.diag(np.append(np.ones(int(alive.sum())), 1e-6))
        weights[chosen] = np.linalg.solve(design.T @ design + cost, design.T @ y)
    return weights


def _groups(numbers: np.ndarray, count: int) -> list[np.ndarray]:
    order = np.argsort(numbers, kind="stable")
    return np.split(order, np.searchsorted(numbers[order], np.arange(1, count)))


def _numbers(weight: Any) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(weight), np.float64)

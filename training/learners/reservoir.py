"""Reservoirs are not trained: their readout is ridge regression on the states that they run through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from ...errors import BadInput
from ..config import TrainConfig
from ..data import Dataset
from ..runner import predict
from .register import Networks
from .solved import solver

# Deviation of the noise that the readout shall bear, for states in [-1, 1]: some steps of eight bits, as rounding adds
# up in the recurrence. To solve once more on the rounded states themselves gains nothing over it.
NOISE = 0.02
BATCH = 256
MEAN, RATE, PASSES = 0.2, 1e-3, 3  # of intrinsic plasticity: mean activity, rate, passes over the windows
TOGETHER = 16  # windows whose updates are averaged


@solver("readout", again=True)
def readout(
    networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, *, support: Mapping[int, np.ndarray]
) -> None:
    """Fit the last layer, a Dense, to the targets by ridge regression on what it reads.

    The penalty is what noise on the states comes to (Bishop 1995), so that rounded states are read as well.
    A cell with `intrinsic` plasticity is adapted first, once: what is pruned has it already.
    Raises: BadInput for several networks, or one that does not end in a Dense.
    """
    if len(networks) != 1:
        raise BadInput(f"learner 'readout' fits one network, got {', '.join(networks)}")
    ((name, model),) = networks.items()
    last = model.layers[-1]
    if not isinstance(last, keras.layers.Dense):
        raise BadInput(f"{name!r} ends in {last.name!r}, a {type(last).__name__}; learner 'readout' fits a Dense")
    kernel: Any = last.kernel
    bias: Any = last.bias
    for layer in model.layers if not support else ():
        if getattr(getattr(layer, "cell", None), "intrinsic", False):
            adapt(layer.cell, np.asarray(dataset.train.x)[:: max(1, len(dataset.train) // BATCH)], config.seed)
    states = predict(keras.Model(model.input, last.input), dataset.train.x, BATCH)
    targets = np.asarray(dataset.train.y).reshape(-1, kernel.shape[-1])
    there = support.get(id(kernel), np.ones(kernel.shape, bool))
    noise = NOISE * float(np.ptp(states)) / 2
    w, b = ridge(states.reshape(-1, states.shape[-1]), targets, noise**2 * len(targets), there)
    kernel.assign(w)
    bias.assign(b)


def ridge(
    x: np.ndarray, y: np.ndarray, penalty: float, support: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return w, b that minimise |x w + b - y|^2 + penalty |w|^2, b being free.

    support: where w may be other than zero.  Shapes: x (n, F), y (n, K) -> w (F, K), b (K,).
    """
    x, y = x.astype(np.float64), y.astype(np.float64)
    centre, mean = x.mean(0), y.mean(0)
    gram, right = (x - centre).T @ (x - centre), (x - centre).T @ (y - mean)
    w = np.zeros(right.shape)
    for column in range(y.shape[1]):
        kept = np.arange(len(w)) if support is None else np.flatnonzero(support[:, column])
        system = gram[np.ix_(kept, kept)] + penalty * np.eye(len(kept))
        w[kept, column] = np.linalg.solve(system, right[kept, column])
    return w.astype(np.float32), (mean - centre @ w).astype(np.float32)


def adapt(cell: Any, x: np.ndarray, seed: int, mean: float = MEAN, rate: float = RATE, passes: int = PASSES) -> None:
    """Fold into the weights of a logistic cell the gains and thresholds that make its activity exponential.

    y = 1 / (1 + exp(-(a u + b))) of the net input u; after each step of a window, averaged over some windows,
    b += rate (1 - (2 + 1 / m) y + y^2 / m) and a += rate (1 / a + u times the same).
    Shapes: x (N, T, F).  Source: Triesch 2005, equations 5 and 6.
    """
    kernel, recurrent, bias = (np.asarray(w, np.float64) for w in (cell.kernel, cell.recurrent_kernel, cell.bias))
    gain, threshold = np.ones(cell.units), np.zeros(cell.units)
    random = np.random.default_rng(seed)
    for _ in range(passes):
        order = random.permutation(len(x))
        for start in range(0, len(order), TOGETHER):
            window = x[order[start : start + TOGETHER]].astype(np.float64)
            h = np.zeros((len(window), cell.units))
            for frame in window.swapaxes(0, 1):
                u = frame @ kernel + h @ recurrent + bias
                y = 1 / (1 + np.exp(-(gain * u + threshold)))
                step = 1 - (2 + 1 / mean) * y + y**2 / mean
                gain += rate * (1 / gain + (u * step).mean(0))
                threshold += rate * step.mean(0)
                h = (1 - cell.leak) * h + cell.leak * y
    cell.kernel.assign(kernel * gain)
    cell.recurrent_kernel.assign(recurrent * gain)
    cell.bias.assign(bias * gain + threshold)


__all__ = ["adapt", "readout", "ridge"]

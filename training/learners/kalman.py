"""Linear models of states with Gaussian noise: fitted by expectation maximisation, filtered with the steady gain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import solve_discrete_are

from ...errors import BadInput
from ...progress import tracked
from ..config import TrainConfig
from ..data import Dataset
from ..state import Row
from .register import Networks
from .solved import solver

ROUNDS = 30
TINY = 1e-6  # variance that every noise keeps


@dataclass(frozen=True, kw_only=True)
class Linear:
    """x = A x + w, y = C x + v with noise of covariances Q and R; x before the first observation is N(mean, cov).

    Shapes: transition A (d, d), observation C (m, d), drift Q (d, d), noise R (m, m), mean (d,), cov (d, d).
    """

    transition: np.ndarray
    observation: np.ndarray
    drift: np.ndarray
    noise: np.ndarray
    mean: np.ndarray
    cov: np.ndarray


@solver("kalman")
def kalman(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig) -> Sequence[Row]:
    """Fit the one network's cell, a `KalmanCell`, to the training windows; the loss is nats an observation.

    Raises: BadInput for another network.
    """
    cells: list[Any] = [getattr(layer, "cell", None) for network in networks.values() for layer in network.layers]
    cells = [cell for cell in cells if hasattr(cell, "observation")]
    if len(cells) != 1:
        raise BadInput(f"learner 'kalman' fits one network with one KalmanCell, got {', '.join(networks)}")
    (cell,) = cells
    windows = np.asarray(dataset.train.x, np.float64)
    model, rows = fitted(windows, cell.units)
    gain = steady_gain(model)
    cell.transition.assign(((np.eye(cell.units) - gain @ model.observation) @ model.transition).T)
    cell.gain.assign(gain.T)
    cell.observation.assign((model.observation @ model.transition).T)
    return rows


def fitted(windows: np.ndarray, size: int, rounds: int = ROUNDS) -> tuple[Linear, list[Row]]:
    """Return the model of `size` states that EM comes to, and the loss before each round, which never rises.

    It starts from least squares on the last values of the first column.  Shapes: windows (N, T, m).
    Source: Shumway and Stoffer 1982, An approach to time series smoothing and forecasting using the EM algorithm.
    """
    model, rows = _start(windows, size), []
    for _ in tracked("expectation maximisation", range(rounds)):
        model, nats = _round(model, windows)
        rows.append({"loss": nats})
    return model, rows


def steady_gain(model: Linear) -> np.ndarray:
    """Return the gain K (d, m) of the filter that has seen enough: P C' (C P C' + R)^-1, P the predicted covariance."""
    c = model.observation
    predicted = solve_discrete_are(model.transition.T, c.T, model.drift, model.noise)
    return predicted @ c.T @ np.linalg.inv(c @ predicted @ c.T + model.noise)


def filtered(model: Linear, windows: np.ndarray) -> tuple[list[Any], float]:
    """Return of each step predicted and filtered means (N, d) and covariances (d, d), and the mean nats of a value."""
    a, c, mean, cov = model.transition, model.observation, np.tile(model.mean, (len(windows), 1)), model.cov
    steps, nats = [], 0.0
    for y in windows.swapaxes(0, 1):
        predicted, spread = mean @ a.T, a @ cov @ a.T + model.drift
        of_y = c @ spread @ c.T + model.noise
        error = y - predicted @ c.T
        inverse = np.linalg.inv(of_y)
        gain = spread @ c.T @ inverse
        mean, cov = predicted + error @ gain.T, spread - gain @ c @ spread
        nats += 0.5 * (np.einsum("nm,mk,nk->n", error, inverse, error).mean() + np.linalg.slogdet(2 * np.pi * of_y)[1])
        steps.append((predicted, spread, mean, cov))
    return steps, float(nats / windows[0].size)


def _round(model: Linear, windows: np.ndarray) -> tuple[Linear, float]:
    """Return the model after one round, and the loss before it.  Covariances are the same for all windows."""
    steps, nats = filtered(model, windows)
    a, count, length = model.transition, len(windows), windows.shape[1]
    after, spread = steps[-1][2], steps[-1][3]
    means, spreads, crossed = [after], [spread], []
    for step in range(length - 1, -1, -1):  # back to the state before the first observation
        mean, cov = steps[step - 1][2:] if step else (np.tile(model.mean, (count, 1)), model.cov)
        back = cov @ a.T @ np.linalg.inv(steps[step][1])
        crossed.append(spread @ back.T)  # of the state with the one before
        after, spread = mean + (after - steps[step][0]) @ back.T, cov + back @ (spread - steps[step][1]) @ back.T
        means.append(after)
        spreads.append(spread)
    x, p = np.stack(means[::-1], 1), np.stack(spreads[::-1])  # (N, T + 1, d), (T + 1, d, d)
    before = _outer(x[:, :-1], x[:, :-1]) + p[:-1].sum(0)
    now = _outer(x[:, 1:], x[:, 1:]) + p[1:].sum(0)
    both = _outer(x[:, 1:], x[:, :-1]) + sum(crossed)
    seen = _outer(windows, x[:, 1:])
    transition = both @ np.linalg.inv(before)
    observation = seen @ np.linalg.inv(now)
    start = x[:, 0] - x[:, 0].mean(0)
    return Linear(
        transition=transition,
        observation=observation,
        drift=_covariance((now - transition @ both.T) / length),
        noise=_covariance((_outer(windows, windows) - observation @ seen.T) / length),
        mean=x[:, 0].mean(0),
        cov=_covariance(start.T @ start / count + p[0]),
    ), nats


def _outer(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the sum over steps, and the mean over windows, of outer products."""
    return np.einsum("nti,ntj->ij", one, other) / len(one)


def _covariance(matrix: np.ndarray) -> np.ndarray:
    return (matrix + matrix.T) / 2 + TINY * np.eye(len(matrix))


def _start(windows: np.ndarray, size: int) -> Linear:
    """Return a model whose states are the last values of the first column, which least squares leads on."""
    width = windows.shape[2]
    series = windows[..., 0]
    past = np.stack([series[:, lag : series.shape[1] - size + lag] for lag in range(size - 1, -1, -1)], -1)
    past, came = past.reshape(-1, size), series[:, size:].reshape(-1)
    led = np.linalg.lstsq(past, came, rcond=None)[0]
    transition = np.vstack([led, np.eye(size - 1, size)])
    drift = np.diag([np.mean((came - past @ led) ** 2), *[0.01] * (size - 1)])
    observation = np.zeros((width, size))
    observation[:, 0] = np.einsum("nt,ntm->m", series, windows) / np.sum(series**2)
    return Linear(transition=transition, observation=observation, drift=_covariance(drift), noise=0.1 * np.eye(width),
                  mean=np.zeros(size), cov=np.eye(size))  # fmt: skip


__all__ = ["Linear", "filtered", "fitted", "kalman", "steady_gain"]

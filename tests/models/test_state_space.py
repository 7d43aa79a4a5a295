"""The Kalman filter: known gains, and the Gaussian posterior by brute force."""

from itertools import pairwise

import numpy as np
import pytest
from edgewright.models.state_space import KalmanCell
from edgewright.training.learners.kalman import Linear, filtered, fitted, steady_gain
from keras import layers

RANDOM = np.random.default_rng(0)


def made(size=2, width=1):
    """Return a model of any matrices that is stable."""
    a = RANDOM.normal(size=(size, size))
    a *= 0.9 / np.abs(np.linalg.eigvals(a)).max()
    roots = [RANDOM.normal(size=(n, n)) for n in (size, width, size)]
    q, r, cov = (root @ root.T + 0.1 * np.eye(len(root)) for root in roots)
    return Linear(transition=a, observation=RANDOM.normal(size=(width, size)), drift=q, noise=r,
                  mean=RANDOM.normal(size=size), cov=cov)  # fmt: skip


def walk():
    one = np.eye(1)
    return Linear(transition=one, observation=one, drift=one, noise=one, mean=np.zeros(1), cov=one)


def test_a_random_walk_comes_to_the_golden_ratio():
    steps, _ = filtered(walk(), np.zeros((1, 30, 1)))
    assert steps[-1][1].item() == pytest.approx(1.618034, abs=1e-6)
    assert steady_gain(walk()).item() == pytest.approx(0.618034, abs=1e-6)


def test_the_filter_is_the_gaussian_posterior_of_all_observations_at_once():
    model, y = made(), RANDOM.normal(size=(3, 5, 1))
    a, c = model.transition, model.observation
    # x_t = A^t x_0 + sum A^(t-k) w_k as a matrix on (x_0, w_1 .. w_T)
    parts = np.zeros((5, 2, 6, 2))
    for t in range(5):
        for k in range(t + 2):
            parts[t, :, k] = np.linalg.matrix_power(a, t + 1 - k)
    states = parts.reshape(10, 12)
    prior = np.zeros((12, 12))
    prior[:2, :2] = model.cov
    for k in range(1, 6):
        prior[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = model.drift
    seen = np.kron(np.eye(5), c)
    cov, mean = states @ prior @ states.T, states[:, :2] @ model.mean
    of_y = seen @ cov @ seen.T + model.noise.item() * np.eye(5)
    posterior = mean + (cov @ seen.T @ np.linalg.solve(of_y, (y[..., 0] - seen @ mean).T)).T
    steps, nats = filtered(model, y)
    np.testing.assert_allclose(steps[-1][2], posterior[:, -2:], atol=1e-9)
    error = y[..., 0] - seen @ mean
    exact = 0.5 * (np.einsum("ni,ij,nj->n", error, np.linalg.inv(of_y), error) + np.linalg.slogdet(2 * np.pi * of_y)[1])
    assert nats == pytest.approx(exact.mean() / 5)


def test_the_cell_is_the_filter_once_its_gain_is_steady():
    model = made(width=2)
    gain, c, a = steady_gain(model), model.observation, model.transition
    cell = KalmanCell(2)
    recurrence = layers.RNN(cell, return_sequences=True, return_state=True)
    y = RANDOM.normal(size=(1, 60, 2)).astype("f4")
    recurrence.build(y.shape)
    cell.set_weights([((np.eye(2) - gain @ c) @ a).T, gain.T, (c @ a).T])
    predictions, mean = recurrence(y)
    steps, _ = filtered(model, y.astype(np.float64))
    np.testing.assert_allclose(mean, steps[-1][2], atol=1e-4)
    np.testing.assert_allclose(np.asarray(predictions)[:, -2], steps[-1][0] @ c.T, atol=1e-4)


def test_em_never_raises_the_loss_and_finds_the_noise_of_a_random_walk():
    windows = np.cumsum(RANDOM.normal(size=(60, 80, 1)), 1) + RANDOM.normal(size=(60, 80, 1))
    model, rows = fitted(windows, 1, rounds=150)
    losses = [row["loss"] for row in rows]
    assert all(after <= before + 1e-6 for before, after in pairwise(losses))
    assert steady_gain(model).item() * model.observation.item() == pytest.approx(0.618, abs=0.05)

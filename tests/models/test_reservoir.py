"""Reservoirs: spectral radius, memory, echoes, and spikes one unit at a time; the Kalman filter by brute force."""

import numpy as np
import pytest
from edgewright.models import registry
from edgewright.models.reservoir import EchoStateCell, ReservoirWeights, SpikingCell, spectral_radius
from edgewright.training.learners.reservoir import adapt, ridge
from keras import layers

RANDOM = np.random.default_rng(0)


def reservoir(cell, steps, starts=1):
    """Return a recurrence of `cell` that is built, and what it is fed."""
    return layers.RNN(cell, return_sequences=True), RANDOM.uniform(-1, 1, (starts, steps, 1)).astype("f4")


@pytest.mark.parametrize(("units", "radius"), [(64, 0.9), (300, 0.7)])
def test_the_spectral_radius_is_as_asked(units, radius):
    weights = np.asarray(ReservoirWeights(0.1, radius, seed=3)((units, units)))
    assert spectral_radius(weights) == pytest.approx(radius, abs=1e-3)
    assert (weights != 0).mean() == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize(
    "name", ["echo_state_network", "esn_leaky", "esn_intrinsic_plasticity", "liquid_state_machine"]
)
def test_reservoirs_are_sparse_echo_and_are_not_trained(name):
    sequence = registry.networks(name, "edge")["sequence"]
    weights = np.asarray(sequence.layers[1].cell.recurrent_kernel)
    assert (weights != 0).mean() <= 0.2 and spectral_radius(weights) < 1
    assert [weight.path for weight in sequence.trainable_variables] == ["readout/kernel", "readout/bias"]


def test_a_seed_draws_the_same_reservoir_again():
    one, again, other = (
        registry.networks("echo_state_network", "edge", seed=seed)["sequence"].get_weights()[1] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_too_few_links_for_any_echo_are_refused():
    with pytest.raises(ValueError, match="no unit echoes"):
        ReservoirWeights(1e-6, 0.9, seed=0)((200, 200))
    with pytest.raises(ValueError, match=r"links=0"):
        ReservoirWeights(0)


def test_a_leak_of_one_is_the_plain_network_and_less_is_the_formula():
    plain, x = reservoir(EchoStateCell(8, links=0.2, leak=1.0), 6, starts=3)
    states = np.asarray(plain(x))
    elman = layers.SimpleRNN(8, return_sequences=True)
    elman.build(x.shape)
    elman.set_weights(plain.get_weights())
    np.testing.assert_allclose(states, elman(x), atol=1e-6)
    leaky, _ = reservoir(EchoStateCell(8, links=0.2, leak=0.3), 6)
    leaky.build(x.shape)
    leaky.set_weights(plain.get_weights())
    u, w, b = plain.get_weights()
    h = np.zeros((3, 8))
    for step in range(6):
        h = 0.7 * h + 0.3 * np.tanh(x[:, step] @ u + h @ w + b)
    np.testing.assert_allclose(np.asarray(leaky(x))[:, -1], h, atol=1e-6)


def test_from_two_start_states_the_states_meet():
    recurrence, x = reservoir(EchoStateCell(32, radius=0.8), 100)
    one, other = (np.asarray(recurrence(x, initial_state=start)) for start in np.float32([[[-1] * 32], [[1] * 32]]))
    apart = np.abs(one - other).max(-1)[0]
    assert apart[0] > 0.1 and apart[-1] < 1e-5


def test_memory_is_at_most_the_units():
    """Sum over lags of the squared correlation of the input then with its readout (Jaeger 2001, short term memory)."""
    units, steps = 20, 4000
    recurrence, x = reservoir(EchoStateCell(units, radius=0.9, input_scale=0.1), steps)
    recurrence.build(x.shape)
    u, w, b = recurrence.get_weights()
    states, h = np.zeros((steps, units)), np.zeros(units)
    for step in range(steps):
        states[step] = h = np.tanh(x[0, step] @ u + h @ w + b)
    capacity, half = 0.0, steps // 2
    for lag in range(1, 60):
        read, past = states[100:], x[0, 100 - lag : steps - lag]
        w, b = ridge(read[:half], past[:half], 1e-9)
        capacity += np.corrcoef((read[half:] @ w + b)[:, 0], past[half:, 0])[0, 1] ** 2
    assert 5 < capacity <= units


def test_intrinsic_plasticity_makes_activity_exponential_and_is_folded_into_the_weights():
    cell = EchoStateCell(16, intrinsic=True, input_scale=1.0)
    recurrence, x = reservoir(cell, 60, starts=64)
    before = np.asarray(recurrence(x))
    gain = cell.get_weights()
    adapt(cell, x, seed=0, mean=0.2, rate=3e-3, passes=20)
    folded = cell.get_weights()
    ratio = folded[1][gain[1] != 0] / gain[1][gain[1] != 0]
    assert (folded[1] == 0).sum() == (gain[1] == 0).sum() and ratio.min() > 0  # a gain keeps zeros and signs
    np.testing.assert_allclose(folded[1] * (gain[0] / folded[0]), gain[1], atol=1e-5)
    after = np.asarray(recurrence(x))[:, 10:]
    assert before.mean() == pytest.approx(0.5, abs=0.1) and after.mean() == pytest.approx(0.2, abs=0.03)
    assert divergence(after) < 0.5 * divergence(before[:, 10:])


def divergence(activity, mean=0.2, bins=20):
    """Return the divergence of units' activity from the exponential law of that mean, a mean over units, in nats."""
    found = []
    for unit in activity.reshape(-1, activity.shape[-1]).T:
        share, edges = np.histogram(unit, bins, (0, 1))
        share = share / share.sum()
        expected = np.exp(-edges[:-1] / mean) - np.exp(-edges[1:] / mean)
        found.append(sum(p * np.log(p / q) for p, q in zip(share, expected, strict=True) if p))
    return np.mean(found)


def test_ridge_is_that_of_scikit_learn_and_keeps_zeros():
    from sklearn.linear_model import Ridge

    x, y = RANDOM.normal(2, 1, size=(50, 6)), RANDOM.normal(size=(50, 2))
    w, b = ridge(x, y, 3.0)
    theirs = Ridge(alpha=3.0).fit(x, y)
    np.testing.assert_allclose(w, theirs.coef_.T, atol=1e-6)
    np.testing.assert_allclose(b, theirs.intercept_, atol=1e-6)
    support = RANDOM.random((6, 2)) < 0.5
    w, b = ridge(x, y, 3.0, support)
    assert (w[~support] == 0).all()
    for column in range(2):
        fewer = Ridge(alpha=3.0).fit(x[:, support[:, column]], y[:, column])
        np.testing.assert_allclose(w[support[:, column], column], fewer.coef_, atol=1e-6)


def test_spiking_units_one_at_a_time():
    cell = SpikingCell(5, links=0.5, radius=0.5, input_scale=2.0, leak=0.6, fade=0.7, rest=2)
    recurrence, x = reservoir(cell, 40)
    answers = np.asarray(recurrence(x))[0]
    u, w, b = (each.tolist() for each in cell.get_weights())
    v, s, resting, fired = [0.0] * 5, [0.0] * 5, [0] * 5, 0
    for step in range(40):
        current = [
            float(x[0, step, 0]) * u[0][unit] + sum(s[other] * w[other][unit] for other in range(5)) + b[unit]
            for unit in range(5)
        ]
        for unit in range(5):
            s[unit] *= 0.7
            if resting[unit]:
                v[unit], resting[unit] = 0.0, resting[unit] - 1
                continue
            v[unit] = 0.6 * v[unit] + current[unit]
            if v[unit] > 1:
                v[unit], s[unit], resting[unit], fired = 0.0, s[unit] + 1, 2, fired + 1
        np.testing.assert_allclose(answers[step], s + v, atol=1e-5)
    assert 10 < fired < 100

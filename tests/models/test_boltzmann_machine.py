"""A Boltzmann machine of 3 visible and 2 hidden units, all of which see each other, against sums over its 32 states."""

import itertools

import numpy as np
import pytest
from edgewright.ends import input_names
from edgewright.models import registry
from edgewright.training import tasks
from edgewright.training.config import TrainConfig
from edgewright.training.learners.energy import Among, Chains, Machine, contrast, contrastive_divergence
from edgewright.training.learners.energy import _assign as assign
from edgewright.training.runner import KerasRunner
from edgewright.training.tasks import energy

N, M = 3, 2
STATES = np.array(list(itertools.product([0, 1], repeat=N + M)), np.float32)
PLACE = 2 ** np.arange(N + M - 1, -1, -1)  # of a state in their order


def symmetric(random, size, scale):
    values = np.triu(random.normal(0, scale, (size, size)), 1)
    return values + values.T


def random_machine(seed, scale=1.0):
    random = np.random.default_rng(seed)
    return Machine(kernel=random.normal(0, scale, (N, M)), visible=random.normal(0, scale, N),
                   hidden=random.normal(0, scale, M), among_visible=symmetric(random, N, scale),
                   among_hidden=symmetric(random, M, scale), rounds=5)  # fmt: skip


def joint(machine):
    """P of all states, by E(s) = -b s - s W s / 2."""
    kernel, bias = machine.joined()
    lows = -(STATES @ bias) - np.einsum("si,ij,sj->s", STATES, kernel, STATES) / 2
    return np.exp(-lows) / np.exp(-lows).sum()


@pytest.fixture(scope="module")
def networks():
    return registry.networks("boltzmann_machine", "edge", input_shape=(N,), code=M)


def given_to(networks, machine):
    layers = networks["encoder"].get_layer("code_told"), networks["decoder"].get_layer("reconstruction")
    assign(machine, *layers, None, Among.of(networks))
    return KerasRunner(networks)


def test_the_energy_is_the_one_that_is_told():
    machine, v, h = random_machine(0), STATES[:, :N], STATES[:, N:]
    told = -(v @ machine.visible) - h @ machine.hidden - np.einsum("si,ij,sj->s", v, machine.kernel, h)
    told -= np.einsum("si,ij,sj->s", v, machine.among_visible, v) / 2
    told -= np.einsum("si,ij,sj->s", h, machine.among_hidden, h) / 2
    np.testing.assert_allclose(joint(machine), np.exp(-told) / np.exp(-told).sum(), rtol=1e-6)


def exact_moves(machine):
    """The chances of going from each state to each in one sweep, unit after unit."""
    chance, moves = joint(machine), np.eye(len(STATES))
    for unit in range(N + M):
        step = np.zeros_like(moves)
        for place, state in enumerate(STATES):
            others = [int(np.where(np.arange(N + M) == unit, value, state) @ PLACE) for value in (0, 1)]
            step[place, others] = chance[others] / chance[others].sum()
        moves = moves @ step
    return moves


def test_a_sweep_draws_by_the_conditionals_and_leaves_the_distribution_as_it_is(networks):
    machine, count = random_machine(1), 1000
    moves, chance = exact_moves(machine), joint(machine)
    np.testing.assert_allclose(chance @ moves, chance, atol=1e-12)
    state = np.repeat(STATES, count, 0)
    uniform = np.random.default_rng(2).random(state.shape, np.float32)
    (found,) = given_to(networks, machine)("sweep", {"state": state, "uniform": uniform}).values()
    assert set(np.unique(found)) == {0, 1}
    share = np.stack([np.bincount(row, minlength=32) for row in (found @ PLACE).astype(int).reshape(32, count)]) / count
    assert np.all(np.abs(share - moves) <= 5 * np.sqrt(moves * (1 - moves) / count) + 1 / count)


def test_the_decoder_tells_each_unit_from_all_others(networks):
    machine = random_machine(5)
    run, chance = given_to(networks, machine), joint(machine)
    (found,) = run("decoder", {"state": STATES}).values()
    for unit in range(N):
        pairs = [
            (int(np.where(np.arange(N + M) == unit, value, state) @ PLACE)) for state in STATES for value in (0, 1)
        ]
        each = chance[pairs].reshape(-1, 2)
        np.testing.assert_allclose(found[:, unit], each[:, 1] / each.sum(1), atol=1e-5)


@pytest.mark.parametrize(("scale", "close"), [(0.0, 1e-5), (0.3, 0.02)])
def test_mean_field_is_exact_where_hidden_units_do_not_see_each_other_and_near_it_where_little(networks, scale, close):
    machine = random_machine(3)
    machine.among_hidden = symmetric(np.random.default_rng(4), M, scale)
    run, both = given_to(networks, machine), joint(machine).reshape(2**N, 2**M)
    found = run("encoder", {"inputs": STATES[:: 2**M, :N]})["code"]
    np.testing.assert_allclose(found, both @ STATES[: 2**M, N:] / both.sum(1, keepdims=True), atol=close)
    np.testing.assert_allclose(found, machine.up(STATES[:: 2**M, :N]), atol=1e-5)


def exact_gradient(machine, data):
    """Of the mean log-likelihood: what units have together with the data, less what they have in the model."""
    model = joint(machine)
    told = (model.reshape(2**N, 2**M) / model.reshape(2**N, 2**M).sum(1, keepdims=True) * data[:, None]).ravel()
    together, alone = STATES.T @ ((told - model)[:, None] * STATES), (told - model) @ STATES
    np.fill_diagonal(together, 0)
    return np.concatenate([together.ravel(), alone])


def flat(machine):
    kernel, bias = machine.joined()
    return np.concatenate([kernel.ravel(), bias])


@pytest.mark.parametrize("seed", range(3))
def test_one_sweep_points_along_the_exact_gradient_and_many_reach_it(seed):
    random = np.random.default_rng(seed + 100)
    data = random.multinomial(20_000, random.dirichlet(np.full(2**N, 0.3)))
    x, machine = np.repeat(STATES[:: 2**M, :N], data, 0), random_machine(seed)
    exact = exact_gradient(machine, data / data.sum())
    one, many = (flat(contrast(machine, x, steps, random)) for steps in (1, 30))
    assert one @ exact / np.linalg.norm(one) / np.linalg.norm(exact) > 0.5
    np.testing.assert_allclose(many, exact, atol=4 * 0.5 / 20_000**0.5 * 2)


def test_training_fits_digits_by_one_set_of_weights_and_keeps_what_is_pruned_away(monkeypatch):
    monkeypatch.setattr(energy, "STEPS", 3)
    networks, task = (
        registry.networks("boltzmann_machine", "edge", input_shape=(36,), code=4),
        tasks.get("connected_energy"),
    )
    dataset = task.present("digits", networks, limit=300, test_limit=50)
    config = TrainConfig(epochs=3, passes=3, learning_rate=0.1)
    rows = contrastive_divergence(networks, dataset, task, config, support={}, options=Chains())
    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]  # of the mean image
    among, up = Among.of(networks), networks["encoder"].get_layer("code_told")
    down = networks["decoder"].get_layer("reconstruction")
    kernel, whole = np.asarray(among.field.kernel), np.asarray(among.sweep.kernel)
    np.testing.assert_array_equal(whole, whole.T)
    np.testing.assert_array_equal(whole[:, :36], np.asarray(down.kernel))
    np.testing.assert_array_equal(whole[36:, 36:], kernel)
    np.testing.assert_array_equal(whole[:36, 36:], np.asarray(up.kernel))
    assert not np.diag(whole).any() and np.abs(whole[:36, :36]).max() > 0.1
    shown = task.pictures(KerasRunner(networks), dataset)
    assert shown["drawn"].shape == shown["samples"].shape and shown["drawn"].std() > 0
    for network in networks:
        assert set(task.observed(KerasRunner(networks), dataset, network, 8)) == set(input_names(networks[network]))
    support = {id(down.kernel): np.abs(whole[:, :36]) > np.median(np.abs(whole[:, :36]))}
    contrastive_divergence(networks, dataset, task, TrainConfig(epochs=1), support=support, options=Chains())
    np.testing.assert_array_equal(np.asarray(up.kernel).T != 0, support[id(down.kernel)][36:])

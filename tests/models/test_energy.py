"""Restricted Boltzmann machines of 4x3 units against sums over all their states."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.training import tasks
from edgewright.training.config import TrainConfig
from edgewright.training.data import Split
from edgewright.training.learners.energy import Chains, Machine, contrast, contrastive_divergence
from edgewright.training.learners.energy import _assign as assign
from edgewright.training.runner import KerasRunner
from edgewright.training.tasks import energy
from edgewright.training.tasks.energy import gibbs

V = np.array(list(itertools.product([0, 1], repeat=4)), np.float32)
H = np.array(list(itertools.product([0, 1], repeat=3)), np.float32)


def random_machine(seed, scale=1.0):
    random = np.random.default_rng(seed)
    return Machine(kernel=scale * random.normal(size=(4, 3)), visible=scale * random.normal(size=4),
                   hidden=scale * random.normal(size=3))  # fmt: skip


def joint(machine):
    """P(v, h) of all 16 x 8 states, by their energies."""
    energy = -(V @ machine.visible)[:, None] - H @ machine.hidden - V @ machine.kernel @ H.T
    return np.exp(-energy) / np.exp(-energy).sum(), energy


@pytest.fixture(scope="module")
def machine():
    return random_machine(0)


@pytest.fixture(scope="module")
def run(machine):
    nets = registry.networks("rbm", "edge", input_shape=(4,), code=3)
    assign(machine, nets["encoder"].get_layer("code"), nets["decoder"].get_layer("reconstruction"), nets["energy"])
    return KerasRunner(nets)


def test_conditionals_and_free_energy_equal_sums_over_all_states(machine, run):
    both, energy = joint(machine)
    of_hidden = both @ H / both.sum(1, keepdims=True)
    of_visible = both.T @ V / both.sum(0)[:, None]
    np.testing.assert_allclose(run("encoder", {"inputs": V})["code"], of_hidden, atol=1e-6)
    np.testing.assert_allclose(run("decoder", {"code": H})["reconstruction"], of_visible, atol=1e-6)
    free = -np.log(np.exp(-energy).sum(1))
    np.testing.assert_allclose(run("energy", {"inputs": V})["energy"][:, 0], free, atol=1e-5)


def test_a_step_of_the_chain_leaves_the_distribution_of_the_energy_as_it_is(machine, run):
    both, count = joint(machine)[0], 2000
    moves = both / both.sum(1, keepdims=True) @ (both / both.sum(0)).T  # (v, next v)
    np.testing.assert_allclose(both.sum(1) @ moves, both.sum(1), atol=1e-12)
    found, probable = gibbs(run, "inputs", np.repeat(V, count, 0), np.random.default_rng(1))
    numbers = (found @ [8, 4, 2, 1]).astype(int).reshape(16, count)
    share = np.stack([np.bincount(row, minlength=16) for row in numbers]) / count
    assert np.all(np.abs(share - moves) <= 5 * np.sqrt(moves * (1 - moves) / count) + 1 / count)
    assert probable.shape == found.shape and 0 < probable.min() < probable.max() < 1


def exact_gradient(machine, data):
    """Of the mean log-likelihood: what units have together with the data, less what they have in the model."""
    model = joint(machine)[0]
    told = model / model.sum(1, keepdims=True)  # P(h | v)
    given = data @ (V == 1), model.sum(1) @ V
    return np.concatenate([
        (np.einsum("v,vh,vi,hj->ij", data, told, V, H) - np.einsum("vh,vi,hj->ij", model, V, H)).ravel(),
        given[0] - given[1],
        data @ told @ H - model.sum(0) @ H,
    ])  # fmt: skip


def flat(machine):
    return np.concatenate([machine.kernel.ravel(), machine.visible, machine.hidden])


@pytest.mark.parametrize("seed", range(5))
def test_one_step_points_along_the_exact_gradient_and_many_reach_it(seed):
    random = np.random.default_rng(seed + 100)
    data = random.multinomial(40_000, random.dirichlet(np.full(16, 0.3)))
    x, machine = np.repeat(V, data, 0), random_machine(seed)
    exact = exact_gradient(machine, data / data.sum())
    one, many = (flat(contrast(machine, x, steps, random)) for steps in (1, 40))
    assert one @ exact / np.linalg.norm(one) / np.linalg.norm(exact) > 0.5
    np.testing.assert_allclose(many, exact, atol=4 * 0.5 / 40_000**0.5 * 2)


def learned(name, **sizes):
    nets, task = registry.networks(name, "edge", **sizes), tasks.get("energy")
    dataset = task.present("digits", nets, limit=500, test_limit=100)
    config = TrainConfig(epochs=5, passes=5, learning_rate=0.1)
    rows = contrastive_divergence(nets, dataset, task, config, support={}, options=Chains())
    return nets, dataset, task, rows


def test_training_fits_digits_by_one_set_of_weights_and_keeps_what_is_pruned_away():
    nets, dataset, task, rows = learned("rbm", code=32)
    up, down, whole = nets["encoder"].get_layer("code"), nets["decoder"].get_layer("reconstruction"), nets["energy"]
    kernel = np.asarray(up.kernel)
    np.testing.assert_array_equal(kernel, np.asarray(down.kernel).T)
    np.testing.assert_array_equal(kernel, np.asarray(whole.get_layer("code").kernel))
    assert rows[-1]["loss"] < 0.6 * rows[0]["loss"]  # of the mean image
    run, x = KerasRunner(nets), np.asarray(dataset.test.x)
    shuffled = np.random.default_rng(0).permuted(x, axis=1)
    energies = [run("energy", {"inputs": each})["energy"][:, 0] for each in (x, shuffled)]
    assert (energies[0][:, None] < energies[1]).mean() > 0.95  # an anomaly has a high free energy
    support = {id(up.kernel): np.abs(kernel) > np.median(np.abs(kernel)),
               id(down.kernel): np.ones(down.kernel.shape)}  # fmt: skip
    contrastive_divergence(nets, dataset, task, TrainConfig(epochs=1), support=support, options=Chains())
    np.testing.assert_array_equal(np.asarray(down.kernel).T != 0, support[id(up.kernel)])


def test_a_stack_is_learned_from_below_and_a_chain_draws_pictures(monkeypatch):
    monkeypatch.setattr(energy, "STEPS", 5)
    nets, dataset, task, _ = learned("dbn", hidden=(48,), code=24)
    run = KerasRunner(nets)
    assert task.metric.reduce(task.evaluate(run, dataset).rows) > 0.3  # the mean image explains 0
    pictures = task.pictures(run, dataset)
    assert set(pictures) == {"samples", "reconstructions", "drawn"}
    assert pictures["drawn"].shape == pictures["samples"].shape and pictures["drawn"].std() > 0


def test_options_and_samples_out_of_range_are_refused():
    with pytest.raises(BadInput, match="steps=0"):
        Chains(steps=0)
    nets, task = registry.networks("rbm", "edge", code=4), tasks.get("energy")
    dataset = task.present("digits", nets, limit=50, test_limit=10)
    signed = replace(dataset, train=Split(x=dataset.train.x - 1, y=dataset.train.y))
    with pytest.raises(BadInput, match=r"values from -1 to 0"):
        contrastive_divergence(nets, signed, task, TrainConfig(), support={}, options=Chains())

"""Densities of binary pixels: probabilities sum to 1, no unknown pixel is seen, what is minimised is the likelihood."""

import itertools

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.training import tasks
from edgewright.training.data import load
from edgewright.training.learners.any_order import Hiding, OfHidden
from edgewright.training.runner import KerasRunner
from edgewright.training.tasks.pixel_likelihood import drawn, log_likelihood, orders

ALL = np.array(list(itertools.product([0, 1], repeat=4)), np.float32)
ONE = np.array([[1, 0, 1, 1]], np.float32)


@pytest.fixture(scope="module")
def networks():
    nets = registry.networks("deep_autoregressive_nade", "edge", input_shape=(4,), hidden=(8,), seed=1)
    random = np.random.default_rng(0)
    for variable in nets["conditionals"].weights:  # far from 0, where all probabilities would be a half
        variable.assign(random.normal(0, 1.5, variable.shape))
    return nets


@pytest.fixture(scope="module")
def by_hand(networks):
    """log p of all images in any order, by the chain rule on NumPy's own forward pass."""
    w1, b1, w2, b2 = (np.asarray(each, np.float64) for each in networks["conditionals"].weights)

    def found(order):
        total, mask = np.zeros(16), np.zeros(4)
        for place in order:
            hidden = np.maximum(np.concatenate([ALL * mask, np.tile(mask, (16, 1))], 1) @ w1 + b1, 0)
            chance = 1 / (1 + np.exp(-(hidden @ w2 + b2)[:, place]))
            total += np.log(np.where(ALL[:, place] == 1, chance, 1 - chance))
            mask[place] = 1
        return total

    return found


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [2, 0, 3, 1]])
def test_probabilities_of_all_inputs_of_length_4_sum_to_1(networks, by_hand, order):
    found = log_likelihood(KerasRunner(networks), ALL, np.array(order))
    np.testing.assert_allclose(found, by_hand(order), atol=1e-4)
    assert np.exp(found).sum() == pytest.approx(1, abs=1e-5)
    assert np.exp(found).max() > 0.1  # no uniform distribution, which would sum to 1 too


def test_an_unknown_pixel_changes_nothing(networks):
    mask = np.array([[1, 0, 0, 1]], np.float32)
    said = [KerasRunner(networks)("conditionals", {"pixels": pixels, "mask": mask})["logits"]
            for pixels in (ONE, ONE * mask, ONE * mask + (1 - mask))]  # fmt: skip
    np.testing.assert_array_equal(said[0], said[1])
    np.testing.assert_array_equal(said[0], said[2])


def test_what_is_minimised_is_the_likelihood_over_all_orders(networks, by_hand):
    """The loss of many hidings of one image against the mean of all 24 orders, within 4 standard errors."""
    place = int(np.flatnonzero((ALL == ONE).all(1))[0])
    exact = -np.mean([by_hand(order)[place] for order in itertools.permutations(range(4))]) / 4
    x = np.repeat(ONE, 40_000, 0)
    hiding = Hiding(networks["conditionals"], 3)
    losses = np.asarray(OfHidden().call(x, hiding(x, training=True)), np.float64)
    assert losses.mean() == pytest.approx(exact, abs=4 * losses.std() / 200)
    assert losses.std() / 200 < exact / 100


def test_images_are_drawn_as_often_as_they_are_likely(networks, by_hand):
    count, order = 20_000, [2, 0, 3, 1]
    made = drawn(KerasRunner(networks), np.random.default_rng(2).random((count, 4), np.float32), np.array(order))
    share = np.bincount((made @ [8, 4, 2, 1]).astype(int), minlength=16) / count
    np.testing.assert_allclose(share, np.exp(by_hand(order)), atol=4 * 0.5 / count**0.5)


def test_the_task_presents_zeros_and_ones_and_scores_images():
    nets = registry.networks("deep_autoregressive_nade", "edge", hidden=(4,))
    for variable in nets["conditionals"].weights:
        variable.assign(np.zeros(variable.shape))
    task = tasks.get("pixel_likelihood")
    dataset = task.present("digits", nets, limit=64, test_limit=3)
    raw = load("digits", input_shape=(64,), dtype="float32", task="reconstruction", limit=64, test_limit=3)
    np.testing.assert_array_equal(dataset.test.x, np.asarray(raw.test.x) > 0.5)
    rows = task.evaluate(KerasRunner(nets), dataset).rows
    np.testing.assert_allclose(rows, np.full((3, 1), -np.log(2)), rtol=1e-6)  # logits 0: a half for each pixel
    assert sorted(orders(64)[0]) == list(range(64)) and not np.array_equal(*orders(64))
    with pytest.raises(BadInput, match="conditionals"):
        task.present("digits", {"other": nets["conditionals"]})

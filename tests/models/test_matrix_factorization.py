"""Matrix factorization: a sum by hand, least squares, and a matrix of which half is hidden."""

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.training import learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.learners import alternating
from edgewright.training.runner import KerasRunner
from edgewright.training.state import RunDir


def solved(width, **options):
    networks = registry.networks("matrix_factorization", "edge", width=width)
    task = tasks.get("completion")
    dataset = task.present("low_rank", networks)
    learners.get("alternating_least_squares")(networks, dataset, task, TrainConfig(), RunDir(None))
    return networks, dataset


def explained(networks, dataset):
    task = tasks.get("completion")
    scores = task.evaluate(KerasRunner(networks), dataset)
    assert set(scores.unit) == set(dataset.test.x[:, 0])
    return task.metric.reduce(scores.rows)


def test_an_entry_is_a_product_and_two_offsets():
    networks = registry.networks("matrix_factorization", users=2, items=2, width=2)
    networks["lookup"].set_weights([np.array([[1, 2, 0.5], [0, 1, -1]])])
    networks["scorer"].set_weights([np.array([[3, 0], [1, 4]]), np.array([0.25, 0])])
    said = networks["scorer"](networks["lookup"](np.array([[0], [1]])))
    np.testing.assert_allclose(said, [[5.75, 8.5], [0.25, 3.0]])


@pytest.mark.parametrize("width", [3, 8])
def test_a_matrix_of_rank_three_is_recovered_from_half_of_it(width):
    networks, dataset = solved(width)
    assert len(dataset.train) <= 0.5 * 120 * 80 and len(dataset.test) == 120 * 80 // 2
    assert explained(networks, dataset) > 0.999


def test_two_values_do_not_hold_rank_three():
    assert explained(*solved(2)) < 0.95


def test_least_squares_leave_zeros_alone():
    random = np.random.default_rng(0)
    x, weights = random.normal(size=(50, 3)), np.array([1.0, 0.0, -2.0])
    found = alternating.fitted(x, x @ weights + 0.5, np.array([True, False, True]), 1e-9)
    np.testing.assert_allclose(found, [1, 0, -2, 0.5], atol=1e-6)
    assert found[1] == 0 and not alternating.fitted(x[:0], x[:0, 0], np.ones(3, bool), 1.0).any()


def test_what_pruning_left_is_solved_again():
    networks, dataset = solved(8)
    kernel = networks["scorer"].get_layer("scores").kernel
    values = np.array(kernel)
    alive = np.abs(values) >= np.median(np.abs(values))
    kernel.assign(values * alive)
    assert explained(networks, dataset) < 0.99
    alternating.alternating_least_squares(
        networks, dataset, None, TrainConfig(), support={id(kernel): alive}, options=alternating.Turns()
    )
    assert explained(networks, dataset) > 0.99 and not np.array(kernel)[~alive].any()


def test_data_and_options_that_do_not_fit_are_refused():
    task = tasks.get("completion")
    with pytest.raises(BadInput, match="tells 40 columns"):
        task.present("low_rank", registry.networks("matrix_factorization", "edge", items=40))
    with pytest.raises(BadInput, match="ridge=0"):
        alternating.Turns(ridge=0)

"""Hyperbolic embeddings: distances and gradients worked out, points inside the ball, and a tree that is held."""

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.training import learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.data.hierarchies import ancestors, balanced, closure
from edgewright.training.learners import poincare
from edgewright.training.runner import KerasRunner
from edgewright.training.state import RunDir
from scipy.spatial.distance import cdist

SETTINGS = TrainConfig(batch_size=16, learning_rate=0.3)


def distances(points):
    """Return distances in the ball by the formula of the paper, equation 1."""
    squared = 1 - (points**2).sum(1)
    return np.arccosh(1 + 2 * cdist(points, points, "sqeuclidean") / np.outer(squared, squared))


def mean_rank(away, pairs):
    """Return the mean place of an ancestor among it and all that are none."""
    others = ~np.eye(len(away), dtype=bool)
    others[pairs[:, 0], pairs[:, 1]] = False
    return np.mean([1 + (away[node, others[node]] < away[node, other]).sum() for node, other in pairs])


def test_the_distance_from_the_middle_by_hand():
    points = np.array([[0, 0], [0.5, 0], [-0.5, 0]])
    away = distances(points)
    np.testing.assert_allclose(away[0, 1], np.log(3))  # 2 artanh(1/2)
    np.testing.assert_allclose(away[1, 2], 2 * np.log(3))
    lifted = poincare.lifted(points)
    np.testing.assert_allclose(lifted[1], [4 / 3, 0, 5 / 3])
    np.testing.assert_allclose(lifted[:, -1] ** 2 - (lifted[:, :-1] ** 2).sum(1), 1)


def test_scores_are_distances_and_their_order():
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (6, 3))
    networks = registry.networks("hyperbolic_embedding", classes=6, width=3)
    vectors = poincare.lifted(points)
    networks["lookup"].set_weights([vectors])
    networks["scorer"].set_weights([(vectors * [1, 1, 1, -1]).T])
    scores = networks["scorer"](networks["lookup"](np.arange(6)[:, None]))
    np.testing.assert_allclose(np.arccosh(np.maximum(1, -np.asarray(scores))), distances(points), atol=2e-3)


@pytest.mark.parametrize("curved", [True, False])
def test_gradients_are_those_of_the_loss(curved):
    random = np.random.default_rng(0)
    points, node, asked = random.uniform(-0.4, 0.4, (5, 3)), np.array([0, 1]), np.array([[1, 2, 3], [4, 0, 1]])
    out = np.array([[False, False, True], [False, False, True]])

    def loss(points):
        away = distances(points) if curved else cdist(points, points)
        told = [np.exp(-away[one, others[~none]]) for one, others, none in zip(node, asked, out, strict=True)]
        return -sum(np.log(each[0] / each.sum()) for each in told)

    found, slope = poincare.gradients(points, node, asked, out, curved)
    assert found == pytest.approx(loss(points))
    for place in np.ndindex(points.shape):
        step = np.zeros_like(points)
        step[place] = 1e-6
        assert slope[place] == pytest.approx((loss(points + step) - loss(points - step)) / 2e-6, abs=1e-5)


def test_points_never_leave_the_ball():
    far = poincare.inside(np.array([[3.0, 4.0], [0.3, 0.4]]), 1e-5)
    np.testing.assert_allclose(np.linalg.norm(far, axis=1), [1 - 1e-5, 0.5])
    pairs, _ = closure(balanced(3, 3))
    wild = TrainConfig(batch_size=16, learning_rate=20.0)
    points, _ = poincare.fitted(pairs, 40, 4, wild, poincare.Ball(rounds=12))
    assert np.linalg.norm(points, axis=1).max() < 1


def test_a_tree_has_room_in_ten_dimensions_that_flat_space_has_not():
    pairs, _ = closure(balanced(3, 4))
    points, losses = poincare.fitted(pairs, 121, 10, SETTINGS, poincare.Ball(rounds=60))
    flat, _ = poincare.fitted(pairs, 121, 10, SETTINGS, poincare.Ball(rounds=60), curved=False)
    assert losses[-1] < losses[0] / 4
    assert mean_rank(distances(points), pairs) < 1.3
    assert mean_rank(cdist(flat, flat), pairs) > 1.6


def test_what_lies_above_in_a_small_tree():
    pairs, parents = closure([[], [0], [1], [1, 0]])
    assert pairs.tolist() == [[1, 0], [2, 0], [2, 1], [3, 0], [3, 1]]
    assert parents.tolist() == [True, False, True, True, True]


def test_hidden_pairs_follow_from_others():
    dataset = ancestors("tree", balanced(2, 5), "retrieval")
    told = set(zip(dataset.train.x[:, 0].tolist(), dataset.train.y.tolist(), strict=True))
    assert {(node, (node - 1) // 2) for node in range(1, 63)} <= told
    assert not told & set(zip(dataset.test.x[:, 0].tolist(), dataset.test.y.tolist(), strict=True))
    assert dataset.known[(62,)].tolist() == [0, 2, 6, 14, 30, 62]


def test_hidden_ancestors_are_found():
    data = ancestors("tree", balanced(3, 4), "retrieval")
    networks, task = registry.networks("hyperbolic_embedding", classes=121), tasks.get("retrieval")
    dataset = task.present(data, networks)
    learners.get("poincare:rounds=40")(networks, dataset, task, SETTINGS, RunDir(None))
    assert task.metric.reduce(task.evaluate(KerasRunner(networks), dataset).rows) > 0.6


def test_options_that_mean_nothing_are_refused():
    with pytest.raises(BadInput, match="negatives=0"):
        poincare.Ball(negatives=0)
    with pytest.raises(BadInput, match="edge=1"):
        poincare.Ball(edge=1.0)

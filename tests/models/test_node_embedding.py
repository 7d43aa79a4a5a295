"""Node embeddings: decoders, proximities and walks worked by hand, and hidden edges that are found."""

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry, tables
from edgewright.training import learners, rows, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.data.links import adjacency_of
from edgewright.training.learners import neighbours as near
from edgewright.training.learners import proximity as closed
from edgewright.training.runner import KerasRunner
from edgewright.training.state import RunDir

Z = np.array([[0.5, 0.1, 0.1, 0.3], [0.6, 0.2, 0.1, 0.1], [0, 0, 0.2, 0.8]], np.float32)
PAIRS = [(0, 1), (1, 2), (0, 2)]


def test_products_and_distances_by_hand():
    products = tables.scorer(3, 4)
    products.set_weights([Z.T])
    said = np.asarray(products(Z))
    np.testing.assert_allclose([said[pair] for pair in PAIRS], [0.36, 0.10, 0.26], atol=1e-6)
    distances = registry.networks("laplacian_eigenmaps", classes=3, width=4)["scorer"]
    distances.set_weights([Z.T, -(Z**2).sum(1) / 2])
    squared = (Z**2).sum(1)[:, None] - 2 * np.asarray(distances(Z))
    np.testing.assert_allclose([squared[pair] for pair in PAIRS], [0.06, 0.90, 0.52], atol=1e-6)


def test_walks_of_two_steps_are_counted_by_the_square():
    edges = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 1]])
    first, second = closed.hops(edges, 2)
    np.testing.assert_array_equal(first, edges)
    np.testing.assert_array_equal(second, [[3, 2, 2], [2, 2, 1], [2, 1, 2]])


def test_katz_counts_all_paths():
    np.testing.assert_allclose(closed.katz(np.array([[0.0, 1], [1, 0]]), 0.5), [[1 / 3, 2 / 3], [2 / 3, 1 / 3]])


def test_eigenmaps_of_a_path_are_its_ends_apart():
    path = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], float)
    vector = closed.eigenmaps(path, 1)[:, 0]  # L y = 1 D y: y = (1, 0, -1)
    np.testing.assert_allclose(vector * np.sign(vector[0]), np.sqrt(1.5) * np.array([1, 0, -1]), atol=1e-12)


def test_logarithms_of_transitions_are_none_where_chance_is_no_worse():
    (once,) = closed.log_transitions(np.array([[0.0, 1], [1, 0]]), 1)
    np.testing.assert_allclose(once, [[0, np.log(2)], [np.log(2), 0]])


def test_singular_vectors_are_the_nearest_of_their_rank():
    matrix = np.random.default_rng(0).normal(size=(6, 2)) @ np.random.default_rng(1).normal(size=(2, 6))
    left, right = closed.factors(matrix, 2)
    np.testing.assert_allclose(left @ right.T, matrix, atol=1e-12)


def test_the_bias_of_walks_by_hand():
    # Nodes t, v, one near both, one near v alone: at v from t the weights are 1/p, 1 and 1/q.
    edges = np.zeros((4, 4))
    for one, other in ((0, 1), (1, 2), (0, 2), (1, 3)):
        edges[one, other] = edges[other, one] = 1
    before, now = np.array([0]), np.array([1])
    np.testing.assert_allclose(near.transitions(edges, before, now, 0.25, 4.0)[0], np.array([4, 0, 1, 0.25]) / 5.25)
    np.testing.assert_allclose(near.transitions(edges, before, now, 4.0, 0.25)[0], np.array([0.25, 0, 1, 4]) / 5.25)
    np.testing.assert_allclose(near.transitions(edges, None, now, 4.0, 0.25)[0], [1 / 3, 0, 1 / 3, 1 / 3])
    starts = np.ones(4000, int)
    paths = near.walks(edges, np.zeros(4000, int), 3, np.random.default_rng(0), 0.25, 4.0)
    third = np.bincount(paths[paths[:, 1] == 1, 2], minlength=4) / (paths[:, 1] == 1).sum()
    np.testing.assert_allclose(third, np.array([4, 0, 1, 0.25]) / 5.25, atol=0.03)
    assert (edges[starts, near.walks(edges, starts, 2, np.random.default_rng(0))[:, 1]] == 1).all()


def test_what_is_near_on_a_walk():
    nodes, others, there = near.near_on(np.array([[5, 6, 7]]), 1)
    assert nodes.tolist() == [5, 6, 7]
    assert [row[held].tolist() for row, held in zip(others, there, strict=True)] == [[6], [5, 7], [6]]


def linked(name, data="block_links"):
    networks = registry.networks(name, "edge")
    dataset = tasks.get("retrieval").present(data, networks, rebuilt=True)
    return registry.networks(name, "edge", classes=dataset.classes), dataset


def found(networks, dataset):
    task = tasks.get("retrieval")
    return task.metric.reduce(task.evaluate(KerasRunner(networks), dataset).rows)


@pytest.mark.parametrize("data", ["karate_links", "block_links"])
def test_hidden_edges_leave_each_node_one(data):
    _, dataset = linked("hope", data)
    edges = adjacency_of(dataset)
    assert (edges == edges.T).all() and edges.sum(1).min() >= 1
    seen = [set(zip(split.x[:, 0].tolist(), split.y.tolist(), strict=True)) for split in dataset.splits.values()]
    assert sum(map(len, seen)) == len(set.union(*seen))
    for node, known in dataset.known.items():
        assert set(known.tolist()) == {node[0], *(other for pairs in seen for one, other in pairs if one == node[0])}


def test_the_karate_club_is_whole():
    _, dataset = linked("hope", "karate_links")
    assert dataset.classes == 34 and sum(len(split) for split in dataset.splits.values()) == 2 * 78


@pytest.mark.parametrize("name, least", [("laplacian_eigenmaps", 0.4), ("grarep", 0.35), ("hope", 0.5)])
def test_closed_forms_find_hidden_edges(name, least):
    networks, dataset = linked(name)
    assert found(networks, dataset) < 0.15
    learners.get(registry.get(name).learner)(networks, dataset, tasks.get("retrieval"), TrainConfig(), RunDir(None))
    assert found(networks, dataset) > least


@pytest.mark.parametrize("name", ["graph_factorization", "node2vec"])
def test_descent_finds_hidden_edges(name):
    networks, dataset = linked(name)
    config = TrainConfig(epochs=3, batch_size=32, learning_rate=0.02)
    learners.get(registry.get(name).learner)(networks, dataset, tasks.get("retrieval"), config, RunDir(None))
    assert found(networks, dataset) > 0.35
    same = np.array_equal(rows.rows_of(networks["lookup"]).T, networks["scorer"].get_layer("scores").kernel)
    assert same == (name == "graph_factorization")


def test_options_that_mean_nothing_are_refused():
    with pytest.raises(BadInput, match="of='cosine'"):
        closed.Proximity(of="cosine")
    with pytest.raises(BadInput, match="walk=1"):
        near.Neighbours(walk=1)

"""Graph convolutions on graphs worked by hand, and what an order of the nodes does not change."""

import numpy as np
import pytest
from edgewright.models import registry
from edgewright.training.data.graphs import by_row, normalized

EDGES = np.array([[0, 1, 1, 1, 0], [1, 0, 0, 1, 1], [1, 0, 0, 1, 0], [1, 1, 1, 0, 1], [0, 1, 0, 1, 0]], float)
FEATURES = np.array([[1, 1, 0], [0, 1, 0], [0, 1, 1], [1, 0, 1], [0, 0, 1]], float)
OTHER = np.array([[0, 1, 0, 0, 1], [1, 0, 1, 1, 1], [0, 1, 0, 1, 0], [0, 1, 1, 0, 1], [1, 1, 0, 1, 0]], float)


def test_aggregations_of_neighbours():
    np.testing.assert_array_equal(EDGES @ FEATURES, [[1, 2, 2], [2, 1, 2], [2, 1, 1], [1, 3, 2], [1, 1, 1]])
    mean = [[0.5, 0.75, 0.5], [0.5, 0.5, 0.5], [2 / 3, 2 / 3, 2 / 3], [0.4, 0.6, 0.6], [1 / 3, 1 / 3, 2 / 3]]
    np.testing.assert_allclose(by_row(EDGES + np.eye(5)) @ FEATURES, mean)
    renormalized = [
        [0.4736, 0.7887, 0.5123], [0.4736, 0.5, 0.5123], [0.5469, 0.622, 0.5915], [0.4236, 0.7054, 0.7164],
        [0.2582, 0.2887, 0.5915],
    ]  # fmt: skip
    np.testing.assert_allclose(normalized(EDGES) @ FEATURES, renormalized, atol=6e-5)


def test_laplacian():
    np.testing.assert_array_equal(OTHER.sum(1), [2, 4, 2, 3, 3])
    assert OTHER.sum() / 2 == 7
    squared = [[2, 1, 1, 2, 1], [1, 4, 1, 2, 2], [1, 1, 2, 1, 2], [2, 2, 1, 3, 1], [1, 2, 2, 1, 3]]
    np.testing.assert_array_equal(OTHER @ OTHER, squared)
    values = np.linalg.eigvalsh(np.eye(5) - normalized(OTHER, loops=False))
    np.testing.assert_allclose(values, [0, 0.7257, 1.1667, 1.5, 1.6076], atol=5e-5)


@pytest.fixture
def gcn():
    return registry.build("gcn", input_shape={"features": (5, 3), "adjacency": (5, 5)}, classes=4, units=6, seed=2)


def test_two_layers_by_hand(gcn):
    first, second = (weights.astype(float) for weights in gcn.get_weights())
    adjacency = normalized(EDGES)
    expected = adjacency @ np.maximum(adjacency @ FEATURES @ first, 0) @ second
    inputs = {"features": FEATURES[None], "adjacency": adjacency[None]}
    np.testing.assert_allclose(gcn(inputs, training=False)[0], expected, atol=1e-5)


def test_permuting_nodes_permutes_their_outputs(gcn):
    order = np.array([3, 0, 4, 1, 2])

    def answers(features, edges):
        return np.asarray(gcn({"features": features[None], "adjacency": normalized(edges)[None]}, training=False))[0]

    plain = answers(FEATURES, EDGES)
    assert np.ptp(plain, axis=0).min() > 1e-3
    np.testing.assert_allclose(answers(FEATURES[order], EDGES[order][:, order]), plain[order], atol=1e-6)

"""Knowledge graphs: what relations do to a vector, and which of them do nothing."""

import numpy as np
import pytest
from edgewright.ends import input_names
from edgewright.models import registry

QUERY = np.array([[1.0, 0.0], [0.6, 0.8]], np.float32)
RELATION = np.array([[1], [1]], np.int32)
TABLE = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)  # rows


def scorer(name, **weights):
    """Return the scorer of a model of three rows and two relations, tables of which are given by layer."""
    made = registry.networks(name, classes=3, relations=2, width=2)["scorer"]
    made.get_layer("scores").set_weights([TABLE.T])
    for layer, values in weights.items():
        made.get_layer(layer).set_weights([np.array(values, np.float32)])
    return made


def scores(network, query=QUERY):
    given = {"query": query, "relation": RELATION}
    return np.asarray(network({name: given[name] for name in input_names(network)}, training=False))


def test_a_cosine_of_what_is_told():
    np.testing.assert_allclose(scores(scorer("kg_identity")), [[1, 0, -1], [0.6, 0.8, -0.6]], atol=1e-6)
    np.testing.assert_allclose(scores(scorer("kg_identity"), 3 * QUERY), [[1, 0, -1], [0.6, 0.8, -0.6]], atol=1e-6)


def test_a_translation_moves():
    # (1, 0) + (-1, 2) = (0, 2), and (0.6, 0.8) + (-1, 2) = (-0.4, 2.8) of length 2.8284.
    moved = scorer("kg_translation", vectors=[[9, 9], [-1, 2]])
    np.testing.assert_allclose(scores(moved), [[0, 1, 0], [-0.1414, 0.9899, 0.1414]], atol=1e-4)


def test_a_diagonal_weighs_each_value():
    bent = scorer("kg_diagonal", factors=[[9, 9], [2, -1]])
    np.testing.assert_allclose(scores(bent), [[2, 0, -2], [1.2, -0.8, -1.2]], atol=1e-6)


def test_an_affine_map_turns_and_moves():
    # A = [[0, -1], [1, 0]] turns (1, 0) to (0, 1) and (0.6, 0.8) to (-0.8, 0.6); then (0, 1) is added.
    turned = scorer("kg_affine", maps=[[9] * 4, [0, -1, 1, 0]], vectors=[[9, 9], [0, 1]])
    np.testing.assert_allclose(scores(turned), [[0, 2, 0], [-0.8, 1.6, 0.8]], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("kg_translation", {"vectors": np.zeros((2, 2))}),
        ("kg_diagonal", {"factors": np.ones((2, 2))}),
        ("kg_affine", {"maps": np.tile(np.eye(2).reshape(1, 4), (2, 1)), "vectors": np.zeros((2, 2))}),
    ],
)
def test_a_relation_that_does_nothing_is_identity(name, weights):
    # Of these queries, which have length 1, a product is a cosine.
    np.testing.assert_allclose(scores(scorer(name, **weights)), scores(scorer("kg_identity")), atol=1e-6)

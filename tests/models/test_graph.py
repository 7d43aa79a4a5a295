"""Nets on graphs worked by hand, what an order of the nodes does not change, and both forms of a graph."""

import itertools

import keras
import numpy as np
import pytest
from edgewright.models import registry
from edgewright.models.graph import Contraction, SpectralFilter
from edgewright.models.graph_blocks import Dense, EdgeList, GatedUpdate, links, readout
from edgewright.training.data.graphs import FORMS, basis, by_row, linked, normalized

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


# ---------------------------------------------------------------- every net

SMALL = {
    "gcn": ("adjacency", {}),
    "residual_gcn": ("adjacency", {}),
    "gat": ("neighbours", {}),
    "graph_transformer": ("neighbours", {"depth": 2}),
    "spectral_gcn": ("basis", {}),
    "scarselli_gnn": ("adjacency", {}),
    "ggnn": ("adjacency", {}),
}
BY_EDGES = ("gcn", "residual_gcn", "gat", "scarselli_gnn", "ggnn")


def built(name, **more):
    """Return a net for five nodes of three features, its biases other than zero."""
    form, own = SMALL.get(name, ("links", {}))
    shape = {"features": (5, 3), form: (5, 5)}
    if name == "graph_transformer":
        shape["basis"] = (5, 2)
    net = registry.build(name, "edge", input_shape=more.pop("input_shape", shape), classes=4, seed=3, **own, **more)
    random = np.random.default_rng(0)
    net.set_weights([weight + random.normal(0, 0.3, weight.shape) for weight in net.get_weights()])
    for variable in net.trainable_variables:
        if variable.constraint is not None:
            variable.assign(variable.constraint(variable))
    return net


def given(net, features, edges, order=slice(None)):
    """Return a net's inputs, the nodes in another order; eigenvectors have signs of their own, so theirs are kept."""
    forms = {
        symbol.name: FORMS[symbol.name](OTHER, symbol.shape[1:])[order]
        if symbol.name == "basis"
        else FORMS[symbol.name](edges[order][:, order], symbol.shape[1:])
        for symbol in net.inputs
        if symbol.name != "features"
    }  # fmt: skip
    return {name: array[None].astype("f4") for name, array in {"features": features[order], **forms}.items()}


ORDER = np.array([3, 0, 4, 1, 2])


@pytest.mark.parametrize("name", SMALL)
def test_every_net_takes_nodes_in_any_order(name):
    net = built(name)
    plain, other = (np.asarray(net(given(net, FEATURES, OTHER, order)))[0] for order in (slice(None), ORDER))
    assert np.ptp(plain, axis=0).min() > 1e-3
    np.testing.assert_allclose(other, plain[ORDER], atol=1e-5)


def test_a_net_of_plain_layers_knows_the_order_of_nodes():
    net = built("naive_graph_mlp")
    plain, other = (np.asarray(net(given(net, FEATURES, OTHER, order)))[0] for order in (slice(None), ORDER))
    assert np.abs(other - plain[ORDER]).max() > 0.1


@pytest.mark.parametrize("name", BY_EDGES)
def test_a_list_of_edges_says_the_same_by_the_same_weights(name):
    dense, pairs = built(name), linked(OTHER)
    weights = {} if name == "gat" else {"edge_weights": (len(pairs),)}
    listed = built(name, input_shape={"features": (5, 3), "edges": (len(pairs), 2), **weights})
    listed.set_weights(dense.get_weights())
    inputs = {each.name: FORMS[each.name](OTHER, None)[None] for each in listed.inputs if each.name != "features"}
    np.testing.assert_allclose(
        listed({"features": FEATURES[None], **inputs}), dense(given(dense, FEATURES, OTHER)), atol=1e-5
    )


ON_JAX = """
import numpy as np, keras
from edgewright.models.graph_blocks import Dense, EdgeList
from edgewright.training.data.graphs import linked, normalized
assert keras.backend.backend() == "jax"
random = np.random.default_rng(0)
edges = (random.uniform(size=(6, 6)) < 0.4).astype("f4")
edges = np.maximum(edges, edges.T) * (1 - np.eye(6, dtype="f4"))
pairs, adjacency = linked(edges), normalized(edges).astype("f4")
listed = EdgeList(pairs[None].astype("i4"), adjacency[tuple(pairs.T)][None])
x = random.normal(size=(1, 6, 3)).astype("f4")
np.testing.assert_allclose(listed.total(x), Dense(adjacency[None]).total(x), atol=1e-5)
own, theirs, values = (random.normal(size=(1, 6, 2, *more)).astype("f4") for more in ((), (), (3,)))
keep = lambda x: x
np.testing.assert_allclose(listed.attend(own, theirs, values, keep),
                           Dense(adjacency[None]).attend(own, theirs, values, keep), atol=1e-5)
"""


def test_both_forms_on_jax(on_jax):
    on_jax.says(ON_JAX)


def test_a_net_of_two_graphs_is_refused():
    with pytest.raises(ValueError, match="give one graph"):
        links({"adjacency": 1, "links": 2})
    with pytest.raises(ValueError, match="give one graph"):
        links({"features": 1})


@pytest.mark.parametrize("name", ["gat", "graph_transformer"])
def test_nothing_flows_across_missing_edges(name):
    """Of two parts of a graph without an edge between them, one does not know what the other's features are."""
    parts = np.zeros((5, 5))
    parts[:3, :3] = parts[3:, 3:] = 1
    np.fill_diagonal(parts, 0)
    net, changed = built(name), FEATURES.copy()
    changed[3] += 5
    plain, other = (np.asarray(net(given(net, features, parts)))[0] for features in (FEATURES, changed))
    np.testing.assert_allclose(other[:3], plain[:3], atol=1e-5)
    assert np.abs(other[3:] - plain[3:]).min(axis=1).max() > 1e-3


# ---------------------------------------------------------------- by hand


def test_graph_attention_by_hand():
    net = built("gat", heads=2, units=2)
    first = [net.get_layer(f"{name}_1").get_weights()[0] for name in ("weight", "own", "theirs", "bias")]
    weight, own, theirs, bias = (array.astype(float) for array in first)
    values = (FEATURES @ weight).reshape(5, 2, 2)
    scores = (values * own).sum(-1)[:, None] + (values * theirs).sum(-1)[None]  # (node, neighbour, head)
    scores = np.exp(np.where(scores > 0, scores, 0.2 * scores)) * (OTHER + np.eye(5))[..., None]
    expected = np.einsum("ijh,jhu->ihu", scores / scores.sum(1, keepdims=True), values).reshape(5, 4) + bias
    inner = keras.Model(net.inputs, net.get_layer("bias_1").output)
    inputs = given(net, FEATURES, OTHER)
    np.testing.assert_allclose(inner([inputs[each.name] for each in net.inputs])[0], expected, atol=1e-5)


def test_a_filter_of_the_eigenvalues_is_the_laplacian():
    laplacian, vectors = np.eye(5) - normalized(OTHER, loops=False), basis(OTHER)
    layer = SpectralFilter(3)
    layer.build((None, 5, 3))
    layer.kernel.assign(np.diag(vectors.T @ laplacian @ vectors)[:, None, None] * np.eye(3))
    filtered = vectors @ np.asarray(layer((vectors.T @ FEATURES)[None].astype("f4")))[0]
    np.testing.assert_allclose(filtered, laplacian @ FEATURES, atol=1e-5)


def test_eigenvectors_are_the_smoothest_first_and_have_a_sign():
    laplacian, vectors = np.eye(5) - normalized(OTHER, loops=False), basis(OTHER, 3)
    np.testing.assert_allclose(np.diag(vectors.T @ laplacian @ vectors), [0, 0.7257, 1.1667], atol=5e-5)
    assert (vectors[np.abs(vectors).argmax(0), np.arange(3)] > 0).all()


def test_states_of_the_graph_neural_network_come_to_a_fixed_point():
    """Each iteration moves states by at most `contraction` of what the last one moved them."""
    contraction, count = 0.8, 40
    net = built("scarselli_gnn", iterations=count, contraction=contraction)
    kernel = net.get_layer("transition").kernel
    kernel.assign(Contraction(contraction)(np.random.default_rng(1).normal(size=kernel.shape).astype("f4")))
    states = keras.Model(net.inputs, [net.get_layer(f"state_{at}").output for at in range(1, count + 1)])
    inputs = given(net, FEATURES, OTHER)
    found = [np.asarray(state) for state in states([inputs[each.name] for each in net.inputs])]
    moved = np.array([np.linalg.norm(b - a) for a, b in itertools.pairwise(found)])
    assert (moved[1:] <= contraction * moved[:-1] + 1e-5).all() and moved[0] > 0.03
    assert moved[-1] < contraction ** (count - 2) * moved[0] + 1e-5


def test_a_contraction_is_scaled_only_where_it_is_none():
    np.testing.assert_allclose(Contraction(0.7)(np.array([[3.0, 0.0], [4.0, 0.0]], "f4")), [[0.3, 0], [0.4, 0]], 1e-6)
    small = np.array([[0.2, -0.3], [0.1, 0.0]], "f4")
    np.testing.assert_allclose(Contraction(0.7)(small), small, 1e-6)
    wild = np.asarray(Contraction(0.7)(np.random.default_rng(0).normal(size=(6, 6)).astype("f4")))
    assert np.linalg.norm(wild, 2) <= 0.7


def test_a_gated_update_by_hand():
    update, random = GatedUpdate.named("update", 2), np.random.default_rng(0)
    x, hidden = random.normal(size=(2, 3)).astype("f4"), random.normal(size=(2, 2)).astype("f4")
    update(x, hidden)
    gates, gates_bias = (random.normal(size=weight.shape) for weight in update.gates.get_weights())
    inner, inner_bias = (random.normal(size=weight.shape) for weight in update.candidate.get_weights())
    update.gates.set_weights([gates, gates_bias])
    update.candidate.set_weights([inner, inner_bias])
    write, keep = np.split(1 / (1 + np.exp(-(np.concatenate([x, hidden], -1) @ gates + gates_bias))), 2, -1)
    candidate = np.tanh(np.concatenate([x, keep * hidden], -1) @ inner + inner_bias)
    np.testing.assert_allclose(update(x, hidden), (1 - write) * hidden + write * candidate, atol=1e-5)


def test_readouts_by_hand():
    x, mask = np.array([[[1, 2], [3, 5], [9, 9]]], "f4"), np.array([[1, 1, 0]], "f4")
    np.testing.assert_allclose(readout(x, mask, "sum", 2), [[4, 7]])
    np.testing.assert_allclose(readout(x, mask, "mean", 2), [[2, 3.5]])
    with pytest.raises(ValueError, match="median"):
        readout(x, mask, "median", 2)


def test_sums_over_edges_and_over_all_pairs():
    pairs = linked(EDGES)
    adjacency = normalized(EDGES)
    listed = EdgeList(pairs[None], adjacency[tuple(pairs.T)][None].astype("f4"))
    np.testing.assert_allclose(listed.total(FEATURES[None].astype("f4"))[0], adjacency @ FEATURES, atol=1e-5)
    np.testing.assert_allclose(Dense(adjacency[None]).total(FEATURES[None])[0], adjacency @ FEATURES, atol=1e-5)
    plain = EdgeList(pairs[None]).total(FEATURES[None].astype("f4"))[0]
    np.testing.assert_allclose(plain, (EDGES + np.eye(5)) @ FEATURES, atol=1e-5)

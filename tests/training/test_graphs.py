"""Graphs as data: forms, small graphs, colours, drawn neighbourhoods, and what is learned of them."""

import keras
import networkx as nx
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.training import learners, tasks
from edgewright.training.colours import Colours, parted
from edgewright.training.config import TrainConfig
from edgewright.training.data import Input, load, sets
from edgewright.training.data.box_scenes import relations
from edgewright.training.data.graphs import HIDDEN
from edgewright.training.learners.sampled_nodes import pair_costs
from edgewright.training.neighbourhoods import FAR, NEAR, NOBODY, TARGET, Neighbourhoods, weights
from edgewright.training.runner import KerasRunner
from edgewright.training.state import RunDir

# ---------------------------------------------------------------- data


def asked(name, *inputs):
    entry = sets.source(name)
    shown = [Input(name=each, shape=(None, 3), dtype="float32") for each in inputs]
    return entry.load(sets.asked(entry, input_shape=None, dtype=None, task=None, vocabulary=None, inputs=shown))


def test_the_karate_club_in_all_forms():
    x = asked(
        "karate", "features", "links", "neighbours", "mean", "basis", "edges", "edge_weights", "adjacency"
    ).train.x
    links = x["links"][0]
    assert links.sum() == 2 * 78 and set(np.unique(links)) == {0, 1}
    np.testing.assert_array_equal(x["features"][0], np.eye(34))
    np.testing.assert_array_equal(x["neighbours"][0], links + np.eye(34))
    np.testing.assert_allclose(x["mean"][0].sum(1), 1, rtol=1e-6)
    assert x["basis"].shape == (1, 34, 3) and x["edges"].shape == (1, 2 * 78 + 34, 2) and x["edges"].dtype == np.int32
    np.testing.assert_array_equal(x["edge_weights"][0], x["adjacency"][0][tuple(x["edges"][0].T)])


def test_leaders_of_the_club_are_labelled_and_no_other():
    dataset = asked("karate", "features", "links")
    told = {part: np.flatnonzero(split.y[0] != HIDDEN) for part, split in dataset.splits.items()}
    np.testing.assert_array_equal(told["train"], [0, 33])
    assert sorted(np.concatenate(list(told.values()))) == list(range(34))


def test_a_form_that_there_is_not_is_refused():
    with pytest.raises(BadInput, match="'hyperedges'"):
        asked("karate", "features", "hyperedges")


def test_drawn_graphs_are_of_their_kinds():
    dataset = load("drawn_graphs")
    x, kinds = dataset.train.x, np.array(dataset.labels)[dataset.train.y]
    np.testing.assert_array_equal(np.bincount(dataset.train.y), [160] * 4)
    straight = 0
    for links, mask, kind in zip(x["links"], x["mask"], kinds, strict=True):
        size = int(mask.sum())
        assert 6 <= size <= 16 and not links[size:].any() and (links == links.T).all()
        graph = nx.from_numpy_array(links[:size, :size])
        degrees = links.sum(1)[:size]
        fits = {"ring": degrees.max() == 2, "star": nx.is_tree(graph) and degrees.max() == size - 1,
                "tree": nx.is_tree(graph), "grid": nx.is_bipartite(graph) and degrees.min() >= 2}  # fmt: skip
        assert nx.is_connected(graph)
        straight += bool(fits[str(kind)])
    assert 0.7 < straight / len(kinds) < 0.97  # a quarter has an edge more


def test_relations_of_boxes_by_hand():
    boxes = np.array([[0.1, 0.1, 0.5, 0.5], [0.2, 0.2, 0.3, 0.3], [0.55, 0.1, 0.7, 0.4], [0.9, 0.9, 1.0, 1.0]])
    names = ("none", "inside", "holds", "left of", "right of", "above", "below")
    said = [[names[each] for each in row] for row in relations(boxes)]
    assert said == [
        ["none", "holds", "left of", "none"],
        ["inside", "none", "left of", "none"],
        ["right of", "right of", "none", "none"],
        ["none", "none", "none", "none"],
    ]
    assert relations(np.array([[0.1, 0.1, 0.2, 0.2], [0.1, 0.3, 0.2, 0.4]])).tolist() == [[0, 5], [6, 0]]


@pytest.mark.parametrize("name", ["graph_colours", "graph_neighbour_colours"])
def test_counts_of_colours_are_shares_of_nodes(name):
    dataset = load(name)
    assert dataset.train.x.shape == (640, 256)
    np.testing.assert_allclose(dataset.train.x[:, 0], 1, atol=1e-6)  # before any round nodes are alike
    assert dataset.train.x.sum(1).max() <= 3 + 1e-5


# ---------------------------------------------------------------- colours


def edges_of(graph):
    return nx.to_numpy_array(graph)


@pytest.mark.parametrize("own", [True, False])
def test_refinement_parts_a_path_from_a_star_but_not_triangles_from_a_ring(own):
    assert parted(edges_of(nx.path_graph(4)), edges_of(nx.star_graph(3)), own=own)
    triangles = edges_of(nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3)))
    assert not parted(triangles, edges_of(nx.cycle_graph(6)), own=own)


def test_only_the_own_colour_tells_who_is_linked_to_whom():
    pairs = edges_of(nx.disjoint_union(nx.path_graph(2), nx.path_graph(2)))
    alike, mixed = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert parted(pairs, pairs, alike, mixed, own=True)
    assert not parted(pairs, pairs, alike, mixed, own=False)


def test_colours_know_no_order_of_nodes():
    graph, order = edges_of(nx.random_labeled_tree(9, seed=1)), np.random.default_rng(0).permutation(9)
    table = Colours()
    for one, other in zip(table.refined(graph, np.zeros(9), 3), table.refined(graph[order][:, order], np.zeros(9), 3),
                          strict=True):  # fmt: skip
        np.testing.assert_array_equal(one[order], other)


# ---------------------------------------------------------------- neighbourhoods


@pytest.fixture
def star():
    """Return a star of five nodes, its centre 0, and a node without neighbours."""
    edges = np.zeros((6, 6))
    edges[0, 1:5] = edges[1:5, 0] = 1
    return Neighbourhoods.of(np.arange(12).reshape(6, 2), edges, (3, 2))


def test_neighbours_are_drawn_once_each_and_nobody_where_there_are_fewer(star):
    drawn = star.drawn(np.array([0, 1, 5]), np.random.default_rng(0))
    assert drawn[NEAR].shape == (3, 3) and drawn[FAR].shape == (3, 3, 2)
    assert len(set(drawn[NEAR][0])) == 3 and set(drawn[NEAR][0]) <= {1, 2, 3, 4}
    assert drawn[NEAR][1].tolist() == [0, NOBODY, NOBODY] and drawn[NEAR][2].tolist() == [NOBODY] * 3
    assert (drawn[FAR][0] == [0, NOBODY]).all()  # a leaf has the centre alone
    assert set(drawn[FAR][1][0]) <= {1, 2, 3, 4} and (drawn[FAR][1][1:] == NOBODY).all()
    again = star.drawn(np.array([0, 1, 5]), np.random.default_rng(0))
    assert all((drawn[name] == again[name]).all() for name in drawn)
    several = {tuple(star.drawn(np.array([0]), np.random.default_rng(seed))[NEAR][0]) for seed in range(9)}
    assert len(several) > 1


def test_what_a_network_reads_of_those_drawn(star):
    arrays = star.arrays(star.drawn(np.array([1, 5]), np.random.default_rng(0)))
    np.testing.assert_array_equal(arrays[TARGET], [[2, 3], [10, 11]])
    np.testing.assert_array_equal(arrays[NEAR], [[[0, 1], [0, 0], [0, 0]], np.zeros((3, 2))])
    np.testing.assert_array_equal(arrays["near_weights"], [[1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(weights(np.array([4, 2, NOBODY, 7])), np.float32([1 / 3, 1 / 3, 0, 1 / 3]))


def test_walks_go_along_edges(star):
    random = np.random.default_rng(0)
    assert (star.walked(np.full(20, 1), 1, random) == 0).all()
    assert set(star.walked(np.full(200, 1), 2, random)) == {0, 1, 2, 3, 4}
    assert (star.walked(np.full(5, 5), 3, random) == 5).all()  # who has no neighbours stays


def test_costs_of_pairs_by_hand():
    one, other = np.array([[1.0, 0.0], [0.0, 2.0]], "f4"), np.array([[1.0, 1.0], [0.0, -1.0]], "f4")
    near = np.log1p(np.exp([-1.0, 2.0]))  # products 1 and -2
    apart = np.log1p(np.exp([0.0, 2.0]))  # of the first with (0, -1), of the second with (1, 1)
    np.testing.assert_allclose(pair_costs(one, other, 1), near + apart, rtol=1e-5)


# ---------------------------------------------------------------- training


def sampled(data, text="", **settings):
    task = tasks.get("sampled_node_classification")
    probe = registry.networks("graphsage_mean", "edge")
    dataset = task.present(data, probe, rebuilt=True)
    networks = registry.networks(
        "graphsage_mean", "edge", input_shape=dataset.input_shape, classes=dataset.classes, units=16, seed=1
    )
    keras.utils.set_random_seed(1)
    config = TrainConfig(learning_rate=0.01, schedule="constant", warmup=0, jit_compile=False, **settings)
    history = learners.get(f"sampled_nodes{text}")(networks, dataset, task, config, RunDir(None))
    return networks, dataset, task, history


def test_digits_are_told_by_drawn_neighbours():
    networks, dataset, task, history = sampled("digits_graph", epochs=3, passes=4)
    scores = task.evaluate(KerasRunner(networks), dataset)
    assert task.metric.reduce(scores.rows) > 0.85 and history[-1]["loss"] < history[0]["loss"]
    np.testing.assert_array_equal(
        scores.unit, np.flatnonzero(asked("digits_graph", "features", "links").test.y[0] != HIDDEN)
    )


def test_pairs_near_on_a_walk_come_near_without_labels():
    networks, dataset, _, _ = sampled("digits_graph", ":unsupervised=1,labels=0,walk=2,negatives=4", epochs=3, passes=4)
    nodes = np.arange(300)
    graph = dataset.graph
    said = networks["graphsage_mean"](graph.arrays(graph.drawn(nodes, np.random.default_rng(0))))
    products = np.asarray(said["vector"]) @ np.asarray(said["vector"]).T
    links = asked("digits_graph", "features", "links").train.x["links"][0][:300, :300]
    assert products[links > 0].mean() > products[(links == 0) & ~np.eye(300, dtype=bool)].mean() + 0.3


@pytest.mark.parametrize("options", ["unsupervised=-1", "walk=0", "labels=0", "negatives=0"])
def test_options_that_say_nothing_are_refused(options):
    with pytest.raises(BadInput, match=options.partition("=")[0]):
        learners.get(f"sampled_nodes:{options}")


def test_a_net_of_other_inputs_is_refused():
    task = tasks.get("sampled_node_classification")
    with pytest.raises(BadInput, match="far_weights"):
        task.present("karate", registry.networks("softmax_regression"))
    with pytest.raises(BadInput, match="build it"):
        task.present("karate", registry.networks("graphsage_mean", "edge"))


def test_colours_tell_graphs_apart():
    learner, dataset = learners.get("fit"), load("graph_colours")
    networks, task = registry.networks("weisfeiler_lehman"), tasks.get("classification")
    dataset = task.present("graph_colours", networks)
    config = TrainConfig(epochs=2, passes=6, learning_rate=0.05, warmup=0)
    learner(networks, dataset, task, config, RunDir(None))
    assert task.metric.reduce(task.evaluate(KerasRunner(networks), dataset).rows) > 0.9

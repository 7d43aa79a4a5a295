"""Trees: their data, their walk by a runner, and learning through their structure."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from edgewright.copies import copy_model
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.pipeline.find import find
from edgewright.prune import prepare_prune
from edgewright.quantize import prepare_qat
from edgewright.training import learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.data import load, sets, trees
from edgewright.training.learners.trees import unfolded
from edgewright.training.runner import KerasRunner
from edgewright.training.state import RunDir
from edgewright.training.tasks.trees import walked

EXPRESSION = (trees.AND, (2,), (trees.NOT, (1,)), (trees.XOR, (2,), (2,)))  # true and not false and (true xor true)


@pytest.fixture(scope="module", params=["recursive_net", "tree_lstm"])
def row(request):
    """Return the networks of a row with random weights, its task and few data."""
    entry = registry.get(request.param)
    networks = registry.networks(entry.name, "edge", units=6, seed=1)
    task = tasks.get(entry.task)
    return networks, task, task.present(entry.data[0], networks, limit=32, test_limit=12)


# ---------------------------------------------------------------- data


def test_a_tree_by_hand():
    nodes = trees.by_operators(EXPRESSION)
    assert nodes.tokens == [2, 1, trees.NOT, 2, 2, trees.XOR, trees.AND]
    assert nodes.children == [(), (), (1,), (), (), (3, 4), (0, 2, 5)]
    assert nodes.truths == [-1, -1, 1, -1, -1, 0, 0]
    split = trees.as_arrays([nodes, trees.by_operators((2,))], 3)
    np.testing.assert_array_equal(split.x[0, 5:], [[trees.XOR, 4, 5, 0], [trees.AND, 1, 3, 6]])
    np.testing.assert_array_equal(trees.heights(split.x), [[0, 0, 1, 0, 0, 1, 2], [0] * 7])
    np.testing.assert_array_equal(trees.roots(split.x), [6, 0])


def test_a_binary_tree_by_hand():
    nodes = trees.binary((trees.AND, (2,), (trees.NOT, (1,))))  # [[true and] [not false]]
    assert nodes.tokens == [2, trees.AND, 0, trees.NOT, 1, 0, 0]
    assert nodes.children == [(), (), (0, 1), (), (), (3, 4), (2, 5)]
    assert nodes.truths == [-1, -1, -1, -1, -1, 1, 1]


def test_truths_are_those_of_python():
    random = np.random.default_rng(5)

    def spelled(tree):
        token, *operands = tree
        if not operands:
            return str(token == 2)
        inner = [f"({spelled(each)})" for each in operands]
        words = {trees.AND: " and ", trees.OR: " or ", trees.XOR: " ^ "}
        return f"not {inner[0]}" if token == trees.NOT else words[token].join(inner)

    for _ in range(50):
        tree = trees.grown(random, 3, 3)
        assert trees.truth(tree) == eval(spelled(tree))


@pytest.mark.parametrize("operands", [2, 3])
def test_test_trees_are_deeper_and_none_is_in_two_splits(operands):
    parts = trees.expressions(operands)

    def height(tree):
        return max((1 + height(each) for each in tree[1:]), default=0)

    assert {part: len(found) for part, found in parts.items()} == trees.COUNTS
    assert max(map(height, parts["train"])) == 4 and min(map(height, parts["test"])) == 5
    assert len({tree for found in parts.values() for tree in found}) == sum(trees.COUNTS.values())


def test_what_is_open_at_each_step():
    """(not (and 1 (not 0))): not odd, and odd, and odd, not even, not even, and odd, not odd, nothing."""
    signs, opened = trees._read((trees.NOT, (trees.AND, (2,), (trees.NOT, (1,)))))
    assert [trees.SIGNS[sign] for sign in signs] == ["(not", "(and", "true", "(not", "false", ")", ")", ")"]
    assert opened == [2, 4, 4, 1, 1, 4, 2, 0]
    dataset = load("nested_operators")
    for split in dataset.splits.values():
        x, depth = split.x, (split.x[..., -2] - split.x[..., -1]).cumsum(1)
        assert (x[..., :7].sum(-1) <= 1).all() and depth.min() == 0 and (depth[:, -1] == 0).all()
        np.testing.assert_array_equal(depth > 0, split.y > 0)
    with pytest.raises(BadInput, match="24 steps"):
        load("nested_operators", input_shape=(8, 9))


# ---------------------------------------------------------------- the walk


def recursed(networks, rows, number):
    """Return the outputs of one node, its children's computed before it, one call a node."""
    token, *children = rows[number]
    below = [recursed(networks, rows, child - 1) for child in children if child]
    if not below and "leaf" in networks:
        return networks["leaf"]({"token": np.array([[token]], "i4")})
    given = {}
    for each in networks["node"].inputs:
        if each.name.endswith("_children"):
            given[each.name] = np.zeros((1, *each.shape[1:]), "f4")
            for place, child in enumerate(below):
                given[each.name][0, place] = np.asarray(child[each.name.removesuffix("_children")])[0]
    mask = np.array([[child > 0 for child in children]], "f4")
    known = {"token": np.array([[token]], "i4"), "mask": mask, **given}
    return networks["node"]({each.name: known[each.name] for each in networks["node"].inputs})


def test_the_walk_is_the_recursion_and_so_is_training(row):
    networks, task, dataset = row
    x, last = dataset.test.x, trees.roots(dataset.test.x)
    logits = walked(KerasRunner(networks), dataset, x)["logits"]
    for tree in range(3):
        expected = recursed(networks, x[tree], last[tree])["logits"]
        np.testing.assert_allclose(logits[tree, last[tree]], np.asarray(expected)[0], atol=1e-5)
    every = np.asarray(unfolded(networks, x, int(trees.heights(x).max())))
    inner = dataset.test.y != trees.UNKNOWN
    np.testing.assert_allclose(every[inner], logits[inner], atol=1e-5)
    scores = task.evaluate(KerasRunner(networks), dataset)
    truth = dataset.test.y[np.arange(12), last]
    np.testing.assert_array_equal(scores.rows[:, 0], logits[np.arange(12), last].argmax(-1) == truth)


def test_one_call_a_height_and_not_one_a_node(row):
    networks, task, dataset = row
    calls = []

    class Counting(KerasRunner):
        def __call__(self, network, inputs):
            calls.append(network)
            return super().__call__(network, inputs)

    task.evaluate(Counting(networks), dataset)
    assert len(calls) == 1 + trees.heights(dataset.test.x).max()


def test_what_nodes_read_is_observed_in_the_work_of_the_networks(row):
    networks, task, dataset = row
    run = KerasRunner(networks)
    seen = task.observed(run, dataset, "node", 40)
    assert {each.name for each in networks["node"].inputs} == seen.keys() and len(seen["mask"]) == 40
    found = walked(run, dataset, dataset.train.x)["h"].reshape(-1, 6)
    for child in seen["h_children"][seen["mask"] > 0][:10]:
        assert np.abs(found - child).max(1).min() < 1e-5
    work = find("tree_lstm", "boolean_trees")
    made = work.make()
    told, guessed = work.samples("node", 16, networks=made), work.samples("node", 16)
    assert told.keys() == guessed.keys() and np.abs(guessed["c_children"]).max() > np.abs(told["c_children"]).max()


def test_a_net_of_fewer_children_or_classes_is_refused(row):
    _, task, dataset = row
    other = registry.networks("tree_lstm", "edge", input_shape=(1, 6))
    with pytest.raises(BadInput, match="5 children"):
        task.present(dataset, other)
    with pytest.raises(BadInput, match="'node'"):
        task.present("boolean_trees", registry.networks("lenet5"))


# ---------------------------------------------------------------- learning


def learned(networks, task, dataset, out=None, **settings):
    config = TrainConfig(**{"epochs": 2, "schedule": "constant", "clip_norm": 1.0, **settings})
    keras.utils.set_random_seed(0)
    return learners.get("tree_walk")(networks, dataset, task, config, RunDir(out))


def values(networks):
    return [np.asarray(weight) for network in networks.values() for weight in network.weights]


@pytest.fixture(scope="module")
def low():
    """Return networks, task and few trees that are not high: what is trained is as deep as they are."""
    networks, task = registry.networks("tree_lstm", "edge", units=6, seed=1), tasks.get("tree_classification")
    dataset = task.present("boolean_trees", networks, limit=32, test_limit=12)
    kept = trees.heights(dataset.train.x).max(1) == 2
    return networks, task, replace(dataset, train=dataset.train.take(np.flatnonzero(kept)[:8]))


def test_a_run_that_stopped_goes_on_to_the_same_bits(low, tmp_path):
    networks, task, dataset = low

    def train(epochs, out):
        fresh = {name: copy_model(network) for name, network in networks.items()}
        return learned(fresh, task, dataset, out, epochs=epochs), values(fresh)

    rows, whole = train(3, None)
    first, _ = train(1, tmp_path)
    state = np.load(tmp_path / "checkpoint.npz")
    note = bytes(state["_note"]).replace(b'"done": true', b'"done": false')
    np.savez(tmp_path / "checkpoint.npz", **{**state, "_note": np.frombuffer(note, np.uint8)})
    resumed, again = train(3, tmp_path)
    assert first == rows[:1] and resumed == rows
    for one, other in zip(whole, again, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_pruned_and_quantized_nodes_go_on_learning_through_the_tree(low):
    networks, task, dataset = low
    for kind in ("pruning", "qat"):
        given = task.samples(dataset, "node", 16)
        node = networks["node"]
        made = {"node": (prepare_prune(node) if kind == "pruning" else prepare_qat(node, calibration=given))[0]}
        before = values(made)
        history = learned(made, task, dataset, epochs=1)
        assert np.isfinite(list(history[0].values())).all()
        assert any((one != other).any() for one, other in zip(before, values(made), strict=True))


def test_an_entry_says_how_often_a_node_is_run():
    dataset = tasks.get("tree_classification").present("boolean_trees", registry.networks("tree_lstm", "edge"))
    assert learners.get("tree_walk").steps(dataset, TrainConfig(epochs=2, batch_size=16)) == 2 * 100 * 4
    assert sets.source("boolean_trees").floor == 0.75

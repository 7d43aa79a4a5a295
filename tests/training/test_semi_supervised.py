"""Learning from few labels: rules worked by hand, and each way against the same net with the same labels alone."""

from dataclasses import replace

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.training import learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.data import load
from edgewright.training.learners.semi_supervised import Trust, _likeliest, surest
from edgewright.training.learners.transductive import (
    NONE,
    balanced,
    propagated,
    switched,
    transductive,
    with_and_without,
)
from edgewright.training.pictures import strongly, weakly
from edgewright.training.runner import KerasRunner
from edgewright.training.state import RunDir

TASK = tasks.get("classification")


def test_only_what_is_likely_enough_becomes_a_label():
    logits = np.log(np.float32([[0.96, 0.04], [0.9, 0.1], [0.01, 0.99]]))
    np.testing.assert_array_equal(np.asarray(_likeliest(logits, 0.95)), [[1, 0], [0, 0], [0, 1]])
    np.testing.assert_array_equal(np.asarray(_likeliest(logits, 0.0)), [[1, 0], [1, 0], [0, 1]])


def test_a_weight_rises_from_a_sixth_of_the_training_on():
    rising = Trust(weight=3.0, ramp=4 / 6)
    assert [round(rising.weight_at(done), 6) for done in (0, 1 / 6, 2 / 6, 4 / 6, 1)] == [0, 0, 1, 3, 3]
    assert Trust(weight=2.0).weight_at(0.0) == 2.0


def test_each_class_gets_those_that_are_surest_of_it():
    chances = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.45, 0.55]])
    places, classes = surest(np.log(chances) + 3, 2)  # logits of the same chances
    assert places.tolist() == [0, 1, 2, 3] and classes.tolist() == [0, 0, 1, 1]
    assert len(surest(np.log(chances), 0)[0]) == 0


def test_weak_changes_shift_by_pixels_and_strong_ones_keep_the_range():
    random, x = np.random.default_rng(0), np.zeros((40, 8, 8, 1), np.float32)
    x[:, 3, 3] = 1
    places = {tuple(np.argwhere(one[..., 0] == 1)[0]) for one in weakly(x, random)}
    assert places == {(a, b) for a in (2, 3, 4) for b in (2, 3, 4)}
    changed = strongly(np.repeat(load("digits", input_shape=(8, 8, 1)).train.x[:1], 20, axis=0), random)
    assert changed.shape == (20, 8, 8, 1) and changed.min() >= 0 and changed.max() <= 1
    assert len(np.unique(changed.reshape(20, -1), axis=0)) == 20
    flat = np.ones((3, 5), np.float32)
    assert weakly(flat, random) is flat and strongly(flat, random) is flat


def test_labels_spread_along_a_chain_to_its_other_end():
    x = np.array([[0.0], [1.0], [2.0], [3.2], [4.2], [5.2]])  # two chains; the ends are known
    labels = np.array([0, NONE, NONE, NONE, NONE, 1])
    told = propagated(x, labels, 3.0, 2)
    assert told.argmax(1).tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_allclose(told.sum(1), 1, atol=1e-9)
    middle = propagated(np.array([[0.0], [1.0], [2.0]]), np.array([0, NONE, 1]), 1.0, 2)
    np.testing.assert_allclose(middle[1], [0.5, 0.5])


def test_a_label_that_lies_nearer_to_all_does_not_outweigh_the_others():
    told = balanced(np.array([[0.2, 0.8], [0.1, 0.9]]), np.array([0.5, 0.5]))  # 2/3 and 8/17, 1/3 and 9/17
    np.testing.assert_allclose(told, [[34 / 58, 24 / 58], [17 / 44, 27 / 44]])
    x = np.array([[-3.0], [0.0], [0.5], [1.0], [3.0], [3.5], [4.0]])  # two clumps; one label is far from its own
    sides = propagated(x, np.array([0, NONE, NONE, NONE, NONE, 1, NONE]), 1.0, 2).argmax(1)
    assert sides.tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_two_on_the_wrong_sides_change_places_but_no_single_one():
    sides, scores = np.array([1, 1, -1, -1]), np.array([-1.5, 2.0, 1.2, -2.0])  # slacks 2.5, 0, 2.2, 0
    assert sorted(switched(sides, scores)) == [0, 2]
    assert len(switched(sides, np.array([-1.5, 2.0, -2.0, -2.0]))) == 0
    assert len(switched(sides, np.array([0.5, 2.0, -0.2, -2.0]))) == 0  # slacks 0.5 and 0.8: no gain


def test_the_boundary_moves_into_the_gap_that_samples_without_a_label_show():
    random = np.random.default_rng(0)
    lower, upper = (random.normal(centre, 0.25, (30, 2)) for centre in ((0, 0), (0, 3)))
    x = np.concatenate([[[0.0, 0.3], [0.0, 3.6]], lower, upper])
    sides = np.r_[-1, 1, np.zeros(60, int)]
    machine = transductive(x, sides, 0.5)
    assert (machine.decision_function(lower) < 0).all() and (machine.decision_function(upper) > 0).all()


def test_samples_with_a_label_come_first_and_once():
    dataset = load("digits_40_labels", input_shape=(64,))
    assert np.bincount(dataset.train.y).tolist() == [4] * 10
    x, labels = with_and_without(dataset, 100)
    assert len(x) == 100 and (labels[:40] == dataset.train.y).all() and (labels[40:] == NONE).all()
    assert len(np.unique(x, axis=0)) == 100
    with pytest.raises(BadInput, match="vectors=40"):
        with_and_without(dataset, 30)
    with pytest.raises(BadInput, match="digits_40_labels"):
        with_and_without(load("digits", input_shape=(64,)), 100)


def accuracy(name, learner, config, **sizes):
    nets = registry.networks(name, "edge", **sizes)
    dataset = TASK.present("digits_40_labels", nets)
    learners.get(learner)(nets, dataset, TASK, config, RunDir(None))
    return TASK.metric.reduce(TASK.evaluate(KerasRunner(nets), dataset).rows)


def test_labels_that_spread_beat_the_nearest_label():
    config = TrainConfig(epochs=1)
    alone = accuracy("label_propagation", "support_vectors", config)
    assert accuracy("label_propagation", "label_propagation", config) > max(0.9, alone + 0.05)


def test_moved_margins_beat_those_of_forty_labels(monkeypatch):
    config = TrainConfig(epochs=1)
    alone = accuracy("transductive_svm", "support_vectors", config, vectors=300)
    assert accuracy("transductive_svm", "transductive_support_vectors", config, vectors=300) > alone + 0.02


def test_two_views_teach_each_other():
    config = TrainConfig(epochs=5, passes=15)
    alone = accuracy("co_training", "fit", config)
    assert accuracy("co_training", "co_training", config) > alone + 0.01


def test_samples_without_a_label_change_what_is_learned():
    nets = registry.networks("pseudo_label", "edge")
    dataset = TASK.present("digits_40_labels", nets, test_limit=50)
    config = TrainConfig(epochs=1, passes=2)
    rows = [learners.get(f"semi_supervised:ratio=2{more}")(
                registry.networks("pseudo_label", "edge"), dataset, TASK, config, RunDir(None))
            for more in ("", ",weight=0", ",strong=1")]  # fmt: skip
    losses = [history[-1]["loss"] for history in rows]
    assert np.isfinite(losses).all() and losses[0] > losses[1]


def test_wrong_options_and_data_are_refused():
    for text in ("ratio=0", "strong=2", "threshold=1", "weight=-1", "ramp=0.1"):
        with pytest.raises(BadInput, match=text.partition("=")[0]):
            learners.get(f"semi_supervised:{text}")
    nets = registry.networks("pseudo_label", "edge")
    whole = TASK.present("digits", nets, limit=50, test_limit=10)
    with pytest.raises(BadInput, match="samples without a label"):
        learners.get("semi_supervised")(nets, whole, TASK, TrainConfig(epochs=1), RunDir(None))
    few = replace(whole, unlabelled=whole.train.x)
    with pytest.raises(BadInput, match="mean of 0 nets"):
        learners.get("co_training")(nets, few, TASK, TrainConfig(epochs=1), RunDir(None))

"""Streams: the task of a row, judged by unrolling its step; the lag task; teacher forcing."""

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.quantize.streaming import derive
from edgewright.training import tasks
from edgewright.training.data import load
from edgewright.training.data.lags import tapped
from edgewright.training.runner import KerasRunner


def presented(name, data, **options):
    """Return a row's networks, the step with the sequence's weights, its task and its data."""
    entry, networks = registry.get(name), registry.networks(name, "edge", **options)
    dataset = tasks.get(entry.task).present(data, {"sequence": networks["sequence"]}, limit=32, test_limit=16)
    (deployable,) = entry.deploy
    step = derive(networks["step"], networks["sequence"], deployable.states)
    return {**networks, "step": step}, KerasRunner({**networks, "step": step}, entry.deploy), tasks.of(dataset), dataset


# ---------------------------------------------------------------- the lag task


def test_the_lag_task_by_its_formula():
    dataset = load("lag_task", input_shape=(32, 2), task="regression")
    assert [len(split) for split in dataset.splits.values()] == [1024, 256, 512]
    assert dataset.train.y.std() == pytest.approx(1, abs=1e-3) and np.abs(dataset.train.x).max() <= 1
    mean, deviation = map(float, dataset.preprocessing.removeprefix("y less ").split(", divided by "))
    x1, x2 = np.moveaxis(dataset.test.x, -1, 0)  # (N, T) each
    for t in (0, 1, 4, 6, 7, 31):
        at = lambda x, lag, t=t: x[:, t - lag] if t >= lag else 0 * x[:, 0]  # noqa: E731
        exact = 5 * at(x1, 1) * at(x2, 2) - 2 * at(x1, 7) + 3.5 * at(x2, 5) ** 2
        error = dataset.test.y[:, t, 0] * deviation + mean - exact
        assert error.std() == pytest.approx(0.1, rel=0.15) and abs(error.mean()) < 0.02


def test_frames_with_those_before_them():
    x = np.arange(1, 21, dtype="float32").reshape(1, 10, 2)
    frames = tapped(x)
    assert frames.shape == (1, 10, 16)
    np.testing.assert_array_equal(frames[0, 9].reshape(8, 2), x[0, 9:1:-1])  # the last one first
    np.testing.assert_array_equal(frames[0, 1], [3, 4, 1, 2, *[0] * 12])
    with pytest.raises(BadInput, match="16 with"):
        load("lag_task", input_shape=(32, 3))


# ---------------------------------------------------------------- the task


def test_every_step_is_judged_where_the_sequence_answers_at_every_step():
    networks, run, task, dataset = presented("elman_rnn", "lag_task", input_shape=(9, 2), units=4)
    assert dataset.task == task.name == "streaming_regression" and task.metric.name == "explained_variance"
    scores = task.evaluate(run, dataset)
    answers = np.asarray(networks["sequence"](dataset.test.x))
    error = ((answers - dataset.test.y) ** 2).sum((1, 2))
    np.testing.assert_allclose(scores.rows[:, 0], error, rtol=1e-4)
    np.testing.assert_array_equal(scores.unit, np.arange(16))
    assert task.samples(dataset, "step", 5)["frame"].shape == task.samples(dataset, "sequence", 5)["frames"].shape
    assert task.present(dataset, networks) is dataset


def test_the_last_step_is_judged_where_the_sequence_answers_once():
    networks, run, task, dataset = presented("rnn_classifier", "digits", input_shape=(8, 8), units=4)
    answers = np.asarray(networks["sequence"](dataset.test.x)).argmax(-1)
    right = task.evaluate(run, dataset).rows[:, 0]
    np.testing.assert_array_equal(right, answers == dataset.test.y)
    assert dataset.classes == 10 and task.labelled and task.metric.name == "accuracy"


def test_a_net_that_is_told_true_outputs_is_judged_by_its_own():
    networks, run, task, dataset = presented("jordan_rnn", "lag_task", input_shape=(9, 16), units=4)
    given, truth = dataset.train.x, dataset.train.y
    np.testing.assert_array_equal(given["last"][:, 1:], truth[:, :-1])
    assert not given["last"][:, 0].any() and given["frames"].shape == (32, 9, 16)
    feedback = networks["step"].get_layer("feedback").kernel
    feedback.assign(3 * np.ones_like(feedback))
    own = [np.zeros((16, 1, 1), "float32")]
    for t in range(9):
        step = {"frame": dataset.test.x["frames"][:, t : t + 1], "last": own[-1]}
        own.append(np.asarray(networks["step"](step)["output"]))
    error = ((np.concatenate(own[1:], 1) - dataset.test.y) ** 2).sum((1, 2))
    np.testing.assert_allclose(task.evaluate(run, dataset).rows[:, 0], error, rtol=1e-4)


def test_other_networks_are_refused():
    task = tasks.get("streaming_regression")
    with pytest.raises(BadInput, match="'sequence'"):
        task.present("lag_task", {"lstm": registry.build("lstm", "edge")})
    with pytest.raises(BadInput, match="'frames'"):
        task.present("lag_task", {"sequence": registry.build("lstm", "edge")})
    with pytest.raises(BadInput, match="lag_task"):
        tasks.get("streaming_classification").present("lag_task", registry.networks("elman_rnn", "edge"))

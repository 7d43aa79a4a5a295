"""Networks that are solved: weights assigned once, kept through pruning and quantization, restored."""

import keras
import numpy as np
import pytest
from edgewright.prune import PruneConfig, prepare_prune, strip_prune
from edgewright.quantize import prepare_qat
from edgewright.training import learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.data import Dataset, Split
from edgewright.training.learners.register import LEARNERS
from edgewright.training.learners.solved import Solution, solver, validate
from edgewright.training.train import train

CALLS = []


@pytest.fixture(scope="module", autouse=True)
def least_squares():
    @solver("least_squares_of_test", again=True)
    def solve(networks, dataset, task, config, support):
        (network,) = networks.values()
        kernel = network.get_layer("out").kernel
        alive = support.get(id(kernel), np.ones(kernel.shape, bool))[:, 0]
        solution = np.zeros(kernel.shape, np.float32)
        solution[alive] = np.linalg.lstsq(dataset.train.x[:, alive], dataset.train.y, rcond=None)[0]
        kernel.assign(solution)
        CALLS.append(alive)

    @solver("kept_of_test")
    def kept(networks, dataset, task, config):
        CALLS.append(None)
        next(iter(networks.values())).get_layer("out").kernel.assign([[1.0], [-2.0], [0.25], [0.5]])
        return [{"loss": 3.0}, {"loss": 2.0}]

    yield
    del LEARNERS["least_squares_of_test"], LEARNERS["kept_of_test"]


@pytest.fixture
def problem():
    CALLS.clear()
    random = np.random.default_rng(0)
    x = random.normal(size=(96, 4)).astype(np.float32)
    x[:, 1] += 0.5 * x[:, 2]  # so that the best of what is left is not what is left of the best
    y = x @ np.array([[1.0], [-2.0], [0.25], [0.5]], np.float32)
    parts = [Split(x=x[a:b], y=y[a:b]) for a, b in ((0, 64), (64, 80), (80, 96))]
    dataset = Dataset(name="plane", task="regression", train=parts[0], validation=parts[1], test=parts[2])
    inputs = keras.Input((4,), name="inputs")
    return keras.Model(inputs, keras.layers.Dense(1, use_bias=False, name="out")(inputs), name="plane"), dataset


def test_a_closed_form_is_one_row_and_is_restored(problem, tmp_path):
    model, dataset = problem
    result = train(model, dataset, learner="least_squares_of_test", out=tmp_path)
    assert result.metric == pytest.approx(1.0, abs=1e-5) and len(result.history) == 1
    assert set(result.history[0]) == {"epoch", "loss", "val_loss"}
    solved = model.get_weights()[0]
    model.set_weights([np.zeros((4, 1))])
    assert train(model, dataset, learner="least_squares_of_test", out=tmp_path).history == result.history
    np.testing.assert_array_equal(model.get_weights()[0], solved)
    assert len(CALLS) == 1


def test_rows_of_iterations_are_numbered_and_the_last_is_judged(problem):
    model, dataset = problem
    history = train(model, dataset, learner="kept_of_test").history
    assert [(row["epoch"], row["loss"]) for row in history] == [(1, 3), (2, 2)]
    assert history[-1]["val_loss"] == pytest.approx(0, abs=1e-9)


def test_what_pruning_leaves_is_solved_again_and_zeros_stay(problem):
    model, dataset = problem
    train(model, dataset, learner="least_squares_of_test")
    pruning, _ = prepare_prune(model, PruneConfig(by_name={"out": 0.5}, end_step=1, frequency=1))
    train(pruning, dataset, learner="least_squares_of_test")
    np.testing.assert_array_equal(CALLS[1], [True, True, False, False])
    kernel = strip_prune(pruning).get_weights()[0]
    best = np.linalg.lstsq(dataset.train.x[:, :2], dataset.train.y, rcond=None)[0]
    np.testing.assert_allclose(kernel, [*best, [0], [0]], atol=1e-5)
    assert abs(best[1, 0] + 2) > 0.05


def test_a_solution_is_kept_where_it_is_not_solved_again(problem):
    model, dataset = problem
    train(model, dataset, learner="kept_of_test")
    pruning, _ = prepare_prune(model, PruneConfig(by_name={"out": 0.5}, end_step=1, frequency=1))
    train(pruning, dataset, learner="kept_of_test")
    np.testing.assert_array_equal(strip_prune(pruning).get_weights()[0], [[1], [-2], [0], [0]])
    aware, _ = prepare_qat(model, calibration=dataset.train.x)
    before = aware.get_weights()
    history = train(aware, dataset, learner="kept_of_test").history
    for old, new in zip(before, aware.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    entry = learners.get("kept_of_test")
    judged = entry.validate({"plane": aware}, dataset, tasks.of(dataset), TrainConfig())
    assert entry.best_epoch([judged, history[-1]], dataset, tasks.of(dataset)) == 0
    assert len(CALLS) == 1 and entry.steps(dataset, TrainConfig()) == 1


def test_networks_whose_layers_have_one_name_keep_zeros_of_their_own():
    networks = {}
    for name, weights in (("up", [1, 2, 3, 4]), ("down", [4, 3, 2, 1])):
        inputs = keras.Input((4,), name="inputs")
        model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False, name="out")(inputs), name=name)
        model.set_weights([np.array(weights, np.float32)[:, None]])
        networks[name], _ = prepare_prune(model, PruneConfig(by_name={"out": 0.5}, end_step=1, frequency=1))

    def ones(networks, dataset, task, config, support):
        for network in networks.values():
            network.get_layer("out").kernel.assign(np.ones((4, 1)))

    Solution(solve=ones, again=True, validate=validate)._assigned(networks, None, None, TrainConfig())
    found = {name: network.inner.get_weights()[0][:, 0].tolist() for name, network in networks.items()}
    assert found == {"up": [0, 0, 1, 1], "down": [1, 1, 0, 0]}

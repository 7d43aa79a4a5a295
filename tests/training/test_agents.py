"""Agents that learn to act: memories, gradients of policies, and what they remember in an episode."""

from itertools import pairwise

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.keras_internals import without_weights
from edgewright.models import registry
from edgewright.quantize import prepare_qat
from edgewright.training import learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.data.environments import STATES, DrawnGridWorld, drawn, environment, play
from edgewright.training.learners import dreaming
from edgewright.training.learners.dreaming import unlikely
from edgewright.training.learners.policy_gradient import Moves, advantages, played, pressed
from edgewright.training.learners.reinforcement import Memory, Players, value_iteration
from edgewright.training.runner import KerasRunner
from edgewright.training.state import RunDir
from gymnasium import spaces


def learned(name, data, learner, out=None, **settings):
    """Return the networks of a row after a short training, its history, task and data."""
    entry = registry.get(name)
    task = tasks.get(entry.task)
    networks = registry.networks(name, "edge", input_shape=(4,), classes=2, seed=1)
    dataset = task.present(data, networks, limit=8, test_limit=4)
    config = TrainConfig(**{"learning_rate": 0.01, "schedule": "constant", "epochs": 2, **settings})
    history = learners.get(learner)(networks, dataset, task, config, RunDir(out))
    return networks, history, task, dataset


# ---------------------------------------------------------------- drawn worlds


def test_every_state_is_another_picture():
    for size in (84, 12):
        pictures = {drawn(state, size).tobytes() for state in range(len(STATES))}
        assert len(pictures) == len(STATES)
    wall = drawn(STATES.index((1, 1)), 12)[4:8, 3:6]
    assert wall.all() and not drawn(STATES.index((1, 1)), 12)[4:8, :3].any()


def test_the_last_frames_are_seen_oldest_first():
    world = DrawnGridWorld(12, 3)
    first, _ = world.reset(seed=0)
    np.testing.assert_array_equal(first, np.stack([drawn(STATES.index((1, 1)), 12)] * 3, -1))
    seen, *_ = world.step(0)
    np.testing.assert_array_equal(seen[..., :2], first[..., 1:])
    again, _ = world.reset(seed=0)
    np.testing.assert_array_equal(again, first)


def test_drawn_or_not_the_same_moves_gain_the_same():
    def east(states):
        return np.ones(len(states), int)

    seeds = np.arange(20)
    np.testing.assert_array_equal(play("grid_world", seeds, east), play("small_pixel_grid_world", seeds, east))


def test_what_a_policy_remembers_is_of_the_episodes_that_still_run():
    told = []

    def act(observations, kept):
        told.append(kept["number"])
        return np.zeros(len(observations), int), {"number": kept["number"]}

    play("cart_pole", [1, 2, 3], act, {"number": np.arange(3)})
    sizes = [len(numbers) for numbers in told]
    assert sizes[0] == 3 and sizes == sorted(sizes, reverse=True) and sizes[-1] < 3
    assert all(set(after) <= set(before) for before, after in pairwise(told))


def test_the_lake_is_crossed_by_few_who_wander():
    returns = play("frozen_lake", np.arange(30), lambda states: states.argmax(-1) % 4)
    assert set(np.unique(returns)) <= {0.0, 1.0}
    assert environment("frozen_lake").make().reset(seed=0)[0].tolist() == [1.0] + [0.0] * 15


# ---------------------------------------------------------------- Q-learning


def test_a_memory_forgets_the_oldest_and_is_kept():
    memory = Memory(5, spaces.Box(0, 1, (2,), np.uint8))
    for number in range(4):
        moves = np.full((2, 2), number % 2), [number, number], [0.5, 1.5], np.ones((2, 2)), [False, True]
        memory.add(*moves)
    assert memory.count == 5 and sorted(memory._moves["action"].tolist()) == [1, 2, 2, 3, 3]
    last = memory.last(3)
    assert last["action"].tolist() == [2, 3, 3] and last["reward"].tolist() == [1.5, 0.5, 1.5]
    assert last["state"].dtype == np.float32 and last["ended"].tolist() == [True, False, True]
    memory.keep()
    again = Memory(5, spaces.Box(0, 1, (2,), np.uint8))
    for variable, kept in zip(again.variables, memory.variables, strict=True):
        variable.assign(kept)
    again.recall()
    assert again.count == 5 and again.last(3)["action"].tolist() == [2, 3, 3]


REMEMBERING = "q_learning:memory=64,begin=16,target=25,players=4"


def test_a_run_with_a_memory_that_stopped_goes_on_to_the_same_bits(tmp_path):
    whole, rows, *_ = learned("dqn", "cart_pole", REMEMBERING)
    learned("dqn", "cart_pole", REMEMBERING, tmp_path, epochs=1)
    state = dict(np.load(tmp_path / "checkpoint.npz"))
    note = bytes(state["_note"]).replace(b'"done": true', b'"done": false')
    np.savez(tmp_path / "checkpoint.npz", **{**state, "_note": np.frombuffer(note, np.uint8)})
    assert any(name.startswith("memory/") for name in state)
    again, resumed, *_ = learned("dqn", "cart_pole", REMEMBERING, tmp_path, epochs=2)
    assert resumed == rows
    for one, other in zip(whole["dqn"].weights, again["dqn"].weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_record_of_moves_is_learned_from_without_playing(monkeypatch):
    made = []
    monkeypatch.setattr(Players, "move", lambda self, actions, move=Players.move: made.append(1) or move(self, actions))
    _, history, *_ = learned("fitted_q", "cart_pole", "q_learning:recorded=96,target=50", epochs=2)
    assert len(made) == 96 / 8  # players, of so few episodes
    assert [row["loss"] > 0 for row in history] == [True] * 2


@pytest.mark.parametrize("options", ["memory=-1", "curious=2", "memory=10,begin=20", "memory=10,recorded=10"])
def test_a_memory_that_cannot_be_is_refused(options):
    with pytest.raises(BadInput, match="allowed"):
        learners.get(f"q_learning:{options}")


def test_dqn_has_the_layers_of_the_paper():
    network = registry.build("dqn")
    counts = [layer.count_params() for layer in network.layers if layer.weights]
    assert counts == [8_224, 32_832, 36_928, 1_606_144, 2_052]
    assert [layer.name for layer in registry.build("dqn", "edge", input_shape=(4,)).layers][1:] == [
        "hidden",
        "q_values",
    ]


def test_the_best_policy_of_the_drawn_world_gains_its_value():
    """A net that reads the place off the newest frame has the values of the table, so it acts as they say."""
    world = environment("grid_world").make().world
    values = value_iteration(world, 1.0)
    frames = np.stack([drawn(state, 84) for state in range(len(STATES))]).reshape(len(STATES), -1)

    def act(observations):
        newest = observations[..., -1].reshape(len(observations), -1)
        places = [(np.abs(frames - frame).sum(1)).argmin() for frame in newest]
        return (world.transitions[places] @ values).argmax(-1)

    returns = play("pixel_grid_world", np.arange(150), act)
    assert returns.mean() == pytest.approx(0.7053, abs=0.1)  # three standard errors


# ---------------------------------------------------------------- policy gradients


@pytest.mark.parametrize(("baseline", "variance"), [(0.0, 0.5625), (1.5, 0.0)])
def test_two_arms(baseline, variance):
    """Probabilities .5, rewards 1 and 2: the gradient of the first logit, in the direction of what gains."""
    gradients = []
    for arm, reward in ((0, 1.0), (1, 2.0)):
        taken, gain = np.eye(2, dtype="f4")[[arm]], np.float32(reward - baseline)
        step = 1e-3
        up, down = (np.asarray(pressed(np.array([[shift, 0.0]], "f4"), taken, gain, 0.0)) for shift in (step, -step))
        gradients.append(-(up - down).item() / (2 * step))
    assert np.mean(gradients) == pytest.approx(-0.25, abs=1e-3)
    assert np.var(gradients) == pytest.approx(variance, abs=2e-3)


def test_entropy_is_wanted():
    taken, zero = np.eye(2, dtype="f4")[[0]], np.zeros((1, 1), "f4")
    assert np.asarray(pressed(np.zeros((1, 2), "f4"), taken, zero, 1.0)).item() == pytest.approx(-np.log(2), abs=1e-6)


def moves_of(reward, ended, cut):
    time = np.zeros((len(reward), 1, 1))
    given = {"reward": reward, "ended": ended, "cut": cut, "action": reward}
    return Moves(state=time, after=time, **{name: np.array(values)[:, None] for name, values in given.items()})


def test_what_came_and_what_was_expected():
    three = moves_of([1.0, 1.0, 1.0], [False, True, False], [False, True, False])
    np.testing.assert_allclose(advantages(three, 0.0, 0.0, 0.5, 1.0)[:, 0], [1.5, 1, 1])
    before, after = np.array([[1.0], [2.0], [3.0]]), np.array([[2.0], [9.0], [4.0]])
    # by one step: 1 + .5 * 2 - 1, 1 - 2 (an end), 1 + .5 * 4 - 3
    np.testing.assert_allclose(advantages(three, before, after, 0.5, 0.0)[:, 0], [1, -1, 0])
    # all that came: 1 + .5 * 1 - 1, 1 - 2, and where moves break off the critic goes on: 1 + .5 * 4 - 3
    np.testing.assert_allclose(advantages(three, before, after, 0.5, 1.0)[:, 0], [0.5, -1, 0])
    broken = moves_of([1.0, 1.0], [False, False], [True, True])
    np.testing.assert_allclose(advantages(broken, np.ones((2, 1)), np.full((2, 1), 4.0), 0.5, 1.0)[:, 0], [2, 2])


def test_the_mean_return_as_baseline_leaves_the_gradients_mean_on_cart_pole():
    """Gradients of single players differ by the baseline times a term of mean zero: its interval contains 0."""
    policy = registry.networks("reinforce", "edge", hidden=(4,), seed=3)["policy"]
    world = environment("cart_pole")
    found = {"none": [], "mean": []}
    for seed in range(6):
        random = np.random.default_rng(seed)
        players = Players(world, seed * 100 + np.arange(32), random)
        moves = played(policy, players, 25)
        gains = advantages(moves, 0.0, 0.0, 0.95, 1.0)
        logits = np.asarray(policy.predict_on_batch(moves.state.reshape(-1, 4)), np.float64).reshape(25, 32, 2)
        likely = np.exp(logits - np.log(np.exp(logits).sum(-1, keepdims=True)))
        pushed = (moves.action == 0) - likely[..., 0]  # of the first logit
        for baseline, off in (("none", 0.0), ("mean", gains.mean())):
            found[baseline] += ((gains - off) * pushed).mean(0).tolist()
    difference = np.subtract(found["none"], found["mean"])
    assert abs(difference.mean()) < 2.6 * difference.std() / np.sqrt(len(difference))  # 99% of the intervals do
    assert np.var(found["mean"]) < np.var(found["none"])


GRADIENTS = {
    "reinforce": "policy_gradient:moves=8,players=4",
    "advantage_actor_critic": "policy_gradient:baseline=critic,trace=0.9,entropy=0.01,moves=8,players=4",
}


@pytest.mark.parametrize("name", ["reinforce", "advantage_actor_critic"])
def test_policies_go_on_to_the_same_bits(name, tmp_path):
    networks, history, task, dataset = learned(name, "cart_pole", GRADIENTS[name])
    again, rows, *_ = learned(name, "cart_pole", GRADIENTS[name], tmp_path)
    assert rows == history and len(history) == 2
    for network in networks:
        for one, other in zip(networks[network].weights, again[network].weights, strict=True):
            np.testing.assert_array_equal(one, other)
    scores = task.evaluate(KerasRunner({"policy": networks["policy"]}), dataset)  # the critic stays behind
    assert scores.rows.shape == (4, 1)


def test_what_is_played_is_what_calibrates():
    networks = registry.networks("reinforce", "edge")
    task = tasks.get("episodic")
    dataset = task.present("cart_pole", networks, limit=40)
    given = task.observed(KerasRunner(networks), dataset, "policy", 20)
    assert given["state"].shape == (20, 4) and np.isfinite(given["state"]).all()
    plain = task.samples(dataset, "policy", 10)["state"]
    np.testing.assert_array_equal(given["state"][10:], plain)


@pytest.mark.parametrize("options", ["baseline=median", "trace=0.5", "moves=0", "entropy=-1"])
def test_estimates_that_cannot_be_are_refused(options):
    with pytest.raises(BadInput, match=r"allowed|give"):
        learners.get(f"policy_gradient:{options}")


def test_a_critic_that_is_missing_is_named():
    with pytest.raises(BadInput, match="critic and policy"):
        learned("reinforce", "cart_pole", "policy_gradient:baseline=critic")


def test_random_draws_follow_the_logits():
    players = Players(environment("cart_pole"), np.arange(2), np.random.default_rng(0))
    drawn_actions = players.draw(np.tile(np.log([0.9, 0.1]), (2000, 1)))
    assert (drawn_actions == 0).mean() == pytest.approx(0.9, abs=0.03)


# ---------------------------------------------------------------- a world model


def test_the_world_model_has_the_parameters_of_the_paper():
    with without_weights():
        networks = registry.networks("world_model")
    counts = {name: network.count_params() for name, network in networks.items()}
    assert counts["vision"] + counts["decoder"] == 4_348_547
    assert counts["memory"] == 422_368 and counts["controller"] == 867


def test_mixtures_are_densities():
    """One part: the normal density; two alike: the same; two apart: the mean of their densities, by hand."""
    values = np.array([[0.5]], "f4")
    one = np.array([[0.0, 0.0, np.log(2.0)]], "f4")
    exact = 0.5 * (0.5 / 2) ** 2 + np.log(2) + 0.5 * np.log(2 * np.pi)
    assert np.asarray(unlikely(one, values)).item() == pytest.approx(exact, abs=1e-6)
    assert np.asarray(unlikely(np.tile(one, 2), values)).item() == pytest.approx(exact, abs=1e-6)
    apart = np.array([[0.0, 0.0, 0.0, 0.0, 1.0, 0.0]], "f4")
    normal = np.exp(-0.125) / np.sqrt(2 * np.pi)  # half a deviation from both
    assert np.asarray(unlikely(apart, values)).item() == pytest.approx(-np.log(normal), abs=1e-6)


def imagining():
    networks = registry.networks("world_model", "edge", classes=4, seed=1)
    task = tasks.get("episodic")
    return networks, task, task.present("small_pixel_grid_world", networks, limit=8, test_limit=3)


def test_the_memory_is_told_what_was_done_and_begins_anew():
    networks, _, dataset = imagining()
    agent, run = dataset.agent, KerasRunner(networks)
    frames = dataset.train.x[:2]
    kept = agent.begin(2)
    seen = agent.seen(run, frames, kept)
    assert not seen["hidden"].any()
    one, other = (agent.went_on(run, seen, np.array([action, 0]), kept) for action in (0, 3))
    assert (one["hidden"][0] != other["hidden"][0]).any() and (one["hidden"][1] == other["hidden"][1]).all()
    players = Players(environment(dataset.name), np.arange(4), np.random.default_rng(0))
    record, _ = dreaming.played(run, agent, players, agent.begin(4), 24)
    over = record["cut"][:-1]
    assert over.any() and not record["hidden"][1:][over].any()
    assert record["hidden"][1:][~over].any(-1).all()


def test_a_world_model_learns_and_goes_on_quantized():
    networks, task, dataset = imagining()
    config = TrainConfig(epochs=1, learning_rate=0.01)
    learner = learners.get("dreaming:moves=8,unrolled=4,players=4")
    (row,) = learner(networks, dataset, task, config, RunDir(None))
    assert {"seeing", "expecting", "choosing", "val_metric"} <= row.keys()
    observed = task.observed(KerasRunner(networks), dataset, "memory", 32)
    assert {name: values.shape[1] for name, values in observed.items()} == {
        "code": 16, "action": 4, "hidden": 16, "cell": 16
    }  # fmt: skip
    controller, _ = prepare_qat(networks["controller"], calibration=task.samples(dataset, "controller"))
    aware = {**networks, "controller": controller}
    before = [np.asarray(weight) for weight in controller.trainable_weights]
    learner(aware, dataset, task, config, RunDir(None))
    changed = [(old != np.asarray(new)).any() for old, new in zip(before, controller.trainable_weights, strict=True)]
    assert any(changed)
    pictures = task.pictures(KerasRunner(networks), dataset)
    assert pictures["seen in an episode"].shape[1:] == (12, 12)


@pytest.mark.parametrize("options", ["moves=10,unrolled=4", "beta=-1", "players=0"])
def test_dreams_that_cannot_be_are_refused(options):
    with pytest.raises(BadInput, match="allowed"):
        learners.get(f"dreaming:{options}")

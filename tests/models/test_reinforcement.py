"""The grid world of Russell and Norvig: values, policies, and that all ways of planning agree."""

import edgewright as ew
import numpy as np
import pytest
from edgewright.models import registry
from edgewright.training.data.environments import ACTIONS, STATES, GridWorld, grid, play
from edgewright.training.learners.reinforcement import policy_iteration, q_iteration, q_of, value_iteration
from sklearn.preprocessing import PolynomialFeatures

VALUES = {
    (1, 3): 0.8116, (2, 3): 0.8678, (3, 3): 0.9178, (4, 3): 1, (1, 2): 0.7616, (3, 2): 0.6603, (4, 2): -1,
    (1, 1): 0.7053, (2, 1): 0.6553, (3, 1): 0.6114, (4, 1): 0.3879,
}  # fmt: skip


def policy(world, discount=1.0):
    best = q_of(world, value_iteration(world, discount), discount).argmax(1)
    return {place: ACTIONS[action] for place, action in zip(STATES, best, strict=True)}


def test_value_iteration_gives_the_table():
    values = value_iteration(grid(), 1.0)
    np.testing.assert_allclose(values, [VALUES[place] for place in STATES], atol=5e-5)


@pytest.mark.parametrize("discount", [1.0, 0.9])
def test_value_policy_and_q_iteration_agree(discount):
    world = grid()
    values, q = value_iteration(world, discount), q_iteration(world, discount)
    np.testing.assert_allclose(q.max(1), values, atol=1e-8)
    np.testing.assert_allclose(q_of(world, values, discount), q, atol=1e-8)
    inner = ~world.ends
    np.testing.assert_array_equal(policy_iteration(world, discount)[inner], q.argmax(1)[inner])


def test_discounted_values():
    values = value_iteration(grid(), 0.9)
    assert values[STATES.index((3, 3))] == pytest.approx(0.7954, abs=5e-5)
    assert values[STATES.index((1, 1))] == pytest.approx(0.2965, abs=5e-5)


def test_policies():
    sure = policy(grid(astray=0.0))
    assert sure[2, 3] == sure[3, 3] == "east"
    for living in (-0.03, -0.04):
        wary = policy(grid(living))
        assert wary[4, 1] == wary[3, 1] == wary[2, 1] == "west" and wary[1, 1] == wary[1, 2] == "north"
    assert policy(grid(-0.4))[3, 1] == "north"
    desperate = policy(grid(-2.0))
    assert desperate[4, 1] == "north" and desperate[3, 2] == "east"


def test_the_environment_moves_as_the_table_says():
    world, east = GridWorld(), ACTIONS.index("east")
    world.reset(seed=1)
    counts = np.zeros(len(STATES))
    for _ in range(3000):
        world.reset(options={"state": STATES.index((3, 2))})
        state, reward, ended, broken, _ = world.step(east)
        counts += state
        assert reward == pytest.approx(-1.04 if ended else -0.04) and not broken
    chances = dict(zip(STATES, counts / 3000, strict=True))
    assert chances[4, 2] == pytest.approx(0.8, abs=0.03)
    assert chances[3, 3] == pytest.approx(0.1, abs=0.03) and chances[3, 1] == pytest.approx(0.1, abs=0.03)


def test_who_acts_by_the_best_table_gains_its_value():
    q = q_iteration(grid(), 1.0).astype(np.float32)
    network = registry.build("tabular_q")
    network.set_weights([q])
    np.testing.assert_allclose(network(np.eye(len(STATES), dtype=np.float32)), q)
    returns = play("grid_world", np.arange(1500), lambda states: np.asarray(network(states)).argmax(-1))
    assert returns.mean() == pytest.approx(VALUES[1, 1], abs=0.03)  # three standard errors: 0.4 / sqrt(1500)


@pytest.mark.parametrize("actions", [2, 3])
def test_a_linear_value_and_advantages_are_any_linear_values(actions):
    network = registry.build("linear_q", classes=actions)
    random = np.random.default_rng(0)
    kernel, bias = random.normal(size=(14, actions)), random.normal(size=actions)
    assert network.count_params() == 15 * actions
    worth, more = kernel.mean(1, keepdims=True), kernel - kernel.mean(1, keepdims=True)
    network.get_layer("value").set_weights([worth, bias.mean(keepdims=True)])
    network.get_layer("advantages").set_weights([more[:, :-1], bias[:-1] - bias.mean()])
    states = random.normal(size=(6, 4)).astype("f4")
    features = PolynomialFeatures(2, include_bias=False).fit_transform(states)
    np.testing.assert_allclose(network(states), features @ kernel + bias, atol=1e-4)


def test_pruning_leaves_half_of_what_tells_actions_apart():
    network = registry.build("linear_q")
    for weight in network.trainable_weights:
        weight.assign(np.random.default_rng(1).normal(size=weight.shape) * (9 if "value" in weight.path else 0.1))
    pruned, _ = ew.prune(network, ew.PruneConfig(sparsity=0.5))
    assert np.count_nonzero(pruned.get_layer("advantages").kernel) == 7


def test_bumping_goes_on_until_the_episode_is_broken_off():
    assert play("grid_world", [0], lambda states: np.full(len(states), ACTIONS.index("west"))).max() <= -4 + 1e-9

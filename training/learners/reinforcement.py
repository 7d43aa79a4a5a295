"""Q-learning, and the planning that it comes to where the world is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from ...errors import BadInput
from ..config import TrainConfig
from ..data import Dataset
from ..data.environments import Environment, World, environment
from ..optimizers import optimizer
from ..state import Row, RunDir
from .games import Epochs, Move
from .register import Networks, best_by_metric, learner, validate_by_metric

EPOCHS, MOVES, TOGETHER = 20, 100, 32  # epochs where they are left open; moves of an epoch; episodes side by side
CURIOUS = (1.0, 0.1)  # the share of moves at random, in the first and in the last epoch


def _steps(dataset: Dataset, config: TrainConfig) -> int:
    return (config.epochs or EPOCHS) * MOVES * config.passes


@learner("q_learning", steps=_steps)
def q_learning(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, run: RunDir) -> list[Row]:
    """Learn Q values from moves of which a falling share is at random; the epoch of the highest mean return is kept.

    The one network gives the values of all actions: state (N, ...) -> (N, actions). Each move of some episodes side by
    side is a step towards r + gamma max Q(s', .), or r at an end. dataset: see data/environments.py.
    Source: Watkins 1989; Mnih 2015, algorithm 1, without its memory. Raises: BadInput for several networks.
    """
    if len(networks) != 1:
        raise BadInput(f"learner 'q_learning' trains one network, got {', '.join(networks)}")
    ((name, network),) = networks.items()
    count, moves = config.epochs or EPOCHS, MOVES * config.passes
    together = min(TOGETHER, len(dataset.train))

    def value(players: Networks, given: Mapping[str, Any]) -> Any:
        values: Any = players[name](given["state"], training=True)  # (N, actions)
        return ops.sum(values * given["taken"], axis=-1, keepdims=True)

    loss = keras.losses.MeanSquaredError()
    move = Move("valuing", networks, [name], value).prepare(loss, optimizer(config, count * moves, epoch=moves), config)

    def epoch(number: int) -> Row:
        random = np.random.default_rng([config.seed, number])
        seeds = dataset.train.y[(number * together + np.arange(together)) % len(dataset.train)]
        first, last = CURIOUS
        curious = first + (last - first) * min(1.0, number / max(1, count - 1))
        errors = []
        players = Players(environment(dataset.name), seeds, random)
        for _ in range(moves):
            states = players.states
            actions = players.choose(network.predict_on_batch(states), curious)
            rewards, after, ended = players.move(actions)
            ahead = np.max(network.predict_on_batch(after), axis=-1) * ~ended
            targets = rewards + players.discount * ahead
            taken = np.eye(dataset.classes, dtype=np.float32)[actions]
            errors.append(move.make({"state": states, "taken": taken}, targets[:, None].astype(np.float32)))
        return {"loss": float(np.mean(errors)), "curious": curious}

    game = Epochs(networks, {"optimizer": move.optimizer.variables}, config, run)
    return game.play(count, epoch, dataset, task, validate_by_metric, best_by_metric)


class Players:
    """Some episodes of an environment side by side; one that ends begins anew."""

    def __init__(self, entry: Environment, seeds: np.ndarray, random: np.random.Generator):
        self.discount = entry.discount
        self._random, self._worlds = random, [entry.make() for _ in seeds]
        starts = [world.reset(seed=int(seed))[0] for world, seed in zip(self._worlds, seeds, strict=True)]
        self.states = np.array(starts, np.float32)

    def choose(self, values: Any, curious: float) -> np.ndarray:
        """Return the actions of largest value, a share of them at random.  Shapes: (N, actions) -> (N,)."""
        values = np.asarray(values)
        best = values.argmax(-1)
        others = self._random.integers(0, values.shape[1], len(best))
        return np.where(self._random.random(len(best)) < curious, others, best)

    def move(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return rewards (N,), the states that came (N, ...), and which of them are ends (N,), and go on from there.

        An episode that is broken off does not end there: what it would have gone on to gain counts.
        """
        rewards, came, ends, states = [], [], [], []
        for world, action in zip(self._worlds, actions, strict=True):
            state, reward, terminated, truncated, _ = world.step(int(action))
            rewards.append(float(reward))
            came.append(state)
            ends.append(terminated)
            states.append(world.reset()[0] if terminated or truncated else state)
        self.states = np.array(states, np.float32)
        return np.array(rewards), np.array(came, np.float32), np.array(ends)


# ---------------------------------------------------------------- planning


def value_iteration(world: World, discount: float, tolerance: float = 1e-10) -> np.ndarray:
    """Return the values of the best policy, (states,): V = r + gamma max P V, of an end its reward.

    Source: Bellman 1957.
    """
    values = np.where(world.ends, world.rewards, 0.0)
    while True:
        new = q_of(world, values, discount).max(1)
        if np.abs(new - values).max() < tolerance:
            return new
        values = new


def q_of(world: World, values: np.ndarray, discount: float) -> np.ndarray:
    """Return what each action is worth where states are worth `values`.  Shapes: (states,) -> (states, actions)."""
    q = world.rewards[:, None] + discount * world.transitions @ values
    return np.where(world.ends[:, None], world.rewards[:, None], q)


def q_iteration(world: World, discount: float, tolerance: float = 1e-10) -> np.ndarray:
    """Return the Q values of the best policy, (states, actions), without values of states: Q = r + gamma P max Q."""
    q = np.zeros(world.transitions.shape[:2])
    while True:
        new = q_of(world, q.max(1), discount)
        if np.abs(new - q).max() < tolerance:
            return new
        q = new


def policy_iteration(world: World, discount: float) -> np.ndarray:
    """Return the best action of each state, (states,): policies are evaluated exactly and improved until none changes.

    Source: Howard 1960. A policy that never ends has no value at discount 1: then the first one must end.
    """
    states = np.arange(len(world.rewards))
    policy = q_of(world, value_of(world, None, discount), discount).argmax(1)
    while True:
        q = q_of(world, value_of(world, policy, discount), discount)
        better = q.max(1) > q[states, policy] + 1e-9
        if not better.any():
            return policy
        policy = np.where(better, q.argmax(1), policy)


def value_of(world: World, policy: np.ndarray | None, discount: float) -> np.ndarray:
    """Return the values of a policy, (states,), or of moves at random, by solving V = r + gamma P V."""
    states = np.arange(len(world.rewards))
    steps = world.transitions.mean(1) if policy is None else world.transitions[states, policy]  # (states, states)
    steps = np.where(world.ends[:, None], 0.0, steps)
    return np.linalg.solve(np.eye(len(states)) - discount * steps, world.rewards)

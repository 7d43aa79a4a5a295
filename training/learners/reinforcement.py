"""Q-learning, and the planning that it comes to where the world is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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

EPOCHS, MOVES, BATCH = 20, 100, 32  # epochs where they are left open; moves of an epoch; moves that are drawn


@dataclass(frozen=True, kw_only=True)
class Recollection:
    """What values are learned from, and how; as it is by default each move is learned from once, when it is made.

    memory: so many moves are remembered, of which batches are drawn; 0 for those that were just made. begin: none is
    learned from before so many are there. recorded: so many moves at random are made once, and nothing else is ever
    played: fitted Q-iteration. updates: steps after each move. target: for so many moves what lies ahead is valued by
    the network as it was when they began. discount: in place of the environment's, 0 for its own. curious: the share
    of moves at random in the last epoch; it falls to it from all of them.
    Raises: BadInput for a number outside its range.
    """

    memory: int = 0
    begin: int = 0
    recorded: int = 0
    updates: int = 1
    target: int = 1
    discount: float = 0.0
    curious: float = 0.1
    players: int = 32

    def __post_init__(self) -> None:
        for name, least in (("memory", 0), ("begin", 0), ("recorded", 0), ("updates", 1), ("target", 1),
                            ("players", 1)):  # fmt: skip
            if getattr(self, name) < least:
                raise BadInput(f"{name}={getattr(self, name)}: allowed is an integer from {least}")
        for name in ("discount", "curious"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadInput(f"{name}={getattr(self, name)}: allowed is a number from 0 to 1")
        if self.memory and (self.recorded or self.begin > self.memory):
            raise BadInput(f"memory={self.memory}: allowed is a number from begin={self.begin}, without recorded moves")


def _steps(dataset: Dataset, config: TrainConfig, options: Recollection) -> int:
    return (config.epochs or EPOCHS) * MOVES * config.passes * options.updates


@learner("q_learning", steps=_steps, options=Recollection, starts_over=True)
def q_learning(
    networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, run: RunDir, *, options: Recollection
) -> list[Row]:
    """Learn Q values from moves of which a falling share is at random; the epoch of the highest mean return is kept.

    The one network gives the values of all actions: state (N, ...) -> (N, actions). Each update is a step towards
    r + gamma max Q(s', .), or r at an end. dataset: see data/environments.py.
    Source: Watkins 1989; Mnih 2015, algorithm 1; Riedmiller 2005.  Raises: BadInput for several networks.
    """
    if len(networks) != 1:
        raise BadInput(f"learner 'q_learning' trains one network, got {', '.join(networks)}")
    ((name, network),) = networks.items()
    count, moves = config.epochs or EPOCHS, MOVES * config.passes
    together = min(options.players, len(dataset.train))
    world = environment(dataset.name)
    discount = options.discount or world.discount
    memory = Memory(max(options.memory, options.recorded, together), world.make().observation_space)

    def value(players: Networks, given: Mapping[str, Any]) -> Any:
        values: Any = players[name](given["state"], training=True)  # (N, actions)
        return ops.sum(values * given["taken"], axis=-1, keepdims=True)

    loss = keras.losses.MeanSquaredError()
    updates = count * moves * options.updates
    move = Move("valuing", networks, [name], value)
    move.prepare(loss, optimizer(config, updates, epoch=moves * options.updates), config)

    def update(batch: Mapping[str, np.ndarray], ahead: np.ndarray) -> float:
        targets = batch["reward"] + discount * ahead * ~batch["ended"]
        taken = np.eye(dataset.classes, dtype=np.float32)[batch["action"]]
        return move.make({"state": batch["state"], "taken": taken}, targets[:, None].astype(np.float32))

    def play(players: Players, curious: float) -> None:
        states = players.states
        actions = players.choose(network.predict_on_batch(states), curious)
        memory.add(states, actions, *players.move(actions))

    def epoch(number: int) -> Row:
        random = np.random.default_rng([config.seed, number])
        seeds = dataset.train.y[(number * together + np.arange(together)) % len(dataset.train)]
        curious = 1 + (options.curious - 1) * min(1.0, number / max(1, count - 1))
        players, errors = Players(world, seeds, random), []
        memory.recall()
        while options.recorded > memory.count:
            play(players, curious=1.0)
        for start in range(0, moves, options.target):
            several = min(options.target, moves - start)
            for _ in range(0 if options.recorded else several):
                play(players, curious)
            if memory.count < options.begin:
                continue
            remembered = options.memory or options.recorded
            drawn = [memory.draw(random, config.batch_size or BATCH) if remembered else memory.last(together)
                     for _ in range(several * options.updates)]  # fmt: skip
            ahead = [np.max(network.predict_on_batch(batch["after"]), axis=-1) for batch in drawn]
            errors += map(update, drawn, ahead)
        memory.keep()
        return {"loss": float(np.mean(errors or [0.0])), "curious": curious}

    moving = {"optimizer": move.optimizer.variables, "memory": memory.variables}
    game = Epochs(networks, moving, config, run)
    return game.play(count, epoch, dataset, task, validate_by_metric, best_by_metric)


class Memory:
    """Moves that were made, of which the oldest are forgotten.  space: of observations, in whose type they are kept.

    `variables` hold them for a checkpoint: `keep` writes them there, and `recall` reads what a run was restored to.
    """

    def __init__(self, size: int, space: Any):
        self.count, self._next = 0, 0
        self._moves = {
            "state": np.zeros((size, *space.shape), space.dtype),
            "action": np.zeros(size, np.int32),
            "reward": np.zeros(size, np.float32),
            "after": np.zeros((size, *space.shape), space.dtype),
            "ended": np.zeros(size, bool),
        }
        kept = [*self._moves.values(), np.zeros(2, np.int32)]
        self.variables = [keras.Variable(values, dtype=str(values.dtype), trainable=False) for values in kept]

    def add(self, states: Any, actions: Any, rewards: Any, after: Any, ended: Any) -> None:
        """Remember moves, (N, ...) each."""
        size = len(self._moves["action"])
        places = (self._next + np.arange(len(actions))) % size
        for values, new in zip(self._moves.values(), (states, actions, rewards, after, ended), strict=True):
            values[places] = new
        self._next, self.count = (self._next + len(actions)) % size, min(size, self.count + len(actions))

    def draw(self, random: np.random.Generator, count: int) -> dict[str, np.ndarray]:
        """Return moves at random."""
        return self._at(random.integers(0, self.count, count))

    def last(self, count: int) -> dict[str, np.ndarray]:
        """Return the moves that were made last, in their order."""
        return self._at((self._next - count + np.arange(count)) % len(self._moves["action"]))

    def _at(self, places: np.ndarray) -> dict[str, np.ndarray]:
        found = {name: values[places] for name, values in self._moves.items()}
        return {**found, **{name: found[name].astype(np.float32) for name in ("state", "after")}}

    def keep(self) -> None:
        """Write all into the variables."""
        for variable, values in zip(self.variables, self._moves.values(), strict=False):
            variable.assign(values)
        self.variables[-1].assign([self.count, self._next])

    def recall(self) -> None:
        """Read all from the variables."""
        for variable, values in zip(self.variables, self._moves.values(), strict=False):
            values[:] = ops.convert_to_numpy(variable)
        self.count, self._next = map(int, np.asarray(ops.convert_to_numpy(self.variables[-1])))


class Players:
    """Some episodes of an environment side by side; one that ends begins anew."""

    def __init__(self, entry: Environment, seeds: np.ndarray, random: np.random.Generator):
        self._random, self._worlds = random, [entry.make() for _ in seeds]
        starts = [world.reset(seed=int(seed))[0] for world, seed in zip(self._worlds, seeds, strict=True)]
        self.states = np.array(starts, np.float32)
        self.cut = np.zeros(len(seeds), bool)  # whose episode was over with the last move

    def draw(self, logits: Any) -> np.ndarray:
        """Return actions drawn by their logits.  Shapes: (N, actions) -> (N,)."""
        logits = np.asarray(logits, np.float64)
        return (logits + self._random.gumbel(size=logits.shape)).argmax(-1)

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
        rewards, came, ends, states, cut = [], [], [], [], []
        for world, action in zip(self._worlds, actions, strict=True):
            state, reward, terminated, truncated, _ = world.step(int(action))
            rewards.append(float(reward))
            came.append(state)
            ends.append(terminated)
            cut.append(terminated or truncated)
            states.append(world.reset()[0] if terminated or truncated else state)
        self.states, self.cut = np.array(states, np.float32), np.array(cut)
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

"""Policy gradients: what was done is made likelier by how much more it gained than was to be expected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import keras
import numpy as np
from keras import ops

from ...errors import BadInput
from ..agents import POLICY
from ..config import TrainConfig
from ..data import Dataset
from ..data.environments import environment
from ..optimizers import optimizer
from ..state import Row, RunDir
from .games import Epochs, Move, cost
from .register import Networks, best_by_metric, learner, validate_by_metric
from .reinforcement import Players

EPOCHS, UPDATES = 20, 10  # epochs where they are left open; updates of a pass
CRITIC = "critic"  # the network that values states
BASELINES = ("none", "mean", CRITIC)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """How the gain of a move is estimated, and from how many.

    baseline: what is taken off what followed a move: "none", the "mean" over the batch, or what the network "critic"
    expected. trace: lambda of what follows: 1 all that came, 0 the next reward and what the critic expects then, in
    between a mean of both and all between them. entropy: weight of the policy's entropy, which is to stay large.
    discount: of rewards to come; 0 for the environment's. moves, players: of an update, so many moves each.
    Raises: BadInput for a value outside its range.
    """

    baseline: str = "none"
    trace: float = 1.0
    entropy: float = 0.0
    discount: float = 0.0
    moves: int = 100
    players: int = 16

    def __post_init__(self) -> None:
        if self.baseline not in BASELINES:
            raise BadInput(f"baseline={self.baseline!r}: allowed are {', '.join(BASELINES)}")
        for name in ("trace", "entropy", "discount"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadInput(f"{name}={getattr(self, name)}: allowed is a number from 0 to 1")
        for name in ("moves", "players"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name}={getattr(self, name)}: allowed is an integer from 1")
        if self.trace < 1 and self.baseline != CRITIC:
            raise BadInput(f"trace={self.trace}: what follows is cut short by what a critic expects; give "
                           "baseline=critic, or leave it 1")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Moves:
    """What was played, (T, N) of T moves of N players, behind each other in time.

    state, after: what was seen before and after, (T, N, ...). ended: the episode ended there. cut: it ended there or
    was broken off, and the next move is of another one.
    """

    state: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    after: np.ndarray
    ended: np.ndarray
    cut: np.ndarray

    def flat(self) -> dict[str, np.ndarray]:
        """Return all moves, (T N, ...) each."""
        arrays = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: values.reshape(-1, *values.shape[2:]) for name, values in arrays.items()}


def advantages(moves: Moves, expected: Any, expected_after: Any, discount: float, trace: float) -> np.ndarray:
    """Return how much more came of each move than was expected, (T, N): the generalized advantage estimate.

    expected, expected_after: what the states before and after were worth, (T, N), or 0 where nothing was expected:
    then it is what came, until the moves break off.  Source: Schulman 2015, arXiv:1506.02438, equation 16.
    """
    surprise = moves.reward + discount * np.where(moves.ended, 0.0, expected_after) - expected
    gains = np.zeros(moves.reward.shape)
    following = np.zeros(moves.reward.shape[1])
    for time in reversed(range(len(gains))):
        following = surprise[time] + discount * trace * np.where(moves.cut[time], 0.0, following)
        gains[time] = following
    return gains


def pressed(logits: Any, taken: Any, gains: Any, entropy: float) -> Any:
    """Return the cost whose descent makes what gained likelier, (N, 1): -gain log p, less the entropy's share.

    Shapes: logits, taken (one-hot) (N, actions), gains (N, 1).  Source: Williams 1992, Simple statistical
    gradient-following algorithms for connectionist reinforcement learning.
    """
    known: Any = ops.log_softmax(logits)
    likely = ops.sum(known * taken, axis=-1, keepdims=True)
    return -gains * likely + entropy * ops.sum(ops.exp(known) * known, axis=-1, keepdims=True)


def _steps(dataset: Dataset, config: TrainConfig) -> int:
    return (config.epochs or EPOCHS) * UPDATES * config.passes


@learner("policy_gradient", steps=_steps, options=Estimate)
def policy_gradient(
    networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, run: RunDir, *, options: Estimate
) -> list[Row]:
    """Learn a policy, and where it is compared with a critic that one too; the highest mean return is kept.

    networks: "policy", state (N, ...) -> logits of actions; "critic", state -> (N, 1), where baseline is "critic".
    Rewards count times 1 - discount, so that what is to come is of the size of a reward.
    Raises: BadInput for other networks.
    """
    wanted = {POLICY, CRITIC} if options.baseline == CRITIC else {POLICY}
    if set(networks) != wanted:
        raise BadInput(f"learner 'policy_gradient' trains {' and '.join(sorted(wanted))} with "
                       f"baseline={options.baseline}, got {', '.join(networks)}")  # fmt: skip
    count, updates = config.epochs or EPOCHS, UPDATES * config.passes
    world = environment(dataset.name)
    discount = options.discount or world.discount
    together = min(options.players, len(dataset.train))

    def play(players: Networks, given: Mapping[str, Any]) -> Any:
        logits = players[POLICY](given["state"], training=True)
        total: Any = pressed(logits, given["taken"], given["gain"], options.entropy)
        if CRITIC in players:
            said: Any = players[CRITIC](given["state"], training=True)
            total = total + ops.square(said - given["worth"])
        return total

    move = Move("moving", networks, list(networks), play)
    move.prepare(cost, optimizer(config, count * updates, epoch=updates), config)

    def worth(states: np.ndarray) -> np.ndarray:
        values = networks[CRITIC].predict_on_batch(states.reshape(-1, *states.shape[2:]))
        return np.asarray(values).reshape(states.shape[:2])

    def update(moves: Moves) -> float:
        scaled = Moves(**{**vars(moves), "reward": moves.reward * (1 - discount if discount < 1 else 1)})
        before, after = (worth(moves.state), worth(moves.after)) if CRITIC in networks else (0.0, 0.0)
        gains = advantages(scaled, before, after, discount, options.trace)
        values = gains + before  # what the critic should have said
        flat = scaled.flat()
        off = gains.mean() if options.baseline == "mean" else 0.0
        taken = np.eye(dataset.classes, dtype=np.float32)[flat["action"]]
        given = {"state": flat["state"], "taken": taken, "gain": (gains - off).reshape(-1, 1).astype(np.float32),
                 "worth": values.reshape(-1, 1).astype(np.float32)}  # fmt: skip
        return move.make(given, given["gain"])

    def epoch(number: int) -> Row:
        random = np.random.default_rng([config.seed, number])
        seeds = dataset.train.y[(number * together + np.arange(together)) % len(dataset.train)]
        players, costs, gained = Players(world, seeds, random), [], []
        for _ in range(updates):
            moves = played(networks[POLICY], players, options.moves)
            costs.append(update(moves))
            gained.append(moves.reward.sum() / max(1, moves.cut.sum()))
        return {"loss": float(np.mean(costs)), "gained": float(np.mean(gained))}

    game = Epochs(networks, {"optimizer": move.optimizer.variables}, config, run)
    return game.play(count, epoch, dataset, task, validate_by_metric, best_by_metric)


def played(policy: keras.Model, players: Players, count: int) -> Moves:
    """Let players make moves that are drawn by a policy's logits."""
    made: dict[str, list[np.ndarray]] = {each.name: [] for each in fields(Moves)}
    for _ in range(count):
        states = players.states
        actions = players.draw(policy.predict_on_batch(states))
        rewards, after, ended = players.move(actions)
        for name, values in zip(made, (states, actions, rewards, after, ended, players.cut), strict=True):
            made[name].append(values)
    return Moves(**{name: np.array(values) for name, values in made.items()})


__all__ = ["CRITIC", "Estimate", "Moves", "advantages", "policy_gradient", "pressed"]

"""World models: codes of what is seen, what is expected of the next one, and a controller of both, each by its loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import BadInput
from ...runners import Arrays
from ...untyped import ops
from ..agents import CONTROLLER, MEMORY, STATES, VISION, agent_of
from ..config import TrainConfig
from ..data import Dataset
from ..data.environments import environment
from ..optimizers import optimizer
from ..runner import KerasRunner
from ..state import Row, RunDir
from .games import Epochs, Move, cost
from .policy_gradient import EPOCHS, UPDATES, Moves, advantages, pressed
from .register import Networks, best_by_metric, learner, validate_by_metric
from .reinforcement import Players
from .wrapped import answered

DECODER = "decoder"
NETWORKS = (VISION, DECODER, MEMORY, CONTROLLER)
LEAST = -3.0  # logarithm of a deviation that the memory may expect: of what is certain there is no largest density


@dataclass(frozen=True, kw_only=True)
class Dreams:
    """How much is played and learned.

    moves, players: of an update, so many moves each. unrolled: moves through which the memory's gradient goes back.
    beta: weight of the divergence of a code's distribution from N(0, I), beside the nats of all pixels. entropy: weight
    of that of the controller's choices.
    Raises: BadInput for a value outside its range.
    """

    moves: int = 24
    players: int = 32
    unrolled: int = 8
    beta: float = 1.0
    entropy: float = 0.01

    def __post_init__(self) -> None:
        for name in ("moves", "players", "unrolled"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name}={getattr(self, name)}: allowed is an integer from 1")
        for name in ("beta", "entropy"):
            if getattr(self, name) < 0:
                raise BadInput(f"{name}={getattr(self, name)}: allowed is a number from 0")
        if self.moves % self.unrolled:
            raise BadInput(f"unrolled={self.unrolled}: allowed is a divisor of moves={self.moves}")


def _steps(dataset: Dataset, config: TrainConfig) -> int:
    return (config.epochs or EPOCHS) * UPDATES * config.passes


@learner("dreaming", steps=_steps, options=Dreams)
def dreaming(
    networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, run: RunDir, *, options: Dreams
) -> list[Row]:
    """Learn the networks of a world model from what they play together; the epoch of the highest return is kept.

    Vision and decoder say frames again (a variational autoencoder), the memory makes the code likely that came next,
    and the controller's choices are made likelier by what they gained over what was to be expected, a linear function
    of code and state (as in Duan 2016, arXiv:1604.06778). The paper evolves the controller by CMA-ES, after the
    others, and in what the memory dreams; here all learn together, by gradients, of what is played in the world itself,
    and go on so while they are pruned or quantized.
    networks: as `models/world_model.py` builds them.  Source: Ha and Schmidhuber 2018, arXiv:1803.10122.
    Raises: BadInput for other networks.
    """
    if set(networks) != set(NETWORKS):
        raise BadInput(f"learner 'dreaming' trains {', '.join(NETWORKS)}, got {', '.join(networks)}")
    count, updates = config.epochs or EPOCHS, UPDATES * config.passes
    world, agent = environment(dataset.name), agent_of(networks, dataset.classes)
    together = min(options.players, len(dataset.train))
    through = KerasRunner(networks, compiled=True)
    plays = {
        "seeing": ((VISION, DECODER), seen_again(options.beta)),
        "expecting": ((MEMORY,), expected),
        "choosing": ((CONTROLLER,), chosen(options.entropy)),
    }
    moves = {name: Move(name, networks, learning, play) for name, (learning, play) in plays.items()}
    for move in moves.values():
        move.prepare(cost, optimizer(config, count * updates, epoch=updates), config)

    def epoch(number: int) -> Row:
        random = np.random.default_rng([config.seed, number])
        seeds = dataset.train.y[(number * together + np.arange(together)) % len(dataset.train)]
        players, kept, costs = Players(world, seeds, random), agent.begin(together), []
        for _ in range(updates):
            record, kept = played(through, agent, players, kept, options.moves)
            given = {
                "seeing": _frames(record, random),
                "expecting": _sequences(record, dataset.classes, options.unrolled, random),
                "choosing": _choices(record, world.discount, dataset.classes),
            }
            costs.append([moves[name].make(each, next(iter(each.values()))) for name, each in given.items()])
        means = dict(zip(moves, np.mean(costs, axis=0).tolist(), strict=True))
        return {"loss": sum(means.values()), **means}

    moving = {name: move.optimizer.variables for name, move in moves.items()}
    game = Epochs(networks, moving, config, run)
    return game.play(count, epoch, dataset, task, validate_by_metric, best_by_metric)


def played(
    run: KerasRunner, agent: Any, players: Players, kept: Arrays, count: int
) -> tuple[dict[str, np.ndarray], Arrays]:
    """Let players make moves drawn by the controller's logits.

    Returns: what was seen, remembered and done, (count, N, ...) by name, and what is remembered after that; whose
    episode is over remembers nothing.
    """
    rows: list[dict[str, np.ndarray]] = []
    for _ in range(count):
        frame = players.states
        seen = agent.seen(run, frame, kept)
        (logits,) = run(agent.answers, seen).values()
        actions = players.draw(logits)
        after = agent.went_on(run, seen, actions, kept)
        reward, came, ended = players.move(actions)
        rows.append({"frame": frame, "code": seen["code"], **kept, "action": actions, "reward": reward, "came": came,
                     "ended": ended, "cut": players.cut})  # fmt: skip
        kept = {name: values * ~players.cut[:, None] for name, values in after.items()}
    record = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    for which, frames in (("seen", record["frame"]), ("next", record["came"])):
        flat = run(VISION, {"frame": frames.reshape(-1, *frames.shape[2:])})
        for name, values in flat.items():
            record[f"{which} {name}"] = np.asarray(values).reshape(*frames.shape[:2], -1)
    return record, kept


# ---------------------------------------------------------------- what is learned from


def _frames(record: Mapping[str, np.ndarray], random: np.random.Generator) -> dict[str, np.ndarray]:
    frames = record["frame"].reshape(-1, *record["frame"].shape[2:])
    noise = random.normal(size=(len(frames), record["code"].shape[-1]))
    return {"frame": frames, "noise": noise.astype(np.float32)}


def _sequences(
    record: Mapping[str, np.ndarray], actions: int, length: int, random: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return codes, drawn, what was done, and the codes that came, (B, length, ...), with states as they begin."""

    def drawn(which: str) -> np.ndarray:
        mean, spread = record[f"{which} mean"], np.exp(record[f"{which} log_variance"] / 2)
        return mean + spread * random.normal(size=mean.shape)

    def cut(values: np.ndarray) -> np.ndarray:
        time, players = values.shape[:2]
        parts = values.reshape(time // length, length, players, *values.shape[2:]).swapaxes(1, 2)
        return parts.reshape(-1, length, *values.shape[2:]).astype(np.float32)

    taken = np.eye(actions)[record["action"]]
    given = {"code": drawn("seen"), "action": taken, "coming": drawn("next"), "goes_on": ~record["cut"][..., None]}
    return {
        **{name: cut(values) for name, values in given.items()},
        **{name: cut(record[name])[:, 0] for name in STATES},
    }


def _choices(record: Mapping[str, np.ndarray], discount: float, actions: int) -> dict[str, np.ndarray]:
    kinds = {"state": "frame", "action": "action", "reward": "reward", "after": "came", "ended": "ended", "cut": "cut"}
    gains = advantages(Moves(**{kind: record[name] for kind, name in kinds.items()}), 0.0, 0.0, discount, 1.0)
    flat = {name: record[name].reshape(-1, record[name].shape[-1]) for name in ("code", STATES[0])}
    taken = np.eye(actions, dtype=np.float32)[record["action"].reshape(-1)]
    gains = (gains - gains.mean(1, keepdims=True)).reshape(-1, 1)  # over what is to come in as many moves
    known = np.concatenate([*flat.values(), np.ones_like(gains)], axis=1)
    gains = gains - known @ np.linalg.lstsq(known, gains, rcond=None)[0]
    return {**flat, "taken": taken, "gain": gains.astype(np.float32)}


# ---------------------------------------------------------------- the three costs


def seen_again(beta: float) -> Any:
    """Return the cost of frames said again, (N, 1): nats of their pixels, and of what the code tells of them."""

    def play(players: Networks, given: Mapping[str, Any]) -> Any:
        told = answered(players[VISION], {"frame": given["frame"]})
        mean, log_variance = told["mean"], told["log_variance"]
        code = mean + ops.exp(log_variance / 2) * given["noise"]
        (said,) = answered(players[DECODER], {"code": code}).values()
        off = ops.maximum(said, 0.0) - said * given["frame"] + ops.log1p(ops.exp(-ops.abs(said)))
        told_of = ops.sum(ops.exp(log_variance) + ops.square(mean) - 1 - log_variance, axis=-1, keepdims=True) / 2
        return ops.sum(ops.reshape(off, (ops.shape(off)[0], -1)), axis=-1, keepdims=True) + beta * told_of

    return play


def expected(players: Networks, given: Mapping[str, Any]) -> Any:
    """Return the cost of what the memory expected of each code that came, in nats a value, (B, 1)."""
    states = {name: given[name] for name in STATES}
    costs = []
    for time in range(given["code"].shape[1]):
        told = answered(players[MEMORY], {"code": given["code"][:, time], "action": given["action"][:, time], **states})
        costs.append(unlikely(told["mixture"], given["coming"][:, time]))
        states = {name: told[f"{name}_out"] * given["goes_on"][:, time] for name in STATES}
    return ops.mean(ops.stack(costs), axis=0)


def unlikely(mixture: Any, values: Any) -> Any:
    """Return the negative log-likelihood of values under mixtures of normal densities, a mean over them, (N, 1).

    Shapes: mixture (N, n K 3): logit, mean and logarithm of the deviation; values (N, n).
    Source: Bishop 1994, Mixture density networks.
    """
    parts = ops.reshape(mixture, (-1, values.shape[-1], mixture.shape[-1] // (3 * values.shape[-1]), 3))
    weight, mean, spread = parts[..., 0], parts[..., 1], ops.maximum(parts[..., 2], LEAST)
    off = (ops.expand_dims(values, -1) - mean) / ops.exp(spread)
    density = ops.log_softmax(weight, axis=-1) - ops.square(off) / 2 - spread - math.log(2 * math.pi) / 2
    return -ops.mean(ops.logsumexp(density, axis=-1), axis=-1, keepdims=True)


def chosen(entropy: float) -> Any:
    """Return the cost of the controller's choices, see `pressed`."""

    def play(players: Networks, given: Mapping[str, Any]) -> Any:
        (logits,) = answered(players[CONTROLLER], {name: given[name] for name in ("code", STATES[0])}).values()
        return pressed(logits, given["taken"], given["gain"], entropy)

    return play


__all__ = ["Dreams", "dreaming", "expected", "unlikely"]

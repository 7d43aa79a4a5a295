"""The adversarial game: a discriminator learns to tell samples from real ones, a generator to be taken for real."""

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
from ..state import Row, RunDir
from .games import Epochs, Move
from .register import Networks, best_by_metric, learner, validate_by_metric

MOMENTUM = 0.5  # Adam's beta_1: Radford 2016, arXiv:1511.06434, section 4
EPOCHS, UPDATES = 20, 4000  # at least so many, and moves of the generator aimed at, where `epochs` is left open


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Options of the game.

    steps: moves of the discriminator for one of the generator. saturating: the generator minimises log(1 - D(G(z))), as
    the game's value has it, rather than -log D(G(z)), whose gradient does not vanish where it loses.
    Raises: BadInput for less than one step.
    """

    steps: int = 1
    saturating: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise BadInput(f"steps={self.steps}: the discriminator makes at least 1 for one of the generator")


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """How long a game is. batch: samples in a move. moves: of the generator in a pass."""

    batch: int
    moves: int
    epochs: int

    @classmethod
    def of(cls, dataset: Dataset, config: TrainConfig, rules: Rules) -> Lengths:
        """Return the lengths of a game on these samples."""
        count = len(dataset.train)
        batch = min(config.batch_for(count), count // rules.steps)
        moves = count // (batch * rules.steps)
        epochs = config.epochs or max(EPOCHS, -(-UPDATES // (moves * config.passes)))
        return cls(batch=batch, moves=moves, epochs=epochs)


def _steps(dataset: Dataset, config: TrainConfig) -> int:
    """Count the generator's samples: it draws some to be told, and some to be taken for real."""
    lengths = Lengths.of(dataset, config, Rules())
    return lengths.epochs * config.passes * lengths.moves * (Rules().steps + 1)


@learner("adversarial", steps=_steps, starts_over=True)
def adversarial(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, run: RunDir) -> list[Row]:
    """Play the game with one step of the discriminator and the non-saturating loss."""
    return play(networks, dataset, task, config, run, Rules())


def play(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, run: RunDir, rules: Rules) -> list[Row]:
    """Play the game by `rules`; the epoch of the task's best metric is kept.

    networks: "generator", z -> sample, and "discriminator", sample -> logit. dataset: samples in `train.x`. Latents are
    drawn from a normal distribution, by seed and epoch. Of the two rates of `config` the peak is taken, all the way.
    Source: Goodfellow 2014, arXiv:1406.2661, algorithm 1. Raises: BadInput for other networks.
    """
    if set(networks) != {"generator", "discriminator"}:
        raise BadInput(f"learner 'adversarial' trains generator and discriminator, got {', '.join(networks)}")
    telling, drawing = moves(networks, rules, config)
    real, latent = np.asarray(dataset.train.x), tuple(networks["generator"].inputs[0].shape[1:])
    lengths = Lengths.of(dataset, config, rules)
    batch = lengths.batch

    def epoch(number: int) -> Row:
        random = np.random.default_rng([config.seed, number])
        for move in (telling, drawing):
            move.reset_metrics()
        told = drawn = 0.0
        for _ in range(config.passes):
            order = random.permutation(len(real))[: lengths.moves * rules.steps * batch]
            for index, chosen in enumerate(order.reshape(-1, batch)):
                told = telling.make({"real": real[chosen], "z": latents(random, batch, latent)}, _truth(batch))
                if (index + 1) % rules.steps == 0:
                    drawn = drawing.make({"z": latents(random, batch, latent)}, np.ones((batch, 1), np.float32))
        return {"loss": told, "generator_loss": drawn}

    optimizers = {move.name: move.optimizer.variables for move in (telling, drawing)}
    game = Epochs(networks, optimizers, config, run)
    return game.play(lengths.epochs, epoch, dataset, task, validate_by_metric, best_by_metric)


def moves(networks: Networks, rules: Rules, config: TrainConfig) -> tuple[Move, Move]:
    """Return the discriminator's move and the generator's, ready to be made."""

    def tell(players: Networks, given: Mapping[str, Any]) -> Any:
        drawn = players["generator"](given["z"], training=True)
        told = [players["discriminator"](samples, training=True) for samples in (given["real"], drawn)]
        return ops.concatenate(told, axis=1)  # (N, 2)

    def draw(players: Networks, given: Mapping[str, Any]) -> Any:
        return players["discriminator"](players["generator"](given["z"], training=True), training=True)  # (N, 1)

    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    return (
        Move("telling", networks, ["discriminator"], tell).prepare(loss, _adam(config), config),
        Move("drawing", networks, ["generator"], draw).prepare(_opposed if rules.saturating else loss, _adam(config),
                                                               config),
    )  # fmt: skip


def _opposed(y_true: Any, y_pred: Any) -> Any:
    """Return log(1 - D) of logits: what the discriminator maximises, the generator minimises."""
    told_apart: Any = ops.softplus(y_pred)
    return -told_apart


def _adam(config: TrainConfig) -> keras.optimizers.Optimizer:
    return keras.optimizers.Adam(config.learning_rate, beta_1=MOMENTUM)


def _truth(count: int) -> np.ndarray:
    return np.tile(np.array([1, 0], np.float32), (count, 1))


def latents(random: np.random.Generator, count: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return latents of a normal distribution, (count, *shape) float32."""
    return random.standard_normal((count, *shape), np.float32)

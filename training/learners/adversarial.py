"""The adversarial game: a discriminator learns to tell samples from real ones, a generator to be taken for real."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ...ends import input_names, symbolic_inputs
from ...keras_internals import layers_in
from ...untyped import tree
from ..config import TrainConfig
from ..data import Dataset
from ..restraints import clipped
from ..runner import KerasRunner
from ..state import Row, RunDir
from ..tasks.generative import CATEGORY, MASK, REAL, SOURCE, Drawn, latents
from .adversaries import GENERATOR, Rules, information, moves
from .games import Epochs
from .register import Networks, best_by_metric, learner, validate_by_metric
from .unrolling import named

EPOCHS, UPDATES = 20, 4000  # at least so many, and moves of the generator aimed at, where `epochs` is left open
TOLD = 512  # latents by which it is said how much the samples tell of them


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """How long a game is. batch: samples in a move. moves: of the generator in a pass."""

    batch: int
    moves: int
    epochs: int

    @classmethod
    def of(cls, dataset: Dataset, config: TrainConfig) -> Lengths:
        """Return the lengths of a game on these samples."""
        count = len(dataset.train if dataset.unlabelled is None else dataset.unlabelled)
        batch = config.batch_for(count)
        moves = count // batch
        epochs = config.epochs or max(EPOCHS, -(-UPDATES // (moves * config.passes)))
        return cls(batch=batch, moves=moves, epochs=epochs)


def _steps(dataset: Dataset, config: TrainConfig, *, options: Rules) -> int:
    """Count the generator's samples: it draws some to be told, and some to be taken for real."""
    lengths = Lengths.of(dataset, config)
    return lengths.epochs * config.passes * lengths.moves * (options.steps + 1)


@learner("adversarial", steps=_steps, validate=validate_by_metric, starts_over=True, options=Rules)
def adversarial(
    networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, run: RunDir, *, options: Rules
) -> list[Row]:
    """Play the game; the epoch of the task's best metric is kept.

    networks: "generator", latents or a source -> sample, and "discriminator", sample -> "logit" and what `options` ask
    of it; or two such pairs, see `adversaries.pairs`. An input "label" of either is given the class of the sample, an
    input "source" what it is drawn of. dataset: what `Drawn.pools` has. Latents are drawn by seed and epoch; each move
    of the discriminator is a new batch, a pass being as many moves of the generator as there are batches. Of the two
    rates of `config` the peak is taken, all the way. An epoch's row has "information", in nats, where that is
    maximised; at most it is the entropy of a category.
    Source: Goodfellow 2014, arXiv:1406.2661, algorithm 1. Raises: BadInput for other networks.
    """
    assert isinstance(dataset, Drawn)
    telling, drawing = moves(networks, options, config)
    batches, lengths = Batches(networks, dataset, config, options), Lengths.of(dataset, config)
    nothing = np.zeros((lengths.batch, 1), np.float32)

    def epoch(number: int) -> Row:
        random = np.random.default_rng([config.seed, number])
        for layer in (layer for network in networks.values() for layer in layers_in(network)):
            if hasattr(layer, "begin_epoch"):
                layer.begin_epoch(number, lengths.epochs)  # pyright: ignore[reportAttributeAccessIssue]
        told, drawn = [], []
        for _ in range(config.passes):
            orders = [batches.order(random) for _ in range(options.steps)]
            for index, chosen in enumerate(np.concatenate(orders)):
                told.append(telling.make(batches.at(chosen, random), nothing))
                if (index + 1) % options.steps == 0:
                    ahead = {named(name, move): values for move in range(options.unrolling)
                             for name, values in batches.any(random).items()}  # fmt: skip
                    drawn.append(drawing.make({**batches.at(chosen, random), **ahead}, nothing))
        costs = {"loss": float(np.mean(told)), "generator_loss": float(np.mean(drawn))}
        return {**costs, **_information(networks, options, random)}

    game = Epochs(networks, {move.name: move.optimizer.variables for move in (telling, drawing)}, config, run)
    with clipped(telling.trainable_variables, options.clip):
        return game.play(lengths.epochs, epoch, dataset, task, validate_by_metric, best_by_metric)


class Batches:
    """Batches of a game: what is drawn from, and real samples, by the names that `moves` takes."""

    def __init__(self, networks: Networks, dataset: Drawn, config: TrainConfig, rules: Rules):
        self._pools, self._rules = dataset.pools(), rules
        self._lengths = Lengths.of(dataset, config)
        self._shapes: dict[str, tuple[int, ...]] = {}
        for name, network in networks.items():
            if name.startswith(GENERATOR):
                self._shapes |= latent_shapes(network)

    def order(self, random: np.random.Generator) -> np.ndarray:
        """Return which samples of the first pool are in each batch of a pass, (batches, samples)."""
        size = self._lengths.moves * self._lengths.batch
        return random.permutation(_size(self._pools[0]))[:size].reshape(-1, self._lengths.batch)

    def at(self, chosen: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
        """Return a batch with the samples `chosen` of the first pool, and any of the others."""
        given = {name: values[chosen] for name, values in self._pools[0].items()}
        for pool in self._pools[1:]:
            others = random.integers(0, _size(pool), len(chosen))
            given |= {name: values[others] for name, values in pool.items()}
        if self._rules.noise:
            noise = random.standard_normal(given[REAL].shape, np.float32)
            given[REAL] = given[REAL] + np.float32(self._rules.noise) * noise
        return {**given, **latents(random, len(chosen), self._shapes)}

    def any(self, random: np.random.Generator) -> dict[str, np.ndarray]:
        """Return a batch of any samples."""
        return self.at(random.integers(0, _size(self._pools[0]), self._lengths.batch), random)


def _size(pool: Mapping[str, np.ndarray]) -> int:
    return len(next(iter(pool.values())))


def latent_shapes(generator: keras.Model) -> dict[str, tuple[int, ...]]:
    """Return the shapes of what a generator is given by chance, by name."""
    shapes = {symbol.name: tuple(symbol.shape[1:]) for symbol in tree.flatten(symbolic_inputs(generator))}
    return {name: shape for name, shape in shapes.items() if name not in (SOURCE, MASK)}


def _information(networks: Networks, rules: Rules, random: np.random.Generator) -> Row:
    if not rules.information:
        return {}
    run, given = KerasRunner(networks), latents(random, TOLD, latent_shapes(networks["generator"]))
    (sample,) = run("generator", given).values()
    (name,) = input_names(networks["discriminator"])
    return {"information": information(run("discriminator", {name: sample})[CATEGORY], given[CATEGORY])}

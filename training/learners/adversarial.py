"""The adversarial game: a discriminator learns to tell samples from real ones, a generator to be taken for real."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from ...ends import input_names, output_names, symbolic_inputs
from ...errors import BadInput
from ...untyped import ops, tree
from ..config import TrainConfig
from ..data import Dataset
from ..optimizers import optimizer
from ..restraints import clipped
from ..runner import KerasRunner
from ..state import Row, RunDir
from ..tasks.generative import CATEGORY, CODE, LABEL, latents
from .games import Epochs, Move
from .register import Networks, best_by_metric, learner, validate_by_metric
from .wrapped import answered

MOMENTUM = 0.5  # Adam's beta_1: Radford 2016, arXiv:1511.06434, section 4
EPOCHS, UPDATES = 20, 4000  # at least so many, and moves of the generator aimed at, where `epochs` is left open
TOLD = 512  # latents by which it is said how much the samples tell of them
LOGIT, FEATURES, MEAN, LOG_DEVIATION = "logit", "features", "mean", "log_deviation"  # outputs of a discriminator


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Options of the game; weights count beside the loss of real or drawn.

    steps: moves of the discriminator for one of the generator. saturating: 1 for a generator that minimises
    log(1 - D(G(z))), as the game's value has it, rather than -log D(G(z)), whose gradient does not vanish where it
    loses. clip: above 0 the discriminator is a critic, whose mean on real samples less that on drawn ones is the loss,
    and each of its weights stays within +-clip (Arjovsky 2017, Wasserstein GAN). noise: deviation of what is added to
    real samples. matching: weight of |E f(x) - E f(G(z))|^2 for the discriminator's output "features", which the
    generator minimises in place of all else (Salimans 2016, arXiv:1606.03498, section 3.1). classes: weight of the
    cross-entropy of classes that both networks minimise (Odena 2017, arXiv:1610.09585). information: weight of a bound
    of what samples tell of the generator's "category" and "code" (Chen 2016, InfoGAN, arXiv:1606.03657).
    Raises: BadInput for a number outside its range.
    """

    steps: int = 1
    saturating: int = 0
    clip: float = 0.0
    noise: float = 0.0
    matching: float = 0.0
    classes: float = 0.0
    information: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise BadInput(f"steps={self.steps}: the discriminator makes at least 1 for one of the generator")
        if self.saturating not in (0, 1):
            raise BadInput(f"saturating={self.saturating}: allowed is 0 or 1")
        for name in ("clip", "noise", "matching", "classes", "information"):
            if getattr(self, name) < 0:
                raise BadInput(f"{name}={getattr(self, name)}: allowed is a number from 0")
        if self.saturating and self.clip:
            raise BadInput(f"saturating=1: a critic, clip={self.clip}, has no logarithms; leave one of the two out")


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """How long a game is. batch: samples in a move. moves: of the generator in a pass."""

    batch: int
    moves: int
    epochs: int

    @classmethod
    def of(cls, dataset: Dataset, config: TrainConfig) -> Lengths:
        """Return the lengths of a game on these samples."""
        count = len(dataset.train)
        batch = config.batch_for(count)
        moves = count // batch
        epochs = config.epochs or max(EPOCHS, -(-UPDATES // (moves * config.passes)))
        return cls(batch=batch, moves=moves, epochs=epochs)


def _steps(dataset: Dataset, config: TrainConfig, *, options: Rules) -> int:
    """Count the generator's samples: it draws some to be told, and some to be taken for real."""
    lengths = Lengths.of(dataset, config)
    return lengths.epochs * config.passes * lengths.moves * (options.steps + 1)


def _validate(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, *, options: Rules) -> Row:
    """Return the task's metric: what each side loses says nothing of the samples."""
    return validate_by_metric(networks, dataset, task, config)


@learner("adversarial", steps=_steps, validate=_validate, starts_over=True, options=Rules)
def adversarial(
    networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, run: RunDir, *, options: Rules
) -> list[Row]:
    """Play the game; the epoch of the task's best metric is kept.

    networks: "generator", latents -> sample, and "discriminator", sample -> "logit" and what `options` ask of it. An
    input "label" of either is given the class of the sample. dataset: samples in `train.x`, in `train.y` their classes,
    one-hot, where a network has any. Latents are drawn by seed and epoch; each move of either is a new batch, a pass
    being as many moves of the generator as there are batches. Of the two rates of `config` the peak is taken, all the
    way. An epoch's row has "information", in nats, where that is maximised; at most it is the entropy of a category.
    Source: Goodfellow 2014, arXiv:1406.2661, algorithm 1. Raises: BadInput for other networks.
    """
    telling, drawing = moves(networks, options, config)
    x, y = np.asarray(dataset.train.x), np.asarray(dataset.train.y)
    shapes, lengths = latent_shapes(networks["generator"]), Lengths.of(dataset, config)
    labelled = LABEL in _ends(networks["discriminator"])
    batch = lengths.batch
    nothing = np.zeros((batch, 1), np.float32)

    def given(random: np.random.Generator, chosen: np.ndarray) -> dict[str, np.ndarray]:
        real = x[chosen]
        if options.noise:
            real = real + np.float32(options.noise) * random.standard_normal(real.shape, np.float32)
        of_real = {"real": real, "real_label": y[chosen]} if labelled else {"real": real}
        return {**of_real, **latents(random, batch, shapes)}

    def epoch(number: int) -> Row:
        random = np.random.default_rng([config.seed, number])
        for move in (telling, drawing):
            move.reset_metrics()
        told = drawn = 0.0
        for _ in range(config.passes):
            orders = [random.permutation(len(x))[: lengths.moves * batch] for _ in range(options.steps)]
            for index, chosen in enumerate(np.concatenate(orders).reshape(-1, batch)):
                told = telling.make(given(random, chosen), nothing)
                if (index + 1) % options.steps == 0:
                    more = given(random, chosen) if options.matching else latents(random, batch, shapes)
                    drawn = drawing.make(more, nothing)
        return {"loss": told, "generator_loss": drawn, **_information(networks, options, random)}

    game = Epochs(networks, {move.name: move.optimizer.variables for move in (telling, drawing)}, config, run)
    with clipped(networks["discriminator"].trainable_variables, options.clip):
        return game.play(lengths.epochs, epoch, dataset, task, validate_by_metric, best_by_metric)


def moves(networks: Networks, rules: Rules, config: TrainConfig) -> tuple[Move, Move]:
    """Return the discriminator's move and the generator's, ready to be made; what they answer is the loss, (N, 1).

    They take latents by name, "real" and, of networks with classes, "real_label".
    """
    _check(networks, rules)

    def tell(players: Networks, given: Mapping[str, Any]) -> Any:
        drawn = answered(players["generator"], given)
        real = judged(players["discriminator"], given["real"], given.get("real_label"))
        made = judged(players["discriminator"], _lone(drawn), given.get(LABEL))
        cost = _told_apart(real[LOGIT], made[LOGIT], rules)
        if rules.classes:
            apart = unlike(made[LABEL], given[LABEL]) + unlike(real[LABEL], given["real_label"])
            cost = cost + rules.classes * apart / 2
        return cost + rules.information * untold(made, given) if rules.information else cost

    def draw(players: Networks, given: Mapping[str, Any]) -> Any:
        drawn = answered(players["generator"], given)
        made = judged(players["discriminator"], _lone(drawn), given.get(LABEL))
        if rules.matching:
            real = judged(players["discriminator"], given["real"], given.get("real_label"))
            return ops.zeros_like(made[LOGIT]) + rules.matching * mismatch(real, made)  # of the batch, for each
        cost = _taken_apart(made[LOGIT], rules)
        if rules.classes:
            cost = cost + rules.classes * unlike(made[LABEL], given[LABEL])
        return cost + rules.information * untold(made, given) if rules.information else cost

    players = (("telling", "discriminator", tell), ("drawing", "generator", draw))
    one, other = (Move(name, networks, [who], play).prepare(_answer, _optimizer(config), config)
                  for name, who, play in players)  # fmt: skip
    return one, other


def _check(networks: Networks, rules: Rules) -> None:
    if set(networks) != {"generator", "discriminator"}:
        raise BadInput(f"learner 'adversarial' trains generator and discriminator, got {', '.join(networks)}")
    told, drawn_from = _ends(networks["discriminator"]), input_names(networks["generator"])
    wanted = {"matching": [(FEATURES, told)], "classes": [(LABEL, told), (LABEL, drawn_from)],
              "information": [(CATEGORY, told), (CATEGORY, drawn_from)]}  # fmt: skip
    for option, ends in wanted.items():
        for name, there in ends:
            if getattr(rules, option) and name not in there:
                who = "discriminator" if there is told else "generator"
                raise BadInput(f"{option}={getattr(rules, option)}: the {who} needs {name!r}, has {', '.join(there)}")


def _ends(network: keras.Model) -> list[str]:
    """Return the names of inputs and outputs."""
    return [*input_names(network), *output_names(network, len(network.outputs))]


def latent_shapes(generator: keras.Model) -> dict[str, tuple[int, ...]]:
    """Return the shapes of what a generator is given, by name."""
    return {symbol.name: tuple(symbol.shape[1:]) for symbol in tree.flatten(symbolic_inputs(generator))}


def judged(discriminator: keras.Model, sample: Any, label: Any) -> dict[str, Any]:
    """Return what a discriminator says of samples, by output; a lone output is the logit."""
    said = answered(discriminator, {name: label if name == LABEL else sample for name in input_names(discriminator)})
    return {LOGIT: _lone(said)} if len(said) == 1 else said


def _lone(answered: Mapping[str, Any]) -> Any:
    (value,) = answered.values()
    return value


def _told_apart(real: Any, drawn: Any, rules: Rules) -> Any:
    """Return the discriminator's loss of logits."""
    return drawn - real if rules.clip else (ops.softplus(-real) + ops.softplus(drawn)) / 2


def _taken_apart(drawn: Any, rules: Rules) -> Any:
    """Return the generator's loss of logits."""
    if rules.clip:
        return -drawn
    return -ops.softplus(drawn) if rules.saturating else ops.softplus(-drawn)


def mismatch(real: Mapping[str, Any], drawn: Mapping[str, Any]) -> Any:
    """Return the squared distance of the mean features of real and drawn samples, a number."""
    return ops.sum((ops.mean(real[FEATURES], axis=0) - ops.mean(drawn[FEATURES], axis=0)) ** 2)


def unlike(logits: Any, classes: Any) -> Any:
    """Return the cross-entropy of classes, one-hot.  Shapes: (N, K), (N, K) -> (N, 1)"""
    return -ops.sum(classes * ops.log_softmax(logits, axis=-1), axis=-1, keepdims=True)


def untold(made: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """Return -log Q(category, code | sample), (N, 1), without the constant of a normal distribution."""
    cost = unlike(made[CATEGORY], given[CATEGORY])
    if CODE in given:
        apart = (given[CODE] - made[MEAN]) * ops.exp(-made[LOG_DEVIATION])
        cost = cost + ops.sum(made[LOG_DEVIATION] + apart * apart / 2, axis=-1, keepdims=True)
    return cost


def information(logits: np.ndarray, categories: np.ndarray) -> float:
    """Return the bound of the mutual information of samples and equally frequent categories, one-hot, in nats.

    E log Q(c|x) + H(c), at most H(c) = log K.  Shapes: (N, K), (N, K).
    """
    return float(np.log(categories.shape[1]) - np.asarray(unlike(logits, categories)).mean())


def _information(networks: Networks, rules: Rules, random: np.random.Generator) -> Row:
    if not rules.information:
        return {}
    run, given = KerasRunner(networks), latents(random, TOLD, latent_shapes(networks["generator"]))
    (sample,) = run("generator", given).values()
    (name,) = input_names(networks["discriminator"])
    return {"information": information(run("discriminator", {name: sample})[CATEGORY], given[CATEGORY])}


def _answer(y_true: Any, y_pred: Any) -> Any:
    return y_pred


def _optimizer(config: TrainConfig) -> Any:
    if config.optimizer == "adam":
        return keras.optimizers.Adam(config.learning_rate, beta_1=MOMENTUM)
    return optimizer(replace(config, schedule="constant", rate_every=None, rate_factor=None), 1)

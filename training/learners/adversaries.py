"""The two sides of an adversarial game: its rules, and what a move costs the side that makes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import keras
import numpy as np

from ...ends import input_names, output_names
from ...errors import BadInput
from ...untyped import ops
from ..config import TrainConfig
from ..losses import of_one_hot
from ..optimizers import optimizer
from ..tasks.generative import CATEGORY, CODE, LABEL, LABELLED, MASK, REAL, SOURCE
from . import unrolling
from .games import Move, Play, cost
from .register import Networks
from .wrapped import answered

MOMENTUM = 0.5  # Adam's beta_1: Radford 2016, arXiv:1511.06434, section 4
GENERATOR, DISCRIMINATOR = "generator", "discriminator"  # what names of networks begin with
LOGIT, FEATURES, MEAN, LOG_DEVIATION = "logit", "features", "mean", "log_deviation"  # outputs of a discriminator


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Options of the game; weights count beside the loss of real or drawn.

    steps: moves of the discriminator for one of the generator. saturating: 1 for a generator that minimises
    log(1 - D(G(z))), as the game's value has it, rather than -log D(G(z)), whose gradient does not vanish where it
    loses. clip: above 0 the discriminator is a critic, whose mean on real samples less that on drawn ones is the loss,
    and each of its weights stays within +-clip (Arjovsky 2017, Wasserstein GAN). least_squares: 1 for squared distances
    of what is said to 1 and 0 in place of logarithms (Mao 2017, arXiv:1611.04076). unrolling: the generator meets the
    discriminator that it would be after so many moves ahead, and learns through them how it answers what is drawn
    (Metz 2017, arXiv:1611.02163). noise: deviation of what is added to real samples.
    taken: weight of the generator's loss of being taken for real, 0 for none. matching: weight of
    |E f(x) - E f(G(z))|^2 for the discriminator's output "features", which the generator minimises (Salimans 2016,
    arXiv:1606.03498, section 3.1). classes: weight of the cross-entropy of classes, of real samples, and, where the
    generator is given theirs, of drawn ones, which then both networks minimise (Odena 2017, arXiv:1610.09585).
    information: weight of a bound of what samples tell of the generator's "category" and "code" (Chen 2016, InfoGAN,
    arXiv:1606.03657). absolute, squared: weights of the mean difference, and of the mean squared one, of what is drawn
    of a source and its target. cycle: of two pairs of networks, weight of the mean difference of a source and what
    both generators in turn make of it (Zhu 2017, arXiv:1703.10593).
    Raises: BadInput for a number outside its range.
    """

    steps: int = 1
    saturating: int = 0
    clip: float = 0.0
    least_squares: int = 0
    unrolling: int = 0
    noise: float = 0.0
    taken: float = 1.0
    matching: float = 0.0
    classes: float = 0.0
    information: float = 0.0
    absolute: float = 0.0
    squared: float = 0.0
    cycle: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise BadInput(f"steps={self.steps}: the discriminator makes at least 1 for one of the generator")
        for name in ("saturating", "least_squares"):
            if getattr(self, name) not in (0, 1):
                raise BadInput(f"{name}={getattr(self, name)}: allowed is 0 or 1")
        for each in fields(self):
            if getattr(self, each.name) < 0:
                raise BadInput(f"{each.name}={getattr(self, each.name)}: allowed is a number from 0")
        kinds = [f"{name}={value:g}" for name in ("saturating", "clip", "least_squares")
                 if (value := getattr(self, name))]  # fmt: skip
        if len(kinds) > 1:
            raise BadInput(f"{', '.join(kinds)}: losses of different kinds; leave one of the two out")


@dataclass(frozen=True)
class Pair:
    """A generator and the discriminator that judges what it draws.

    way: what their names end in, "" of a lone pair. back: what those of the pair end in that goes the other way.
    """

    way: str = ""
    back: str = ""

    @property
    def generator(self) -> str:
        """The name of the one that draws."""
        return GENERATOR + self.way

    @property
    def discriminator(self) -> str:
        """The name of the one that tells."""
        return DISCRIMINATOR + self.way

    def given(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what this pair is given: the real samples of the other's side are the sources of its own."""
        return {REAL: given[REAL + self.way], SOURCE: given[REAL + self.back]} if self.way else given


def pairs(networks: Networks) -> list[Pair]:
    """Return the pairs that play: one, or two that go each other's way.  Raises: BadInput for other networks."""
    ways = [name.removeprefix(GENERATOR) for name in networks if name.startswith(GENERATOR)]
    found = [Pair(way, back) for way, back in zip(ways, reversed(ways), strict=True)]
    wanted = {name for pair in found for name in (pair.generator, pair.discriminator)}
    if set(networks) != wanted or len(ways) != (2 if all(ways) else 1):
        raise BadInput(
            "learner 'adversarial' trains generator and discriminator, or two pairs of them, as "
            f"generator_a, discriminator_a, generator_b, discriminator_b; got {', '.join(networks)}"
        )
    return found


def moves(networks: Networks, rules: Rules, config: TrainConfig) -> tuple[Move, Move]:
    """Return the discriminators' move and the generators', ready to be made; what they answer is the loss, (N, 1).

    They take latents by name, "real" and, of networks with classes, "real_label"; of samples drawn of others their
    "source", and a "mask", 1 where they are drawn. Of two pairs "real" ends as their names do, and is the other's
    source. Where but some samples have a class, these are "labelled", and it is "labelled_label". The generators take
    a batch for each move ahead too, by names that `unrolling.named` says.
    """
    playing = pairs(networks)
    for pair in playing:
        _check(networks, pair, rules)
    unrolling.check(config, rules.unrolling)

    def tell(players: Networks, given: Mapping[str, Any]) -> Any:
        return sum(_telling(players, pair, rules, pair.given(given)) for pair in playing)

    def draw(players: Networks, given: Mapping[str, Any]) -> Any:
        return sum(_drawing(players, pair, rules, pair.given(given)) for pair in playing)

    def draw_ahead(players: Networks, given: Mapping[str, Any]) -> Any:
        batches = unrolling.batches_of(given, rules.unrolling)
        costs = [lambda batch=batch: ops.mean(tell(players, batch)) for batch in batches]
        return unrolling.through(telling.optimizer, telling.trainable_variables, drawing.variables, costs,
                                 lambda: draw(players, given), rules.clip)  # fmt: skip

    def move(name: str, who: Sequence[str], play: Play) -> Move:
        return Move(name, networks, who, play).prepare(cost, _optimizer(config), config)

    telling = move("telling", [pair.discriminator for pair in playing], tell)
    drawing = move("drawing", [pair.generator for pair in playing], draw_ahead if rules.unrolling else draw)
    if rules.unrolling:
        drawing.reads(telling.optimizer.variables)
    return telling, drawing


def _telling(players: Networks, pair: Pair, rules: Rules, given: Mapping[str, Any]) -> Any:
    """Return what a discriminator minimises, (N, 1)."""
    discriminator = players[pair.discriminator]
    real = judged(discriminator, given[REAL], _of_real(given))
    made = judged(discriminator, drawn(players[pair.generator], given), given)
    cost = _of_each(_told_apart(real[LOGIT], made[LOGIT], rules))
    if rules.classes:
        cost = cost + rules.classes * _unnamed(discriminator, real, made, given)
    return cost + rules.information * untold(made, given) if rules.information else cost


def _unnamed(discriminator: keras.Model, real: Any, made: Any, given: Mapping[str, Any]) -> Any:
    """Return the cross-entropy of classes: of real samples, and of drawn ones that are of any."""
    if LABELLED in given:
        return of_one_hot(judged(discriminator, given[LABELLED], given)[LABEL], given[f"{LABELLED}_{LABEL}"])
    known = of_one_hot(real[LABEL], given[f"{REAL}_{LABEL}"])
    return (of_one_hot(made[LABEL], given[LABEL]) + known) / 2 if LABEL in given else known


def _drawing(players: Networks, pair: Pair, rules: Rules, given: Mapping[str, Any]) -> Any:
    """Return what a generator minimises, (N, 1)."""
    sample = drawn(players[pair.generator], given)
    made = judged(players[pair.discriminator], sample, given)
    cost = rules.taken * _of_each(_taken_apart(made[LOGIT], rules))
    if rules.matching:  # of the batch, for each
        real = judged(players[pair.discriminator], given[REAL], _of_real(given))
        cost = cost + rules.matching * mismatch(real, made)
    if rules.classes and LABEL in given:
        cost = cost + rules.classes * of_one_hot(made[LABEL], given[LABEL])
    if rules.information:
        cost = cost + rules.information * untold(made, given)
    if rules.absolute:
        cost = cost + rules.absolute * _of_each(ops.absolute(sample - given[REAL]))
    if rules.squared:
        cost = cost + rules.squared * _of_each(ops.square(sample - given[REAL]))
    if rules.cycle:
        again = drawn(players[GENERATOR + pair.back], {SOURCE: sample})
        cost = cost + rules.cycle * _of_each(ops.absolute(again - given[SOURCE]))
    return cost


def _check(networks: Networks, pair: Pair, rules: Rules) -> None:
    if rules.cycle and not pair.way:
        raise BadInput(f"cycle={rules.cycle}: there is one generator, nothing goes back; leave it out")
    told, drawn_from = _ends(networks[pair.discriminator]), input_names(networks[pair.generator])
    wanted = {"matching": [(FEATURES, told)], "classes": [(LABEL, told)],
              "information": [(CATEGORY, told), (CATEGORY, drawn_from)],
              "cycle": [(SOURCE, drawn_from)]}  # fmt: skip
    for option in ("absolute", "squared"):
        wanted[option] = [(SOURCE, drawn_from)]
    for option, ends in wanted.items():
        for name, there in ends:
            if getattr(rules, option) and name not in there:
                who = "discriminator" if there is told else "generator"
                raise BadInput(f"{option}={getattr(rules, option)}: the {who} needs {name!r}, has {', '.join(there)}")


def _ends(network: keras.Model) -> list[str]:
    """Return the names of inputs and outputs."""
    return [*input_names(network), *output_names(network, len(network.outputs))]


def drawn(generator: keras.Model, given: Mapping[str, Any]) -> Any:
    """Return what a generator draws; outside a mask, where one is given, the source."""
    sample = _lone(answered(generator, given))
    if MASK not in given:
        return sample
    return given[SOURCE] + given[MASK] * (sample - given[SOURCE])


def judged(discriminator: keras.Model, sample: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a discriminator says of samples, by output, "logit" among them.

    given: what it is told besides, a "label" or a "source". A lone output is the logit; of classes alone it is that of
    being of any of them, against one more whose own logit is 0 (Salimans 2016, arXiv:1606.03498, section 5).
    """
    told = (LABEL, SOURCE)
    said = answered(
        discriminator, {name: given[name] if name in told else sample for name in input_names(discriminator)}
    )
    if len(said) == 1:
        return {LOGIT: _lone(said)}
    if LOGIT not in said:
        said[LOGIT] = ops.logsumexp(said[LABEL], axis=-1, keepdims=True)
    return said


def _of_real(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a discriminator is told of real samples."""
    return {**given, LABEL: given.get(f"{REAL}_{LABEL}")}


def _lone(answered: Mapping[str, Any]) -> Any:
    (value,) = answered.values()
    return value


def _of_each(cost: Any) -> Any:
    """Return the mean cost of each sample: that of its patches, or values.  Shapes: (N, ...) -> (N, 1)"""
    return ops.mean(ops.reshape(cost, (ops.shape(cost)[0], -1)), axis=-1, keepdims=True)


def _told_apart(real: Any, drawn: Any, rules: Rules) -> Any:
    """Return the discriminator's loss of logits."""
    if rules.clip:
        return drawn - real
    if rules.least_squares:
        return ((real - 1) ** 2 + drawn**2) / 2
    return (ops.softplus(-real) + ops.softplus(drawn)) / 2


def _taken_apart(drawn: Any, rules: Rules) -> Any:
    """Return the generator's loss of logits."""
    if rules.clip:
        return -drawn
    if rules.least_squares:
        return (drawn - 1) ** 2
    return -ops.softplus(drawn) if rules.saturating else ops.softplus(-drawn)


def mismatch(real: Mapping[str, Any], drawn: Mapping[str, Any]) -> Any:
    """Return the squared distance of the mean features of real and drawn samples, a number."""
    return ops.sum((ops.mean(real[FEATURES], axis=0) - ops.mean(drawn[FEATURES], axis=0)) ** 2)


def untold(made: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """Return -log Q(category, code | sample), (N, 1), without the constant of a normal distribution."""
    cost = of_one_hot(made[CATEGORY], given[CATEGORY])
    if CODE in given:
        apart = (given[CODE] - made[MEAN]) * ops.exp(-made[LOG_DEVIATION])
        cost = cost + ops.sum(made[LOG_DEVIATION] + apart * apart / 2, axis=-1, keepdims=True)
    return cost


def information(logits: np.ndarray, categories: np.ndarray) -> float:
    """Return the bound of the mutual information of samples and equally frequent categories, one-hot, in nats.

    E log Q(c|x) + H(c), at most H(c) = log K.  Shapes: (N, K), (N, K).
    """
    return float(np.log(categories.shape[1]) - np.asarray(of_one_hot(logits, categories)).mean())


def _optimizer(config: TrainConfig) -> Any:
    if config.optimizer == "adam":
        return keras.optimizers.Adam(config.learning_rate, beta_1=MOMENTUM)
    return optimizer(replace(config, schedule="constant", rate_every=None, rate_factor=None), 1)

"""Learning from few labels and many samples without one: what a network is sure of becomes a label."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ...errors import BadInput
from ...untyped import ops
from ..config import TrainConfig
from ..data import Dataset
from ..losses import of_one_hot
from ..optimizers import optimizer
from ..pictures import strongly, weakly
from ..runner import predict_all
from ..state import Row, RunDir
from .ensemble import members_of
from .games import Epochs, Move
from .register import Networks, best_by_metric, learner, validate_by_metric
from .wrapped import answered

LABELLED, UNLABELLED, STRONG, CLASSES, WEIGHT = "labelled", "unlabelled", "strong", "classes", "weight"
SIDES = ("one", "other")  # nets that learn from each other
FIRST = 1 / 6  # of a training, before which samples without a label do not count where their weight rises
POOL = 0.5  # of the samples of a class, that co-training comes to trust


Given = Callable[[np.random.Generator, float], dict[str, np.ndarray]]  # what a move is given, after a share of all


@dataclass(frozen=True)
class Lesson:
    """Moves. learning: the networks that learn. play: see `Move`, gives the loss. begin: number of epoch -> `Given`."""

    learning: Networks
    play: Any
    begin: Callable[[int], Given]


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Options. ratio: samples without a label for one with. threshold: the least probability of a class that becomes a
    label. strong: 1 to learn that label from another view, changed strongly, of a sample that was seen changed weakly.
    weight: of the loss of such samples; ramp: above 0 it rises to that from 0, between a sixth of the training and that
    share of it.

    Raises: BadInput for a number outside its range.
    """

    ratio: int = 7
    threshold: float = 0.0
    strong: int = 0
    weight: float = 1.0
    ramp: float = 0.0

    def __post_init__(self) -> None:
        if self.ratio < 1:
            raise BadInput(f"ratio={self.ratio}: allowed is an integer from 1")
        if self.strong not in (0, 1):
            raise BadInput(f"strong={self.strong}: allowed is 0 or 1")
        if not 0 <= self.threshold < 1:
            raise BadInput(f"threshold={self.threshold}: allowed is a number in [0, 1)")
        if self.weight < 0:
            raise BadInput(f"weight={self.weight}: allowed is a number from 0")
        if self.ramp and not FIRST < self.ramp <= 1:
            raise BadInput(f"ramp={self.ramp}: allowed is 0, or a number in ({FIRST:.2f}, 1]")

    def weight_at(self, done: float) -> float:
        """Return the weight after a share of the training."""
        risen = min(1.0, max(0.0, (done - FIRST) / (self.ramp - FIRST))) if self.ramp else 1.0
        return self.weight * risen


def _steps(dataset: Dataset, config: TrainConfig, **options: Any) -> int:
    count, moves = _lengths(dataset, config)
    return count * moves


def _lengths(dataset: Dataset, config: TrainConfig) -> tuple[int, int]:
    """Return epochs, and moves in each: one a batch of samples with a label."""
    samples = len(dataset.train)
    moves = -(-samples // config.batch_for(samples)) * config.passes
    return config.epochs_for(moves), moves


@learner("semi_supervised", steps=_steps, validate=validate_by_metric, options=Trust)
def semi_supervised(
    networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, run: RunDir, *, options: Trust
) -> list[Row]:
    """Minimise cross-entropy of labels, and of the likeliest classes of samples that have none; the best epoch is kept.

    dataset: see `Dataset.unlabelled`; pictures (N, H, W, C) are changed, other samples are taken as they are.
    Source: Lee 2013, Pseudo-label; with two views Sohn 2020, FixMatch, arXiv:2001.07685, algorithm 1.
    Raises: BadInput for several networks, or data without samples that have no label.
    """
    name, network = _lone(networks)
    more, (x, y) = _without_labels(dataset), (np.asarray(dataset.train.x), np.asarray(dataset.train.y))
    batch = config.batch_for(len(x))

    def play(players: Networks, given: Mapping[str, Any]) -> Any:
        parts = [given[part] for part in (LABELLED, UNLABELLED, STRONG) if part in given]
        (logits,) = answered(players[name], {network.inputs[0].name: ops.concatenate(parts)}).values()
        rest = logits[batch:]
        told, said = (rest[: batch * options.ratio], rest[batch * options.ratio :]) if options.strong else (rest, rest)
        cost = of_one_hot(logits[:batch], ops.one_hot(given[CLASSES], logits.shape[-1]))
        sure = _likeliest(told, options.threshold)
        return cost + given[WEIGHT] * ops.mean(of_one_hot(said, sure))

    def given(random: np.random.Generator, done: float) -> dict[str, np.ndarray]:
        chosen, others = random.integers(0, len(x), batch), random.integers(0, len(more), batch * options.ratio)
        views = {UNLABELLED: weakly(more[others], random)}
        views |= {STRONG: strongly(more[others], random)} if options.strong else {}
        weight = np.full((batch, 1), options.weight_at(done), np.float32)
        return {LABELLED: weakly(x[chosen], random), CLASSES: y[chosen], **views, WEIGHT: weight}

    return _trained(Lesson({name: network}, play, lambda number: given), networks, dataset, task, config, run)


@learner("co_training", steps=_steps, validate=validate_by_metric, tuner="semi_supervised:ratio=2,threshold=0.8")
def co_training(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, run: RunDir) -> list[Row]:
    """Let two nets of different views label samples for each other, those they are surest of; more each epoch.

    They are what the last layer of the one network takes the mean of; pruned or quantized, when they cannot be told
    apart, it labels for itself. Source: Blum and Mitchell 1998, table 1, where both label one pool for good; here each
    epoch labels anew, as many samples of each class, so that errors are taken back.
    Raises: BadInput for other networks, or data without samples that have no label.
    """
    _, network = _lone(networks)
    members = members_of(network)
    if len(members) != 2:
        raise BadInput(f"learner 'co_training': {network.name!r} is the mean of {len(members)} nets; give it two")
    pair = keras.Model(network.input, dict(zip(SIDES, members, strict=True)), name="pair")
    more, (x, y) = _without_labels(dataset), (np.asarray(dataset.train.x), np.asarray(dataset.train.y))
    count, batch = _lengths(dataset, config)[0], config.batch_for(len(x))

    def play(players: Networks, given: Mapping[str, Any]) -> Any:
        said = answered(players["pair"], {network.inputs[0].name: given[UNLABELLED]})
        return sum(of_one_hot(said[side], given[side]) * given[f"{side} counts"] for side in SIDES)

    def begin(number: int) -> Given:
        """Let each net choose what the other learns from in this epoch."""
        each = round(POOL * number / max(1, count - 1) * len(more) / dataset.classes)
        chances = dict(zip(SIDES, predict_all(pair, more), strict=True))
        pools = {side: surest(chances[other], each) for side, other in zip(SIDES, SIDES[::-1], strict=True)}

        def given(random: np.random.Generator, done: float) -> dict[str, np.ndarray]:
            chosen = random.integers(0, len(x), batch)
            parts, labels, counts = [x[chosen]], {side: [y[chosen]] for side in SIDES}, {side: [1] for side in SIDES}
            for side, (places, told) in pools.items():
                picked = random.integers(0, max(1, len(places)), batch)
                parts.append(more[places[picked]] if each else more[:batch])
                for other in SIDES:
                    labels[other].append(told[picked] if each else np.zeros(batch, int))
                    counts[other].append(int(other == side and each > 0))
            ones = {side: np.eye(dataset.classes, dtype=np.float32)[np.concatenate(labels[side])] for side in SIDES}
            weights = {
                f"{side} counts": np.repeat(np.array(counts[side], np.float32), batch)[:, None] for side in SIDES
            }
            return {UNLABELLED: np.concatenate(parts), **ones, **weights}

        return given

    return _trained(Lesson({"pair": pair}, play, begin), networks, dataset, task, config, run)


def surest(logits: np.ndarray, each: int) -> tuple[np.ndarray, np.ndarray]:
    """Return `each` samples that are surest of each class, their places and classes.  Shapes: (N, K) -> (M,), (M,)."""
    margin = (
        logits - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True)) - logits.max(1)[:, None]
    )
    places = np.argsort(-margin, axis=0, kind="stable")[:each]  # (each, K)
    return places.T.reshape(-1), np.repeat(np.arange(logits.shape[1]), len(places))


def _trained(lesson: Lesson, networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, run: RunDir):
    """Make the moves of all epochs; the epoch of the best metric is kept.  Returns: the history."""
    learning, play, begin = lesson.learning, lesson.play, lesson.begin
    count, moves = _lengths(dataset, config)
    rate = optimizer(config, count * moves, epoch=moves)
    move = Move("learning", learning, list(learning), play).prepare(_answer, rate, config)

    def epoch(number: int) -> Row:
        random, given, nothing = np.random.default_rng([config.seed, number]), begin(number), np.zeros((1, 1))
        done = (number * moves + np.arange(moves)) / (count * moves)
        return {"loss": float(np.mean([move.make(given(random, share), nothing) for share in done]))}

    game = Epochs(networks, {"optimizer": move.optimizer.variables}, config, run)
    return game.play(count, epoch, dataset, task, validate_by_metric, best_by_metric)


def _answer(y_true: Any, y_pred: Any) -> Any:
    return ops.mean(y_pred)


def _lone(networks: Networks) -> tuple[str, keras.Model]:
    """Return the only network and its name.  Raises: BadInput for several."""
    if len(networks) != 1:
        raise BadInput(f"this learner trains one network, got {', '.join(networks)}; choose another learner")
    return next(iter(networks.items()))


def _without_labels(dataset: Dataset) -> np.ndarray:
    """Return the samples that may be learned from without their labels.  Raises: BadInput where there are none."""
    if not isinstance(dataset.unlabelled, np.ndarray) or not dataset.classes:
        raise BadInput(f"data {dataset.name!r} have no samples without a label, or no classes; name data that have, as "
                       "'digits_40_labels'")  # fmt: skip
    return dataset.unlabelled


def _likeliest(logits: Any, threshold: float) -> Any:
    """Return the likeliest class, one-hot, or zeros where it is not likely enough; no gradient flows.  (N, K)."""
    chances = ops.softmax(ops.stop_gradient(logits), axis=-1)
    best = ops.max(chances, axis=-1, keepdims=True)
    chosen = ops.one_hot(ops.argmax(chances, axis=-1), logits.shape[-1])
    return chosen * ops.cast(best >= threshold, "float32")

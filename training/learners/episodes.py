"""Learning to learn: each move is an episode of a few samples of some classes, its loss that of further samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ...errors import BadInput
from ...untyped import ops
from ..config import TrainConfig
from ..data import Dataset
from ..few_shot import BASE, EMBEDDING, HEAD, IMAGE, QUERY, VECTOR, episodes
from ..optimizers import optimizer
from ..presented import presented_as
from ..state import Row, RunDir
from ..tasks.few_shot import FewShots
from .games import Epochs, Move
from .register import Networks, best_by_metric, learner, validate_by_metric
from .wrapped import answered

SUPPORT, QUERIES = "support_images", "query_images"  # what a move is given


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """Options. queries: of each class in an episode. together: episodes in a move. squared: 1 for the squared error of
    sigmoids rather than the cross-entropy, as of relation networks.

    Raises: BadInput for a number outside its range.
    """

    queries: int = 5
    together: int = 1
    squared: int = 0

    def __post_init__(self) -> None:
        if self.queries < 1:
            raise BadInput(f"queries={self.queries}: an episode has at least 1 of each class")
        if self.together < 1:
            raise BadInput(f"together={self.together}: a move has at least 1 episode")
        if self.squared not in (0, 1):
            raise BadInput(f"squared={self.squared}: allowed is 0 or 1")


def _steps(dataset: Dataset, config: TrainConfig, *, options: Lessons) -> int:
    count, moves = lengths(dataset, config)
    return count * moves


def lengths(dataset: Dataset, config: TrainConfig) -> tuple[int, int]:
    """Return epochs, and moves in each: as many as batches, whatever an episode holds."""
    samples = len(dataset.train)
    moves = max(1, samples // config.batch_for(samples)) * config.passes
    return config.epochs_for(moves), moves


@learner("episodes", steps=_steps, validate=validate_by_metric, options=Lessons)
def few_shot_episodes(
    networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, run: RunDir, *, options: Lessons
) -> list[Row]:
    """Minimise the loss of queries, given what was learned from the support; the epoch of the best metric is kept.

    networks: as of the task "few_shot". Where there is one called "base", it tells the classes of training apart, and
    a move is of as many images as its episodes would be: the head is not trained then. Source: Vinyals 2016,
    arXiv:1606.04080, section 2.2; Finn 2017, arXiv:1703.03400, algorithm 2; of classes of training, Chen 2019,
    arXiv:1904.04232.
    """
    told = presented_as(dataset, FewShots)
    count, moves = lengths(dataset, config)
    lesson = _of_classes(networks, told, options) if BASE in networks else _of_episodes(networks, told, options)
    rate = optimizer(config, count * moves, epoch=moves)
    move = Move("lesson", networks, list(networks), lesson.play).prepare(lesson.loss, rate, config)

    def epoch(number: int) -> Row:
        random = np.random.default_rng([config.seed, number])
        return {"loss": float(np.mean([move.make(*lesson.draw(random)) for _ in range(moves)]))}

    game = Epochs(networks, {"optimizer": move.optimizer.variables}, config, run)
    return game.play(count, epoch, dataset, task, validate_by_metric, best_by_metric)


@dataclass(frozen=True)
class Lesson:
    """What a move is. draw: random -> inputs by name, targets; play, loss: see `Move`."""

    draw: Any
    play: Any
    loss: Any


def _of_classes(networks: Networks, told: FewShots, options: Lessons) -> Lesson:
    """Return batches of images of all classes of training."""
    x, y = np.asarray(told.train.x), np.asarray(told.train.y)
    known, images = (
        networks[BASE].outputs[0].shape[-1],
        options.together * told.classes * (told.shots + options.queries),
    )
    if y.max() >= known:
        raise BadInput(f"{BASE!r} tells {known} classes apart, data {told.name!r} has {y.max() + 1} to train on; build "
                       f"it with base={y.max() + 1}")  # fmt: skip

    def draw(random: np.random.Generator) -> tuple[dict[str, np.ndarray], np.ndarray]:
        chosen = random.integers(0, len(x), images)
        return {IMAGE: x[chosen]}, y[chosen]

    def play(players: Networks, given: Mapping[str, Any]) -> Any:
        vector = answered(players[EMBEDDING], given)[VECTOR]
        (logits,) = answered(players[BASE], {VECTOR: vector}).values()
        return logits

    return Lesson(draw, play, keras.losses.SparseCategoricalCrossentropy(from_logits=True))


def _of_episodes(networks: Networks, told: FewShots, options: Lessons) -> Lesson:
    """Return episodes."""
    x, ways, shots, queries = np.asarray(told.train.x), told.classes, told.shots, options.queries

    def draw(random: np.random.Generator) -> tuple[dict[str, np.ndarray], np.ndarray]:
        drawn = episodes(told.train, ways=ways, shots=shots, queries=queries, count=options.together, random=random)
        return {SUPPORT: x[drawn.support], QUERIES: x[drawn.queries]}, drawn.labels

    def play(players: Networks, given: Mapping[str, Any]) -> Any:
        shape = given[SUPPORT].shape[3:]
        images = [ops.reshape(given[name], (-1, *shape)) for name in (SUPPORT, QUERIES)]
        vectors = answered(players[EMBEDDING], {IMAGE: ops.concatenate(images)})[VECTOR]  # normalised together
        held = ops.shape(images[0])[0]
        support = ops.reshape(vectors[:held], (-1, ways, shots, *vectors.shape[1:]))

        def ask(network: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
            return answered(players[network], inputs)

        made = told.host(ask, lambda name: players[name].weights[0]).learned(support)
        each = ways * queries
        inputs = {name: ops.repeat(values, each, axis=0) for name, values in made.items()}
        (scores,) = answered(players[HEAD], {QUERY: vectors[held:], **inputs}).values()
        return ops.reshape(scores, (-1, each, ways))

    loss: Any = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return Lesson(draw, play, _squared if options.squared else loss)


def _squared(y_true: Any, y_pred: Any) -> Any:
    """Return the squared error of probabilities, each of being the same.  Shapes: (E, Q), (E, Q, ways) -> (E, Q)."""
    right = ops.one_hot(ops.cast(y_true, "int32"), y_pred.shape[-1])
    return ops.mean(ops.square(ops.sigmoid(y_pred) - right), axis=-1)

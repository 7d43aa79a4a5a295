"""Learning without labels from surrogate tasks: an encoder, and behind it a network that answers; only the first stays.

What is asked, and when it is asked anew, are options: see `Questions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ...ends import symbolic_inputs
from ...errors import BadInput
from ...keras_internals import dense_in
from ...untyped import ops, tree
from ..config import TrainConfig
from ..data import Dataset
from ..optimizers import optimizer
from ..runner import predict
from ..state import Row, RunDir
from ..surrogates import SURROGATES, views
from ..tasks.linear_probe import ENCODER
from .games import Epochs, Move
from .register import Networks, learner

SURROGATE = "surrogate"
CLUSTERS = "clusters"
SHARPNESS = 10.0  # by how many nats a centre is told from one as far as samples are from their middle
JUDGED = 1024  # validation samples that are asked, at most
PARTS, DATA_SEED = "parts", 1


@dataclass(frozen=True, kw_only=True)
class Questions:
    """What the surrogate network is asked.

    surrogate: one of `SURROGATES`, or "clusters": to which cluster of vectors a sample belongs, as k-means finds them
    before each epoch, as many as the network answers (Caron 2018, arXiv:1807.05520). views: 1 to ask it of views, as
    the paper crops: on fashion_mnist that is better, on digits of 8x8 pixels worse.
    Raises: BadInput for another.
    """

    surrogate: str = "rotation"
    views: int = 0

    def __post_init__(self) -> None:
        if self.surrogate not in (*SURROGATES, CLUSTERS):
            raise BadInput(f"surrogate={self.surrogate}: allowed are {', '.join((*SURROGATES, CLUSTERS))}")
        if self.views not in (0, 1) or (self.views and self.surrogate != CLUSTERS):
            raise BadInput(f"views={self.views}: allowed is 0, or 1 with surrogate={CLUSTERS}")


def best_epoch(history: Any, dataset: Dataset, task: Any) -> int:
    """Return the epoch of the least validation loss; where none is told, as of clusters that change, the last."""
    if "val_loss" not in history[-1]:
        return len(history) - 1
    return int(np.argmin([row["val_loss"] for row in history]))


def validate(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, *, options: Questions) -> Row:
    """Return loss and, of classes, accuracy of the surrogate task on validation data: the same questions each time."""
    check(networks, "pretext")
    x = np.asarray(dataset.validation.x)[:JUDGED]
    if options.surrogate == CLUSTERS:
        return {}
    surrogate = SURROGATES[options.surrogate]
    parts, truth = surrogate.ask(x, _answer(networks), np.random.default_rng([config.seed, DATA_SEED]))
    said = answers(networks, parts)
    loss: Any = keras.ops.convert_to_numpy(_loss(surrogate.classes)(truth, said))
    row = {"val_loss": float(loss)}
    return {**row, "val_accuracy": float((said.argmax(-1) == truth).mean())} if surrogate.classes else row


@learner("pretext", validate=validate, best_epoch=best_epoch, options=Questions)
def pretext(
    networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, run: RunDir, *, options: Questions
) -> list[Row]:
    """Ask each epoch anew, and minimise the loss of the answers; no label is looked at.

    networks: "encoder", part of a sample -> vector (d,); "surrogate", vectors of the parts (P, d), or (d,) of a lone
    one, -> answer.  Raises: BadInput for others.
    """
    check(networks, "pretext")
    x, answer = np.asarray(dataset.train.x), _answer(networks)
    batch = config.batch_for(len(x))
    steps = len(x) // batch * config.passes
    epochs = config.epochs_for(steps)
    classes = options.surrogate == CLUSTERS or SURROGATES[options.surrogate].classes
    move = Move("asking", networks, (ENCODER, SURROGATE), lambda players, given: said_of(players, given[PARTS]))
    move.prepare(_loss(classes), optimizer(config, epochs * steps, epoch=steps, batch=batch), config)

    def epoch(number: int) -> Row:
        random = np.random.default_rng([config.seed, number])
        labels = clustered(networks, x, config.seed + number) if options.surrogate == CLUSTERS else None
        shares = None if labels is None else _even(labels)
        losses = []
        for _ in range(config.passes):
            order = random.permutation(len(x)) if shares is None else random.choice(len(x), len(x), p=shares)
            for chosen in order[: len(x) // batch * batch].reshape(-1, batch):
                if labels is None:
                    parts, truth = SURROGATES[options.surrogate].ask(x[chosen], answer, random)
                else:
                    seen = views(x[chosen], random) if options.views else x[chosen]
                    parts, truth = seen[:, None], labels[chosen]
                losses.append(move.make({PARTS: parts}, truth))
        return {"loss": float(np.mean(losses))}

    def judge(*given: Any) -> Row:
        return validate(*given, options=options)

    game = Epochs(networks, {move.name: move.optimizer.variables}, config, run)
    return game.play(epochs, epoch, dataset, task, judge, best_epoch)


def check(networks: Networks, name: str) -> None:
    """Refuse other networks than a learner of this family trains.  Raises: BadInput."""
    if set(networks) != {ENCODER, SURROGATE}:
        raise BadInput(f"learner {name!r} trains {ENCODER} and {SURROGATE}, got {', '.join(networks)}")


def _answer(networks: Networks) -> tuple[int, ...]:
    return tuple(networks[SURROGATE].output_shape[1:])


def _loss(classes: bool) -> keras.losses.Loss:
    if classes:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return keras.losses.BinaryCrossentropy(from_logits=True)


def said_of(networks: Networks, parts: Any) -> Any:
    """Return what the surrogate network answers in training.  Shapes: parts (N, P, h, w, c) -> (N, ...)."""
    vectors = networks[ENCODER](ops.reshape(parts, (-1, *parts.shape[2:])), training=True)
    return networks[SURROGATE](ops.reshape(vectors, (-1, *_of_sample(networks))), training=True)


def answers(networks: Networks, parts: np.ndarray) -> np.ndarray:
    """Return what the surrogate network answers, not in training."""
    vectors = predict(networks[ENCODER], parts.reshape(-1, *parts.shape[2:]))
    return predict(networks[SURROGATE], vectors.reshape(-1, *_of_sample(networks)))


def _of_sample(networks: Networks) -> tuple[int, ...]:
    (symbol,) = tree.flatten(symbolic_inputs(networks[SURROGATE]))
    return tuple(symbol.shape[1:])


# ---------------------------------------------------------------- clusters


def clustered(networks: Networks, x: np.ndarray, seed: int) -> np.ndarray:
    """Return the cluster of each sample by k-means of its vector, (N,); the surrogate network tells them.

    Its last layer begins as the distances to the centres, so that each epoch goes on where the last one ended. With
    fresh weights, as in the paper, its first epochs would be lost on a short training.
    """
    from sklearn.cluster import KMeans

    find: Any = KMeans
    (head,) = dense_in(networks[SURROGATE])
    vectors = predict(networks[ENCODER], x).astype(np.float64)
    found = find(head.units, n_init=1, random_state=seed).fit(vectors)
    centres, middle = found.cluster_centers_, vectors.mean(0)
    # What tells the centres apart in -|v - centre|^2: 2 v (centre - middle) - |centre|^2 + |middle|^2.
    scale = SHARPNESS / max(((vectors - middle) ** 2).sum(1).mean(), 1e-12)
    bias = (middle**2).sum() - (centres**2).sum(1)
    head.set_weights([2 * scale * (centres - middle).T, scale * bias])
    return np.asarray(found.labels_, np.int32)


def _even(labels: np.ndarray) -> np.ndarray:
    """Return the chance of each sample where all clusters shall come up alike, (N,)."""
    share = 1 / np.bincount(labels)[labels]
    return share / share.sum()


__all__ = ["Questions", "best_epoch", "check", "pretext", "said_of", "validate"]

"""The members of an ensemble see different samples: drawn anew (bagging), or weighted by who was wrong (boosting)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from ...keras_internals import maker_of
from ...models.mlp import Vote
from ...progress import say
from ..config import TrainConfig
from ..data import Dataset
from ..distillation import Distillation
from ..runner import predict
from ..state import Row, RunDir, State, pack, unpack
from ..tasks import Objective
from .fit import around_fit, fit
from .fitting import FitOverrides
from .minimise import minimise, minimiser, validate
from .register import Networks

CHANCE = 1e-6  # an error below it counts as none


@minimiser("bagging")
def bagging(model: keras.Model, dataset: Dataset, task: Objective, config: TrainConfig) -> FitOverrides:
    """Train every member of an ensemble on a bootstrap of its own: samples drawn with replacement, as weights.

    The members are what the last layer averages or counts the votes of; metrics of the history are means over them.
    Under pruning and quantization, which see the ensemble whole, it is tuned as one net.
    Source: Breiman 1996, Bagging predictors.
    """
    members = members_of(model)
    if not members:
        say(f"{model.name}: its members cannot be told apart here; the ensemble is tuned as one net")
        return FitOverrides()
    stacked = keras.Model(model.input, keras.ops.stack(members, axis=1), name=model.name)  # (N, members, classes)
    count = len(dataset.train)
    draws = np.random.default_rng(config.seed).integers(0, count, (len(members), count))
    weights = np.stack([np.bincount(drawn, minlength=count) for drawn in draws], axis=1)  # (N, members)
    return FitOverrides(
        network=stacked,
        targets=lambda split: np.repeat(split.y[:, None], len(members), axis=1),
        weights=weights.astype(np.float32),
        told=lambda answers: keras.ops.repeat(answers[:, None], len(members), axis=1),  # all hear the same
    )


@around_fit("boosting")
def boosting(
    networks: Networks,
    dataset: Dataset,
    task: Any,
    config: TrainConfig,
    run: RunDir,
    *,
    teaching: Distillation | None = None,
) -> list[Row]:
    """Fit one member after the other to samples whose weights grow where the members before were wrong.

    A row is a round: "error" is that of its member on weighted samples. It ends early when a member is no better than
    chance or never wrong. Under pruning and quantization, which see the ensemble whole, it is tuned as one net.
    Source: Freund 1997; for several classes SAMME, Zhu 2009, Multi-class AdaBoost.
    """
    (model,) = networks.values()
    members = members_of(model)
    if teaching is not None or not members:
        say(f"{model.name}: its members cannot be told apart here; the ensemble is tuned as one net")
        return minimise(fit, networks, dataset, task, config, run, teaching=teaching)
    votes = model.get_layer("logits").votes
    moving = {"model": model.variables}
    weights, raw, history, over = np.full(len(dataset.train), 1 / len(dataset.train)), np.zeros(len(members)), [], False
    if (state := run.restore()) is not None:
        unpack(state.arrays, moving)
        weights, raw, history, over = state.arrays["weights"], state.arrays["raw"], state.history, state.done

    def fitted(output: Any) -> np.ndarray:
        """Fit one member to the weighted samples.  Returns: which of them it is wrong on, (N,) bool."""
        member = keras.Model(model.input, output, name=f"{model.name}_member")
        asked = FitOverrides(network=member, weights=(weights * len(weights)).astype(np.float32))
        minimise(lambda *given: asked, networks, dataset, task, config, RunDir(None))
        return predict(member, dataset.train.x).argmax(-1) != dataset.train.y

    while not over:
        place = len(history)
        wrong = fitted(members[place])
        error = float(weights[wrong].sum())
        raw[place] = member_weight(error, dataset.classes)
        useless = raw[place] <= 0 and place > 0
        raw[place] = 0 if useless else max(raw[place], CHANCE)
        votes.assign(raw / raw.sum())
        weights = reweighted(weights, wrong, dataset.classes)
        row = validate(fit, networks, replace(dataset, validation=dataset.train), task, config)
        history.append({"epoch": place + 1.0, "loss": row["val_loss"], "accuracy": row["val_accuracy"], "error": error,
                        **validate(fit, networks, dataset, task, config)})  # fmt: skip
        run.log(history[-1])
        over = place + 1 == len(members) or useless or error < CHANCE
        if over or run.due():
            arrays = {**pack(moving), "weights": weights, "raw": raw}
            run.save(State(arrays=arrays, history=history, done=over))
    run.finish(history)
    return history


def member_weight(error: float, classes: int) -> float:
    """Return the weight of a member's vote: ln((1 - e)/e) + ln(K - 1) nats; of two classes AdaBoost's, half of it."""
    error = min(max(error, CHANCE), 1 - CHANCE)
    weight = math.log((1 - error) / error) + math.log(classes - 1)
    return weight / 2 if classes == 2 else weight


def reweighted(weights: np.ndarray, wrong: np.ndarray, classes: int) -> np.ndarray:
    """Return the samples' weights for the next round, adding up to 1: of two classes the wrong ones weigh half."""
    error = min(max(float(weights[wrong].sum()), CHANCE), 1 - CHANCE)
    grown = weights * np.where(wrong, (1 - error) / error * (classes - 1), 1.0)
    return grown / grown.sum()


def members_of(model: keras.Model) -> list[keras.KerasTensor]:
    """Return the outputs of the members of an ensemble: what an Average or Vote at its end takes; else none.

    A model that does more than its layers (masks that follow a schedule) must not be cut up: they are not its own.
    """
    (output,) = model.outputs
    node = maker_of(output)
    if (
        node is None
        or not isinstance(node.operation, (keras.layers.Average, Vote))
        or node.operation not in model.layers
    ):
        return []
    return list(node.input_tensors)

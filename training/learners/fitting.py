"""How one network is fitted: what its task says, but for what a learner overrides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from ...errors import BadInput
from ..answers import others, outputs_of, places_of
from ..config import TrainConfig
from ..data import Dataset, Split
from ..tasks import Objective, check_outputs, loss_of, sample_weights, shaped
from .batches import Batches
from .register import Networks
from .wrapped import Named

Targets = Callable[[Split], Any]
MakeBatches = Callable[..., Batches]  # (split, targets, config, weights)


@dataclass(frozen=True, kw_only=True)
class FitOverrides:
    """What shall be otherwise than the task says; what is None stays the task's.

    network: trained in place of the model, of which it holds the weights. loss, metrics: as `Model.compile` takes them.
    optimizer: makes one instead of the configured one. targets: split -> targets. weights: of the training targets, one
    each. loss_weights: of several losses. judged: how Keras begins the names of the metrics that choose the epoch.
    told: brings what a teacher answers to the form of what `network` does. batches: makes the training batches.
    """

    network: keras.Model | None = None
    loss: Any = None
    metrics: Any = None
    optimizer: Callable[[], Any] | None = None
    targets: Targets | None = None
    weights: np.ndarray | None = None
    loss_weights: Mapping[str, float] | None = None
    judged: str = ""
    told: Callable[[Any], Any] | None = None
    batches: MakeBatches = Batches


Overrides = Callable[[keras.Model, Dataset, Any, TrainConfig], FitOverrides]


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """What is trained and how, nothing left open.

    answers: of the network to the first training samples. threshold: above which an answer says yes. weigh: split ->
    the weight of each sample, or None. untold: the model's outputs without targets, and their places. Else as in
    `FitOverrides`.
    """

    network: keras.Model
    loss: Any
    metrics: Any
    targets: Targets
    weigh: Targets
    answers: Any
    threshold: float = 0.0
    optimizer: Callable[[], Any] | None = None
    weights: np.ndarray | None = None
    loss_weights: Mapping[str, float] | None = None
    judged: str = ""
    told: Callable[[Any], Any] | None = None
    batches: MakeBatches = Batches
    untold: Mapping[str, int] = field(default_factory=dict)


def resolved(overrides: Overrides, networks: Networks, dataset: Dataset, task: Any, config: TrainConfig) -> Fitting:
    """Return how the one network of `networks` is fitted: as the task says, but for `overrides`.

    Raises: BadInput for several networks, a task that has no loss, or a network that does not fit the targets.
    """
    if not isinstance(task, Objective):
        raise BadInput(f"task {task.name!r} has no loss to minimise; choose another learner than those of one loss")
    if len(networks) != 1:
        raise BadInput(f"this learner trains one network, got {', '.join(networks)}; choose another learner")
    ((name, model),) = networks.items()
    asked = overrides(model, dataset, task, config)
    if task.heads and asked == FitOverrides():
        return _of_heads(model, dataset, task, config, name)
    network, ending = asked.network or model, None
    if asked.targets is None:
        ending = _lone_output(network, dataset, task, name)
    answers: Any = network(first_samples(dataset.train.x), training=False)
    loss, threshold = (asked.loss, 0.0) if asked.loss else loss_of(task, ending, answers, config)
    return Fitting(
        network=network,
        loss=loss,
        metrics=asked.metrics or task.logs(threshold),
        targets=asked.targets or (lambda split: shaped(task, split.y, tuple(network.output_shape[1:]))),
        weigh=_weights(dataset, config),
        answers=answers,
        threshold=threshold,
        optimizer=asked.optimizer,
        weights=asked.weights,
        loss_weights=asked.loss_weights,
        judged=asked.judged,
        told=asked.told,
        batches=asked.batches,
    )


def first_samples(arrays: Any) -> Any:
    """Return the few samples that a network is tried on."""
    return keras.tree.map_structure(lambda array: array[:8], arrays)


def _lone_output(network: keras.Model, dataset: Dataset, task: Objective, name: str) -> str | None:
    """Return the last operation of the one output that the targets are for."""
    output, *more = outputs_of(network)
    if more:
        raise BadInput(
            f"{name!r} has {1 + len(more)} outputs, data {dataset.name!r} has targets for one; give them as a "
            f"dict by output: {', '.join(each.name for each in (output, *more))}"
        )
    check_outputs(task, dataset, tuple(network.output_shape[1:]), name)
    return output.ending


def _of_heads(model: keras.Model, dataset: Dataset, task: Objective, config: TrainConfig, name: str) -> Fitting:
    """Return how a model of several outputs is fitted, those without targets left out."""
    heads, outputs = task.heads or {}, outputs_of(model)
    places = places_of(list(heads), outputs, name)
    untold = others(outputs, places)
    named = Named(model, places, untold)
    answers: Any = named(first_samples(dataset.train.x), training=False)
    loss, logs = {}, {}
    for head, own in heads.items():
        output = outputs[places[head]]
        check_outputs(own, dataset, output.shape, name, head)
        loss[head], threshold = loss_of(own, output.ending, answers[head], config)
        logs[head] = own.logs(threshold)
    shapes = {head: outputs[place].shape for head, place in places.items()}
    return Fitting(
        network=named,
        loss=loss,
        metrics=logs,
        targets=lambda split: {head: shaped(own, split.y[head], shapes[head]) for head, own in heads.items()},
        weigh=_weights(dataset, config),
        answers=answers,
        loss_weights={head: dataset.heads[head].weight for head in heads},
        untold=untold,
    )


def _weights(dataset: Dataset, config: TrainConfig) -> Targets:
    """Return (split -> the weight of each sample, for each output that has classes), or None for no weights."""
    if config.class_weights is None:
        return lambda split: None
    if not dataset.heads:
        return lambda split: sample_weights(dataset, split.y, config.class_weights)
    balanced = [head for head, own in dataset.heads.items() if own.classes]
    if not balanced:
        raise BadInput(
            f"class_weights {config.class_weights!r}: no output of {dataset.name!r} has classes; leave it out"
        )

    def weigh(split: Split) -> dict[str, Any]:
        return {
            head: sample_weights(dataset, split.y[head], config.class_weights, head)
            if head in balanced else np.ones(len(split), np.float32)
            for head in dataset.heads
        }  # fmt: skip

    return weigh

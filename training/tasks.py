"""The table of tasks: what a network is trained to minimise, what it is judged by, which epoch is the best.

A task of several outputs is composed of one row each: its name is theirs, joined by "+".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from ..errors import BadInput
from .data import Dataset, Split
from .data.targets import Head
from .losses import OfFunction, SmoothedCrossentropy


@dataclass(frozen=True, kw_only=True)
class Task:
    """One row of the table, or several composed.

    loss: (label smoothing) -> keras loss, of logits where there are any. logs: (threshold) -> what Keras logs beside
    the loss. metric: the name in metrics.METRICS that judges the model, trained, compressed or on a device.
    labelled: targets are class numbers. ending: the activation that answers may have gone through already.
    width: how many values a network must return, None for as many as the targets.
    heads: the tasks of several outputs, by name.
    """

    name: str
    loss: Callable[[float], keras.losses.Loss]
    metric: str
    logs: Callable[[float], list[Any]] = lambda threshold: []
    labelled: bool = False
    ending: str | None = None
    width: int | None = None
    heads: Mapping[str, Task] | None = None

    @property
    def scored(self) -> bool:
        """Tell if an accuracy is logged, which helps to choose the epoch."""
        return not self.heads and bool(self.logs(0.0))

    def best_epoch(self, history: Sequence[Mapping[str, float]], samples: int) -> int:
        """Return the index of the logs of the epoch to keep: that of the least validation loss.

        An epoch whose accuracy lies more than one standard error, on `samples` of validation, below the highest so far
        does not count: closer ones a thousand samples cannot tell apart, and the highest of them is often luck.
        Source: the 1 SE rule, Breiman 1984, Classification and regression trees, section 3.4.3.
        """
        best, highest = 0, 0.0
        for index, row in enumerate(history):
            highest = max(highest, row["val_accuracy"] if self.scored else 0.0)
            least = highest - math.sqrt(highest * (1 - highest) / samples)
            counts = [not self.scored or one["val_accuracy"] >= least for one in (row, history[best])]
            if counts == [True, False] or (all(counts) and row["val_loss"] < history[best]["val_loss"]):
                best = index
        return best


def _error(smoothing: float) -> keras.losses.Loss:
    return keras.losses.MeanSquaredError()


def _yes_or_no(smoothing: float) -> keras.losses.Loss:
    return keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=smoothing)


def _sides(threshold: float) -> list[Any]:
    return [keras.metrics.BinaryAccuracy(name="accuracy", threshold=threshold)]


def _classes(threshold: float) -> list[Any]:
    return ["accuracy"]


TASKS = {
    task.name: task
    for task in (
        Task(name="classification", loss=SmoothedCrossentropy, logs=_classes, metric="accuracy", labelled=True,
             ending="softmax"),
        Task(name="binary_classification", loss=_yes_or_no, logs=_sides, metric="binary_accuracy", ending="sigmoid",
             width=1),
        Task(name="multilabel", loss=_yes_or_no, logs=_sides, metric="label_accuracy", ending="sigmoid"),
        Task(name="regression", loss=_error, metric="explained_variance"),
        Task(name="reconstruction", loss=_error, metric="explained_variance"),
        Task(name="anomaly_detection", loss=_error, metric="auc"),
    )
}  # fmt: skip


def get(name: str) -> Task:
    """Return the task `name`; several, "a+b", are composed.  Raises: BadInput listing the tasks."""
    parts = name.split("+")
    for part in parts:
        if part not in TASKS:
            raise BadInput(f"no task {part!r}; there are {', '.join(TASKS)}")
    if len(parts) == 1:
        return TASKS[name]
    heads = {str(place): TASKS[part] for place, part in enumerate(parts)}
    return Task(name=name, loss=_error, metric="+".join(task.metric for task in heads.values()), heads=heads)


def of(dataset: Dataset) -> Task:
    """Return the task of a data set; of several outputs by their names, each with the loss that was asked for it."""
    if not dataset.heads:
        return get(dataset.task)
    heads = {name: _own_loss(get(head.task), head) for name, head in dataset.heads.items()}
    return replace(get(dataset.task), heads=heads)


def _own_loss(task: Task, head: Head) -> Task:
    if head.loss is None:
        return task
    try:
        keras.losses.get(head.loss)
    except ValueError as error:
        raise BadInput(f"loss {head.loss!r} of a head: Keras has no such loss; give one by name, as 'mae'") from error
    return replace(task, loss=lambda smoothing: OfFunction(str(head.loss)), ending=None)


def check_outputs(
    task: Task, dataset: Dataset, output_shape: tuple[int | None, ...], network: str, head: str = ""
) -> None:
    """Refuse a network whose output cannot be compared with the targets: too few classes, or another size.

    output_shape: of one sample. head: which of several outputs. Raises: BadInput naming both.
    """
    where = f"{network!r}, output {head!r}," if head else f"{network!r}"
    classes = dataset.heads[head].classes if head else dataset.classes
    if task.labelled:
        if output_shape[-1] is not None and output_shape[-1] < classes:
            raise BadInput(
                f"{where} has {output_shape[-1]} outputs, data {dataset.name!r} has {classes} classes; "
                "give it one a class, logits or a softmax of them"
            )
        return
    truth = dataset.train.y[head] if head else dataset.train.y
    targets = truth.shape[1:]
    sizes = [size for size in output_shape if size is not None]
    if len(sizes) == len(output_shape) and math.prod(sizes) != math.prod(targets):
        raise BadInput(f"{where} returns samples of shape {output_shape}, data {dataset.name!r} has {targets}")


def targets_of(task: Task, split: Split, output_shape: tuple[int | None, ...]) -> np.ndarray:
    """Return the split's targets as the loss takes them: in the network's output shape, so that nothing broadcasts."""
    return shaped(task, split.y, output_shape)


def shaped(task: Task, targets: Any, output_shape: tuple[int | None, ...]) -> np.ndarray:
    """Return targets of one output as the loss takes them."""
    if task.labelled:
        return targets
    if task.ending:
        targets = targets.astype(np.float32)
    return targets.reshape(len(targets), *(-1 if size is None else size for size in output_shape))


def sample_weights(dataset: Dataset, targets: np.ndarray, weights: Any, head: str = "") -> np.ndarray | None:
    """Return the weight of each sample, (N,) float32: that of its class; None for no weights.

    weights: "balanced", n / (K n_k) from the training labels (King and Zeng 2001), or class number or name -> weight.
    Raises: BadInput for a task without classes, or a class that is not there.
    """
    if weights is None:
        return None
    own = dataset.heads[head] if head else Head(task=dataset.task, classes=dataset.classes, labels=dataset.labels)
    truth = dataset.train.y[head] if head else dataset.train.y
    if not own.classes or truth.ndim != 1:
        raise BadInput(f"class_weights {weights!r}: data {dataset.name!r} has no single class a sample; leave it out")
    of_class = _balanced(truth, own.classes) if weights == "balanced" else _named(weights, own)
    return of_class[targets.astype(int)].astype(np.float32)


def _balanced(labels: np.ndarray, classes: int) -> np.ndarray:
    from sklearn.utils.class_weight import compute_class_weight

    there = np.unique(labels)
    weights = np.ones(classes)
    weights[there] = compute_class_weight("balanced", classes=there, y=labels)
    return weights


def _named(weights: Mapping[Any, float], own: Head) -> np.ndarray:
    names = list(own.labels) or list(range(own.classes))
    found = np.ones(own.classes)
    for name, weight in weights.items():
        if name not in names and str(name) not in names:
            raise BadInput(f"class_weights: no class {name!r}; there are {', '.join(map(str, names[:20]))}")
        found[names.index(name) if name in names else names.index(str(name))] = weight
    return found

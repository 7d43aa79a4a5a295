"""The table of tasks: what a network is trained to minimise, what it is judged by, which epoch is the best."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import keras
import numpy as np

from ..errors import BadInput
from .data import Dataset, Split
from .losses import SmoothedCrossentropy

Key = Callable[[Mapping[str, float]], tuple[float, ...]]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One row of the table.

    loss: (label smoothing) -> keras loss. metrics: what Keras logs beside the loss.
    metric: the name in metrics.METRICS that judges the model, trained, compressed or on a device.
    best: an epoch's logs -> sort key, highest is the best epoch. labelled: targets are class numbers.
    """

    name: str
    loss: Callable[[float], keras.losses.Loss]
    metrics: tuple[str, ...]
    metric: str
    best: Key
    labelled: bool = False


def _least_loss(logs: Mapping[str, float]) -> tuple[float, ...]:
    return (-logs["val_loss"],)


def _most_correct(logs: Mapping[str, float]) -> tuple[float, ...]:
    """Accuracy first; validation sets are small and it ties often, then the loss decides."""
    return logs["val_accuracy"], -logs["val_loss"]


def _error(smoothing: float) -> keras.losses.Loss:
    return keras.losses.MeanSquaredError()


TASKS = {
    task.name: task
    for task in (
        Task(
            name="classification",
            loss=SmoothedCrossentropy,
            metrics=("accuracy",),
            metric="accuracy",
            best=_most_correct,
            labelled=True,
        ),
        Task(name="regression", loss=_error, metrics=(), metric="explained_variance", best=_least_loss),
        Task(name="reconstruction", loss=_error, metrics=(), metric="explained_variance", best=_least_loss),
        Task(name="anomaly_detection", loss=_error, metrics=(), metric="auc", best=_least_loss),
    )
}


def get(name: str) -> Task:
    """Return the task `name`.  Raises: BadInput listing the tasks."""
    if name not in TASKS:
        raise BadInput(f"no task {name!r}; there are {', '.join(TASKS)}")
    return TASKS[name]


def check_outputs(task: Task, dataset: Dataset, output_shape: tuple[int | None, ...], network: str) -> None:
    """Refuse a network whose output cannot be compared with the targets: too few classes, or another size.

    output_shape: of one sample. Raises: BadInput naming both.
    """
    if task.labelled:
        if output_shape[-1] is not None and output_shape[-1] < dataset.classes:
            raise BadInput(
                f"{network!r} has {output_shape[-1]} outputs, data {dataset.name!r} has {dataset.classes} classes; "
                "give it one a class, logits or a softmax of them"
            )
        return
    targets = dataset.train.y.shape[1:]
    sizes = [size for size in output_shape if size is not None]
    if len(sizes) == len(output_shape) and math.prod(sizes) != math.prod(targets):
        raise BadInput(f"{network!r} returns samples of shape {output_shape}, data {dataset.name!r} has {targets}")


def targets_of(task: Task, split: Split, output_shape: tuple[int | None, ...]) -> np.ndarray:
    """Return the split's targets as the loss takes them: in the network's output shape, so that nothing broadcasts."""
    if task.labelled:
        return split.y
    return split.y.reshape(len(split), *(-1 if size is None else size for size in output_shape))

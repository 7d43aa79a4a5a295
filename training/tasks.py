"""The table of tasks: what a network is trained to minimise, what it is judged by, which epoch is the best."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from ..errors import BadInput
from .data import Dataset, Split
from .losses import SmoothedCrossentropy


@dataclass(frozen=True, kw_only=True)
class Task:
    """One row of the table.

    loss: (label smoothing) -> keras loss. metrics: what Keras logs beside the loss.
    metric: the name in metrics.METRICS that judges the model, trained, compressed or on a device.
    labelled: targets are class numbers.
    """

    name: str
    loss: Callable[[float], keras.losses.Loss]
    metrics: tuple[str, ...]
    metric: str
    labelled: bool = False

    def best_epoch(self, history: Sequence[Mapping[str, float]], samples: int) -> int:
        """Return the index of the logs of the epoch to keep: that of the least validation loss.

        An epoch whose accuracy lies more than one standard error, on `samples` of validation, below the highest so far
        does not count: closer ones a thousand samples cannot tell apart, and the highest of them is often luck.
        Source: the 1 SE rule, Breiman 1984, Classification and regression trees, section 3.4.3.
        """
        best, highest = 0, 0.0
        for index, row in enumerate(history):
            highest = max(highest, row["val_accuracy"] if self.labelled else 0.0)
            least = highest - math.sqrt(highest * (1 - highest) / samples)
            counts = [not self.labelled or one["val_accuracy"] >= least for one in (row, history[best])]
            if counts == [True, False] or (all(counts) and row["val_loss"] < history[best]["val_loss"]):
                best = index
        return best


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
            labelled=True,
        ),
        Task(name="regression", loss=_error, metrics=(), metric="explained_variance"),
        Task(name="reconstruction", loss=_error, metrics=(), metric="explained_variance"),
        Task(name="anomaly_detection", loss=_error, metrics=(), metric="auc"),
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

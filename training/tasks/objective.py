"""What networks are fitted to: a loss, its targets in the network's shape, weights of samples, the epoch to keep."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ...errors import BadInput
from ...metrics import are_probabilities
from ..config import TrainConfig
from ..data import Dataset, Split
from ..data.targets import Head
from ..losses import OfProbabilities, named_loss


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What the learners of fit.py minimise, and which epoch is the best: tasks that they shall serve are such.

    loss: (label smoothing) -> keras loss, of logits where there are any. logs: (threshold) -> what Keras logs beside
    the loss. labelled: targets are class numbers. ending: the activation that answers may have gone through already.
    width: how many values a network must return, None for as many as the targets.
    heads: the objectives of several outputs, by name.
    """

    name: str
    loss: Callable[[float], keras.losses.Loss]
    logs: Callable[[float], list[Any]] = lambda threshold: []
    labelled: bool = False
    ending: str | None = None
    width: int | None = None
    heads: Mapping[str, Objective] | None = None

    @property
    def scored(self) -> bool:
        """Tell if an accuracy is logged, which helps to choose the epoch."""
        return not self.heads and bool(self.logs(0.0))

    def right(self, answers: np.ndarray, targets: np.ndarray, threshold: float) -> np.ndarray:
        """Return how far each sample's answer is the right one, (N,): what is logged as accuracy."""
        said = answers.argmax(-1) if self.labelled else answers > threshold
        truth = targets if self.labelled else targets.reshape(answers.shape) > 0.5
        return (said == truth).reshape(len(targets), -1).mean(-1)

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
            counts = [not self.scored or logs["val_accuracy"] >= least for logs in (row, history[best])]
            if counts == [True, False] or (all(counts) and row["val_loss"] < history[best]["val_loss"]):
                best = index
        return best


def check_outputs(
    task: Objective, dataset: Dataset, output_shape: tuple[int | None, ...], network: str, head: str = ""
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


def targets_of(task: Objective, split: Split, output_shape: tuple[int | None, ...]) -> np.ndarray:
    """Return the split's targets as the loss takes them: in the network's output shape, so that nothing broadcasts."""
    return shaped(task, split.y, output_shape)


def shaped(task: Objective, targets: Any, output_shape: tuple[int | None, ...]) -> np.ndarray:
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
    names: list[Any] = list(own.labels) or list(range(own.classes))
    of_class = np.ones(own.classes)
    for name, weight in weights.items():
        if name not in names and str(name) not in names:
            raise BadInput(f"class_weights: no class {name!r}; there are {', '.join(map(str, names[:20]))}")
        of_class[names.index(name) if name in names else names.index(str(name))] = weight
    return of_class


def loss_of(task: Objective, ending: str | None, answers: Any, config: TrainConfig) -> tuple[keras.losses.Loss, float]:
    """Return the loss for a model's answers, logits or probabilities, and the threshold that says yes.

    Raises: BadInput for a loss that is none of this task.
    """
    loss = task.loss(config.label_smoothing) if config.loss is None else named_loss(config.loss, task.ending, task.name)
    if task.ending and end_in_probabilities(task, ending, answers):
        return OfProbabilities(loss, independent=task.ending == "sigmoid"), 0.5
    return loss, 0.0


def end_in_probabilities(task: Objective, ending: str | None, answers: Any) -> bool:
    """Tell whether a model answers probabilities, or logits.

    A sigmoid is known by the last operation, since one value tells nothing; where that is unknown, and of a softmax, a
    few answers tell.
    """
    if task.ending != "sigmoid":
        return _are_probabilities(answers)
    return are_probabilities(np.asarray(answers)) if ending is None else ending == "sigmoid"


def _are_probabilities(answers: Any) -> bool:
    """Tell whether what a model answers to a few samples are probabilities, quantized ones perhaps, or logits."""
    answers = np.asarray(keras.ops.convert_to_numpy(answers), np.float32)
    slack = min(0.5, 0.01 + answers.shape[-1] / 512)  # each may be rounded to 1/256
    sums = answers.sum(-1)
    return bool(np.all((answers >= 0) & (answers <= 1)) and np.all(np.abs(sums - 1) <= slack))

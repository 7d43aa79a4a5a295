"""Detectors of one stage: their raw outputs are fitted to what true boxes say of each place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from ...errors import BadInput
from ..answers import outputs_of, places_of
from ..config import TrainConfig
from ..data import Dataset
from ..runner import table_of
from ..state import Row, RunDir
from ..tasks import Objective
from ..tasks.detection import Detection
from ..tasks.supervised import shown
from .fitting import FitOverrides, Overrides
from .minimise import best_epoch, minimise
from .minimise import validate as validate_loss
from .register import Networks, learner
from .wrapped import Named


@dataclass(frozen=True, kw_only=True)
class Weighing:
    """Options of nets with default boxes.

    gamma: above 0 classes are learned by focal loss, else by cross-entropy of the true boxes and `negatives` times as
    many of the background, the hardest. weight: of the loss of offsets. squared: 1 for squared errors of them rather
    than smooth L1.  Raises: BadInput for a number outside its range.
    """

    gamma: float = 0.0
    negatives: float = 3.0
    weight: float = 1.0
    squared: int = 0

    def __post_init__(self) -> None:
        for name in ("gamma", "negatives", "weight"):
            if getattr(self, name) < 0:
                raise BadInput(f"{name}={getattr(self, name)}: allowed is a number from 0")
        if self.squared not in (0, 1):
            raise BadInput(f"squared={self.squared}: allowed is 0 or 1")


def _by_boxes(networks: Networks, options: Weighing) -> Overrides:
    """Return what is fitted: each output by its own loss."""

    def overrides(model: keras.Model, dataset: Dataset, task: Objective, config: TrainConfig) -> FitOverrides:
        if not isinstance(task, Detection):
            raise BadInput(f"learner 'detecting' is for tasks of detection, got {task.name!r}")
        table = None if task.tables is None else table_of(networks[task.tables])
        shapes: Any = {output.name: output.shape for output in shown(dataset).outputs}
        return FitOverrides(
            network=Named(model, places_of(list(shapes), outputs_of(model), model.name)),
            loss=task.head.losses(shapes, options),
            targets=lambda split: task.prepared(split, shapes, table, dataset.classes),
        )

    return overrides


def _detector(networks: Networks) -> dict[str, keras.Model]:
    name = next(iter(networks))
    return {name: networks[name]}


def validate(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, *, options: Weighing) -> Row:
    """Return the loss of networks as they are, on validation data."""
    return validate_loss(_by_boxes(networks, options), _detector(networks), dataset, task, config)


@learner("detecting", validate=validate, best_epoch=best_epoch, options=Weighing)
def detecting(
    networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, run: RunDir, *, options: Weighing
) -> list[Row]:
    """Minimise the losses of a detector's outputs together.

    networks: the detector, pictures -> what its task's head reads, and the table of the host, if it has one.
    """
    return minimise(_by_boxes(networks, options), _detector(networks), dataset, task, config, run)

"""Several heads on one trunk, told by the same class number."""

from __future__ import annotations

from typing import Any

import keras

from ...errors import BadInput
from ..config import TrainConfig
from ..data import Dataset, Split
from ..tasks import Objective
from .fitting import FitOverrides
from .minimise import minimiser


@minimiser("multitask")
def multitask(model: keras.Model, dataset: Dataset, task: Objective, config: TrainConfig) -> FitOverrides:
    """Train a net that returns a dict of logits by the sum of their losses; its first output is the one judged.

    That one predicts the class, each other what the data set tells of it (`Dataset.told`).  Source: Caruana 1997,
    Multitask learning.  Raises: BadInput for an output that the data set tells nothing of.
    """
    first, *others = model.output
    if unknown := [other for other in others if other not in dataset.told]:
        raise BadInput(
            f"{model.name!r} has an output {unknown[0]!r}; besides the class, data {dataset.name!r} tells "
            f"{', '.join(dataset.told) or 'nothing'}"
        )

    def targets(split: Split) -> dict[str, Any]:
        return {first: split.y, **{other: dataset.told[other](split.y) for other in others}}

    heads = (first, *others)
    return FitOverrides(
        loss={head: task.loss(config.label_smoothing) for head in heads},
        metrics={head: task.logs(0.0) for head in heads},
        targets=targets,
        judged=first,
    )

"""Cross-validation of a training: the same training on each fold, from fresh weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..progress import say
from ..training.config import TrainConfig
from ..training.data.folds import folds
from ..training.distillation import Distillation
from . import training
from .workload import Workload


@dataclass(frozen=True, kw_only=True)
class Across:
    """What folds came to. values: the metric of each."""

    metric: str
    values: Sequence[float]

    @property
    def mean(self) -> float:
        """Of the folds."""
        return float(np.mean(self.values))

    @property
    def deviation(self) -> float:
        """Standard deviation over the folds, n - 1 in the denominator."""
        return float(np.std(self.values, ddof=1))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"metric": self.metric, "values": list(self.values), "mean": self.mean, "deviation": self.deviation}

    def __str__(self) -> str:
        each = ", ".join(f"{value:.4f}" for value in self.values)
        name = self.metric.replace("_", " ")
        return f"{len(self.values)} folds: {name} {self.mean:.4f} +- {self.deviation:.4f} ({each})"


def across(
    work: Workload, config: TrainConfig, count: int, order: Any = "chance", teaching: Distillation | None = None
) -> Across:
    """Train fresh networks on each fold and judge them on what it left out.  Raises: BadInput for too many folds."""
    values = []
    for number, dataset in enumerate(folds(work.dataset, count, order=order, seed=config.seed), 1):
        part = replace(work, dataset=dataset)
        values.append(training.train(part.make(), part, config, teaching=teaching).metric)
        say(f"fold {number} of {count}: {values[-1]:.4f}")
    return Across(metric=work.task.metric.name, values=values)

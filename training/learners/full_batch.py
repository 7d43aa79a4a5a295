"""Gradient descent on all samples at once, as networks on one graph are trained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..config import TrainConfig
from ..data import Dataset
from ..distillation import Distillation
from ..state import Row, RunDir
from .fit import around_fit, fit
from .minimise import minimise
from .register import Networks
from .teacher import schooled

UPDATES = 10  # of an epoch, whatever the passes: one would cost less than to judge it, and budgets count samples


def _steps(dataset: Dataset, config: TrainConfig) -> int:
    return UPDATES * config.epochs_for(UPDATES)


@around_fit("full_batch", steps=_steps)
def full_batch(
    networks: Networks,
    dataset: Dataset,
    task: Any,
    config: TrainConfig,
    run: RunDir,
    *,
    teaching: Distillation | None = None,
) -> list[Row]:
    """Minimise the task's loss as `fit` does, a step being of all training samples and an epoch of ten steps."""
    whole = replace(config, batch_size=len(schooled(dataset, teaching).train), passes=UPDATES)
    return minimise(fit, networks, dataset, task, whole, run, teaching=teaching)

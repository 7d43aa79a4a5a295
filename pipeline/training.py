"""The stage that trains networks, and how networks are judged after any stage."""

from __future__ import annotations

from pathlib import Path

from ..training import train as fitting
from ..training.config import TrainConfig
from ..training.distillation import Distillation
from ..training.tasks import Evaluation, Networks
from ..training.train import TrainResult
from . import teachers
from .workload import Workload


def train(
    networks: Networks,
    work: Workload,
    config: TrainConfig,
    out: str | Path | None = None,
    *,
    teaching: Distillation | None = None,
) -> TrainResult:
    """Train networks in place by their own learner, and judge them; out: folder of checkpoints and logs.

    teaching: a teacher whose answers they learn too.
    Raises: BadInput for networks that do not fit the data, EdgewrightError if training diverges.
    """
    return fitting.train(
        work.learned(networks),
        work.dataset,
        config,
        learner=work.learner,
        out=out,
        deploy=work.deploy,
        complete=lambda trained: work.complete({**networks, **trained}),
        teaching=teachers.resolve(teaching, None, work),
    )


def evaluated(networks: Networks, work: Workload) -> Evaluation:
    """Judge networks on the test data by their task."""
    return fitting.judged(work.complete(networks), work.dataset, work.task, work.deploy)

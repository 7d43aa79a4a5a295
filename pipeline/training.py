"""The stage that trains networks, and how networks are judged after any stage."""

from __future__ import annotations

from pathlib import Path

from ..training import train as fitting
from ..training.config import TrainConfig
from ..training.tasks import Evaluation, Networks
from ..training.train import TrainResult
from .workload import Workload


def train(networks: Networks, work: Workload, config: TrainConfig, out: str | Path | None = None) -> TrainResult:
    """Train networks in place by their own learner, and judge them; out: folder of checkpoints and logs.

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
    )


def evaluated(networks: Networks, work: Workload) -> Evaluation:
    """Judge networks on the test data by their task."""
    return fitting.judged(work.complete(networks), work.dataset, work.task, work.deploy)

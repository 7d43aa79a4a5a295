"""The stage of QAT: quantizers from calibrated ranges, then the networks' own learner goes on, never to end below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..progress import say
from ..quantize import QatConfig, QatReport, find_quantized, prepare_qat
from ..training import learners
from ..training.config import TrainConfig
from ..training.distillation import Distillation
from ..training.tasks import Networks
from ..training.train import TrainResult
from . import teachers
from . import training as stage
from .suited import suited
from .workload import Workload


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """What QAT came to. networks: all of the model, the step networks made anew; reports: by network quantized.

    held: outputs without targets that were held to what they answered before.
    """

    networks: dict[str, keras.Model]
    reports: Mapping[str, QatReport]
    result: TrainResult
    held: Sequence[str] = ()

    def rows(self) -> list[dict[str, Any]]:
        """Return every operation of every report; of several networks with the name of theirs."""
        several = len(self.reports) > 1
        return [
            {**row, **({"network": name} if several else {})}
            for name, report in self.reports.items()
            for row in report.rows
        ]


def quantize(
    networks: Networks, work: Workload, training: TrainConfig, out: str | Path | None = None,
    config: QatConfig | None = None, *, teaching: Distillation | None = None,
) -> Quantized:  # fmt: skip
    """Give what goes to a device quantizers, calibrated on the task's samples, and retrain; `networks` stay.

    teaching: a teacher of what is quantized, such as `networks` themselves; without one that holds outputs without
    targets (see `teachers.of_stage`).
    """
    work = work.tuned
    taught = teachers.resolve(teachers.of_stage(teaching, work, training), networks, work)
    samples = {name: work.samples(name, networks=networks) for name in work.compressed}
    made = {
        name: prepare_qat(networks[name], suited(work, config, networks[name]), calibration=given)
        for name, given in samples.items()
    }
    aware = work.to_train(networks, {name: model for name, (model, _) in made.items()})
    result = _retrained(aware, work, training, out, taught)
    return Quantized(
        networks=work.complete(aware), reports={name: report for name, (_, report) in made.items()}, result=result,
        held=teachers.held(taught, work),
    )  # fmt: skip


def retrain(
    networks: Networks,
    work: Workload,
    config: TrainConfig,
    out: str | Path | None = None,
    *,
    teaching: Distillation | None = None,
) -> TrainResult:
    """Train quantization-aware networks in place, where that is better than calibration alone.

    The learner's own rule says what is better, on validation data. teaching: as in `quantize`, where "float" is what
    calibration alone came to.
    """
    work = work.tuned
    taught = teachers.resolve(teachers.of_stage(teaching, work, config), networks, work)
    return _retrained(networks, work, config, out, taught)


def _retrained(
    networks: Networks, work: Workload, config: TrainConfig, out: str | Path | None, taught: Distillation | None
) -> TrainResult:
    learner, learned = learners.get(work.learner), work.learned(networks)

    def validated() -> dict[str, float]:
        return learner.validate(learned, work.dataset, work.task, config)

    calibrated = _weights(learned)
    result = stage.train(networks, work, config, out, teaching=taught)
    trained, reached = _weights(learned), validated()
    _assign(learned, calibrated)
    if learner.best_epoch([validated(), reached], work.dataset, work.task) == 0:
        names = ", ".join(model.name for model in learned.values() if find_quantized(model))
        say(f"{names}: no epoch of QAT validated better than calibration alone, which is kept")
        kept = stage.evaluated(networks, work)
        return replace(result, metric=kept.value, outputs=kept.outputs, judged=kept)
    _assign(learned, trained)
    return result


def _weights(networks: Networks) -> dict[str, list[np.ndarray]]:
    return {name: [weight.copy() for weight in model.get_weights()] for name, model in networks.items()}


def _assign(networks: Networks, weights: Mapping[str, list[np.ndarray]]) -> None:
    for name, model in networks.items():
        model.set_weights(weights[name])

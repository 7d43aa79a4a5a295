"""Mixed precision by sensitivity: the fewest layers in more than 8 bits that keep the metric, or the outputs.

Each layer is quantized alone and the output's signal-to-noise ratio says what it costs. Layers then go to 16-bit
activations, or where that does not do to float, costliest first, as many as bisection finds necessary for the metric on
validation data, or for the decibels that outputs are to keep.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from ..devices.report.report import table
from ..errors import BadInput, EdgewrightError
from ..progress import tracked
from ..quantize import QatConfig, find_quantized, prepare_qat
from ..training import tasks
from ..training.data import Dataset, calibration
from ..training.tasks import Networks
from ..training.train import evaluate, predict_all
from .diagnose import decibels
from .training import evaluated
from .workload import Workload

LADDER = ("w8a16", "float32")  # what a layer gets that 8 bits are not enough for; the first that does
PROBE_SAMPLES = 64
JUDGE_SAMPLES = 2000
HEARD_SAMPLES = 256  # that decibels are judged on


@dataclass(frozen=True)
class Mixed:
    """What was chosen. rows: layer, SNR in dB of the output with this layer alone quantized, and its precision.

    metric: of float, of everything in w8a8, and of the choice, calibrated and not trained, on validation data; what
    `judged` says, decibels without that of float.
    """

    config: QatConfig
    rows: tuple[dict[str, Any], ...]
    metric: dict[str, float]
    judged: str = "validation metric"

    @property
    def line(self) -> str:
        """What was chosen and what it reaches, in a line."""
        kept = self._kept()
        what = kept[0]["precision"] if kept else LADDER[0]
        reached = ", ".join(f"{name} {value:.4f}" for name, value in self.metric.items())
        return f"{len(kept)} of {len(self.rows)} layers in {what}, the others in w8a8; {self.judged}: {reached}"

    def __str__(self) -> str:
        shown = self.rows[: max(len(self._kept()), 5)]
        cells = [(row["layer"], f"{row['snr_db']:.1f}", row["precision"]) for row in shown]
        return "\n".join([self.line, table(("layer, costliest first", "SNR dB", "precision"), cells)])

    def _kept(self) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["precision"] != "w8a8"]


def mixed_for(
    networks: Networks, work: Workload, max_drop: float | None = None, config: QatConfig | None = None, *,
    keep_db: float | None = None, ladder: Sequence[str] = LADDER,
) -> Mixed:  # fmt: skip
    """Return `mixed_precision` of the one network of a model that is quantized, judged as its task judges the model.

    Raises: BadInput where several are, or for a task without a validation metric.
    """
    if len(work.compressed) > 1:
        asked = f"--max-drop {max_drop}" if keep_db is None else f"--keep-db {keep_db}"
        raise BadInput(
            f"{asked}: is for models of which one network is quantized, not {', '.join(work.compressed)}; leave it out"
        )
    (name,) = work.compressed
    if work.sampled:
        return mixed_precision(networks[name], work.dataset, max_drop, config, keep_db=keep_db, ladder=ladder)
    unseen = replace(work, dataset=replace(work.dataset, test=work.dataset.validation))
    return mixed_precision(
        networks[name],
        work.dataset,
        max_drop,
        config,
        keep_db=keep_db,
        ladder=ladder,
        unseen=None if keep_db is None else work.samples(name, networks=networks),
        samples=work.samples(name, networks=networks),
        judge=lambda model: evaluated({**networks, name: model}, unseen).value,
    )


def mixed_precision(
    model: keras.Model, dataset: Dataset, max_drop: float | None = None, config: QatConfig | None = None, *,
    keep_db: float | None = None, ladder: Sequence[str] = LADDER, samples: Any = None, unseen: Any = None,
    judge: Callable[[keras.Model], float] | None = None,
) -> Mixed:  # fmt: skip
    """Return the configuration with the fewest layers in 16 bits, else in float, that loses at most `max_drop`.

    The metric is that of the task on validation data after calibration; QAT may gain on it. keep_db: in its place, the
    decibels by which every output has to stand above what rounding adds to it, on validation samples or on `unseen`.
    ladder: what a layer gets, the first that does. samples: to calibrate on, judge: model -> its metric on validation
    data, where they are not those of a supervised task.
    Raises: BadInput for a task without a validation metric, or unless one of both is asked; EdgewrightError where
    nothing keeps what is asked.
    """
    if (max_drop is None) == (keep_db is None):
        raise BadInput(f"max_drop={max_drop}, keep_db={keep_db}: give one of the two")
    config = config or QatConfig()
    samples = calibration(dataset) if samples is None else samples
    probe = keras.tree.map_structure(lambda array: array[:PROBE_SAMPLES], samples)
    found: dict[str, float] = {}
    if keep_db is not None:
        judge = _heard(model, dataset.validation.x if unseen is None else unseen)
    else:
        judge = judge or _judge(dataset)
        found["float32"] = judge(model)
    gain = tasks.of(dataset).metric.gain
    reference = _answers(model, probe)
    whole, _ = prepare_qat(model, config, calibration=samples)
    found["w8a8"] = judge(whole)
    rows = _sensitivity(model, config, samples, probe, reference, _layers(whole))
    order = [row["layer"] for row in rows]
    tried: dict[tuple[str, int], float] = {}

    def keeps(count: int, precision: str) -> bool:
        value = found["w8a8"]
        if count:
            candidate, _ = prepare_qat(model, _raised(config, order[:count], precision), calibration=samples)
            value = judge(candidate)
        tried[precision, count] = value
        if max_drop is None:
            return value >= float(keep_db or 0)
        return gain(value, found["float32"]) >= -max_drop

    for precision in ladder:
        count = _least(lambda count, precision=precision: keeps(count, precision), len(order))
        if count is not None:
            kept, found["chosen"] = set(order[:count]), tried[precision, count]
            rows = [{**row, "precision": precision if row["layer"] in kept else "w8a8"} for row in rows]
            judged = "validation metric" if keep_db is None else "decibels of the outputs"
            return Mixed(_raised(config, order[:count], precision), tuple(rows), found, judged)
    asked, remedy = (f"max_drop={max_drop}", "raise") if keep_db is None else (f"keep_db={keep_db}", "lower")
    raise EdgewrightError(f"rounding the inputs alone costs more than {asked}: {remedy} it")


def _heard(model: keras.Model, x: Any) -> Callable[[keras.Model], float]:
    """Return what tells how many decibels the worst output of a model keeps of that of `model`."""
    few = keras.tree.map_structure(lambda array: array[:HEARD_SAMPLES], x)
    reference = predict_all(model, few)

    def heard(quantized: keras.Model) -> float:
        pairs = zip(reference, predict_all(quantized, few), strict=True)
        return min(decibels(wanted, got - wanted) for wanted, got in pairs)

    return heard


def _judge(dataset: Dataset) -> Callable[[keras.Model], float]:
    if dataset.task == "anomaly_detection":
        raise BadInput(
            "max_drop is judged on validation data, which holds no anomalies: name the layers to keep in float"
        )
    part = dataset.validation.take(np.arange(min(JUDGE_SAMPLES, len(dataset.validation))))
    return lambda model: evaluate(model, part, dataset.task).value


def _answers(model: keras.Model, samples: Any) -> list[np.ndarray]:
    return [np.asarray(output) for output in keras.tree.flatten(model(samples, training=False))]


def _layers(quantized: keras.Model) -> list[str]:
    """Return the paths of the layers that hold quantized operations, in order."""
    layer = find_quantized(quantized)
    assert layer is not None
    sites = [step.nodes[0].scope for step in layer.plan.operators if step.rule is not None and step.rule.builtin_op]
    return list(dict.fromkeys(site.rpartition("/")[0] or site for site in sites))


def _raised(config: QatConfig, layers: Sequence[str], precision: str) -> QatConfig:
    value = None if precision == "float32" else precision
    return replace(config, by_name={**dict.fromkeys(layers, value), **config.by_name})


def _sensitivity(
    model: keras.Model,
    config: QatConfig,
    samples: Any,
    probe: Any,
    reference: Sequence[np.ndarray],
    layers: Sequence[str],
) -> list[dict[str, Any]]:
    rows = []
    for layer in tracked("sensitivity", layers):
        alone = replace(config, default=None, by_name={layer: "w8a8"}, by_type={}, least_db=None,
                        residual_stream=None)  # fmt: skip
        quantized, _ = prepare_qat(model, alone, calibration=samples)
        pairs = zip(reference, _answers(quantized, probe), strict=True)
        rows.append({"layer": layer, "snr_db": min(decibels(wanted, got - wanted) for wanted, got in pairs)})
    return sorted(rows, key=lambda row: row["snr_db"])


def _least(holds: Any, most: int) -> int | None:
    """Return the least count for which `holds(count)`, by bisection, or None."""
    if holds(0):
        return 0
    if not holds(most):
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


__all__ = ["Mixed", "mixed_for", "mixed_precision"]

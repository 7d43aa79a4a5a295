"""The cells of a row of the zoo's matrix: what each stage came to, against what its model is held to."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import metrics
from ..errors import BadInput
from ..metrics import Metric
from ..models import registry
from ..models.registry import Bars
from ..training.data import sets

STAGES = ("build", "train", "prune", "qat", "tflite_float", "tflite_int8", "onnx_float", "onnx_int8", "device")
OF_FILES = STAGES[2:]  # of a network that goes to a device
Cell = dict[str, Any]  # status, value, reason, and what else a stage tells


@dataclass(frozen=True, kw_only=True)
class Held:
    """What a row is held to. floor: what a wrong implementation would miss; None where nobody knows."""

    metric: Metric
    bars: Bars = field(default_factory=Bars)
    floor: float | None = None

    @classmethod
    def of(cls, model: str, data: str, metric: str) -> Held:
        """Return what a model is held to on a data set: its own floor, the data set's, or the metric's."""
        entry, scale = registry.get(model), metrics.get(metric)
        floors = (entry.bars.floor, _floor_of(data, entry.task), scale.floor)
        return cls(metric=scale, bars=entry.bars, floor=next((each for each in floors if each is not None), None))

    def worse(self, value: float, baseline: float) -> str:
        """Say that a value lost more than it may, or return ""."""
        lost = self.metric.gain(value, baseline) < -self.bars.drop
        return f"more than {100 * self.bars.drop:g} points below float" if lost else ""

    def below(self, value: float) -> str:
        """Say that a value is worse than the floor, or return ""."""
        missed = self.floor is not None and self.metric.gain(value, self.floor) < 0
        return f"{'below' if self.metric.higher_is_better else 'above'} {self.floor}" if missed else ""

    def apart(self, value: float, expected: float) -> str:
        """Say that a file's value is not its model's, or return ""."""
        far = abs(self.metric.gain(value, expected)) > self.bars.gap
        return f"model {expected:.4f}, file {value:.4f}" if far else ""


def _floor_of(data: str, task: str) -> float | None:
    """Return the floor of a data set for a task that it serves itself; one of ours may present it for another."""
    try:
        source = sets.source(data)
    except BadInput:
        return None
    return source.floor if task in source.tasks else None


def cell(reason: str, value: Any, **more: Any) -> Cell:
    """Return a cell that passes unless there is a reason why not."""
    return {"status": "fail" if reason else "pass", "value": value, "reason": reason, **more}


def skipped(reason: str) -> Cell:
    """Return the cell of what does not apply."""
    return {"status": "skip", "value": None, "reason": reason}


def failing(reason: str) -> dict[str, Cell]:
    """Return the cells of a row that came to nothing."""
    return {stage: cell(reason, None) for stage in STAGES}


def of_training(folder: Path, held: Held, reason: str = "") -> dict[str, Cell]:
    """Return the cells of a model of which no network goes to a device.  reason: why not."""
    value = _step(folder, "train")["metric"]
    files = dict.fromkeys(OF_FILES, skipped(reason or "no network of it goes to a device"))
    return {"train": cell(held.below(value), value), **files}


def of_run(results: Mapping[str, Any], folder: Path, held: Held) -> dict[str, Cell]:
    """Return the cells of a run, but for that of building."""
    base = _step(folder, "train")["metric"]
    files = {(kind, precision): Files.of(results, kind, precision)
             for kind in ("tflite", "onnx") for precision in ("float32", "w8a8-qat")}  # fmt: skip
    judged = files["tflite", "w8a8-qat"]
    qat = _step(folder, "qat-pruned" if judged.pruned else "qat")["metric"]
    cells = {
        "train": cell(held.below(base), base),
        "prune": of_pruning(_step(folder, "prune"), base, held),
        "qat": cell(held.worse(qat, base), qat),
        "device": judged.on_device(results["verdicts"]),
    }
    for kind in ("tflite", "onnx"):
        cells[f"{kind}_float"] = files[kind, "float32"].measured(base, held)
        cells[f"{kind}_int8"] = files[kind, "w8a8-qat"].quantized(qat, held, results["parity"])
    return {stage: cells[stage] for stage in STAGES if stage in cells}


def of_pruning(result: Mapping[str, Any], base: float, held: Held) -> Cell:
    """Judge what pruning left of the metric, and how many of the weights that it chose from are zero."""
    sizes = [(math.prod(row["shape"]), row["sparsity"]) for row in result["rows"] if row["sparsity"] is not None]
    if not sizes:
        reasons = sorted({row["reason"] for row in result["rows"]}) or ["no weight of it is trained"]
        return skipped(f"nothing to prune: {'; '.join(reasons)}")
    sparsity = sum(size * share for size, share in sizes) / sum(size for size, _ in sizes)
    bar = held.bars.pruned
    short = [f"{sparsity:.0%} of the weights pruned, bar {bar:.0%}"] if sparsity < bar else []
    short += filter(None, [held.worse(result["metric"], base)])
    return cell("; ".join(short), result["metric"], sparsity=sparsity)


@dataclass(frozen=True, kw_only=True)
class Files:
    """The files of one format and precision, one a network, and what was measured on them and on them together."""

    format: str
    made: Sequence[Mapping[str, Any]]
    rows: Sequence[Mapping[str, Any]]
    together: Mapping[str, Any]

    @classmethod
    def of(cls, results: Mapping[str, Any], kind: str, precision: str) -> Files:
        """Return the files to judge; of dense and pruned ones the dense."""
        made = [one for one in results["artifacts"] if (one["format"], one["precision"]) == (kind, precision)]
        dense = [one for one in made if "-pruned-" not in one["name"]]
        made = dense or made
        names = {one["name"] for one in made}
        rows = [row for row in results["measurements"] if row["artifact"] in names]
        bundles = [one for one in results.get("bundles", []) if set(one["files"].values()) == names]
        return cls(format=kind, made=made, rows=rows, together=bundles[0] if bundles else rows[0])

    @property
    def pruned(self) -> bool:
        """Whether there are pruned ones only."""
        return all("-pruned-" in one["name"] for one in self.made)

    def measured(self, expected: float, held: Held) -> Cell:
        """Judge whether they answer as the model does."""
        for row in (*self.rows, self.together):
            if row["status"] != "ok":
                return cell(f"{row['status']}: {row['reason']}", None)
        value = self.together["value"]
        return cell(held.apart(value, expected), value)

    def quantized(self, expected: float, held: Held, parity: Mapping[str, Any]) -> Cell:
        """Judge that too, and how far outputs are those of the fake-quantized model, where they have a scale."""
        judged = self.measured(expected, held)
        compared = [parity[one["name"]] for one in self.made if one["name"] in parity]
        worst = min(compared, key=lambda row: row["within_one_step"], default={})
        more = {"float_ops": sum(one["float_ops"] for one in self.made), **worst}
        short = [f"{more['float_ops']} float operators"] if self.format == "tflite" and more["float_ops"] else []
        bars, agreed = held.bars, worst.get("argmax_agreement", 1)
        if self.together["metric"] == "accuracy" and agreed < bars.argmax:
            short.append(f"argmax agreement {agreed:.4f} below {bars.argmax}")
        if worst and worst["within_one_step"] < bars.step and worst.get("least_kernel", 0.0) < bars.step:
            alone = f"; a kernel alone on {worst['least_kernel']:.4f}" if "least_kernel" in worst else ""
            short.append(f"{worst['within_one_step']:.4f} of outputs within one step, bar {bars.step}{alone}")
        return (cell("; ".join(short), judged["value"]) if judged["status"] == "pass" else judged) | more

    def on_device(self, verdicts: Sequence[Mapping[str, Any]]) -> Cell:
        """Judge them against float: no verdict fails, of the files or of them together; the slowest tells the speed."""
        by_name = {verdict["artifact"]: verdict for verdict in verdicts}
        files = [by_name[one["name"]] for one in self.made]
        whole = by_name.get(self.together.get("name", self.made[0]["name"]), files[0])
        failed = [verdict["reason"] for verdict in (whole, *files) if verdict["verdict"] == "fail"]
        speedups = [verdict["speedup"] for verdict in files if verdict["speedup"] is not None]
        return cell("; ".join(dict.fromkeys(failed)), min(speedups, default=None), verdict=whole["verdict"])


def _step(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / "steps" / f"{name}.json").read_text())["result"]

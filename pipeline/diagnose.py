"""Where accuracy goes: the float model, the fake-quantized one and the device compared step by step.

Each step is judged twice. `snr_db` is how far the fake-quantized model is from the float model up to there: what
quantization costs. `kernel_exact` and `kernel_within_one` give the step, in the fake-quantized model, the very inputs
it had on the device: what is left is the rounding of that one kernel.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import keras
import numpy as np
from keras import tree

from ..devices import measure
from ..devices.measure import BenchConfig
from ..devices.report.report import table
from ..errors import BadInput, EdgewrightError
from ..export import export_tflite
from ..export.lower import lower
from ..export.onnx_writer import write_onnx
from ..export.probe import probed
from ..export.tflite_writer import write_tflite
from ..files import sha256, write, write_json
from ..quantize import find_quantized
from ..quantize.fake_quant import steps
from ..quantize.graph.nodes import Tensor
from ..quantize.noise import decibels
from ..quantize.placement import FusedOp
from ..quantize.qat import QuantizedGraph
from ..quantize.samples import gather
from ..training import tasks
from ..training.answers import in_order, outputs_of
from ..training.data import Dataset, Split
from ..training.train import evaluate, judge, predict_all
from .judged import to_measure

JUDGED = 1000  # test samples that the metric is told on
LOW_SNR_DB = 20.0
CLIPPED = 0.001
COARSE_STEPS = 32
KERNEL_BAR = 0.99
WRITERS = {"tflite": write_tflite, "onnx": write_onnx}

Activations = dict[int, np.ndarray]  # by id of a tensor


class Point(TypedDict):
    """The task's metric at a stage. change: against the stage before; lowest: recall of the class that is found least,
    where there are classes; n: samples.
    """

    stage: str
    metric: str
    value: float
    change: float
    lowest: str
    n: int


@dataclass(frozen=True)
class Row:
    """One step: see `Diagnosis`. Decibels are 10 log10 of signal power over error power."""

    name: str
    operator: str
    snr_db: float
    device_snr_db: float
    device_exact: float
    device_within_one: float
    kernel_exact: float
    kernel_within_one: float
    clipped: float
    steps_used: int
    cause: str


@dataclass(frozen=True)
class Diagnosis:
    """Rows in execution order, over `samples` samples.

    snr_db: fake-quantized against float. device_*: device against fake-quantized, both from the model's inputs on.
    kernel_*: the same with the inputs that the step had on the device. clipped: share of float values outside the
    range. steps_used: distinct integers among 256. points: the task's metric from float to device, see `points_of`.
    notes: what the samples say against the calibration.
    """

    model: str
    samples: int
    rows: tuple[Row, ...]
    points: tuple[Point, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def worst(self) -> tuple[Row, ...]:
        """The rows by falling loss: where the signal-to-noise ratio is lowest."""
        return tuple(sorted(self.rows, key=lambda row: row.snr_db))

    @property
    def least_kernel(self) -> float:
        """The share within one step of the kernel that is right least often, given the inputs that it had."""
        return min((row.kernel_within_one for row in self.rows), default=1.0)

    @property
    def first_divergence(self) -> Row | None:
        """The first step that does not round on the device as in training, or None."""
        return next((row for row in self.rows if row.kernel_within_one < KERNEL_BAR), None)

    def to_json(self) -> dict[str, Any]:
        """Return the document that `edgewright diagnose --json` prints."""
        first = self.first_divergence
        rows = [vars(row) for row in self.rows]
        known = {"model": self.model, "samples": self.samples, "first_divergence": first and first.name, "rows": rows}
        return known | {"points": list(self.points), "notes": list(self.notes)}

    def __str__(self) -> str:
        cells = [
            (row.name, row.operator, _decibels(row.snr_db), f"{row.device_exact:.2%}", f"{row.kernel_exact:.2%}",
             f"{row.kernel_within_one:.2%}", row.cause)
            for row in self.worst
        ]  # fmt: skip
        header = ("step, worst first", "operator", "SNR dB", "device = training", "kernel exact", "within one", "why")
        first = self.first_divergence
        verdict = (
            f"every kernel rounds as in training (within one step on {KERNEL_BAR:.0%})"
            if first is None
            else f"the first kernel that rounds otherwise is {first.operator} at {first.name}: "
            f"{first.kernel_within_one:.2%} of its outputs within one step"
        )
        parts = [table(header, cells), "", f"{self.model}, {self.samples} samples: {verdict}"]
        if self.points:
            first = self.points[0]
            steps = [
                (row["stage"], f"{row['value']:.4f}", f"{100 * row['change']:+.2f}", row["lowest"])
                for row in self.points
            ]
            header = (
                f"where the points go, {first['n']:,} samples",
                first["metric"].replace("_", " "),
                "points",
                "lowest recall",
            )
            parts += ["", table(header, steps)]
        return "\n".join([*parts, *(f"- {note}" for note in self.notes)])


def diagnose(model: keras.Model, samples: Any, *, device: str = "local", format: str = "tflite") -> Diagnosis:
    """Compare `model` (from `prepare_qat`) in float, fake-quantized, and as its int8 file on `device`.

    samples: some dozen, in any form that `prepare_qat` takes: arrays (N, ...), dicts, data frames, data sets. format:
    of the file, "tflite" or "onnx".
    Raises: BadInput if the model has no quantizers, or for samples that it cannot take; EdgewrightError if the device
    does not run the file.
    """
    layer = find_quantized(model)
    if format not in WRITERS:
        raise BadInput(f"format={format!r}: allowed: {', '.join(WRITERS)}")
    if layer is None:
        raise BadInput(f"model {model.name!r} has no quantizers: call prepare_qat(model, calibration=samples) first")
    steps = [fused for fused in layer.plan.operators if fused.rule is not None and fused.rule.builtin_op]
    steps = [step for step in steps if _is_comparable(layer, step.outputs[0])]
    _, inputs = gather(model, samples)
    wanted = [tensor for step in steps for tensor in step.outputs]
    wanted = [tensor for tensor in [*layer.plan.graph.inputs, *wanted] if _is_comparable(layer, tensor)]
    wanted = list({id(tensor): tensor for tensor in wanted}.values())
    measured = _on_device(layer, model.name, wanted, inputs, device, format) if wanted else {}
    floats: Activations = {}
    expected: Activations = {}
    alone: Activations = {}
    layer.execute(inputs, quantize=False, after=_keep(floats))
    layer.execute(inputs, after=_keep(expected))

    def put_device_values(tensor: Tensor, value: Any) -> Any:
        alone[id(tensor)] = np.asarray(value)
        if id(tensor) not in measured:
            return value
        return layer.rounding(tensor)(measured[id(tensor)])  # a dequantizer may be an ulp off, and masks compare

    layer.execute(inputs, after=put_device_values)
    rows = [
        _row(layer, step, *(values[id(step.outputs[0])] for values in (floats, expected, measured, alone)))
        for step in steps
    ]
    return Diagnosis(model.name, len(inputs[0]), tuple(rows))


def _is_comparable(layer: QuantizedGraph, tensor: Tensor) -> bool:
    """Tell whether `tensor` has integers (masks and numbers have none) that a file makes sample by sample."""
    return layer.plan.scale_of(tensor) is not None and sum(size is None for size in tensor.shape) <= 1


def points_of(
    model: keras.Model, dataset: Dataset, *, original: keras.Model | None = None, device: str = "local"
) -> tuple[tuple[Point, ...], tuple[str, ...]]:
    """Return the task's metric stage by stage, and what the samples say against the calibration.

    Stages: `original` in float (or where it is not known the quantized model without its quantizers),
    fake-quantized, its int8 TFLite file on this machine, and on `device` if that is another.
    """
    layer, task = find_quantized(model), tasks.of(dataset)
    assert layer is not None
    split = dataset.test.take(np.arange(min(JUDGED, len(dataset.test))))
    plain = evaluate(original, split, dataset.task) if original else _without_quantizers(model, layer, split, dataset)
    judged = evaluate(model, split, dataset.task)
    stages: list[tuple[str, float, Any]] = [
        ("float", plain.value, plain.figures),
        ("fake-quantized", judged.value, judged.figures),
    ]
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        path = export_tflite(model, name="int8").save(Path(folder) / "int8.tflite")
        for place in dict.fromkeys(("local", device)):
            value, figures, said = _of_file(path, dataset, split, place)
            stages.append((f"file, {place}", value, figures))
            notes += [note for note in said if note not in notes]
    before = [stages[0], *stages]
    points: list[Point] = [
        {"stage": stage, "metric": task.metric.name, "value": value, "change": value - previous,
         "lowest": _lowest(figures, dataset), "n": len(split)}
        for (stage, value, figures), (_, previous, _) in zip(stages, before, strict=False)
    ]  # fmt: skip
    return tuple(points), tuple(notes)


def _of_file(path: Path, dataset: Dataset, split: Split, place: str) -> tuple[float, Any, Sequence[str]]:
    """Return the metric of a file on a device, its figures by class, and the notes of the measurement."""
    known = {**to_measure(dataset), "inputs": split.x, "targets": split.y, "groups": split.group}
    run = measure.bench([path], baseline=path, **known, device=place, config=BenchConfig(latency=False))
    row = run.measured[path.name]
    if row["status"] != "ok":
        raise EdgewrightError(f"the file on {place}: {row['status']}: {row['reason']}")
    return row["value"], row.get("figures", {}), run.notes


def _without_quantizers(model: keras.Model, layer: QuantizedGraph, split: Split, dataset: Dataset) -> Any:
    """Judge what the graph computes in float, with the weights that were trained."""

    class Plain(keras.Model):
        def call(self, inputs: Any, training: Any = None) -> Any:
            return layer.execute(tree.flatten(inputs), quantize=False)

    given = in_order(model, split.x)
    answers = predict_all(Plain(name=model.name), given[0] if len(given) == 1 else given)
    return judge(answers, split, dataset.task, outputs_of(model), model.name)


def _lowest(figures: Any, dataset: Dataset) -> str:
    """Return the lowest recall of a class that occurs, of the first output that has any, with its name."""
    for head, counts in figures.items():
        if "support" not in counts:
            continue
        number = min((k for k, count in enumerate(counts["support"]) if count), key=lambda k: counts["recall"][k])
        names = dataset.named_labels.get(head) or ()
        return f"{counts['recall'][number]:.4f} of {names[number] if number < len(names) else number}"
    return ""


def _keep(kept: dict[int, np.ndarray]) -> Any:
    def keep(tensor: Tensor, value: Any) -> Any:
        kept[id(tensor)] = np.asarray(value)
        return value

    return keep


def _on_device(
    layer: QuantizedGraph, name: str, tensors: Sequence[Tensor], inputs: list[Any], device: str, format: str
) -> dict[int, np.ndarray]:
    """Return the real values of `tensors` as the exported file computes them, by id."""
    program = probed(lower(layer, name), tensors)
    content = WRITERS[format](program)
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        path = Path(folder) / f"probe.{format}"
        write(path, content)
        write_json(path.with_name(f"{path.name}.json"), {"name": "probe", "format": format, "precision": "w8a8-qat",
                                                         "sha256": sha256(content)})  # fmt: skip
        given = {array.name: np.asarray(x) for array, x in zip(program.inputs, inputs, strict=True)}
        flat = measure.answers(path, given, device=device)
    values, start = {}, 0
    for tensor in tensors:
        shape = program.arrays[id(tensor)].shape
        stop = start + int(np.prod(shape))
        values[id(tensor)] = _together(tensor, flat[:, start:stop].reshape(len(flat), *shape))
        start = stop
    return values


def _together(tensor: Tensor, samples: np.ndarray) -> np.ndarray:
    """Join what single samples gave along the axis where a batch has them; of weights alone all gave the same."""
    axis = next((axis for axis, size in enumerate(tensor.shape) if size is None), None)
    return samples[0] if axis is None else np.concatenate(list(samples), axis=axis)


def _row(
    layer: QuantizedGraph,
    fused: FusedOp,
    original: np.ndarray,
    trained: np.ndarray,
    device: np.ndarray,
    single: np.ndarray,
) -> Row:
    """Judge a fused operator by its first output: in float, fake-quantized, on the device, and fake-quantized from the
    inputs that it had there.
    """
    scale = layer.plan.scale_of(fused.outputs[0])
    assert fused.rule is not None and scale is not None
    low, high = (float(end) for end in layer.range(scale))
    size = (high - low) / steps(scale.bits)
    off = np.abs(np.round((device - trained) / size))
    kernel = np.abs(np.round((device - single) / size))
    slack = size / 2
    clipped = float(((original < low - slack) | (original > high + slack)).mean())
    used = len(np.unique(np.round(trained / size)))
    snr, within = _signal_to_noise(original, trained), float((kernel <= 1).mean())
    return Row(
        name=fused.name,
        operator=fused.rule.builtin_op,
        snr_db=snr,
        device_snr_db=_signal_to_noise(original, device),
        device_exact=float((off == 0).mean()),
        device_within_one=float((off <= 1).mean()),
        kernel_exact=float((kernel == 0).mean()),
        kernel_within_one=within,
        clipped=clipped,
        steps_used=used,
        cause=_cause(snr, within, clipped, used),
    )


def _signal_to_noise(original: np.ndarray, rounded: np.ndarray) -> float:
    """Return decibels, infinity where there is no error, minus infinity where there is no signal."""
    if np.array_equal(original, rounded):
        return float("inf")
    return decibels(original, rounded - original) if np.any(original) else float("-inf")


def _cause(snr: float, within: float, clipped: float, used: int) -> str:
    if within < KERNEL_BAR:
        return "kernel: rounds otherwise than in training"
    if clipped > CLIPPED:
        return f"saturation: {clipped:.1%} of the values lie outside the range"
    if snr < LOW_SNR_DB and used < COARSE_STEPS:
        return f"range: only {used} of 256 steps are used"
    return "rounding, its own and that before it" if snr < LOW_SNR_DB else ""


def picture(diagnosis: Diagnosis, format: str = "svg") -> bytes:
    """Draw the signal-to-noise ratio from the first step to the last, in training and on the device: svg, png, pdf."""
    import io

    from matplotlib.figure import Figure

    order = range(1, len(diagnosis.rows) + 1)
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    for label, style, key in (("on the device", "o", "device_snr_db"), ("fake-quantized", "-", "snr_db")):
        axes.plot(order, [min(getattr(row, key), 80) for row in diagnosis.rows], style, markersize=4, label=label)
    for row in diagnosis.worst[:3]:
        place = diagnosis.rows.index(row)
        axes.annotate(row.name, (place + 1, min(row.snr_db, 80)), xytext=(0, -14), textcoords="offset points",
                      ha="right" if place > len(diagnosis.rows) / 2 else "left", fontsize=8)  # fmt: skip
    axes.set(xlabel="step, in order of execution", ylabel="signal to noise against float (dB)", title=diagnosis.model)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper right")
    drawn = io.BytesIO()
    figure.savefig(drawn, format=format, dpi=150)
    return drawn.getvalue()


def _decibels(value: float) -> str:
    return f"{value:.1f}" if np.isfinite(value) else "exact" if value > 0 else "–"


__all__ = ["Diagnosis", "Row", "diagnose", "picture", "points_of"]

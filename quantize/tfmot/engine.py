"""TensorFlow Model Optimization (TFMOT) on Keras 3 models: its pruning, clustering and 8-bit QAT.

TFMOT knows Keras 2 alone. A functional Keras 3 model is described layer by layer, rebuilt in tf-keras with its weights
in a process of its own, checked there to compute the same, and trained by TFMOT. Pruned and clustered weights come
back into a Keras 3 model; QAT ends in an int8 TFLite file.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ...copies import copy_model
from ...errors import BadInput, EdgewrightError
from ...untyped import tree
from .model import Description, describe, refusal

LOSSES = ("sparse_categorical_crossentropy", "mean_squared_error")
SCHEDULES = ("polynomial", "constant")
_PROBES = 8


@dataclass(frozen=True, kw_only=True)
class TfmotTraining:
    """How TFMOT's model is trained, by Adam. loss: one of `LOSSES`; the first takes class numbers and logits."""

    loss: str = LOSSES[0]
    epochs: int = 1
    batch_size: int = 32
    learning_rate: float = 1e-4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise BadInput(f"TfmotTraining: loss={self.loss!r} is unknown; allowed: {', '.join(LOSSES)}")
        for name, least in (("epochs", 0), ("batch_size", 1)):
            if getattr(self, name) < least:
                raise BadInput(f"TfmotTraining: {name}={getattr(self, name)} must be at least {least}")


@dataclass(frozen=True)
class TfmotReport:
    """What TFMOT did to each layer: rows of `{name, type, WHAT, reason}`, where WHAT, the outcome, is None and `reason`
    says why if the layer is as before.

    what: "sparsity" (share of zeros in its kernels), "clusters" (distinct values in its fullest kernel) or "precision".
    """

    what: str
    rows: tuple[dict[str, Any], ...]

    def __str__(self) -> str:
        done = [row for row in self.rows if row[self.what] is not None]
        lines = [f"TFMOT changed {len(done)} of {len(self.rows)} layers"]
        lines += [f"  {row['name']}: {self.what} {row[self.what]}" for row in done]
        lines += [f"  {row['name']}: {row['reason']}" for row in self.rows if row[self.what] is None]
        return "\n".join(lines)


@dataclass(frozen=True)
class TfmotQuantized:
    """An int8 TFLite file, and what the fake-quantized model in tf-keras returned for the samples to judge by.

    sparsity: share of exact zeros in its kernels; TFMOT's QAT does not keep those of a pruned model.
    """

    data: bytes
    outputs: Any  # (N, ...) or None
    sparsity: float


def prune(
    model: keras.Model, x: Any, y: np.ndarray, *, sparsity: float = 0.5, schedule: str = "polynomial",
    begin_step: int = 0, end_step: int = 1000, frequency: int = 50, training: TfmotTraining | None = None,
) -> tuple[keras.Model, TfmotReport]:  # fmt: skip
    """Train under `prune_low_magnitude` and return a pruned copy of `model`, and a report.

    x, y: samples (a list of arrays for several inputs) and targets.  schedule and steps: as in PruneConfig.
    Raises: BadInput listing each layer that tf-keras or TFMOT refuses, with the reason.
    """
    if not 0 <= sparsity < 1:
        raise BadInput(f"sparsity={sparsity} must lie in [0, 1)")
    if schedule not in SCHEDULES:
        raise BadInput(f"schedule={schedule!r} is unknown; allowed: {', '.join(SCHEDULES)}")
    options = {"sparsity": sparsity, "schedule": schedule, "begin_step": begin_step, "end_step": end_step,
               "frequency": frequency}  # fmt: skip
    pruned, layers = _retrained("prune", model, (x, y), options, training)
    rows = [_row(layer, "sparsity", _sparsity(layer), "none of its weights became zero") for layer in layers]
    return pruned, TfmotReport("sparsity", tuple(rows))


def cluster(
    model: keras.Model, x: Any, y: np.ndarray, *, clusters: int = 16, training: TfmotTraining | None = None
) -> tuple[keras.Model, TfmotReport]:
    """Train under `cluster_weights` and return a copy of `model` whose kernels hold `clusters` values, and a report.

    x, y, Raises: as in `prune`.
    """
    if clusters < 2:
        raise BadInput(f"clusters={clusters} must be at least 2")
    clustered, layers = _retrained("cluster", model, (x, y), {"clusters": clusters}, training)
    rows = [_row(layer, "clusters", _clusters(layer, clusters), "not clustered") for layer in layers]
    return clustered, TfmotReport("clusters", tuple(rows))


def qat(
    model: keras.Model, x: Any, y: np.ndarray, *, training: TfmotTraining | None = None, judge: Any = None
) -> tuple[TfmotQuantized, TfmotReport]:
    """Train under `quantize_model` and return the int8 TFLite file, float32 at its borders, and a report.

    judge: samples whose fake-quantized outputs are returned as well.  x, y, Raises: as in `prune`.
    """
    done = _run("qat", model, (x, y), {}, training, judge)
    rows = [_row(layer, "precision", "w8a8", "") for layer in done.description.sources]
    quantized = TfmotQuantized(done.file, done.arrays.get("outputs"), float(done.arrays["sparsity"]))
    return quantized, TfmotReport("precision", tuple(rows))


@dataclass(frozen=True)
class _Done:
    description: Description
    arrays: dict[str, np.ndarray]
    file: bytes


def _retrained(
    kind: str, model: keras.Model, data: tuple[Any, np.ndarray], options: dict[str, Any],
    training: TfmotTraining | None,
) -> tuple[keras.Model, list[keras.Layer]]:  # fmt: skip
    """Return a copy of `model` with the weights that TFMOT gave it, and its layers."""
    done = _run(kind, model, data, options, training)
    copy = copy_model(model)
    layers = describe(copy).sources
    for number, layer in enumerate(layers):
        layer.set_weights([done.arrays[f"{number}/{index}"] for index in range(len(layer.weights))])
    return copy, layers


def _run(
    kind: str, model: keras.Model, data: tuple[Any, np.ndarray], options: dict[str, Any],
    training: TfmotTraining | None, judge: Any = None,
) -> _Done:  # fmt: skip
    _require_packages()
    description = describe(model)
    arrays = {**description.weights(), **_samples(model, description, *data, judge)}
    job = {"kind": kind, "model": description.to_json(), "options": options,
           "training": asdict(training or TfmotTraining())}  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="edgewright-") as name:
        folder = Path(name)
        np.savez(folder / "arrays.npz", allow_pickle=False, **arrays)
        (folder / "job.json").write_text(json.dumps(job))
        _work(folder, model)
        with np.load(folder / "result.npz", allow_pickle=False) as result:
            found = {key: result[key] for key in result.files}
        file = folder / "model.tflite"
        return _Done(description, found, file.read_bytes() if file.exists() else b"")


def _samples(model: keras.Model, description: Description, x: Any, y: np.ndarray, judge: Any) -> dict[str, Any]:
    """Return the samples of a job by name, with a probe and what `model` makes of it."""
    inputs = _as_list(x)
    if len(inputs) != len(description.inputs) or any(len(each) != len(y) for each in inputs):
        raise BadInput(
            f"x: {[each.shape for each in inputs]} does not fit a model of {len(description.inputs)} inputs and "
            f"{len(y)} targets; give one array per input, each as long as y"
        )
    probe = [each[:_PROBES] for each in inputs]
    expected = model(keras.tree.pack_sequence_as(model.input, probe), training=False)
    named = {"x": inputs, "probe": probe, "expected": tree.flatten(expected), "judge": _as_list(judge)}
    return {"y": y} | {
        f"{name}/{index}": keras.ops.convert_to_numpy(value)
        for name, values in named.items()
        for index, value in enumerate(values)
    }


def _work(folder: Path, model: keras.Model) -> None:
    """Run the worker on `folder`. Raises: BadInput for what it refuses, EdgewrightError if it fails or dies."""
    command = [sys.executable, "-P", str(Path(__file__).with_name("worker.py")), str(folder)]
    with open(folder / "log", "w+b") as log:
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, check=False)
        log.seek(0)
        words = log.read().decode(errors="replace").strip().splitlines()
    answer = folder / "answer.json"
    if not answer.exists():
        raise EdgewrightError(
            f"the TFMOT process died with status {ended.returncode}: {words[-1] if words else 'it wrote nothing'}"
        )
    said = json.loads(answer.read_text())
    if "refused" in said:
        raise BadInput(refusal(model, said["refused"]))
    if "error" in said:
        raise EdgewrightError(f"TFMOT failed on model {model.name!r}: {said['error']}")


def missing_packages() -> list[str]:
    """Return which of the packages that TFMOT needs are not installed."""
    packages = {"tensorflow_model_optimization": "tensorflow-model-optimization", "tf_keras": "tf-keras"}
    return [name for module, name in packages.items() if importlib.util.find_spec(module) is None]


def _require_packages() -> None:
    if missing := missing_packages():
        raise BadInput(
            f"engine tfmot needs {' and '.join(missing)}: pip install tensorflow-model-optimization tf-keras"
        )


def _as_list(samples: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in tree.flatten(samples) if leaf is not None]


def _row(layer: keras.Layer, what: str, outcome: Any, reason: str) -> dict[str, Any]:
    if not layer.weights and what != "precision":
        outcome, reason = None, "has no weights"
    row = {"name": layer.name, "type": type(layer).__name__, what: outcome}
    return {**row, "reason": reason if outcome is None else ""}


def _kernels(layer: keras.Layer) -> list[np.ndarray]:
    return [np.asarray(weight) for weight in layer.get_weights() if weight.ndim > 1]


def _sparsity(layer: keras.Layer) -> float | None:
    kernels = _kernels(layer)
    zeros = sum(int((kernel == 0).sum()) for kernel in kernels)
    return zeros / sum(kernel.size for kernel in kernels) if zeros else None


def _clusters(layer: keras.Layer, most: int) -> int | None:
    distinct = max((len(np.unique(kernel)) for kernel in _kernels(layer)), default=0)
    return distinct if 0 < distinct <= most else None


__all__ = ["TfmotQuantized", "TfmotReport", "TfmotTraining", "cluster", "missing_packages", "prune", "qat"]

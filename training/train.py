"""Train a Keras model in place, so that a run can be killed at any moment and goes on to the same bits."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..errors import BadInput
from ..metrics import METRICS
from . import learners, tasks
from .config import TrainConfig
from .data import Dataset, Split, load
from .state import Row, RunDir, fingerprint

UNCOMPILED, UNCOMPILED_BATCH = 1000, 128  # samples that are run without compiling, and how many at once

__all__ = ["Evaluation", "TrainConfig", "TrainResult", "data_for", "evaluate", "train"]


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What training came to.

    history: one dict an epoch. metric, outputs (N, ...): of the kept epoch on the test split, which chose nothing.
    epochs: trained, a resumed run's earlier ones included. seconds: of this call.
    """

    history: list[Row]
    metric_name: str
    metric: float
    outputs: np.ndarray = field(repr=False)
    epochs: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A model judged on a split: the metric's value, its scores (N, k) per sample, the outputs (N, ...)."""

    metric_name: str
    value: float
    scores: np.ndarray
    outputs: np.ndarray


def train(
    model: "keras.Model | Mapping[str, keras.Model]",
    data: str | Dataset,
    config: TrainConfig | None = None,
    *,
    task: str | None = None,
    learner: str = "fit",
    out: str | Path | None = None,
    limit: int | None = None,
) -> TrainResult:
    """Train any keras.Model in place; keep the best epoch's weights.

    Of several networks (a dict, for a learner of several) the first takes the data as its input and is judged.

    data: a Dataset, or a name or `pkg.module:function` that `data_for` loads to the model's input. task: None for the
    data's own. out: folder for checkpoint, logs and learning curve; the same call after a kill goes on from the last
    checkpoint to the same bits, on the same backend and machine, if randomness lives in keras.random.SeedGenerators (as
    that of Keras' layers does). The random states of Python, NumPy and the backend are set from config.seed.
    Raises: BadInput for data that does not fit or an `out` of another run, EdgewrightError if training diverges.
    """
    config = config or TrainConfig()
    start = time.monotonic()
    networks = dict(model) if isinstance(model, Mapping) else {model.name: model}
    first = next(iter(networks.values()))
    dataset = data_for(first, data, task=task, limit=limit, seed=config.seed)
    row = tasks.get(dataset.task)
    _seed(config)
    run = RunDir(out, _identity(networks, dataset, learner, config))
    history = learners.get(learner)(networks, dataset, row, config, run)
    judged = evaluate(first, dataset.test, row.name)
    return TrainResult(
        history=history,
        metric_name=judged.metric_name,
        metric=judged.value,
        outputs=judged.outputs,
        epochs=len(history),
        seconds=time.monotonic() - start,
    )


def evaluate(model: keras.Model, split: Split, task: str, batch_size: int = 256) -> Evaluation:
    """Judge `model` on `split` by the task's metric; of several named outputs the first is judged.

    Raises: BadInput if an anomaly detector is judged on a split without labels (training and validation hold normal
    samples only).
    """
    metric = METRICS[tasks.get(task).metric]
    outputs = predict(model, split.x, batch_size)
    if task == "anomaly_detection" and split.y[0].size != outputs[0].size + 1:
        raise BadInput(
            "this split has no anomaly labels behind its samples; judge an anomaly detector on the test split"
        )
    scores = metric.scores(outputs, split.y)
    return Evaluation(metric_name=metric.name, value=metric.reduce(scores), scores=scores, outputs=outputs)


def predict(model: keras.Model, x: Any, batch_size: int = 256) -> np.ndarray:
    """Return the outputs (N, ...) of `model` for samples x; of several named outputs the first.

    Few samples are run operation by operation: compiling a deep model for them takes longer than running it.
    """
    count = len(keras.tree.flatten(x)[0])
    if count <= UNCOMPILED and keras.backend.backend() == "tensorflow":

        def some(start: int) -> Any:
            return keras.tree.map_structure(lambda array: array[start : start + UNCOMPILED_BATCH], x)

        return np.concatenate(
            [np.asarray(_first(model(some(start), training=False))) for start in range(0, count, UNCOMPILED_BATCH)]
        )
    return np.asarray(_first(model.predict(x, batch_size=batch_size, verbose=0)))  # pyright: ignore[reportArgumentType]


def _first(outputs: Any) -> Any:
    return next(iter(outputs.values())) if isinstance(outputs, Mapping) else outputs


def data_for(
    model: keras.Model,
    data: str | Dataset,
    *,
    task: str | None = None,
    limit: int | None = None,
    test_limit: int | None = None,
    seed: int = 0,
) -> Dataset:
    """Load data as the model takes it: its input's shape, dtype and, where an Embedding reads the input, vocabulary."""
    return load(data, **_takes(model), task=task, limit=limit, test_limit=test_limit, seed=seed)


def _takes(model: keras.Model) -> dict[str, Any]:
    """Return shape, dtype and vocabulary of a single-input model; open dimensions leave the shape to the data set."""
    inputs = model.inputs
    if not inputs:
        raise BadInput(f"model {model.name!r} has no inputs yet; build it, or call it once, before training")
    if len(inputs) > 1:
        return {}
    (symbol,) = inputs
    shape = tuple(symbol.shape[1:])
    readers = [
        layer.input_dim for layer in model.layers if isinstance(layer, keras.layers.Embedding) and layer.input is symbol
    ]
    return {
        "input_shape": None if None in shape else shape,
        "dtype": keras.backend.standardize_dtype(symbol.dtype),
        "vocabulary": min(readers, default=None),
    }


def _seed(config: TrainConfig) -> None:
    keras.utils.set_random_seed(config.seed)
    if config.deterministic and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()  # costs nothing measurable on a CPU; a GPU needs it


def _identity(
    networks: Mapping[str, keras.Model], dataset: Dataset, learner: str, config: TrainConfig
) -> dict[str, Any]:
    """Return what a checkpoint belongs to. Initial weights are not part of it: nobody has them after a kill."""
    inputs = dataset.train.x.values() if isinstance(dataset.train.x, Mapping) else [dataset.train.x]
    return {
        "config": asdict(config),
        "learner": learner,
        "backend": keras.backend.backend(),
        "data": {
            "name": dataset.name,
            "task": dataset.task,
            "content": fingerprint(*inputs, dataset.train.y, dataset.validation.y),
        },
        "networks": {
            name: [[list(v.shape), keras.backend.standardize_dtype(v.dtype)] for v in model.variables]
            for name, model in networks.items()
        },
    }

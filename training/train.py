"""Train a Keras model in place, so that a run can be killed at any moment and goes on to the same bits."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from .. import metrics
from ..errors import BadInput
from . import learners, tasks
from .answers import built, outputs_of, places_of
from .config import TrainConfig
from .data import Dataset, Input, Output, Split, load
from .state import Row, RunDir, fingerprint

UNCOMPILED, UNCOMPILED_BATCH = 1000, 128  # samples that are run without compiling, and how many at once

__all__ = ["Evaluation", "TrainConfig", "TrainResult", "data_for", "evaluate", "train"]


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What training came to.

    history: one dict an epoch. metric, outputs (N, ...): of the kept epoch on the test split, which chose nothing.
    judged: the whole evaluation. epochs: trained, a resumed run's earlier ones included. seconds: of this call.
    """

    history: list[Row]
    metric_name: str
    metric: float
    outputs: np.ndarray = field(repr=False)
    epochs: int
    seconds: float
    judged: "Evaluation | None" = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A model judged on a split: the metric's value, its scores (N, k) per sample, the outputs (N, ...).

    figures: by output (a lone one: ""), what the metric does not tell: precision, recall and F1 by class, AUC
    (see `metrics.figures`). all_outputs: of a model with several, by name; `outputs` is the first.
    """

    metric_name: str
    value: float
    scores: np.ndarray
    outputs: np.ndarray
    figures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    all_outputs: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)


def train(
    model: "keras.Model | Mapping[str, keras.Model]",
    data: Any,
    config: TrainConfig | None = None,
    *,
    task: str | None = None,
    learner: str = "fit",
    out: str | Path | None = None,
    limit: int | None = None,
) -> TrainResult:
    """Train any keras.Model in place; keep the best epoch's weights.

    Of several networks (a dict, for a learner of several) the first takes the data as its input and is judged.

    data: a Dataset, or what `data_for` loads to the model's input: a name, `pkg.module:function`, arrays or frames.
    task: None for the data's own. out: folder for checkpoint, logs and learning curve; the same call after a kill goes
    on from the last checkpoint to the same bits, on the same backend and machine, if randomness lives in
    keras.random.SeedGenerators (as that of Keras' layers does). The random states of Python, NumPy and the backend are
    set from config.seed.
    Raises: BadInput for data that does not fit or an `out` of another run, EdgewrightError if training diverges.
    """
    config = config or TrainConfig()
    start = time.monotonic()
    networks = dict(model) if isinstance(model, Mapping) else {model.name: model}
    name, first = next(iter(networks.items()))
    networks[name], dataset = prepared(first, data, task=task, limit=limit, seed=config.seed)
    first = networks[name]
    row = tasks.of(dataset)
    _seed(config)
    run = RunDir(out, _identity(networks, dataset, learner, config))
    history = learners.get(learner)(networks, dataset, row, config, run)
    judged = evaluate(first, dataset.test, row.name)
    return TrainResult(
        history=history,
        metric_name=judged.metric_name,
        metric=judged.value,
        outputs=judged.outputs,
        judged=judged,
        epochs=len(history),
        seconds=time.monotonic() - start,
    )


def evaluate(model: keras.Model, split: Split, task: str, batch_size: int = 256) -> Evaluation:
    """Judge `model` on `split` by the task's metric; of several outputs all that have targets, by the mean of theirs.

    One target for a model of several outputs is that of the first.
    Raises: BadInput if an anomaly detector is judged on a split without labels (training and validation hold normal
    samples only).
    """
    answers = predict_all(model, split.x, batch_size)
    return judge(answers, split, task, outputs_of(built(model, split.x)), model.name)


def judge(answers: Sequence[np.ndarray], split: Split, task: str, outputs: Sequence[Output], name: str) -> Evaluation:
    """Judge what the model `name` answers at each of its `outputs` to the samples of `split`, see `evaluate`."""
    metric = metrics.get(tasks.get(task).metric)
    targets = split.y if isinstance(split.y, Mapping) else {"": split.y}
    places = {"": 0} if list(targets) == [""] else places_of(list(targets), outputs, name)
    if task == "anomaly_detection" and split.y[0].size != answers[0][0].size + 1:
        raise BadInput(
            "this split has no anomaly labels behind its samples; judge an anomaly detector on the test split"
        )
    given, figures = [], {}
    for own, (head, truth) in zip(metric.each, targets.items(), strict=True):
        ending, values = outputs[places[head]].ending, answers[places[head]]
        probable = metrics.are_probabilities(values) if ending is None else ending == "sigmoid"
        given.append(metrics.centred(own, values, probable))
        figures[head] = metrics.figures(own, given[-1], truth)
    scores = metric.scores(given, list(targets.values())) if metric.heads else metric.scores(given[0], split.y)
    return Evaluation(
        metric_name=metric.name,
        value=metric.reduce(scores),
        scores=scores,
        outputs=answers[0],
        figures=figures,
        all_outputs={output.name: values for output, values in zip(outputs, answers, strict=True)},
    )


def predict(model: keras.Model, x: Any, batch_size: int = 256) -> np.ndarray:
    """Return the outputs (N, ...) of `model` for samples x; of several outputs the first."""
    return predict_all(model, x, batch_size)[0]


def predict_all(model: keras.Model, x: Any, batch_size: int = 256) -> list[np.ndarray]:
    """Return every output (N, ...) of `model` for samples x, in the order of `model.outputs`.

    Few samples are run operation by operation: compiling a deep model for them takes longer than running it.
    """
    count = len(keras.tree.flatten(x)[0])
    if count <= UNCOMPILED and keras.backend.backend() == "tensorflow":

        def some(start: int) -> Any:
            return keras.tree.map_structure(lambda array: array[start : start + UNCOMPILED_BATCH], x)

        batches = [
            keras.tree.flatten(model(some(start), training=False)) for start in range(0, count, UNCOMPILED_BATCH)
        ]
        return [np.concatenate([np.asarray(one) for one in parts]) for parts in zip(*batches, strict=True)]
    answers = model.predict(x, batch_size=batch_size, verbose=0)  # pyright: ignore[reportArgumentType]
    return [np.asarray(one) for one in keras.tree.flatten(answers)]


def data_for(
    model: keras.Model,
    data: Any,
    *,
    task: str | None = None,
    limit: int | None = None,
    test_limit: int | None = None,
    seed: int = 0,
) -> Dataset:
    """Load data as the model takes it: its input's shape, dtype and, where an Embedding reads the input, vocabulary.

    Lists and columns feed its inputs in order and by name; its outputs tell how targets are meant.
    """
    return prepared(model, data, task=task, limit=limit, test_limit=test_limit, seed=seed)[1]


def prepared(model: keras.Model, data: Any, **asked: Any) -> tuple[keras.Model, Dataset]:
    """Return the model, built from the samples where it has no inputs yet (see `built`), and the data for it."""
    if not getattr(model, "inputs", None):
        model = built(model, load(data, task=asked.get("task")).train.x)
    return model, load(data, **takes(model), **asked)


def takes(model: keras.Model) -> dict[str, Any]:
    """Return what `data.load` is told of a model: inputs and outputs, and of a lone input shape, dtype and vocabulary.

    Open dimensions leave the shape to the data set.
    """
    inputs = model.inputs
    known: dict[str, Any] = {
        "inputs": tuple(
            Input(name=one.name, shape=tuple(one.shape[1:]), dtype=keras.backend.standardize_dtype(one.dtype))
            for one in inputs
        ),
        "outputs": outputs_of(model),
    }
    if len(inputs) > 1:
        return known
    (symbol,) = inputs
    shape = tuple(symbol.shape[1:])
    readers = [
        layer.input_dim for layer in model.layers if isinstance(layer, keras.layers.Embedding) and layer.input is symbol
    ]
    return known | {
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
            "content": fingerprint(*inputs, *keras.tree.flatten((dataset.train.y, dataset.validation.y))),
        },
        "networks": {
            name: [[list(v.shape), keras.backend.standardize_dtype(v.dtype)] for v in model.variables]
            for name, model in networks.items()
        },
    }

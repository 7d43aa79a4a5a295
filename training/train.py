"""Train a Keras model in place, so that a run can be killed at any moment and goes on to the same bits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..errors import BadInput
from . import learners, tasks
from .answers import built, outputs_of
from .config import TrainConfig
from .data import Dataset, Output, Split
from .data.dataset import oversampled
from .distillation import Distillation
from .presented import data_for, prepared, takes
from .restraints import restrained
from .runner import Deployed, KerasRunner, predict, predict_all
from .state import Row, RunDir, digest_of_weights, fingerprint
from .tasks import Evaluation, Networks, Supervised, Task

__all__ = ["Evaluation", "TrainConfig", "TrainResult", "data_for", "evaluate", "judge", "judged", "predict",
           "predict_all", "prepared", "takes", "train"]  # fmt: skip


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
    judged: Evaluation | None = field(default=None, repr=False)


def train(
    model: keras.Model | Networks,
    data: Any,
    config: TrainConfig | None = None,
    *,
    task: str | None = None,
    learner: str = "fit",
    out: str | Path | None = None,
    limit: int | None = None,
    deploy: Sequence[Deployed] = (),
    complete: Callable[[Networks], Networks] = dict,
    teaching: Distillation | None = None,
) -> TrainResult:
    """Train a keras.Model, or several by name, in place; keep the best epoch's weights.

    data: a Dataset, or what the task presents: a name, `pkg.module:function`, arrays or frames.
    task: None for the data's own. out: folder for checkpoint, logs and learning curve; the same call after a kill goes
    on from the last checkpoint to the same bits, on the same backend and machine, if randomness lives in
    keras.random.SeedGenerators (as that of Keras' layers does). The random states of Python, NumPy and the backend are
    set from config.seed.
    deploy, complete: for judging; which states a network has, and the trained networks -> all that the task runs, with
    those that take their weights from them.
    teaching: a teacher whose answers are learned too; teacher and samples without a label lie in memory.
    Raises: BadInput for data that does not fit or an `out` of another run, EdgewrightError if training diverges.
    """
    config = config or TrainConfig()
    start = time.monotonic()
    networks = dict(model) if isinstance(model, Mapping) else {model.name: model}
    networks, dataset = _presented(networks, data, task, limit=limit, seed=config.seed)
    row = tasks.of(dataset)
    if config.oversample:
        dataset = oversampled(dataset, config.seed)
    _seed(config)
    run = RunDir(out, _identity(networks, dataset, learner, config) | taught_by(teaching))
    with restrained(networks, config):
        history = learners.get(learner)(networks, dataset, row, config, run, teaching=teaching)
    result = judged(complete(networks), dataset, row, deploy)
    return TrainResult(
        history=history,
        metric_name=result.metric_name,
        metric=result.value,
        outputs=result.outputs,
        judged=result,
        epochs=len(history),
        seconds=time.monotonic() - start,
    )


def _presented(
    networks: dict[str, keras.Model], data: Any, task: str | None, **asked: Any
) -> tuple[dict[str, keras.Model], Dataset]:
    """Return the networks, the first built where it was not, and the data as their task presents them."""
    known = tasks.get(task) if task is not None else None
    if known is not None and not isinstance(known, Supervised):
        return networks, known.present(data, networks, **asked)
    if isinstance(data, Dataset) and not isinstance(tasks.of(data), Supervised):
        return networks, data
    name, first = next(iter(networks.items()))
    built_first, dataset = prepared(first, data, network=name, task=task, **asked)
    return {**networks, name: built_first}, dataset


def judged(
    networks: Networks, dataset: Dataset, task: Task | None = None, deploy: Sequence[Deployed] = ()
) -> Evaluation:
    """Judge networks on the test split by their task; of a supervised one the first, with outputs and figures.

    Of other tasks `outputs` is empty, and `units` tells whose each row of the scores is.
    """
    task = task or tasks.of(dataset)
    if isinstance(task, Supervised):
        return evaluate(next(iter(networks.values())), dataset.test, task.name)
    scores = task.evaluate(KerasRunner(networks, deploy), dataset)
    return Evaluation(
        metric_name=task.metric.name,
        value=float(task.metric.reduce(scores.rows)),
        scores=scores.rows,
        outputs=np.zeros(0, np.float32),
        units=scores.unit,
    )


def evaluate(model: keras.Model, split: Split, task: str, batch_size: int = 256) -> Evaluation:
    """Judge `model` on `split` by the task's metric; of several outputs all that have targets, by the mean of theirs.

    One target for a model of several outputs is that of the first.
    Raises: BadInput if an anomaly detector is judged on a split without labels (training and validation hold normal
    samples only), or the task is not one of samples and targets (see `judged`).
    """
    answers = predict_all(model, split.x, batch_size)
    return judge(answers, split, task, outputs_of(built(model, split.x)), model.name)


def judge(answers: Sequence[np.ndarray], split: Split, task: str, outputs: Sequence[Output], name: str) -> Evaluation:
    """Judge what the model `name` answers at each of its `outputs` to the samples of `split`, see `evaluate`."""
    row = tasks.get(task)
    if not isinstance(row, Supervised):
        raise BadInput(f"task {task!r} judges no samples by themselves; `judged` takes the networks and the data set")
    return row.judged(answers, split, outputs, name)


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


def taught_by(teaching: Distillation | None) -> dict[str, Any]:
    """Return what a checkpoint says of the teacher that its run had: settings, and digests of what lies in memory."""
    if teaching is None:
        return {}
    networks = teaching.teacher if isinstance(teaching.teacher, Mapping) else {"": teaching.teacher}
    samples = [] if teaching.unlabelled is None else keras.tree.flatten(teaching.unlabelled)
    return {
        "teaching": {
            "temperature": teaching.temperature,
            "alpha": teaching.alpha,
            "features": teaching.features,
            "beta": teaching.beta,
            **({"untold": teaching.of_untold} if teaching.of_untold else {}),
            "teacher": {name: digest_of_weights(network) for name, network in networks.items()},
            "unlabelled": fingerprint(*samples) if samples else None,
        }
    }

"""The stages of pruning and QAT done by TensorFlow Model Optimization, beside ours (`--engine tfmot`)."""

from __future__ import annotations

import keras
import numpy as np

from ..errors import BadInput
from ..export.artifact import Artifact, make_manifest
from ..prune import PruneConfig
from ..quantize.tfmot import engine as tfmot
from ..training.answers import in_order
from ..training.config import TrainConfig
from ..training.data import Dataset, Split
from ..training.tasks import TASKS, targets_of
from .pruning import scheduled


def prune_with_tfmot(
    model: keras.Model, config: PruneConfig, dataset: Dataset, training: TrainConfig
) -> tuple[keras.Model, tfmot.TfmotReport]:
    """Return `model` pruned by TensorFlow Model Optimization while it trains on `dataset`, and a report of every layer.

    Raises: BadInput if `config` treats layers apart, or TFMOT cannot take one of them.
    """
    if config.by_name or config.by_type or config.sparsity is None:
        raise BadInput("engine tfmot prunes every layer alike: give PruneConfig sparsity alone, no by_name and by_type")
    plain = PruneConfig()
    for name in ("pattern", "criterion", "regrow", "patterns"):
        if (value := getattr(config, name)) != getattr(plain, name):
            raise BadInput(
                f"PruneConfig: {name}={value!r}: engine tfmot prunes single weights by magnitude; leave it out"
            )
    plan = scheduled(config, training, dataset)
    return tfmot.prune(
        model,
        *_for_tfmot(model, dataset.train, dataset.task),
        sparsity=config.sparsity,
        schedule=plan.schedule,
        begin_step=plan.begin_step,
        end_step=plan.end_step,
        frequency=plan.frequency,
        training=_training_for_tfmot(dataset, training),
    )


def quantize_with_tfmot(
    model: keras.Model, dataset: Dataset, training: TrainConfig
) -> tuple[Artifact, tfmot.TfmotReport, float]:
    """Return the int8 TFLite file of TFMOT's QAT on `dataset`, a report, and the metric of its fake-quantized model."""
    metric = TASKS[dataset.task].metric
    quantized, found = tfmot.qat(
        model,
        *_for_tfmot(model, dataset.train, dataset.task),
        training=_training_for_tfmot(dataset, training),
        judge=in_order(model, dataset.test.x),
    )
    value = metric.reduce(metric.scores(quantized.outputs, dataset.test.y))
    manifest = make_manifest(
        quantized.data,
        model,
        name=f"{model.name}-w8a8-qat-tfmot",
        format="tflite",
        precision="w8a8-qat",
        sparsity=quantized.sparsity,
        engine="tfmot",
        task=dataset.task,
        preprocessing=dataset.preprocessing,
        metrics={metric.name: value},
    )
    return Artifact(quantized.data, manifest), found, value


def _for_tfmot(model: keras.Model, split: Split, task: str) -> tuple[list[np.ndarray], np.ndarray]:
    if task not in ("classification", "regression", "reconstruction"):
        raise BadInput(f"engine tfmot trains classification, regression and reconstruction, not {task}; leave it out")
    return in_order(model, split.x), targets_of(TASKS[task], split, model.output_shape[1:])


def _training_for_tfmot(dataset: Dataset, training: TrainConfig) -> tfmot.TfmotTraining:
    batch_size = training.batch_for(len(dataset.train))
    return tfmot.TfmotTraining(
        loss="sparse_categorical_crossentropy" if TASKS[dataset.task].labelled else "mean_squared_error",
        epochs=training.passes * training.epochs_for(training.passes * -(-len(dataset.train) // batch_size)),
        batch_size=batch_size,
        learning_rate=training.learning_rate,
        seed=training.seed,
    )

"""Pre-training layer by layer: each learns to say again what it is given, by a decoder of its own, then all go on.

Pruning and QAT go on without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from ...keras_internals import dense_in
from ..config import TrainConfig
from ..data import Dataset, Split
from ..distillation import Distillation
from ..losses import squared_error
from ..state import Row, RunDir
from ..tasks import Objective
from ..tasks.autoencoding import DECODER, ENCODER
from .autoencoding import Penalties, autoencoding
from .fit import around_fit, fit
from .fitting import FitOverrides
from .minimise import minimise
from .register import Networks, learner

OBJECTIVE = Objective(name="layer", loss=squared_error)


class Pair(keras.Model):
    """A layer, and what says again what it was given: layers of two networks, which may have one name."""

    def __init__(self, name: str, layer: keras.Layer, decoder: keras.Layer):
        super().__init__(name=name)
        self.layer, self.decoder = layer, decoder

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Say again what is given."""
        return self.decoder(self.layer(inputs))


def pretrain(pairs: Sequence[Pair], x: np.ndarray, held_out: np.ndarray, config: TrainConfig, run: RunDir) -> None:
    """Train each pair in turn on what the layers before it make of samples.

    Each has as many epochs as `config` gives the whole on as many samples, divided by the pairs.  Source: Bengio 2007,
    Greedy layer-wise training of deep networks.
    """
    for pair in pairs:
        judged = Split(x=held_out, y=held_out)
        data = Dataset(name=pair.name, task=OBJECTIVE.name, train=Split(x=x, y=x), validation=judged, test=judged)
        steps = max(1, len(x) // config.batch_for(len(x)))
        settings = replace(config, epochs=max(1, config.epochs_for(steps) // len(pairs)), passes=1, patience=None,
                           enough=None, class_weights=None, augment=False)  # fmt: skip
        pair(x[:1])  # makes what has no weights yet
        minimise(_overrides, {pair.name: pair}, data, OBJECTIVE, settings, run.part(pair.name))
        x, held_out = (np.asarray(pair.layer(given)) for given in (x, held_out))


def _overrides(*given: Any) -> FitOverrides:
    return FitOverrides(loss=keras.losses.MeanSquaredError(), targets=lambda split: split.y)


@learner(
    "stacked_autoencoding",
    validate=autoencoding.validate,
    best_epoch=autoencoding.best_epoch,
    tuner="autoencoding",
    options=Penalties,
)
def stacked_autoencoding(
    networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, run: RunDir, *, options: Penalties
) -> list[Row]:
    """Pre-train each layer of the encoder with the layer of the decoder that mirrors it, then all as "autoencoding"."""
    halves = (dense_in(networks[ENCODER]), reversed(dense_in(networks[DECODER])))
    pairs = [Pair(f"layer_{place}", *both) for place, both in enumerate(zip(*halves, strict=True), 1)]
    pretrain(pairs, np.asarray(dataset.train.x), np.asarray(dataset.validation.x), config, run)
    return autoencoding.fit(networks, dataset, task, config, run, options=options)


@around_fit("stacked_classification", tuner="fit")
def stacked_classification(
    networks: Networks,
    dataset: Dataset,
    task: Any,
    config: TrainConfig,
    run: RunDir,
    *,
    teaching: Distillation | None = None,
) -> list[Row]:
    """Pre-train hidden layers, drop their decoders, train the last layer on labels, the others frozen, then all.

    The samples without a label that the data set has are learned from first.
    """
    (classifier,) = networks.values()
    *hidden, _ = dense_in(classifier)
    unlabelled = dataset.train.x if dataset.unlabelled is None else dataset.unlabelled
    pairs = [
        Pair(
            f"layer_{place}",
            layer,
            keras.layers.Dense(
                layer.kernel.shape[0],
                kernel_initializer=keras.initializers.GlorotUniform(config.seed + place),  # pyright: ignore[reportArgumentType]
                name=f"{layer.name}_decoder",
            ),
        )
        for place, layer in enumerate(hidden, 1)
    ]
    pretrain(pairs, np.asarray(unlabelled), np.asarray(dataset.validation.x), config, run)
    steps = max(1, len(dataset.train) // config.batch_for(len(dataset.train))) * config.passes
    few = replace(config, epochs=max(1, config.epochs_for(steps) // 4))
    for layer in hidden:
        layer.trainable = False
    minimise(fit, networks, dataset, task, few, run.part("frozen"))
    for layer in hidden:
        layer.trainable = True
    return minimise(fit, networks, dataset, task, config, run, teaching=teaching)

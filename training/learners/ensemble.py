"""Bagging: the members of an ensemble see different samples."""

from __future__ import annotations

import keras
import numpy as np

from ...keras_internals import maker_of
from ...progress import say
from ..config import TrainConfig
from ..data import Dataset
from ..tasks import Objective
from .fitting import FitOverrides
from .minimise import minimiser


@minimiser("bagging")
def bagging(model: keras.Model, dataset: Dataset, task: Objective, config: TrainConfig) -> FitOverrides:
    """Train every member of an ensemble on a bootstrap of its own: samples drawn with replacement, as weights.

    The members are what the last layer averages; metrics of the history are means over them. Under pruning and
    quantization, which see the ensemble whole, it is tuned as one net.
    Source: Breiman 1996, Bagging predictors.
    """
    members = members_of(model)
    if not members:
        say(f"{model.name}: its members cannot be told apart here; the ensemble is tuned as one net")
        return FitOverrides()
    stacked = keras.Model(model.input, keras.ops.stack(members, axis=1), name=model.name)  # (N, members, classes)
    count = len(dataset.train)
    draws = np.random.default_rng(config.seed).integers(0, count, (len(members), count))
    weights = np.stack([np.bincount(drawn, minlength=count) for drawn in draws], axis=1)  # (N, members)
    return FitOverrides(
        network=stacked,
        targets=lambda split: np.repeat(split.y[:, None], len(members), axis=1),
        weights=weights.astype(np.float32),
        told=lambda answers: keras.ops.repeat(answers[:, None], len(members), axis=1),  # all hear the same
    )


def members_of(model: keras.Model) -> list[keras.KerasTensor]:
    """Return the outputs of the members of an ensemble: what an Average at its end takes; none where there is none.

    A model that does more than its layers (masks that follow a schedule) must not be cut up: they are not its own.
    """
    (output,) = model.outputs
    node = maker_of(output)
    if node is None or not isinstance(node.operation, keras.layers.Average) or node.operation not in model.layers:
        return []
    return list(node.input_tensors)

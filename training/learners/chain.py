"""Conditional random fields: emissions and the table of their chain, learned together by the likelihood of paths."""

from __future__ import annotations

from typing import Any

import keras

from ...errors import BadInput
from ..chains import PathLoss, packed
from ..config import TrainConfig
from ..data import Dataset
from ..state import Row, RunDir
from ..tasks import Objective
from ..tasks.tagging import EMISSIONS, TRANSITIONS
from .fitting import FitOverrides
from .minimise import best_epoch, minimise
from .minimise import validate as validate_loss
from .register import Networks, learner


class Chain(keras.Model):
    """Emissions with the table of their chain behind them, see `chains.packed`: what the loss takes."""

    def __init__(self, networks: Networks):
        super().__init__(name="chain")
        self.emissions, self.transitions = networks[EMISSIONS], networks[TRANSITIONS]
        self.supports_jit = keras.backend.backend() != "tensorflow"  # whose XLA knows no loop of unknown length
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Run the emissions.  Shapes: (N, T, ...) -> (N, T + K + 2, K)."""
        return packed(self.emissions(inputs, training=training), self.transitions.weights[0])


def _by_paths(model: keras.Model, dataset: Dataset, task: Objective, config: TrainConfig) -> FitOverrides:
    return FitOverrides(loss=PathLoss(), targets=lambda split: split.y)


def _joined(networks: Networks) -> dict[str, keras.Model]:
    if set(networks) != {EMISSIONS, TRANSITIONS}:
        raise BadInput(f"learner 'crf' trains {EMISSIONS} and {TRANSITIONS}, got {', '.join(networks)}")
    return {"chain": Chain(networks)}


def validate(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig) -> Row:
    """Return the loss of networks as they are, on validation data."""
    return validate_loss(_by_paths, _joined(networks), dataset, task, config)


@learner("crf", validate=validate, best_epoch=best_epoch)
def crf(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, run: RunDir) -> list[Row]:
    """Maximise the likelihood of the true paths.

    networks: "emissions", samples -> scores (N, T, K), and "transitions", the table of the chain, which stays float and
    dense.  Source: Lafferty 2001, Conditional random fields.  Raises: BadInput for other networks.
    """
    return minimise(_by_paths, _joined(networks), dataset, task, config, run)

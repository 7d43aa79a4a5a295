"""Conditional random fields: emissions and the table of their chain, learned together by the likelihood of paths."""

from __future__ import annotations

from typing import Any

import keras

from ...errors import BadInput
from ..chains import PathLoss, packed
from ..config import TrainConfig
from ..data import Dataset
from ..tasks import Objective
from ..tasks.tagging import EMISSIONS, TRANSITIONS
from .fitting import FitOverrides
from .minimise import joiner
from .register import Networks


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


@joiner("crf", _by_paths)
def crf(networks: Networks, dataset: Dataset, config: TrainConfig) -> dict[str, keras.Model]:
    """Maximise the likelihood of the true paths.

    networks: "emissions", samples -> scores (N, T, K), and "transitions", the table of the chain, which stays float and
    dense.  Source: Lafferty 2001, Conditional random fields.  Raises: BadInput for other networks.
    """
    if set(networks) != {EMISSIONS, TRANSITIONS}:
        raise BadInput(f"learner 'crf' trains {EMISSIONS} and {TRANSITIONS}, got {', '.join(networks)}")
    return {"chain": Chain(networks)}

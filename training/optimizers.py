"""Optimizers by their configuration."""

from typing import Any

import keras

from .config import REFERENCE_BATCH, TrainConfig
from .schedules import Length, rate


def optimizer(config: TrainConfig, updates: int, *, epoch: int = 1, batch: int = REFERENCE_BATCH) -> Any:
    """Return a new keras optimizer with its rates over `updates` steps of `batch` samples, `epoch` steps in each."""
    return _made(config, rate(config, config.rate_for(batch), Length(updates, epoch)))


def _made(config: TrainConfig, rates: Any) -> Any:
    given = {
        "learning_rate": rates,
        "weight_decay": config.weight_decay or None,
        "global_clipnorm": config.clip_norm,
        "clipvalue": config.clip_value,
        "momentum": 0.9 if config.optimizer == "sgd" and config.momentum is None else config.momentum,
        "nesterov": config.nesterov or None,
    }
    arguments = {name: value for name, value in given.items() if value is not None}
    if config.optimizer == "adam" and keras.backend.backend() == "tensorflow":
        from .adam import FusedAdam

        return FusedAdam(**arguments)  # pyright: ignore[reportArgumentType]
    return keras.optimizers.get({"class_name": config.optimizer, "config": arguments})

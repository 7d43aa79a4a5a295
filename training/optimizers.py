"""Optimizers by their configuration."""

from typing import Any

import keras

from .config import TrainConfig


def optimizer(config: TrainConfig, updates: int) -> Any:
    """Return a new keras optimizer with its learning-rate schedule over `updates` steps."""
    rate: Any = config.learning_rate
    if config.schedule == "cosine":
        warmup = min(config.warmup, updates // 10)
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=config.learning_rate / 100 if warmup else config.learning_rate,
            decay_steps=max(1, updates - warmup),
            warmup_target=config.learning_rate if warmup else None,
            warmup_steps=warmup,
        )
    extra = {"weight_decay": config.weight_decay} if config.weight_decay else {}
    if config.clip_norm is not None:
        extra["global_clipnorm"] = config.clip_norm
    if config.optimizer == "sgd":
        extra["momentum"] = 0.9
    if config.optimizer == "adam" and keras.backend.backend() == "tensorflow":
        from .adam import FusedAdam

        return FusedAdam(learning_rate=rate, **extra)  # pyright: ignore[reportArgumentType]
    return keras.optimizers.get({"class_name": config.optimizer, "config": {"learning_rate": rate, **extra}})

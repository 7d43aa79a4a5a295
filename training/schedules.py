"""Learning rates over a training, by Keras' schedules where there is one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from .config import TrainConfig


@dataclass(frozen=True)
class Length:
    """How long a training is: updates in all, and in one epoch."""

    updates: int
    epoch: int


def rate(config: TrainConfig, peak: float, length: Length) -> Any:
    """Return a rate, or a schedule of them by the number of the update."""
    return _SCHEDULES[config.schedule](config, peak, length)


def _warmup(config: TrainConfig, length: Length) -> int:
    return min(config.warmup, length.updates // 10)


def _cosine(config: TrainConfig, peak: float, length: Length) -> Any:
    warmup = _warmup(config, length)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=peak / 100 if warmup else peak,
        decay_steps=max(1, length.updates - warmup),
        warmup_target=peak if warmup else None,
        warmup_steps=warmup,
    )


def _stays(config: TrainConfig, peak: float, length: Length) -> Any:
    return peak  # of "plateau" too: what becomes of it depends on the epochs' losses, see `after_plateaus`


def _step(config: TrainConfig, peak: float, length: Length) -> Any:
    every, factor = config.rate_every or 30, config.rate_factor or 0.1
    return keras.optimizers.schedules.ExponentialDecay(peak, every * length.epoch, factor, staircase=True)


def _exponential(config: TrainConfig, peak: float, length: Length) -> Any:
    return keras.optimizers.schedules.ExponentialDecay(peak, length.epoch, config.rate_factor or 0.95)


def _restarts(config: TrainConfig, peak: float, length: Length) -> Any:
    first = (config.rate_every or 10) * length.epoch
    return keras.optimizers.schedules.CosineDecayRestarts(peak, first, t_mul=config.rate_factor or 1.0)


def _linear(config: TrainConfig, peak: float, length: Length) -> Any:
    last = config.rate_every * length.epoch if config.rate_every else length.updates
    return keras.optimizers.schedules.PolynomialDecay(peak, last, peak * (config.rate_factor or 0.01))


def _warmed(of: Callable[[TrainConfig, float, Length], Any]) -> Callable[[TrainConfig, float, Length], Any]:
    def schedule(config: TrainConfig, peak: float, length: Length) -> Any:
        plain, warmup = of(config, peak, length), _warmup(config, length)
        return Warmed(plain, warmup) if warmup else plain

    return schedule


_SCHEDULES = {
    "cosine": _cosine, "constant": _stays, "plateau": _stays, "step": _warmed(_step),
    "exponential": _warmed(_exponential), "restarts": _warmed(_restarts), "linear": _warmed(_linear),
}  # fmt: skip


@keras.saving.register_keras_serializable("edgewright")
class Warmed(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule of which the first `warmup` updates take a growing share, from a hundredth on."""

    def __init__(self, schedule: Any, warmup: int):
        super().__init__()
        self.schedule, self.warmup = schedule, warmup

    def __call__(self, step: Any) -> Any:
        """Return the rate of an update."""
        done: Any = ops.cast(step, "float32")
        return self.schedule(step) * ops.minimum(0.01 + 0.99 * done / self.warmup, 1.0)

    def get_config(self):
        """Return schedule and length."""
        return {"schedule": keras.saving.serialize_keras_object(self.schedule), "warmup": self.warmup}

    @classmethod
    def from_config(cls, config: dict[str, Any]):
        """Rebuild the schedule first."""
        return cls(**{**config, "schedule": keras.saving.deserialize_keras_object(config["schedule"])})


def after_plateaus(config: TrainConfig, peak: float, losses: Sequence[float]) -> float:
    """Return the rate that follows epochs with these validation losses: a share of it after each stretch of no gain."""
    every, factor = config.rate_every or 5, config.rate_factor or 0.1
    least, waited = float("inf"), 0
    for loss in losses:
        least, waited = (loss, 0) if loss < least else (least, waited + 1)
        if waited == every:
            peak, waited = peak * factor, 0
    return peak

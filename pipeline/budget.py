"""How long each stage trains: optimiser steps, turned into epochs by the size of the data."""

import math
from dataclasses import dataclass

_STEPS = {"train": 4000, "prune": 1500, "qat": 1200}
_QUICK_STEPS = {"train": 900, "prune": 500, "qat": 250}
_LEARNING_RATE = {"train": 2e-3, "prune": 1e-3, "qat": 2e-4}
_MOST_EPOCHS = 60
QUICK_TRAINING_SAMPLES = 8000


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a stage may spend: epochs at most, samples per step, peak learning rate."""

    epochs: int
    batch_size: int
    learning_rate: float
    steps: int


def budget(stage: str, samples: int, *, quick: bool = False, epochs: int | None = None) -> Budget:
    """Return the budget of `stage` ("train", "prune" or "qat") for a training set of `samples`.

    epochs replaces the number that follows from the step budget. Batches of 32 below ten thousand samples, else of 128.
    """
    batch_size = 32 if samples < 10_000 else 128
    per_epoch = math.ceil(samples / batch_size)
    steps = (_QUICK_STEPS if quick else _STEPS)[stage]
    if epochs is None:
        epochs = min(_MOST_EPOCHS, max(1, round(steps / per_epoch)))
    return Budget(epochs=epochs, batch_size=batch_size, learning_rate=_LEARNING_RATE[stage], steps=epochs * per_epoch)

"""How long each stage trains: optimiser steps, turned into epochs by the size of the data."""

import math
from dataclasses import dataclass

_STEPS = {"train": 4000, "prune": 1500, "qat": 1200}
_QUICK_STEPS = {"train": 900, "prune": 500, "qat": 250}
_SHARE = {"train": 1.0, "prune": 0.5, "qat": 0.1}  # of the model's learning rate
_MOST_EPOCHS, _QUICK_EPOCHS = 60, 10  # judgements, which on few samples cost more than the steps between them
QUICK_TRAINING_SAMPLES = 8000


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a stage may spend: epochs at most and passes over the samples in each, samples per step, peak rate."""

    epochs: int
    passes: int
    batch_size: int
    learning_rate: float
    steps: int


def budget(
    stage: str, samples: int, *, quick: bool = False, epochs: int | None = None, learning_rate: float = 2e-3
) -> Budget:
    """Return the budget of `stage` ("train", "prune" or "qat") for a training set of `samples`.

    epochs replaces the number that follows from the step budget, with one pass each. learning_rate: the peak of the
    model's training; later stages take a share. Batches of 32 below ten thousand samples, else of 128.
    """
    batch_size = 32 if samples < 10_000 else 128
    per_pass = math.ceil(samples / batch_size)
    passes = 1
    if epochs is None:
        rounds = max(1, round((_QUICK_STEPS if quick else _STEPS)[stage] / per_pass))
        passes = math.ceil(rounds / (_QUICK_EPOCHS if quick else _MOST_EPOCHS))
        epochs = round(rounds / passes)
    return Budget(
        epochs=epochs,
        passes=passes,
        batch_size=batch_size,
        learning_rate=_SHARE[stage] * learning_rate,
        steps=epochs * passes * per_pass,
    )

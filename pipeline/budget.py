"""How long each stage trains: optimiser steps, turned into epochs by the size of the data."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..training import learners
from ..training.config import TrainConfig
from ..training.data import Dataset

# Steps of each stage, and epochs at most: judgements, which on few samples cost more than the steps between them.
_FULL = {"train": 4000, "prune": 1500, "qat": 1200}, 25
_QUICK = {"train": 900, "prune": 500, "qat": 250}, 10
_BRIEF = {"train": 900, "prune": 240, "qat": 80}, 10
_SHARE = {"train": 1.0, "prune": 0.5, "qat": 0.1}  # of the model's learning rate
_BRIEF_SHARE = _SHARE | {"prune": 1.0}  # in few steps a pruned net recovers at the full rate only
RECOVERIES = {"": (1, 1.0), "longer": (4, 1.0), "slower": (1, 0.1)}  # of stages after training: steps, rate
ENOUGH = 0.93  # validation accuracy at which a brief training ends: what only a right implementation reaches
QUICK_TRAINING_SAMPLES = 8000


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a stage may spend: epochs at most and passes over the samples in each, samples per step, peak rate.

    enough: the validation accuracy that ends it before.
    """

    epochs: int
    passes: int
    batch_size: int
    learning_rate: float
    steps: int
    enough: float | None = None


def budget(
    stage: str,
    samples: int,
    *,
    quick: bool = False,
    brief: bool = False,
    recovery: str = "",
    epochs: int | None = None,
    learning_rate: float = 2e-3,
    learner: str = "fit",
) -> Budget:
    """Return the budget of `stage` ("train", "prune" or "qat") for a training set of `samples`.

    brief: enough to tell a right implementation from a wrong one, no more. recovery: of `RECOVERIES`, how the stages
    after "train" go on where that was too little, or too fast. epochs replaces the number that follows from the step
    budget, with one pass each. learning_rate: the peak of the model's training; later stages take a share. learner:
    that of the model; one that starts over after a change has the steps of "train" in each stage.
    Batches of 32 (16 if brief) below ten thousand samples, else of 128.
    """
    anew = learners.get(learner).starts_over
    times, share = RECOVERIES[recovery if stage != "train" else ""]
    batch_size = (16 if brief else 32) if samples < 10_000 else 128
    per_pass = math.ceil(samples / batch_size)
    passes = 1
    if epochs is None:
        steps, most = _BRIEF if brief else _QUICK if quick else _FULL
        rounds = max(1, round(times * steps["train" if anew else stage] / per_pass))
        passes = math.ceil(rounds / most)
        epochs = round(rounds / passes)
    return Budget(
        epochs=epochs,
        passes=passes,
        batch_size=batch_size,
        learning_rate=share * (_BRIEF_SHARE if brief and not anew else _SHARE)[stage] * learning_rate,
        steps=epochs * passes * per_pass,
        enough=ENOUGH if brief and stage == "train" else None,
    )


def train_config(
    stage: str, dataset: Dataset, *, quick: bool = False, brief: bool = False, recovery: str = "",
    epochs: int | None = None, seed: int = 0, peak: float = 2e-3, learner: str = "fit",
    own: Mapping[str, Any] | None = None, **settings: Any,
) -> TrainConfig:  # fmt: skip
    """Return how `stage` ("train", "prune" or "qat") trains on `dataset`; settings that are not None replace the
    budget's.

    peak: the learning rate of the model's training, of which later stages take a share. recovery, learner: see
    `budget`. own: settings that the model is trained with.
    """
    spend = budget(stage, len(dataset.train), quick=quick, brief=brief, recovery=recovery, epochs=epochs,
                   learning_rate=peak, learner=learner)  # fmt: skip
    chosen = {
        "batch_size": spend.batch_size,
        "learning_rate": spend.learning_rate,
        "passes": spend.passes,
        "enough": spend.enough,
    }
    chosen |= own or {}
    chosen |= {name: value for name, value in settings.items() if value is not None}
    return TrainConfig(epochs=spend.epochs, seed=seed, **chosen)

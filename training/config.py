"""What a training run is told: a frozen, validated record. Imports no Keras, so that the command line can show it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..errors import BadInput

UPDATES = 2000  # optimizer steps aimed at where `epochs` is left open
EPOCHS = (5, 40)  # bounds of that choice
MANY = 20_000  # samples from which batches are large where `batch_size` is left open


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of a training run; `dataclasses.asdict` gives plain values for YAML, `read` takes them back.

    epochs: None for as many as make 2,000 updates, between 5 and 40. batch_size: None for 32, or 64 from 20,000
    samples. passes: over the samples in one epoch; with few samples judging an epoch costs more than training it, and
    more than one pays. learning_rate: the peak; schedule "cosine" falls from it to zero over all epochs after `warmup`
    updates of rising to it, "constant" stays. weight_decay: decoupled. clip_norm: the largest norm that the gradient of
    all weights together may have, None for any. label_smoothing: share of a target spread over all classes. augment:
    change training samples at random, as their data set has it. patience: epochs without a better validation score
    before stopping, None to go on to the end; the best epoch's weights are kept either way. enough:
    the validation accuracy that ends the training. class_weights: how much a sample of each class counts, in training
    and in choosing the epoch: "balanced", n / (K n_k) for n_k of n samples, or class -> weight. deterministic:
    same bits on every run. jit_compile: XLA, None for the backend's own choice. steps_per_execution: updates
    between two looks at the progress.
    Raises: BadInput naming the field, its value and what is allowed.
    """

    epochs: int | None = None
    batch_size: int | None = None
    passes: int = 1
    learning_rate: float = 2e-3
    schedule: str = "cosine"
    warmup: int = 50
    optimizer: str = "adam"
    weight_decay: float = 0.0
    clip_norm: float | None = None
    label_smoothing: float = 0.1
    augment: bool = True
    patience: int | None = None
    enough: float | None = None
    class_weights: str | Mapping[Any, float] | None = None
    seed: int = 0
    deterministic: bool = True
    jit_compile: bool | None = None
    steps_per_execution: int = 8

    def __post_init__(self):
        _require(self.epochs is None or self.epochs >= 1, "epochs", self.epochs, "an integer from 1, or None")
        _require(
            self.batch_size is None or self.batch_size >= 1, "batch_size", self.batch_size, "an integer from 1, or None"
        )
        _require(self.passes >= 1, "passes", self.passes, "an integer from 1")
        _require(0 < self.learning_rate < 100, "learning_rate", self.learning_rate, "a number in (0, 100)")
        _require(self.schedule in SCHEDULES, "schedule", self.schedule, " or ".join(SCHEDULES))
        _require(self.warmup >= 0, "warmup", self.warmup, "an integer from 0")
        _require(self.optimizer in OPTIMIZERS, "optimizer", self.optimizer, ", ".join(OPTIMIZERS))
        _require(0 <= self.weight_decay < 1, "weight_decay", self.weight_decay, "a number in [0, 1)")
        _require(self.clip_norm is None or self.clip_norm > 0, "clip_norm", self.clip_norm, "a number above 0, or None")
        _require(0 <= self.label_smoothing < 1, "label_smoothing", self.label_smoothing, "a number in [0, 1)")
        _require(self.patience is None or self.patience >= 1, "patience", self.patience, "an integer from 1, or None")
        _require(self.enough is None or 0 < self.enough <= 1, "enough", self.enough, "a number in (0, 1], or None")
        weights = self.class_weights
        given = isinstance(weights, Mapping) and all(isinstance(w, (int, float)) and w >= 0 for w in weights.values())
        _require(
            weights in (None, "balanced") or given,
            "class_weights",
            weights,
            'None, "balanced", or class -> number from 0',
        )
        _require(0 <= self.seed < 2**31, "seed", self.seed, "an integer in [0, 2**31)")
        _require(self.steps_per_execution >= 1, "steps_per_execution", self.steps_per_execution, "an integer from 1")

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Make a config of plain values, as YAML holds them; an unknown key raises BadInput with its neighbours."""
        known = [field.name for field in fields(cls)]
        for key in values:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=3) or known
                raise BadInput(f"training has no setting {key!r}; did you mean {', '.join(near)}?")
        return cls(**values)

    def batch_for(self, samples: int) -> int:
        """Return the batch size for `samples` training samples; never more than there are."""
        return min(self.batch_size or (64 if samples >= MANY else 32), samples)

    def epochs_for(self, steps: int) -> int:
        """Return the number of epochs, for `steps` updates in each."""
        least, most = EPOCHS
        return self.epochs or min(most, max(least, -(-UPDATES // steps)))


SCHEDULES = ("cosine", "constant")
OPTIMIZERS = ("adam", "adamw", "sgd", "rmsprop")


def _require(holds: bool, name: str, value: Any, allowed: str) -> None:
    if not holds:
        raise BadInput(f"training setting {name} is {value!r}; allowed is {allowed}")

"""What a training run is told: a frozen, validated record. Imports no Keras, so that the command line can show it."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ..errors import BadInput

UPDATES = 2000  # optimizer steps aimed at where `epochs` is left open
EPOCHS = (5, 40)  # bounds of that choice
MANY = 20_000  # samples from which batches are large where `batch_size` is left open
REFERENCE_BATCH = 32  # whose rate is given, where rates go with the size of a batch

# What changes the samples of a training, by `augment`: a name of these, and behind it how far, where that can be told.
AUGMENTATIONS = (
    "flip",
    "shift",
    "rotate",
    "zoom",
    "shear",
    "crop",
    "brightness",
    "contrast",
    "colour",
    "cutout",
    "specaugment",
    "mixup",
    "cutmix",
    "noise",
)
CORRUPTIONS = ("noise", "blur", "contrast")  # of test samples, likewise
LOSSES = ("mse", "mae", "huber", "focal")  # by name, and behind it how far, as huber:0.5 and focal:1
SCHEDULES = ("cosine", "constant", "step", "exponential", "restarts", "linear", "plateau")
OPTIMIZERS = ("adam", "adamw", "sgd", "rmsprop", "adagrad")
WITH_MOMENTUM = ("sgd", "rmsprop")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of a training run; `dataclasses.asdict` gives plain values for YAML, `read` takes them back.

    epochs: None for as many as make 2,000 updates, between 5 and 40. batch_size: None for 32, or 64 from 20,000
    samples. passes: over the samples in one epoch; with few samples judging an epoch costs more than training it, and
    more than one pays.
    learning_rate: the peak, of batches of 32 where `scale_rate` lets it grow with the size of a batch. schedule: what
    becomes of it, after `warmup` updates of rising to it (but for "constant" and "plateau"). "cosine" falls to zero
    over all epochs; "constant" stays; "step" takes `rate_factor` of it (0.1) each `rate_every` epochs (30);
    "exponential" `rate_factor` (0.95) each epoch; "restarts" is a cosine of `rate_every` epochs (10), begun again and
    again, each `rate_factor` (1) times as long as the one before; "linear" falls to `rate_factor` of it (0.01) within
    `rate_every` epochs (all) and stays; "plateau" takes `rate_factor` (0.1) after `rate_every` epochs (5) without a
    lower validation loss.
    optimizer, momentum, nesterov: momentum is 0.9 of "sgd" and 0 of "rmsprop" where None. weight_decay: decoupled.
    l1, l2: of all kernels, l1 |w| + l2 w^2 is added to the loss. max_norm: the largest norm that the weights into one
    unit may have, weight_clip: the largest size of each weight of a kernel, after every update; None for any.
    clip_norm: the largest norm that the gradient of all weights together may have; clip_value: the largest size of each
    of its values; None for any. label_smoothing: share of a target spread over all classes.
    loss: in place of the task's: of values "mse", "mae", "huber" (quadratic up to 1, or "huber:0.5"), of classes
    "focal" (-(1 - p)^2 log p, or "focal:1").
    augment: change training samples at random, as their data set has it, or by names of `AUGMENTATIONS`, as ("flip",
    "shift:0.1"). patience: epochs without a better validation score before stopping, None to go on to the end; the best
    epoch's weights are kept either way. enough: the validation accuracy that ends the training. class_weights: how much
    a sample of each class counts, in training and in choosing the epoch: "balanced", n / (K n_k) for n_k of n samples,
    or class -> weight. oversample: repeat samples of rare classes until all have as many, in training alone.
    carry_states: windows of a text are learned in its order, and recurrences begin where the window before ended: the
    gradient is cut at the border, the state is not.
    deterministic: same bits on every run. jit_compile: XLA, None for the backend's own choice. steps_per_execution:
    updates between two looks at the progress.
    Raises: BadInput naming the field, its value and what is allowed.
    """

    epochs: int | None = None
    batch_size: int | None = None
    passes: int = 1
    learning_rate: float = 2e-3
    scale_rate: bool = False
    schedule: str = "cosine"
    rate_every: int | None = None
    rate_factor: float | None = None
    warmup: int = 50
    optimizer: str = "adam"
    momentum: float | None = None
    nesterov: bool = False
    weight_decay: float = 0.0
    l1: float = 0.0
    l2: float = 0.0
    max_norm: float | None = None
    weight_clip: float | None = None
    clip_norm: float | None = None
    clip_value: float | None = None
    label_smoothing: float = 0.1
    loss: str | None = None
    augment: bool | tuple[str, ...] = True
    patience: int | None = None
    enough: float | None = None
    class_weights: str | Mapping[Any, float] | None = None
    oversample: bool = False
    carry_states: bool = False
    seed: int = 0
    deterministic: bool = True
    jit_compile: bool | None = None
    steps_per_execution: int = 8

    def __post_init__(self):
        if isinstance(self.augment, (list, str)):
            object.__setattr__(self, "augment", (self.augment,) if isinstance(self.augment, str) else (*self.augment,))
        weights = self.class_weights
        weighted = isinstance(weights, Mapping) and all(
            isinstance(w, (int, float)) and w >= 0 for w in weights.values()
        )
        for name, holds, allowed in (
            ("epochs", _from(self.epochs, 1), "an integer from 1, or None"),
            ("batch_size", _from(self.batch_size, 1), "an integer from 1, or None"),
            ("passes", self.passes >= 1, "an integer from 1"),
            ("learning_rate", 0 < self.learning_rate < 100, "a number in (0, 100)"),
            ("schedule", self.schedule in SCHEDULES, ", ".join(SCHEDULES)),
            ("rate_every", _from(self.rate_every, 1), "an integer from 1, or None"),
            ("rate_factor", _above(self.rate_factor), "a number above 0, or None"),
            ("warmup", self.warmup >= 0, "an integer from 0"),
            ("optimizer", self.optimizer in OPTIMIZERS, ", ".join(OPTIMIZERS)),
            ("momentum", self.momentum is None or 0 <= self.momentum < 1, "a number in [0, 1), or None"),
            ("weight_decay", 0 <= self.weight_decay < 1, "a number in [0, 1)"),
            ("l1", 0 <= self.l1 < math.inf, "a number from 0"),
            ("l2", 0 <= self.l2 < math.inf, "a number from 0"),
            ("max_norm", _above(self.max_norm), "a number above 0, or None"),
            ("weight_clip", _above(self.weight_clip), "a number above 0, or None"),
            ("clip_norm", _above(self.clip_norm), "a number above 0, or None"),
            ("clip_value", _above(self.clip_value), "a number above 0, or None"),
            ("label_smoothing", 0 <= self.label_smoothing < 1, "a number in [0, 1)"),
            ("patience", _from(self.patience, 1), "an integer from 1, or None"),
            ("enough", self.enough is None or 0 < self.enough <= 1, "a number in (0, 1], or None"),
            ("class_weights", weights in (None, "balanced") or weighted, 'None, "balanced", or class -> number from 0'),
            ("seed", 0 <= self.seed < 2**31, "an integer in [0, 2**31)"),
            ("steps_per_execution", self.steps_per_execution >= 1, "an integer from 1"),
        ):
            if not holds:
                raise BadInput(f"training setting {name} is {getattr(self, name)!r}; allowed is {allowed}")
        if not isinstance(self.augment, bool):
            for text in self.augment:
                measured("augment", text, AUGMENTATIONS)
        if self.loss is not None:
            measured("loss", self.loss, LOSSES)
        self._check_together()

    def _check_together(self) -> None:
        """Refuse what says nothing beside the rest."""
        if self.momentum is not None and self.optimizer not in WITH_MOMENTUM:
            raise BadInput(f"training setting momentum is {self.momentum}: optimizer {self.optimizer!r} has none of "
                           f"its own; allowed with {', '.join(WITH_MOMENTUM)}")  # fmt: skip
        if self.nesterov and self.optimizer != "sgd":
            raise BadInput(f"training setting nesterov is True: it is a momentum of 'sgd', not of {self.optimizer!r}")
        if self.clip_norm is not None and self.clip_value is not None:
            raise BadInput(f"training setting clip_value is {self.clip_value}: clip_norm {self.clip_norm} clips "
                           "already; leave one of the two out")  # fmt: skip
        if self.oversample and self.class_weights is not None:
            raise BadInput(f"training setting oversample is True: class_weights {self.class_weights!r} make up for "
                           "rare classes already; leave one of the two out")  # fmt: skip
        if self.schedule in ("cosine", "constant"):
            for name in ("rate_every", "rate_factor"):
                if getattr(self, name) is not None:
                    raise BadInput(f"training setting {name} is {getattr(self, name)}: schedule {self.schedule!r} has "
                                   f"no use for it; choose {', '.join(SCHEDULES[2:])}")  # fmt: skip

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

    def rate_for(self, batch: int) -> float:
        """Return the peak of the rate for batches of a size.  Source: Goyal 2017, arXiv:1706.02677, section 2.1."""
        return self.learning_rate * (batch / REFERENCE_BATCH if self.scale_rate else 1)


def measured(setting: str, text: str, names: Sequence[str]) -> tuple[str, float | None]:
    """Return what "shift" or "shift:0.1" asks for: one of `names`, and how far or None.  Raises: BadInput."""
    return measured_by(f"training setting {setting} is {text!r};", text, names)


def measured_by(said: str, text: str, names: Sequence[str]) -> tuple[str, float | None]:
    """Return the same; said: with what an error begins."""
    found = re.fullmatch(r"(\w+)(?::(\d*\.?\d+))?", text)
    if not found or found[1] not in names:
        raise BadInput(f"{said} allowed are {', '.join(names)}, each alone or with how far, as {names[-1]}:0.1")
    return found[1], float(found[2]) if found[2] else None


def _from(value: int | None, least: int) -> bool:
    return value is None or value >= least


def _above(value: float | None) -> bool:
    return value is None or value > 0

"""The register of learners: how networks are fitted to a data set, whatever their number and whatever the game.

A learner is a function `(networks, dataset, task, config, run) -> history`:

- networks: dict name -> keras.Model, trained in place. One for `fit`; generator and discriminator for an adversarial
  learner; encoder and decoder; policy and target for an agent. It owns loss, optimizers and update, so a network that
  was pruned or made quantization-aware goes on training inside its own game. Networks that take their weights from
  another (`Deployable.derived_from`) are not among them.
- dataset: a Dataset; an episodic learner draws its episodes from `train`, an agent's Dataset holds its environment's
  seeds. task: an entry of the table of tasks; a learner may ignore its loss, not its metric.
- config: TrainConfig. All randomness comes from config.seed and the epoch, never from the time or a global generator.
- run: RunDir. At the start `run.restore()`; after each epoch `run.log(row)` and, where `run.due()`, `run.save(State)`
  with `state.pack` of every variable (networks, optimizers, best so far) and the counters as facts; once more with
  done=True. A learner given a state that is done restores it and returns its history. With these the resume is exact:
  an epoch is a function of the state before it, the seed and its number.
- history: one dict of floats an epoch, with "epoch" (from 1), "loss", and "val_" names.

It says whether it heeds a teacher (`teachable`): then it takes an argument `teaching`, a Distillation whose teacher and
samples are in memory, or None.

Its own settings are a frozen dataclass of numbers, `options=Penalties`: a model names them behind the learner's name,
"autoencoding:noise=0.1,beta=4", and `fit`, `validate` and, where it takes one, `steps` are given an argument `options`,
the defaults where none are named.

It says its steps: how often `config` has it run a network that it trains, by which pruning lays out its schedule.

It owns the score that chooses an epoch too: `validate` says of networks as they are what an epoch's row would, and
`best_epoch` which row is the best, so that QAT can be judged against calibration alone by the learner's own rule.

Raises: EdgewrightError if the loss is no longer finite. Adding a learner: decorate it with `@learner("name")` in a
module of this package; nothing else lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from inspect import signature
from typing import Any

import keras
import numpy as np

from ...errors import BadInput
from ..config import TrainConfig
from ..data import Dataset
from ..distillation import Distillation
from ..runner import KerasRunner
from ..state import Row, RunDir
from ..tasks import Task

Networks = Mapping[str, keras.Model]
Fit = Callable[..., list[Row]]
Validate = Callable[..., Row]  # (networks, dataset, task, config), and options where a learner has them
BestEpoch = Callable[[Sequence[Row], Dataset, Any], int]
Steps = Callable[..., int]  # (dataset, config), and options where it asks for them


def steps_by_batches(dataset: Dataset, config: TrainConfig) -> int:
    """Return how many batches an epoch has, the last of a pass being whole or not, times the epochs."""
    count = len(dataset.train)
    epoch = -(-count // config.batch_for(count)) * config.passes
    return epoch * config.epochs_for(epoch)


def validate_by_metric(networks: Networks, dataset: Dataset, task: Task, config: TrainConfig, **options: Any) -> Row:
    """Return the task's metric of networks as they are, on validation data, whatever a learner's options are."""
    scores = task.evaluate(KerasRunner(networks), replace(dataset, test=dataset.validation))
    return {"val_metric": float(task.metric.reduce(scores.rows))}


def best_by_metric(history: Sequence[Row], dataset: Dataset, task: Task) -> int:
    """Return the first of the rows whose "val_metric" is the best."""
    first = history[0]["val_metric"]
    return int(np.argmax([task.metric.gain(row["val_metric"], first) for row in history]))


@dataclass(frozen=True, kw_only=True)
class Learner:
    """An entry of the register: fits networks when it is called, and judges them by its own rule.

    steps: how often a network is run in training. starts_over: what pruning or quantizing a network upsets is not a
    matter of a few steps, it takes as many as the training did. teachable: its loss can hold a teacher's answers.
    tuner: the learner that goes on with what this one has trained, when it is pruned or quantized; "" for itself.
    options: a frozen dataclass of numbers, made without arguments as it is by default; None for none.
    """

    name: str
    fit: Fit
    validate: Validate = validate_by_metric
    best_epoch: BestEpoch = best_by_metric
    steps: Steps = steps_by_batches
    starts_over: bool = False
    teachable: bool = False
    tuner: str = ""
    options: type | None = None

    def told(self, text: str) -> Learner:
        """Return the learner with the options of `text`, as "noise=0.1,beta=4".  Raises: BadInput for unknown ones."""
        if self.options is None:
            if text:
                raise BadInput(f"learner {self.name!r} has no options, got {text!r}")
            return self
        bound = {"options": self.options(**_read(self.name, self.options, text))}
        named = f"{self.name}:{text}" if text else self.name
        steps = partial(self.steps, **bound) if "options" in signature(self.steps).parameters else self.steps
        return replace(self, name=named, fit=partial(self.fit, **bound), validate=partial(self.validate, **bound),
                       steps=steps)  # fmt: skip

    def __call__(
        self,
        networks: Networks,
        dataset: Dataset,
        task: Any,
        config: TrainConfig,
        run: RunDir,
        *,
        teaching: Distillation | None = None,
    ) -> list[Row]:
        """Fit the networks in place; return one row an epoch.  Raises: BadInput for a teacher that is not heeded."""
        if teaching is None:
            return self.fit(networks, dataset, task, config, run)
        self.check_teachable()
        return self.fit(networks, dataset, task, config, run, teaching=teaching)

    def check_teachable(self) -> None:
        """Refuse a teacher where what is minimised is no loss of samples and answers.  Raises: BadInput."""
        if not self.teachable:
            heeding = ", ".join(name for name, entry in LEARNERS.items() if entry.teachable)
            raise BadInput(f"learner {self.name!r} heeds no teacher: it minimises no loss of answers to samples, as "
                           f"{heeding} do; leave the teacher out")  # fmt: skip


def _read(name: str, options: Any, text: str) -> dict[str, Any]:
    """Return the options that a text gives, each of the type of its default."""
    defaults = {each.name: each.default for each in fields(options)}
    given: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        option, _, value = part.partition("=")
        if option not in defaults:
            raise BadInput(f"learner {name!r} has no option {option!r}; allowed: {', '.join(defaults)}")
        try:
            given[option] = type(defaults[option])(value)
        except ValueError:
            kind = type(defaults[option]).__name__
            raise BadInput(f"learner {name!r}: option {option}={value!r} is no {kind}") from None
    return given


LEARNERS: dict[str, Learner] = {}


def learner(
    name: str,
    *,
    validate: Validate = validate_by_metric,
    best_epoch: BestEpoch = best_by_metric,
    steps: Steps = steps_by_batches,
    starts_over: bool = False,
    teachable: bool = False,
    tuner: str = "",
    options: type | None = None,
) -> Callable[[Fit], Fit]:
    """Register a function under `name`; a name that is taken raises ValueError.

    validate: (networks, dataset, task, config) -> row; best_epoch: (rows, dataset, task) -> index. By default the
    task's metric on validation data judges, which such a learner logs as "val_metric". steps: (dataset, config) -> how
    often a network is run in training, by default once a batch. starts_over, teachable, tuner, options: see `Learner`.
    """

    def enter(function: Fit) -> Fit:
        if name in LEARNERS:
            raise ValueError(f"learner {name!r} is registered twice")
        LEARNERS[name] = Learner(name=name, fit=function, validate=validate, best_epoch=best_epoch, steps=steps,
                                 starts_over=starts_over, teachable=teachable, tuner=tuner,
                                 options=options)  # fmt: skip
        return function

    return enter

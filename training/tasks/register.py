"""What a task is, and the table of tasks by name.

A task presents data, gives samples to calibrate on, and evaluates a runner, so that the same loop judges Keras
networks, fake-quantized ones and files on a device. Adding one: decorate a class with `@task` in a module of its own in
this package, or pass an object to `enter`; nothing else lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import keras

from ...metrics import Metric, Scores
from ...runners import Arrays, Judge, Runner
from ..data import Dataset

Networks = Mapping[str, keras.Model]


class Task(Protocol):
    """What networks are for, and how well they do it."""

    @property
    def name(self) -> str:
        """The name in the table, which `Dataset.task` has too."""
        ...

    @property
    def metric(self) -> Metric:
        """What the scores are reduced by."""
        ...

    def present(self, data: Any, networks: Networks, **asked: Any) -> Dataset:
        """Load `data` as the networks take it.

        asked: `limit`, `test_limit` and `seed` as of `data.load`; `rebuilt`: the networks are going to be built anew
        for the classes of the data, what they return says nothing yet.  Raises: BadInput for data that does not fit.
        """
        ...

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n samples by input name to calibrate `network` on, none of them of validation or test data."""
        ...

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score the networks that `run` computes on the test split of `dataset`."""
        ...

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        ...


@dataclass(frozen=True)
class Bound:
    """A task bound to its data: what is left to know is who computes the networks."""

    task: Task
    dataset: Dataset

    @property
    def metric(self) -> Metric:
        """The task's."""
        return self.task.metric

    def evaluate(self, run: Runner) -> Scores:
        """Score the networks that `run` computes."""
        return self.task.evaluate(run, self.dataset)

    def beside(self, run: Runner) -> Mapping[str, float]:
        """Return what the task tells besides, by name; of most nothing."""
        tell = getattr(self.task, "beside", None)
        return {} if tell is None else tell(run, self.dataset)


TASKS: dict[str, Any] = {}
Kind = TypeVar("Kind", bound=type)


def enter(entry: Task) -> None:
    """Enter a task in the table; a name that is taken raises ValueError."""
    if entry.name in TASKS:
        raise ValueError(f"task {entry.name!r} is registered twice")
    TASKS[entry.name] = entry


def task(kind: Kind) -> Kind:
    """Enter an instance of the decorated class, made without arguments."""
    enter(kind())
    return kind

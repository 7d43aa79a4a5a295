"""The table of tasks: how data is presented to networks, and what they are judged by."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import replace

from ...errors import BadInput
from ..data import Dataset
from . import supervised
from .objective import Objective, check_outputs, loss_of, sample_weights, shaped, targets_of
from .register import TASKS, Bound, Networks, Task, enter, task
from .supervised import Evaluation, Supervised

__all__ = ["TASKS", "Bound", "Evaluation", "Networks", "Objective", "Supervised", "Task", "check_outputs", "enter",
           "get", "loss_of", "of", "sample_weights", "shaped", "table", "targets_of", "task"]  # fmt: skip


def table() -> Mapping[str, Task]:
    """Return every task by name, importing the modules of this package on first use."""
    for module in pkgutil.iter_modules(importlib.import_module(__name__).__path__):
        importlib.import_module(f".{module.name}", __name__)
    return TASKS


def get(name: str) -> Task:
    """Return the task `name`; several supervised ones, "a+b", are composed.  Raises: BadInput listing the tasks."""
    known, parts = table(), name.split("+")
    for part in parts:
        if part not in known:
            raise BadInput(f"no task {part!r}; there are {', '.join(known)}")
    if len(parts) == 1:
        return known[name]
    rows = [known[part] for part in parts]
    if unlike := [part.name for part in rows if not isinstance(part, Supervised)]:
        raise BadInput(f"task {name!r}: {unlike[0]!r} cannot be one of several; those of single outputs can")
    return supervised.composed([part for part in rows if isinstance(part, Supervised)])


def of(dataset: Dataset) -> Task:
    """Return the task of a data set; of several outputs by their names, each with the loss that was asked for it."""
    whole = get(dataset.task)
    if not dataset.heads or not isinstance(whole, Supervised):
        return whole
    heads = {name: supervised.with_own_loss(get(head.task), head) for name, head in dataset.heads.items()}
    return replace(whole, heads=heads)

"""Data sets by name, the user's own by `pkg.module:function`; every split is checked before it is handed out."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ...errors import BadInput
from . import sets
from .arrays import Input
from .dataset import Dataset, Shown, Split, calibration, check, limited
from .sets import Asked, Shape
from .targets import Head, Output
from .user import Wanted, adapted, from_function, from_values

__all__ = ["Asked", "Dataset", "Head", "Input", "Output", "Shown", "Split", "available", "calibration", "check",
           "choose", "load", "names"]  # fmt: skip


def load(
    data: Any,
    *,
    input_shape: Shape | None = None,
    task: str | None = None,
    dtype: str | None = None,
    vocabulary: int | None = None,
    classes: int | None = None,
    limit: int | None = None,
    test_limit: int | None = None,
    seed: int = 0,
    inputs: Sequence[Input] | None = None,
    outputs: Sequence[Output] | None = None,
    whole: bool = False,
    name: str = "data",
) -> Dataset:
    """Load a data set, presented as the model takes it, checked.

    data: a name, the user's `pkg.module:function`, a Dataset, or what such a function may return: arrays, lists, dicts,
    frames, PyDatasets or tf.data.Datasets, in splits or as one (x, y), of which a fifth is held out to test.
    input_shape, dtype, task: of the model; what is left out is the set's own. vocabulary: token ids the model knows; a
    text set keeps its most frequent words. classes: tokens that a language model tells apart; likewise of words.
    limit: at most so many training samples (and a quarter of it for validation), class shares kept, a pure function of
    seed; test_limit: the same for test samples, whole by default. inputs, outputs: of the model, in its order: what
    lists and columns feed, and how targets are read. whole: one (x, y) is all test data, for those who only judge.
    name: of data in memory.
    Raises: BadInput if the set is unknown or cannot be had, cannot be shown so, or holds samples that `check` refuses.
    """
    wanted = Wanted(task=task, dtype=dtype, inputs=inputs, outputs=outputs, whole=whole)
    if isinstance(data, str) and ":" not in data:
        entry = sets.source(data)
        served = "classification" if task == "binary_classification" else task  # of two classes; see `adapted`
        asked = sets.asked(entry, input_shape=input_shape, dtype=dtype, task=served, vocabulary=vocabulary,
                           classes=classes, inputs=inputs)  # fmt: skip
        dataset = entry.load(asked)
    else:
        dataset = _of_user(data, wanted, name)
    dataset = adapted(dataset, outputs)
    if task is not None and dataset.task not in (task, *_ALSO.get(task, ())):
        raise BadInput(f"data {dataset.name!r} is for task {dataset.task!r}, asked is {task!r}; give data of that task")
    dataset = replace(dataset, vocabulary=vocabulary or dataset.vocabulary)
    _check_splits(dataset, input_shape, inputs)
    return limited(dataset, limit, test_limit, seed)


def _of_user(data: Any, wanted: Wanted, name: str) -> Dataset:
    if isinstance(data, Dataset):
        return data
    return from_function(data, wanted) if isinstance(data, str) else from_values(data, wanted, name)


def _check_splits(dataset: Dataset, input_shape: Shape | None, inputs: Sequence[Input] | None) -> None:
    for part, split in dataset.splits.items():
        check(
            split,
            f"{dataset.name} {part}",
            input_shape=input_shape,
            classes=dataset.classes,
            vocabulary=dataset.vocabulary,
            heads=dataset.heads,
            inputs={each.name: each.shape for each in inputs} if inputs and len(inputs) > 1 else None,
        )


_ALSO = {"classification": ("binary_classification",)}  # what a model's output makes of a task that was asked for


def names() -> list[str]:
    """Return the names of all data sets."""
    return sorted(sets.sources())


def available(name: str) -> bool:
    """Tell if the set's files lie on this machine (nothing is downloaded, no digest is computed)."""
    return sets.source(name).here()


def choose(names: Iterable[str]) -> str:
    """Return the first available of `names`.

    Raises: BadInput if none is; the last of an architecture's names is an offline set, so there one always is.
    """
    names = list(names)
    name = next(filter(available, names), None)
    if name is None:
        raise BadInput(f"none of the data sets {', '.join(names)} is on this machine; name one with --data to fetch it")
    return name

"""Data sets by name, the user's own by `pkg.module:function`; every split is checked before it is handed out."""

from collections.abc import Iterable
from dataclasses import replace

from ...errors import BadInput
from . import sets
from .dataset import Dataset, Split, calibration, check, limited
from .sets import Asked
from .user import from_function

__all__ = ["Asked", "Dataset", "Split", "available", "calibration", "check", "choose", "load", "names"]


def load(
    data: "str | Dataset",
    *,
    input_shape: tuple[int, ...] | None = None,
    task: str | None = None,
    dtype: str | None = None,
    vocabulary: int | None = None,
    limit: int | None = None,
    test_limit: int | None = None,
    seed: int = 0,
) -> Dataset:
    """Load a data set, presented as the model takes it, checked.

    data: a name, the user's `pkg.module:function`, or a Dataset. input_shape, dtype, task: of the model; what is left
    out is the set's own. vocabulary: token ids the model knows; a text set keeps its most frequent words.
    limit: at most so many training samples (and a quarter of it for validation), class shares kept, a pure function of
    seed; test_limit: the same for test samples, whole by default.
    Raises: BadInput if the set is unknown or cannot be had, cannot be shown so, or holds samples that `check` refuses.
    """
    if isinstance(data, Dataset):
        dataset = data
    elif ":" in data:
        dataset = from_function(data, task=task, dtype=dtype)
    else:
        entry = sets.source(data)
        dataset = entry.load(sets.asked(entry, input_shape=input_shape, dtype=dtype, task=task, vocabulary=vocabulary))
    if task is not None and dataset.task != task:
        raise BadInput(f"data {dataset.name!r} is for task {dataset.task!r}, asked is {task!r}; give data of that task")
    dataset = replace(dataset, vocabulary=vocabulary or dataset.vocabulary)
    for part, split in dataset.splits.items():
        check(
            split,
            f"{dataset.name} {part}",
            input_shape=input_shape,
            classes=dataset.classes,
            vocabulary=dataset.vocabulary,
        )
    return limited(dataset, limit, test_limit, seed)


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
    found = next(filter(available, names), None)
    if found is None:
        raise BadInput(f"none of the data sets {', '.join(names)} is on this machine; name one with --data to fetch it")
    return found

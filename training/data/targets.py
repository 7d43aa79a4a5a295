"""What targets are: class numbers, yes or no, labels, values; told by what they hold and what a model answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import BadInput

SEGMENTATION = ("segmentation", "binary_segmentation")  # of several scores a pixel, of one
MANY = 1000  # classes at most where a model's output does not say
Parts = dict[str, np.ndarray]  # split -> targets


@dataclass(frozen=True, kw_only=True)
class Output:
    """One output of a model.

    shape: of one sample. ending: the last operation, as "sigmoid"; None where unknown. whole: it answers numbers that
    are whole by their type, as those of classes.
    """

    name: str
    shape: tuple[int | None, ...]
    ending: str | None = None
    whole: bool = False

    @property
    def width(self) -> int | None:
        """How many values it has a sample, or None where that is open."""
        return None if None in self.shape else math.prod(size for size in self.shape if size is not None)


@dataclass(frozen=True, kw_only=True)
class Head:
    """What one output is to answer.

    labels: the names of classes 0 to K-1 where they had any, or of the labels. weight: of its loss among the others'.
    loss: a Keras loss by name, None for the task's own.
    """

    task: str
    classes: int = 0
    labels: tuple[str, ...] = ()
    weight: float = 1.0
    loss: str | None = None


def read(
    parts: Mapping[str, Any], what: str, task: str | None, output: Output | None, inputs: Any
) -> tuple[Head, Parts]:
    """Return the task that the targets of all splits tell, and the targets as it takes them.

    Texts are mapped to 0..K-1 in sorted order; numbers of classes that are no class numbers likewise. One-hot rows
    become class numbers where a model answers one value a class. task: None to find it out, else it is kept but for
    what the model's output tells apart (two classes: one output or two). inputs: of the training split, to tell a
    reconstruction. Raises: BadInput for a missing target, or more labels than one output can tell.
    """
    read = {part: _array(values, f"{what} {part}") for part, values in parts.items()}
    if any(values.dtype.kind == "U" for values in read.values()):
        return _texts(read, what, output)
    if (pixels := _of_pixels(read, task, output, inputs)) is not None:
        return pixels
    if task not in (None, "classification", "binary_classification", "multilabel"):
        return Head(task=task), read
    if (numbers := _numbers(read, what, task, output, inputs)) is not None:
        return numbers
    train = read["train"]
    if task is None:
        task = "classification" if train.dtype == np.int32 else _of_values(train, inputs)
    if task != "classification":
        return Head(task=task), read
    read = {part: _column(values, f"{what} {part}") for part, values in read.items()}
    return Head(task=task, classes=1 + max(int(values.max(initial=0)) for values in read.values())), read


def adapt(task: str, classes: int, output: Output | None) -> str:
    """Return the task for a model's output: two classes told by one value are a task of their own."""
    return (
        "binary_classification" if (task, classes) == ("classification", 2) and output and output.width == 1 else task
    )


def _array(values: Any, what: str) -> np.ndarray:
    """Return targets as int32, float32 or texts."""
    values = np.asarray(values)
    if values.dtype.kind in "OSU":
        flat = [_text(value) for value in values.ravel()]
        missing = next((place for place, value in enumerate(flat) if value is None), None)
        if missing is not None:
            sample = missing // max(1, math.prod(values.shape[1:]))
            raise BadInput(
                f"{what}: target of sample {sample} is {values.ravel()[missing]!r}; give each sample a text or a number"
            )
        if all(isinstance(value, str) for value in flat):
            return np.array(flat, dtype=np.str_).reshape(values.shape)
        values = np.array(flat, dtype=np.float64).reshape(values.shape) if not any(
            isinstance(value, str) for value in flat) else values  # fmt: skip
    if values.dtype.kind not in "fiub":
        raise BadInput(f"{what}: targets have dtype {values.dtype}; numbers or texts are wanted")
    return values.astype(np.float32 if values.dtype.kind == "f" else np.int32)


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, (str, int, float, bool, np.number, np.bool_)):
        return value
    return None


def _texts(parts: Parts, what: str, output: Output | None) -> tuple[Head, Parts]:
    mixed = [part for part, values in parts.items() if values.dtype.kind != "U"]
    if mixed:
        raise BadInput(f"{what} {mixed[0]}: targets are numbers there and texts in other splits; give the same kind")
    parts = {part: _column(values, f"{what} {part}") for part, values in parts.items()}
    return _mapped(parts, what, output)


def _mapped(parts: Parts, what: str, output: Output | None) -> tuple[Head, Parts]:
    names = np.unique(np.concatenate([values.ravel() for values in parts.values()]))
    if output and output.width == 1 and len(names) > 2:
        raise BadInput(
            f"{what}: {len(names)} labels ({_some(names)}), but the model has one output; give it one a label"
        )
    numbers = {part: np.searchsorted(names, values).astype(np.int32) for part, values in parts.items()}
    task = adapt("classification", len(names), output)
    return Head(task=task, classes=len(names), labels=tuple(f"{name:g}" if names.dtype.kind == "f" else str(name)
                                                            for name in names)), numbers  # fmt: skip


def _some(names: Sequence[Any] | np.ndarray) -> str:
    shown = ", ".join(map(str, names[:5]))
    return f"{shown} ..." if len(names) > 5 else shown


def _numbers(
    parts: Parts, what: str, task: str | None, output: Output | None, inputs: Any
) -> tuple[Head, Parts] | None:
    """Read numbers by what they hold, where that decides; None leaves it to their dtype."""
    train = parts["train"]
    if task is None and isinstance(inputs, np.ndarray) and np.array_equal(train, inputs):
        return None
    columns = math.prod(train.shape[1:])
    yes_or_no = all(values.size and np.isin(values, (0, 1)).all() for values in parts.values())
    if train.ndim == 2 and columns > 1 and yes_or_no:
        return _of_columns(parts, columns, task, output)
    if output is None or columns != 1 or task == "multilabel" or (output.width is None and task is None):
        return None
    if output.width == 1:
        return _of_one(parts, yes_or_no, task, output)
    return _of_whole(parts, what, output)


def _of_pixels(parts: Parts, task: str | None, output: Output | None, inputs: Any) -> tuple[Head, Parts] | None:
    """Read whole numbers, one-hot rows too, at the positions of a map as the class of each pixel, or yes or no.

    Where that is not asked for, floats that one score a pixel answers are values unless a sigmoid ends the model.
    """
    sizes = [size for size in output.shape if size is not None] if output else []
    if task not in (None, *SEGMENTATION) or output is None or not len(sizes) == len(output.shape) == 3:
        return None
    *size, kinds = sizes
    several, train = kinds > 1, parts["train"]
    if isinstance(inputs, np.ndarray) and np.array_equal(train, inputs):
        return None
    if not (task or several or train.dtype == np.int32 or output.ending == "sigmoid"):
        return None
    numbers = {part: _map(values, tuple(size), kinds) for part, values in parts.items()}
    if any(values is None for values in numbers.values()):
        return None
    most = 1 + max(int(values.max(initial=0)) for values in numbers.values())
    return (Head(task=SEGMENTATION[not several], classes=max(2, most)), numbers) if most <= max(2, kinds) else None


def _map(values: np.ndarray, size: tuple[int, ...], kinds: int) -> Any:
    """Return class numbers (N, h, w) of whole numbers (N, h, w), (N, h, w, 1) or one-hot (N, h, w, K), else None."""
    if values.shape[1:] == (*size, kinds) and kinds > 1:
        hot = np.isin(values, (0, 1)).all() and (values.sum(-1) == 1).all()
        return values.argmax(-1).astype(np.int32) if hot else None
    if values.shape[1:] not in (size, (*size, 1)) or (values != np.floor(values)).any() or values.min(initial=0) < 0:
        return None
    return values.reshape(values.shape[:3]).astype(np.int32)


def _of_columns(parts: Parts, columns: int, task: str | None, output: Output | None) -> tuple[Head, Parts] | None:
    """Read columns of 0 and 1: one-hot rows, unless a sigmoid each answers them, or several labels."""
    fits = task is None if output is None else output.width in (None, columns)
    one_hot = all((values.sum(1) == 1).all() for values in parts.values())
    if fits and one_hot and task != "multilabel" and (output is None or output.ending != "sigmoid"):
        numbers = {part: values.argmax(1).astype(np.int32) for part, values in parts.items()}
        return Head(task="classification", classes=columns), numbers
    labels = fits and (output is not None or parts["train"].dtype.kind == "f")
    return (Head(task="multilabel"), parts) if labels or task == "multilabel" else None


def _of_one(parts: Parts, yes_or_no: bool, task: str | None, output: Output) -> tuple[Head, Parts] | None:
    """Read numbers that one value answers: yes or no, or else a value."""
    if yes_or_no:
        numbers = {part: values.reshape(-1).astype(np.int32) for part, values in parts.items()}
        return Head(task="binary_classification", classes=2), numbers
    if task is None and output.ending != "sigmoid":
        return Head(task="regression"), {part: values.astype(np.float32) for part, values in parts.items()}
    return None


def _of_whole(parts: Parts, what: str, output: Output) -> tuple[Head, Parts] | None:
    """Read whole numbers in floats as the classes of a model that answers as many values or more."""
    last = output.shape[-1] or MANY
    flat = {part: values.reshape(-1) for part, values in parts.items()}
    whole = parts["train"].dtype.kind == "f" and all((values == np.floor(values)).all() for values in flat.values())
    if not whole or (output.width or last) != last or len(np.unique(np.concatenate(list(flat.values())))) > last:
        return None
    if all(values.min(initial=0) >= 0 and values.max(initial=0) < last for values in flat.values()):
        numbers = {part: values.astype(np.int32) for part, values in flat.items()}
        return Head(task="classification", classes=1 + max(int(values.max()) for values in numbers.values())), numbers
    return _mapped(flat, what, output)


def _column(values: np.ndarray, what: str) -> np.ndarray:
    """Return labels (N,), from (N, 1) too, which keras.datasets has; other shapes are sequences, or refused later."""
    if len(values) == 0:
        raise BadInput(f"{what}: empty; at least one sample is needed")
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def _of_values(train: np.ndarray, inputs: Any) -> str:
    return "reconstruction" if isinstance(inputs, np.ndarray) and train.shape == inputs.shape else "regression"

"""The table of data sets. A family's module adds to it with `@dataset`; nothing else lists them.

A loader takes an `Asked`: the samples' shape and dtype and the task decide how it presents its raw data, so one set
serves every model whose input it can be brought to. A family keeps a table (dtype, rank) -> presentation; `present`
reads it.
"""

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...errors import BadInput
from .arrays import Input
from .dataset import Dataset, Split

Shape = tuple[int, ...] | Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a model wants: shape and dtype of one sample, its task, and how many token ids it knows (0: any).

    classes: how many the model tells apart (0: any), which the words of a language model are cut to. inputs: of a model
    with several, in its order; shape, dtype and vocabulary are then each one's own.
    """

    input_shape: Any
    dtype: str
    task: str
    vocabulary: int = 0
    classes: int = 0
    inputs: tuple[Input, ...] = ()

    def shapes(self, name: str, *inputs: str) -> list[Any]:
        """Return the shapes of a model's inputs of these names.

        Raises: BadInput for other inputs, saying that data set `name` is for these.
        """
        shapes = {each.name: each.shape for each in self.inputs}
        if set(shapes) != set(inputs):
            there = ", ".join(f"{each} {shape}" for each, shape in shapes.items()) or self.input_shape
            raise BadInput(f"data set {name!r} is for inputs {', '.join(inputs)}, asked is {there}")
        return [shapes[each] for each in inputs]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set's entry: native presentation, tasks it can serve, and whether its files lie on this machine.

    floor: of the metric, what a wrong implementation would miss on this data; None for the metric's own.
    """

    name: str
    load: Callable[[Asked], Dataset]
    native: Asked
    tasks: tuple[str, ...]
    here: Callable[[], bool]
    floor: float | None = None


_SOURCES: dict[str, Source] = {}


def dataset(
    *, input_shape: Shape, tasks: tuple[str, ...], dtype: str = "float32",
    here: Callable[[], bool] = lambda: True, floor: float | None = None,
) -> Callable[[Callable[[Asked], Dataset]], Callable[[Asked], Dataset]]:  # fmt: skip
    """Register a loader under its function's name. The first task is native; `here()`: are the files there?"""

    def register(load: Callable[[Asked], Dataset]) -> Callable[[Asked], Dataset]:
        name = load.__name__  # pyright: ignore[reportAttributeAccessIssue]
        if name in _SOURCES:
            raise ValueError(f"data set {name!r} is registered twice")
        native = Asked(dtype=dtype, task=tasks[0], **_shown(input_shape, dtype))
        _SOURCES[name] = Source(name=name, load=load, native=native, tasks=tasks, here=here, floor=floor)
        return load

    return register


def _shown(input_shape: Shape, dtype: str) -> dict[str, Any]:
    """Return what `Asked` is told of a shape, or of several by input name."""
    if not isinstance(input_shape, Mapping):
        return {"input_shape": tuple(input_shape), "inputs": ()}
    return {
        "input_shape": (),
        "inputs": tuple(Input(name=name, shape=tuple(shape), dtype=dtype) for name, shape in input_shape.items()),
    }


def sources() -> Mapping[str, Source]:
    """Return every data set by name, importing the families on first use."""
    package = importlib.import_module(__package__ or "")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f".{module.name}", __package__)
    return _SOURCES


def source(name: str) -> Source:
    """Return the data set `name`; an unknown one raises BadInput with its neighbours."""
    known = sources()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3) or sorted(known)
        raise BadInput(f"no data set {name!r}; did you mean {', '.join(near)}? Own data: pkg.module:function")
    return known[name]


def asked(
    entry: Source,
    *,
    input_shape: Shape | None,
    dtype: str | None,
    task: str | None,
    vocabulary: int | None,
    classes: int | None = None,
    inputs: Sequence[Input] | None = None,
) -> Asked:
    """Fill what the caller left open from the set's native presentation; refuse a task that the set cannot serve.

    input_shape: of several inputs a dict, which says no more than their shapes; `inputs` says all.
    """
    if task is not None and task not in entry.tasks:
        raise BadInput(f"data set {entry.name!r} cannot serve task {task!r}; it serves {', '.join(entry.tasks)}")
    named = {"dtype": dtype and str(np.dtype(dtype)), "task": task, "vocabulary": vocabulary, "classes": classes}
    given = {name: value for name, value in named.items() if value}
    if input_shape is not None:
        given |= _shown(input_shape, given.get("dtype", entry.native.dtype))
    if inputs is not None and len(inputs) > 1:
        given["inputs"] = tuple(inputs)
    return replace(entry.native, **given)


def present(table: Mapping[tuple[str, int], Any], name: str, asked: Asked) -> Any:
    """Return the presentation for the asked dtype and rank; none for them raises BadInput with what there is."""
    key = (asked.dtype, len(asked.input_shape))
    if key not in table:
        there = ", ".join(f"{dtype} of rank {rank}" for dtype, rank in table)
        raise BadInput(f"data set {name!r} cannot be shown as {asked.dtype} {asked.input_shape}; it can as {there}")
    return table[key]


def split_for(task: str, part: str, x: np.ndarray, labels: np.ndarray, anomalous: int) -> Split:
    """Give samples the targets of `task`: their labels, themselves, or (normal samples only) themselves.

    anomaly_detection: `anomalous` is the label held out of training and validation; test targets are the flattened
    sample with 1 for anomalous, else 0, behind it (what `metrics` scores).
    """
    if task == "classification":
        return Split(x=x, y=labels.astype(np.int32))
    if task == "reconstruction":
        return Split(x=x, y=x)
    if part != "test":
        normal = x[labels != anomalous]
        return Split(x=normal, y=normal)
    truth = (labels == anomalous).astype(np.float32)[:, None]
    return Split(x=x, y=np.concatenate([x.reshape(len(x), -1), truth], 1))

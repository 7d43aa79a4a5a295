"""Data as a model takes it: what its inputs and outputs tell a data set."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import keras

from ..errors import BadInput
from ..vocabulary import vocabularies
from .answers import built, outputs_of
from .data import Dataset, Input, Shown, load
from .data.targets import Head

ANSWER = "logits"  # of several outputs, the one that targets for one are for
Presented = TypeVar("Presented", bound=Dataset)


def presented_as(dataset: Dataset, kind: type[Presented]) -> Presented:
    """Return data as `present` of a task made them.  Raises: BadInput for others."""
    if not isinstance(dataset, kind):
        raise BadInput(f"data {dataset.name!r} is presented to no network yet: task.present(data, networks) does it")
    return dataset


def data_for(
    model: keras.Model,
    data: Any,
    *,
    task: str | None = None,
    limit: int | None = None,
    test_limit: int | None = None,
    seed: int = 0,
) -> Dataset:
    """Load data as the model takes it: its input's shape, dtype and, where an Embedding reads the input, vocabulary.

    Lists and columns feed its inputs in order and by name; its outputs tell how targets are meant.
    """
    return prepared(model, data, task=task, limit=limit, test_limit=test_limit, seed=seed)[1]


def prepared(
    model: keras.Model, data: Any, *, network: str | None = None, rebuilt: bool = False, **asked: Any
) -> tuple[keras.Model, Dataset]:
    """Return the model, built from the samples where it has no inputs yet (see `built`), and the data for it.

    network: what the model is called among others. rebuilt: it is going to be built anew for the classes of the data.
    """
    if not getattr(model, "inputs", None):
        model = built(model, load(data, task=asked.get("task")).train.x)
    known = takes(model, rebuilt=rebuilt)
    shown = Shown(network=network or model.name, inputs=known["inputs"], outputs=known["outputs"])
    return model, replace(_for_the_answer(load(data, **known, **asked), shown), shown=shown)


def _for_the_answer(dataset: Dataset, shown: Shown) -> Dataset:
    """Give targets for one output to the one called `ANSWER`, where a model shows more beside it.

    What the data set tells of the others, their learner asks it for.
    """
    others = {output.name for output in shown.outputs} - {ANSWER}
    if dataset.heads or len(others) in (0, len(shown.outputs)) or others <= dataset.told.keys():
        return dataset
    head = Head(task=dataset.task, classes=dataset.classes, labels=dataset.labels)
    splits = {part: replace(split, y={ANSWER: split.y}) for part, split in dataset.splits.items()}
    return replace(dataset, heads={ANSWER: head}, **splits)


def takes(model: keras.Model, rebuilt: bool = False) -> dict[str, Any]:
    """Return what `data.load` is told of a model: inputs and outputs, and of a lone input shape, dtype and vocabulary.

    Open dimensions leave the shape to the data set. rebuilt: how wide the outputs are says nothing.
    """
    inputs, tables = model.inputs, vocabularies(model)
    outputs = outputs_of(model)
    known: dict[str, Any] = {
        "inputs": tuple(
            Input(
                name=symbol.name,
                shape=tuple(symbol.shape[1:]),
                dtype=keras.backend.standardize_dtype(symbol.dtype),
                vocabulary=tables[symbol.name],
            )
            for symbol in inputs
        ),
        "outputs": tuple(replace(output, shape=(None,)) for output in outputs) if rebuilt else outputs,
    }
    if len(inputs) > 1:
        return known
    (symbol,) = inputs
    shape = tuple(symbol.shape[1:])
    return known | {
        "input_shape": None if None in shape else shape,
        "dtype": keras.backend.standardize_dtype(symbol.dtype),
        "vocabulary": tables[symbol.name],
    }


def by_name(shown: Shown, x: Any) -> dict[str, Any]:
    """Return samples by input name: a lone input's are one array in a data set."""
    return dict(x) if isinstance(x, Mapping) else {shown.inputs[0].name: x}

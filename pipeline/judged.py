"""Data as a model file takes it: what its inputs and outputs are is asked of the device's own runtime."""

import math
from collections.abc import Sequence
from typing import Any

from ..devices import measure
from ..devices.model_file import ModelFile, plain
from ..errors import BadInput
from ..training import data as datasets
from ..training import tasks
from ..training.data import Dataset, Input, Output, sets
from .facts import facts

Ends = tuple[tuple[Input, ...], tuple[Output, ...]]


def ends(files: Sequence[ModelFile], device: Any = "local") -> Ends:
    """Return inputs and outputs of the first of `files` that the device's runtime opens.

    Raises: BadInput with the runtime's words about each if it opens none, or is not there.
    """
    refused = []
    for file in files:
        found = measure.inspect(file, device=device)
        if found.ok:
            return _ends(file, found.one("model"))
        refused.append(f"{file.path}: {found.status} on {getattr(device, 'name', device)}: {found.reason}")
    raise BadInput("\n".join(refused))


def presented(data: Any, files: Sequence[ModelFile], device: Any = "local", name: str = "data") -> Dataset:
    """Return `data` as the first of `files` that opens takes it; a lone (x, y) is all test data.

    A data set's name is shown in the set's own shape: bent to another, every file answers by chance, and alike.
    Raises: BadInput for data that does not fit.
    """
    if isinstance(data, Dataset):
        return data
    inputs, outputs = ends(files, device)
    known: dict[str, Any] = {"inputs": inputs, "outputs": outputs, "whole": True, "name": name}
    if len(inputs) == 1:
        shape = inputs[0].shape
        known |= {"input_shape": None if None in shape else shape, "dtype": inputs[0].dtype}
    if isinstance(data, str) and ":" not in data:
        known["task"] = files[0].manifest.get("task")
    dataset = datasets.load(data, **known)
    if isinstance(data, str) and ":" not in data:
        _refuse_bent(data, dataset, inputs, files[0])
    return dataset


def to_measure(dataset: Dataset) -> dict[str, Any]:
    """Return what `measure.bench` is told of a data set: samples, whose they are, targets, metric, names of classes."""
    return {
        "inputs": dataset.test.x,
        "targets": dataset.test.y,
        "metric": tasks.of(dataset).metric.name,
        "labels": dataset.named_labels,
        "groups": dataset.test.group,
    }


def _refuse_bent(data: str, dataset: Dataset, inputs: Sequence[Input], file: ModelFile) -> None:
    native = sets.source(data).native.input_shape
    shape = [size for size in inputs[0].shape if size is not None]
    if math.prod(shape) == math.prod(native) or None in inputs[0].shape:
        return
    if file.manifest.get("preprocessing") != dataset.preprocessing:
        raise BadInput(
            f"--data {data}: its samples have shape {native}, {file.name} takes {tuple(shape)}, and nothing says that "
            f"it was "
            f"trained on them in that shape; give the data it was trained on, as pkg.module:function or .npz"
        )


def _ends(file: ModelFile, model: dict[str, Any]) -> Ends:
    """Return inputs and outputs of a file; of one with states those that are none, inputs as sequences."""
    layers, outputs = model.get("layers", []), file.outside("outputs", model["outputs"])
    shape = _of_sequences if file.states else _shape
    return (
        tuple(
            Input(name=plain(tensor["name"]), shape=shape(tensor), dtype=_dtype(tensor))
            for tensor in file.outside("inputs", model["inputs"])
        ),
        tuple(
            Output(
                name=plain(tensor["name"]), shape=_shape(tensor), ending=_ending(layers, tensor, len(model["outputs"]))
            )
            for tensor in outputs
        ),
    )


def _of_sequences(tensor: dict[str, Any]) -> tuple[int | None, ...]:
    """Return the shape of a sample of which the input takes a step, with an axis for it or without: (T, ...)."""
    step = _shape(tensor)
    return (None, *(step[1:] if len(step) > 1 and step[0] == 1 else step))


def _shape(tensor: dict[str, Any]) -> tuple[int | None, ...]:
    free = tensor.get("free") or [False] * len(tensor["shape"])
    return tuple(None if open_ else int(size) for size, open_ in zip(tensor["shape"], free, strict=True))[1:]


def _dtype(tensor: dict[str, Any]) -> str:
    """Integers with a scale stand for real numbers; others are token ids and the like."""
    return "float32" if tensor["scale"] or str(tensor["dtype"]).startswith("float") else "int32"


def _ending(layers: Sequence[dict[str, Any]], tensor: dict[str, Any], outputs: int) -> str | None:
    told = measure.ends_in_sigmoid(layers, [tensor], 0, alone=outputs == 1)
    return None if told is None else "sigmoid" if told else "linear"


__all__ = ["ends", "facts", "presented", "to_measure"]

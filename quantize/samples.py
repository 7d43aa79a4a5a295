"""Samples in whatever form they come, as one array for each input of a model, in the model's order."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import keras
import numpy as np
from keras import KerasTensor

from ..errors import BadInput
from ..forms import as_ranked, is_frame, is_tensors
from ..untyped import tree
from .graph.tracing import symbolic_inputs

MOST = 1024  # samples taken from what yields them one batch after another
LARGEST = 1e6


def gather(model: keras.Model, samples: Any) -> tuple[Any, list[np.ndarray]]:
    """Return the symbolic inputs of `model` with the sizes of `samples`, and the samples, one array an input.

    samples: arrays, a list in the order of the inputs or a dict by their names; a data frame; or what yields batches
    of these, alone or before labels: a tf.data.Dataset, a PyDataset, a generator (function). A model whose inputs are
    not known, never built, takes theirs.
    Raises: BadInput for samples that the model cannot take or that would ruin a range.
    """
    samples = _materialized(samples)
    try:
        asked = symbolic_inputs(model)
    except BadInput:
        asked = tree.map_structure(lambda one: KerasTensor((None, *np.shape(one)[1:]), _dtype(one)), samples)
        build(model, asked)
    leaves = tree.flatten(asked)
    arrays = [_array(one, leaf) for leaf, one in zip(leaves, _in_order(leaves, asked, samples), strict=True)]
    for leaf, array in zip(leaves, arrays, strict=True):
        _check_fits(leaf, array, alone=len(leaves) == 1)
    counts = {leaf.name: len(array) for leaf, array in zip(leaves, arrays, strict=True)}
    if len(set(counts.values())) > 1:
        raise BadInput(f"calibration: the inputs have different numbers of samples, {counts}; give each as many")
    for index, (leaf, array) in enumerate(zip(leaves, arrays, strict=True)):
        _check_finite(leaf, array, index)
    arrays = [_as_integers(leaf, array) for leaf, array in zip(leaves, arrays, strict=True)]
    sized = [
        KerasTensor((None, *array.shape[1:]), dtype=leaf.dtype, name=leaf.name)
        for leaf, array in zip(leaves, arrays, strict=True)
    ]
    return tree.pack_sequence_as(asked, sized), arrays


def to_config(inputs: Any) -> dict[str, Any]:
    """Return symbolic inputs as something to save; Keras' own form of them has no names."""
    return {
        "tensors": keras.saving.serialize_keras_object(inputs),
        "names": [leaf.name for leaf in tree.flatten(inputs)],
    }


def from_config(config: dict[str, Any]) -> Any:
    """Return the symbolic inputs that `to_config` took."""
    found = keras.saving.deserialize_keras_object(config["tensors"])
    leaves = zip(tree.flatten(found), config["names"], strict=True)
    return tree.pack_sequence_as(found, [KerasTensor(leaf.shape, dtype=leaf.dtype, name=name) for leaf, name in leaves])


def _dtype(array: Any) -> str:
    dtype = np.asarray(array).dtype
    return "float32" if dtype.kind == "f" else str(dtype)


def build(model: keras.Model, inputs: Any) -> None:
    """Let a model that was never called make its weights."""
    if not model.built:
        model(tree.map_structure(lambda one: keras.ops.zeros((1, *one.shape[1:]), one.dtype), inputs), training=False)


def _materialized(samples: Any) -> Any:
    if is_frame(samples):
        return _of_frame(samples)
    if isinstance(samples, Mapping):
        return {name: _column(value) for name, value in samples.items()}
    batches = _batches(samples)
    if batches is None:
        return samples
    taken: list[list[Any]] = []
    structure, count = None, 0
    for batch in batches:
        structure = batch
        taken.append([np.asarray(leaf) for leaf in tree.flatten(batch)])
        count += len(taken[-1][0])
        if count >= MOST:
            break
    if structure is None:
        raise BadInput("calibration: yields no samples; give some hundred from the training data")
    return tree.pack_sequence_as(structure, [np.concatenate(parts)[:MOST] for parts in zip(*taken, strict=True)])


def _batches(samples: Any) -> Iterator[Any] | None:
    """Return the batches of inputs that `samples` yields, if it is something that yields."""
    if isinstance(samples, keras.utils.PyDataset):
        return (_without_labels(samples[index]) for index in range(min(MOST, samples.num_batches or MOST)))
    if is_tensors(samples):
        batched = all(len(spec.shape) and spec.shape[0] is None for spec in tree.flatten(samples.element_spec))
        elements = map(_without_labels, samples)
        return elements if batched else _in_ones(elements)
    if inspect.isgeneratorfunction(samples):
        samples = samples()
    if inspect.isgenerator(samples):
        return map(_without_labels, samples)
    return None


def _in_ones(elements: Iterable[Any]) -> Iterator[Any]:
    return (tree.map_structure(lambda leaf: np.asarray(leaf)[None], one) for one in islice(elements, MOST))


def _without_labels(batch: Any) -> Any:
    return batch[0] if isinstance(batch, tuple) else batch


def _of_frame(frame: Any) -> dict[str, np.ndarray]:
    return {str(name): frame[name].to_numpy() for name in frame.columns}


def _column(value: Any) -> Any:
    return value.to_numpy() if hasattr(value, "to_numpy") else value


def _in_order(leaves: list[KerasTensor], asked: Any, samples: Any) -> list[Any]:
    """Return the samples of each input: by name from a dict, else in order."""
    if isinstance(samples, dict):
        names = _names(leaves, asked)
        if all(name in samples for name in names):
            return [samples[name] for name in names]
        if len(leaves) == 1 and len(leaves[0].shape) == 2:  # the columns of a table
            return [np.stack([np.asarray(column) for column in samples.values()], axis=-1)]
        missing = [name for name in names if name not in samples]
        raise BadInput(
            f"calibration: has no samples for input {missing[0]!r}; it names {', '.join(map(repr, samples))}, the "
            f"model takes {', '.join(map(repr, names))}"
        )
    if len(leaves) == 1:
        if isinstance(samples, (list, tuple)) and len(samples) == 1:
            return list(samples)
        return [samples]
    given = tree.flatten(samples) if isinstance(samples, (list, tuple)) else [samples]
    if len(given) != len(leaves):
        raise BadInput(
            f"calibration: {len(given)} array{'s' * (len(given) != 1)} for a model of {len(leaves)} inputs "
            f"({', '.join(str(leaf.name) for leaf in leaves)}); give one each, as a list or a dict by name"
        )
    return given


def _names(leaves: list[KerasTensor], asked: Any) -> list[str]:
    return [key for key, _ in sorted(asked.items())] if isinstance(asked, dict) else [leaf.name for leaf in leaves]


def _array(samples: Any, leaf: KerasTensor) -> np.ndarray:
    """Return samples as one array; single values may lack the axis that holds one, or have it to spare, as in Keras."""
    try:
        array = np.asarray(samples)
    except ValueError as error:
        raise BadInput(f"calibration: cannot be made one array ({error}); give one array for each input") from error
    if array.dtype.kind not in "biuf":
        raise BadInput(f"calibration: values of type {array.dtype} are no numbers; encode them as the model takes them")
    return as_ranked(array, leaf.shape[1:])


def _check_fits(leaf: KerasTensor, array: np.ndarray, alone: bool) -> None:
    own = tuple(leaf.shape[1:])
    fits = array.ndim == len(leaf.shape) and all(
        size in (None, given) for size, given in zip(own, array.shape[1:], strict=True)
    )
    if not fits:
        what = "samples" if alone else f"samples of input {leaf.name!r}"
        wanted = f"(N, {', '.join('any' if size is None else str(size) for size in own)})"
        remedy = "; one sample needs a batch around it: samples[None]" if array.shape == own else ""
        raise BadInput(f"calibration: {what} of shape {array.shape}, the model takes {wanted}{remedy}")
    if not len(array):
        raise BadInput(f"calibration: input {leaf.name!r} has no samples; give some hundred from the training data")


def _check_finite(leaf: KerasTensor, array: np.ndarray, index: int) -> None:
    """Refuse samples that would ruin a range: one infinite value is enough."""
    if array.dtype.kind != "f":
        return
    bad = np.argwhere(~np.isfinite(array) | (np.abs(array) > LARGEST))
    if len(bad):
        sample, *feature = bad[0].tolist()
        raise BadInput(
            f"calibration: input {index}, sample {sample}, feature {tuple(feature)} is {array[tuple(bad[0])]}; "
            "values must be finite and within 1e6"
        )


def _as_integers(leaf: KerasTensor, array: np.ndarray) -> np.ndarray:
    """Return token numbers and the like as integers, which they may have been read from a table as floats of."""
    if "int" not in leaf.dtype or array.dtype.kind != "f":
        return array
    if np.any(array != np.round(array)):
        raise BadInput(f"calibration: input {leaf.name!r} takes {leaf.dtype}; {array.dtype} with fractions was given")
    return array.astype(leaf.dtype)


__all__ = ["build", "from_config", "gather", "to_config"]

"""Samples as users have them (lists, dicts, frames, data sets of Keras and TensorFlow) as arrays by input name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import BadInput
from ...forms import as_ranked, is_frame, is_series, is_tensors


@dataclass(frozen=True, kw_only=True)
class Input:
    """One input of a model: its name, the shape of one sample (None where open), whether it takes integers.

    vocabulary: how many token ids it knows, None for values that are none.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"
    vocabulary: int | None = None


def gather(batches: Any, what: str, inputs: Sequence[Input] | None = None) -> tuple[Any, Any]:
    """Return all batches of a PyDataset or tf.data.Dataset as (x, y).

    Single samples of a tf.data.Dataset are told by the rank that a model's `inputs` take. Raises: BadInput for sample
    weights, which are of no meaning to the verdict, and for what is endless or empty.
    """
    pairs = list(_from_tensorflow(batches, what, inputs) if is_tensors(batches) else _of_keras(batches, what))
    kind = type(batches).__name__.strip("_")
    if not pairs:
        raise BadInput(f"{what}: the {kind} has no batches")
    if any(not isinstance(pair, Sequence) or len(pair) != 2 for pair in pairs):
        raise BadInput(f"{what}: batches of the {kind} must be (x, y); sample weights are not supported")
    xs, ys = zip(*pairs, strict=True)
    return _joined(xs), _joined(ys)


def _of_keras(batches: Any, what: str) -> list[Any]:
    if batches.num_batches is None:
        raise BadInput(f"{what}: the {type(batches).__name__} has no end (num_batches is None); give it a __len__")
    return [batches[k] for k in range(len(batches))]


def _from_tensorflow(batches: Any, what: str, inputs: Sequence[Input] | None) -> list[Any]:
    if int(batches.cardinality()) == -1:
        raise BadInput(f"{what}: the tf.data.Dataset has no end; leave .repeat() out, or add .take(n)")
    pairs = list(batches.as_numpy_iterator())
    if not pairs or not isinstance(pairs[0], tuple) or len(pairs[0]) != 2:
        return pairs
    first = next(iter(_leaves(pairs[0][0])))
    rank = len(inputs[0].shape) if inputs else None
    single = np.ndim(first) == rank if rank is not None else all(np.ndim(array) == 0 for array in _leaves(pairs[0][1]))
    return [_map(pair, lambda array: np.asarray(array)[None]) for pair in pairs] if single else pairs


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return [array for part in value.values() for array in _leaves(part)]
    if isinstance(value, (tuple, list)):
        return [array for part in value for array in _leaves(part)]
    return [value]


def _map(value: Any, function: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _map(part, function) for name, part in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(_map(part, function) for part in value)
    return function(value)


def _joined(parts: Sequence[Any]) -> Any:
    """Concatenate batches, leaf by leaf."""
    first = parts[0]
    if isinstance(first, Mapping):
        return {name: _joined([part[name] for part in parts]) for name in first}
    if isinstance(first, (tuple, list)):
        return type(first)(_joined([part[place] for part in parts]) for place in range(len(first)))
    return np.concatenate([np.asarray(part) for part in parts])


def samples(x: Any, what: str, dtype: str | None, inputs: Sequence[Input] | None = None) -> Any:
    """Return samples as one array, or as a dict of arrays by input name for several inputs.

    A list or tuple holds the inputs in the model's order where it has several, else the samples. A frame's columns feed
    inputs by name, or together the one input. Values are never scaled.
    Raises: BadInput for columns or inputs that are not there, and for what are no numbers.
    """
    several = inputs is not None and len(inputs) > 1
    if is_frame(x):
        return _columns(x, what, dtype, inputs)
    if isinstance(x, Mapping):
        named = {str(name): _matrix(values, what, name, _dtype_of(name, dtype, inputs)) for name, values in x.items()}
        return _in_rank(_fitting(named, what, inputs), inputs)
    if isinstance(x, (list, tuple)) and (several or _are_inputs(x)):
        if inputs is not None and len(x) != len(inputs):
            raise BadInput(
                f"{what}: {len(x)} inputs, the model has {len(inputs)}: {_names(inputs)}; give one array each"
            )
        names = [each.name for each in inputs] if inputs is not None else [f"input_{k}" for k in range(len(x))]
        arrays = [
            _matrix(values, what, name, _dtype_of(name, dtype, inputs)) for name, values in zip(names, x, strict=True)
        ]
        return _in_rank(dict(zip(names, arrays, strict=True)) if len(arrays) > 1 else arrays[0], inputs)
    if several:
        raise BadInput(
            f"{what}: one array, the model has {len(inputs or ())} inputs: {_names(inputs)}; give a dict by name"
        )
    return _in_rank(_matrix(x, what, "", dtype), inputs)


def targets(y: Any, several: bool = False) -> Any:
    """Return targets as an array, or as a dict or list of arrays for several outputs; a frame's columns side by side.

    several: a list holds one array an output, however alike they are.
    """
    if is_frame(y):
        values = y.to_numpy()
        return values[:, 0] if values.shape[1] == 1 else values
    if is_series(y):
        return y.to_numpy()
    if isinstance(y, Mapping):
        return {str(name): targets(values) for name, values in y.items()}
    if isinstance(y, (list, tuple)) and (several or _are_inputs(y)):
        return [targets(values) for values in y]
    return np.asarray(y)


def length(arrays: Any) -> int:
    """Return how many samples there are in an array, or in each of a dict or list of arrays."""
    if isinstance(arrays, Mapping):
        return length(next(iter(arrays.values())))
    first = next(iter(arrays), None) if isinstance(arrays, (tuple, list)) else None
    return len(arrays) if first is None or not np.ndim(first) else len(first)


def _are_inputs(x: Sequence[Any]) -> bool:
    """Tell a list of whole arrays, one an input or output, from a list of samples: arrays of unlike shapes are no
    samples, and a tuple of arrays never is."""
    arrays = [array for array in x if hasattr(array, "shape") or is_frame(array) or is_series(array)]
    if not x or len(arrays) != len(x) or any(len(array.shape) == 0 for array in arrays):
        return False
    return isinstance(x, tuple) or len({tuple(array.shape) for array in arrays}) > 1


def _names(inputs: Sequence[Input] | None) -> str:
    return ", ".join(each.name for each in inputs or ())


def _dtype_of(name: Any, dtype: str | None, inputs: Sequence[Input] | None) -> str | None:
    return next((each.dtype for each in inputs or () if each.name == str(name)), dtype)


def _fitting(named: dict[str, np.ndarray], what: str, inputs: Sequence[Input] | None) -> Any:
    """Check the names against the model's, and order them as it has them; a lone input takes whatever it is called."""
    if inputs is None:
        return named
    if len(inputs) == 1 and len(named) == 1:
        return next(iter(named.values()))
    missing = [each.name for each in inputs if each.name not in named]
    spare = [name for name in named if name not in {each.name for each in inputs}]
    if missing or spare:
        raise BadInput(
            f"{what}: inputs {', '.join(named)}; the model's are {_names(inputs)}: name them so"
            + (f" ({', '.join(missing)} missing)" if missing else "")
        )
    return {each.name: named[each.name] for each in inputs}


def _columns(frame: Any, what: str, dtype: str | None, inputs: Sequence[Input] | None) -> Any:
    if inputs is None or len(inputs) == 1:
        return _in_rank(_matrix(frame, what, "", inputs[0].dtype if inputs else dtype), inputs)
    there = [str(name) for name in frame.columns]
    missing = [each.name for each in inputs if each.name not in there]
    if missing:
        raise BadInput(
            f"{what}: the frame has no column {', '.join(missing)}; the model's inputs are {_names(inputs)}, its "
            f"columns "
            f"{', '.join(there[:20])}. Name the columns so, or give a dict of frames by input"
        )
    spare = [name for name in there if name not in {each.name for each in inputs}]
    if spare:
        raise BadInput(f"{what}: the frame's columns {', '.join(spare[:20])} feed no input of the model; drop them")
    named = {}
    for each in inputs:
        named[each.name] = _matrix(frame[frame.columns[there.index(each.name)]], what, each.name, each.dtype)
    return _in_rank(named, inputs)


def _in_rank(arrays: Any, inputs: Sequence[Input] | None) -> Any:
    """Give single values the axis that an input has for them, or take it away, as Keras does when it is called."""
    if inputs is None:
        return arrays
    if isinstance(arrays, Mapping):
        return {each.name: as_ranked(arrays[each.name], each.shape) for each in inputs}
    return as_ranked(arrays, inputs[0].shape) if len(inputs) == 1 else arrays


def _matrix(value: Any, what: str, name: Any, dtype: str | None) -> np.ndarray:
    """Return a frame, a series or an array as numbers; what is no number is named by its column."""
    if is_frame(value):
        for column in value.columns:
            _check_column(value[column], what, column)
        return _numbers(value.to_numpy(), what, dtype)
    if is_series(value):
        _check_column(value, what, value.name)
        return _numbers(value.to_numpy(), what, dtype)
    return _numbers(value, f"{what}, input {name!r}" if name else what, dtype)


def _check_column(series: Any, what: str, name: Any) -> None:
    values = series.to_numpy()
    if values.dtype.kind == "O":
        wrong = next(
            (place for place, value in enumerate(values) if not isinstance(value, (int, float, bool, np.number))), None
        )
        if wrong is not None:
            raise BadInput(
                f"{what}: column {name!r} holds {values[wrong]!r} in row {wrong}; numbers are wanted: encode texts, "
                f"fill gaps"
            )
    elif values.dtype.kind == "f" and not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise BadInput(f"{what}: column {name!r} is {values[row]} in row {row}; fill the gap or drop the row")


def _numbers(x: Any, what: str, dtype: str | None) -> np.ndarray:
    """Return samples as float32, or as int32 where integers are asked for; values are never scaled."""
    try:
        x = np.asarray(x)
    except ValueError as error:
        raise BadInput(f"{what}: samples are not all of one shape ({error}); give arrays of one shape") from error
    if x.dtype.kind == "O":
        with suppress(TypeError, ValueError):  # said below
            x = x.astype(np.float64)
    if x.dtype.kind not in "fiub":
        raise BadInput(f"{what}: samples have dtype {x.dtype}; numbers are wanted")
    integers = dtype is not None and np.dtype(dtype).kind in "iu"
    if dtype == "int32" or (integers and x.dtype.kind != "f"):
        if x.dtype.kind == "f":
            raise BadInput(f"{what}: samples have dtype {x.dtype}, the model takes token ids; return integers")
        return x.astype(np.int32)
    tokens = dtype is None and x.dtype in (np.int32, np.int64)
    return x.astype(np.int32 if tokens else np.float32)

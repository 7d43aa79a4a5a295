"""Samples in, float values out."""

# ruff: noqa: B905 (zip has no `strict` before Python 3.10)

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .faults import Rejected, refusing
from .kinds import Job
from .machine import microseconds_since


class Samples:
    """The samples as a model wants them: one at a time with a leading batch of 1, quantized where its inputs are."""

    def __init__(self, arrays: Any, model: Any, stateful: Any = False, names: Any = None):
        wanted = names or [tensor["name"] for tensor in model.inputs]
        if len(wanted) == len(arrays) == 1:  # a lone input may be called otherwise where the samples come from
            arrays = {"": next(iter(arrays.values()))}
        self._arrays = [matching(arrays, name) for name in wanted]
        if len(self._arrays) != len(arrays):
            raise Rejected(f"the model has {len(self._arrays)} inputs, the samples {len(arrays)}")
        self._fit(model)
        self._model, self._stateful = model, stateful

    def _fit(self, model: Any):
        """Check shapes; where the file leaves a size open, settle it."""
        shapes = [(1, *array.shape[1:]) for array in self._arrays]
        for tensor, shape in zip(model.inputs, shapes):
            if not fits(shape, tensor):
                raise Rejected(f"input {tensor['name']!r} takes shape {tensor['shape']}, a sample has {list(shape)}")
        if any(list(tensor["shape"]) != list(shape) for tensor, shape in zip(model.inputs, shapes)):
            with refusing():
                model.resize(shapes)

    def __len__(self):
        return len(self._arrays[0])

    def __getitem__(self, i: int):
        return [quantize(array[i : i + 1], tensor) for array, tensor in zip(self._arrays, self._model.inputs)]

    def invoke(self, i: int):
        """Run one sample from a fresh state; return how many microseconds it took."""
        sample = self[i]
        with refusing():
            if self._stateful:
                self._model.reset()
            self._model.set(sample)
            started = time.perf_counter_ns()
            self._model.invoke()
            return microseconds_since(started)

    def answer(self, i: int, outputs: Sequence[int]):
        """Run one sample; return these outputs as floats, without their batch of 1, and microseconds."""
        elapsed = self.invoke(i)
        with refusing():
            tensors = self._model.outputs
            return [unbatched(dequantize(self._model.get(place), tensors[place])) for place in outputs], elapsed

    def inputs(self, most: int):
        """Return what the model reads for the first samples."""
        return [self[i] for i in range(min(most, len(self)))]

    def feed(self, most: int):
        """Return `feed(i)`, which places what inference i of a timed loop over the first samples reads."""
        with refusing():
            feed = self._model.feeds(self.inputs(most))
        return after(self._model.reset, feed) if self._stateful else feed


def after(reset: Callable, feed: Callable[[int], None]):
    """Return a feed that resets the model first."""

    def feed_fresh(i: int):
        reset()
        feed(i)

    return feed_fresh


def load_arrays(paths: Mapping[str, str]):
    """Return the arrays of .npy files by name, without reading them yet."""
    return {name: np.load(path, mmap_mode="r", allow_pickle=False) for name, path in paths.items()}


def fits(shape: Sequence[int], tensor: Job):
    """Tell if an input takes arrays of a shape, one of its sizes may be open."""
    return len(shape) == len(tensor["shape"]) and all(
        free or size == given for size, given, free in zip(tensor["shape"], shape, tensor["free"])
    )


def plain(name: str):
    """Return the name of an input or output without what converters add."""
    return re.sub(r"^serving_default_|:\d+$", "", name)


def matching(arrays: Any, name: str):
    """Find an input's samples by its name, which converters decorate; a lone array needs no name."""
    if list(arrays) == [""]:
        return arrays[""]
    for candidate in (name, plain(name)):
        if candidate in arrays:
            return arrays[candidate]
    raise Rejected(f"no samples for input {plain(name)!r}; there are samples for {sorted(arrays)}")


def quantize(values: Any, tensor: Job):
    """Turn float samples into what the input tensor holds; other samples only change their integer width."""
    dtype = np.dtype(tensor["dtype"])
    if values.dtype.kind == "f" and dtype.kind in "iu":
        if not tensor["scale"]:
            raise Rejected(f"input {tensor['name']!r} takes {dtype.name} and gives no scale for float samples")
        limits = np.iinfo(dtype)
        steps = np.rint(values / np.float32(tensor["scale"])) + tensor["zero_point"]
        values = np.clip(steps, limits.min, limits.max)
    return np.ascontiguousarray(values, dtype)


def dequantize(values: Any, tensor: Job):
    """Return outputs as float32; integers without a scale (labels, tokens) stay as they are."""
    if tensor["scale"] and values.dtype.kind in "iu":
        return (values.astype(np.float32) - tensor["zero_point"]) * np.float32(tensor["scale"])
    return values.astype(np.float32) if values.dtype.kind == "f" else values


def unbatched(values: Any):
    """Leave out a batch of 1."""
    return values[0] if values.ndim and values.shape[0] == 1 else values


def zeros(values: Any):
    """Return the share of values that are zero; None of no values."""
    return float(np.mean(values == 0)) if values.size else None

"""Files that take images with their channels first, while all samples have them last."""

# ruff: noqa: B905 (zip has no `strict` before Python 3.10)

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .kinds import Job

TO_FIRST, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


class ChannelsLast:
    """An open model that takes (N, H, W, C) where its file wants (N, C, H, W); it is as the model otherwise."""

    def __init__(self, model: Any, layouts: Sequence):
        self._model, self._layouts = model, layouts

    def __getattr__(self, name: str):
        return getattr(self._model, name)

    @property
    def inputs(self):
        """The inputs, in the shapes that samples have."""
        return [
            {**tensor, **{key: permuted(tensor[key], TO_LAST) for key in ("shape", "free")}} if is_first else tensor
            for tensor, is_first in self._each(self._model.inputs)
        ]

    def resize(self, shapes: Sequence):
        """Give inputs of unknown size their shape."""
        self._model.resize([permuted(shape, TO_FIRST) if is_first else shape for shape, is_first in self._each(shapes)])

    def set(self, arrays: Sequence):
        """Place arrays at the inputs."""
        self._model.set(self._arranged(arrays))

    def feeds(self, samples: Sequence):
        """Return `feed(i)`; the samples are turned before it is called."""
        return self._model.feeds([self._arranged(arrays) for arrays in samples])

    def profile(self, samples: Sequence):
        """Return what the model tells of `samples`."""
        return self._model.profile([self._arranged(arrays) for arrays in samples])

    def _arranged(self, arrays: Sequence):
        return [
            array.transpose(TO_FIRST).copy(order="C") if is_first else array for array, is_first in self._each(arrays)
        ]

    def _each(self, entries: Sequence):
        return [(entry, layout == "nchw") for entry, layout in zip(entries, self._layouts)]


def permuted(entries: Sequence, order: Sequence[int]):
    """Return the entries of each axis in another order."""
    return [entries[axis] for axis in order]


def with_channels_last(model: Any, spec: Job):
    """Return an open model as samples are: by the layouts of its inputs, in their order, that a job tells."""
    layouts = spec.get("layouts") or []
    return ChannelsLast(model, layouts) if "nchw" in layouts else model

"""Texts as streams of token ids, cut into windows: what a language model reads, and what comes next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...errors import BadInput
from .dataset import Split


def splits(name: str, parts: Mapping[str, Sequence[np.ndarray]], length: int, unit: str) -> dict[str, Split]:
    """Return windows of each part's streams, and as targets the token behind each of their own.

    Windows do not overlap, and none reaches over the end of a stream; they lie in the order of the text.
    Shapes: streams (n,) -> x, y (N, length) int32.  Raises: BadInput for a part that is shorter than a window.
    """
    rows = _rows(name, parts, length, length, unit)
    return {
        part: Split(x=np.ascontiguousarray(cut[:, :-1]), y=np.ascontiguousarray(cut[:, 1:]))
        for part, cut in rows.items()
    }


def next_tokens(name: str, parts: Mapping[str, Sequence[np.ndarray]], length: int, unit: str) -> dict[str, Split]:
    """Return a window before each token, and the token as its target.

    Shapes: streams (n,) -> x (N, length), y (N,) int32.  Raises: BadInput for a part that is shorter than a window.
    """
    rows = _rows(name, parts, length, 1, unit)
    return {part: Split(x=np.ascontiguousarray(cut[:, :-1]), y=cut[:, -1].copy()) for part, cut in rows.items()}


def _rows(
    name: str, parts: Mapping[str, Sequence[np.ndarray]], length: int, stride: int, unit: str
) -> dict[str, np.ndarray]:
    """Return windows with the token behind each.  Shapes: (N, length + 1) int32 by part."""
    rows = {part: np.concatenate([_cut(stream, length, stride) for stream in streams])
            for part, streams in parts.items()}  # fmt: skip
    if short := [part for part, cut in rows.items() if not len(cut)]:
        raise BadInput(f"data set {name!r}: {short[0]} has no {length + 1} {unit}; ask for shorter windows")
    return rows


def _cut(stream: np.ndarray, length: int, stride: int) -> np.ndarray:
    if len(stream) <= length:
        return np.empty((0, length + 1), np.int32)
    return np.lib.stride_tricks.sliding_window_view(stream.astype(np.int32), length + 1)[::stride]

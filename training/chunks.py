"""Chunks of tagged sentences, counted as the shared tasks count them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .data.tagging import HIDDEN


def counted(said: np.ndarray, truth: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """Count the chunks of each sentence: right ones, said ones, true ones.

    A chunk is right if kind, begin and end are. Tags are IOB2 by name; where the truth is HIDDEN none is counted.
    Shapes: (N, T), (N, T) of places in `labels` -> (N, 3) float64.
    """
    rows = np.zeros((len(truth), 3))
    for row, ours, theirs in zip(rows, said, truth, strict=True):
        told = theirs != HIDDEN
        spoken, true = (_chunks(tags[told], labels) for tags in (ours, theirs))
        row[:] = len(spoken & true), len(spoken), len(true)
    return rows


def _chunks(tags: np.ndarray, labels: Sequence[str]) -> set[tuple[str, int, int]]:
    from seqeval.metrics.sequence_labeling import get_entities

    return set(get_entities([labels[tag] for tag in tags]))

"""How calibration turns the values it sees into ranges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

import numpy as np

from .fake_quant import limits

BINS = 2048
SHRINKS = np.linspace(0.3, 1.0, 71)


class Seen:
    """The values of one tensor for a batch, and their extremes, found once; nan where one is nan, 0 of none."""

    def __init__(self, array: np.ndarray):
        self.array = array

    @cached_property
    def low(self) -> float:
        """The smallest value."""
        with np.errstate(invalid="ignore"):
            return float(self.array.min()) if self.array.size else 0.0

    @cached_property
    def high(self) -> float:
        """The largest value."""
        with np.errstate(invalid="ignore"):
            return float(self.array.max()) if self.array.size else 0.0


Values = Iterable[tuple[str, Seen]]  # (name of a scale, values of a batch), in any order
Batches = Callable[[], Iterable[Values]]  # runs over the samples anew at each call: they need not fit into memory
Range = tuple[float, float]


def minmax(batches: Batches, bits: dict[str, int], percentile: float) -> dict[str, Range]:
    """Take the smallest and the largest value."""
    ends: dict[str, Range] = {}
    for name, values in _flat(batches):
        known = ends.get(name, (values.low, values.high))
        ends[name] = min(values.low, known[0]), max(values.high, known[1])
    return ends


def percentile(batches: Batches, bits: dict[str, int], percentile: float) -> dict[str, Range]:
    """Clip each tail of each batch to `percentile` of the values; the mean over batches."""
    tails: dict[str, list[Range]] = {}
    for batch in batches():
        widest: dict[str, Range] = {}
        for name, values in batch:
            low, high = (float(end) for end in np.percentile(values.array, [100 - percentile, percentile]))
            known = widest.get(name, (low, high))
            widest[name] = min(low, known[0]), max(high, known[1])
        for name, ends in widest.items():
            tails.setdefault(name, []).append(ends)
    return {name: (float(np.mean([low for low, _ in ends])), float(np.mean([high for _, high in ends])))
            for name, ends in tails.items()}  # fmt: skip


def mse(batches: Batches, bits: dict[str, int], percentile: float) -> dict[str, Range]:
    """Shrink the whole range as far as makes the mean squared error of rounding and clipping least.

    Source: Banner et al. 2019, arXiv:1810.05723, by search over a histogram instead of a model of the distribution.
    """
    whole = minmax(batches, bits, percentile)
    counts: dict[str, np.ndarray] = {}
    for name, values in _flat(batches):
        here, _ = np.histogram(values.array, BINS, whole[name])
        counts[name] = counts.get(name, 0) + here
    return {name: _least_error(counts[name], whole[name], bits[name]) for name in whole}


OBSERVERS: dict[str, Callable[[Batches, dict[str, int], float], dict[str, Range]]] = {
    "minmax": minmax,
    "percentile": percentile,
    "mse": mse,
}


def _flat(batches: Batches) -> Iterator[tuple[str, Seen]]:
    return ((name, values) for batch in batches() for name, values in batch)


def _least_error(counts: np.ndarray, whole: Range, bits: int) -> Range:
    """Return the shrunk range with the least squared error over a histogram with `counts`."""
    low, high = whole
    edges = np.linspace(low, high, BINS + 1)
    centres = (edges[:-1] + edges[1:]) / 2
    lowest, highest = limits(bits)

    def error(shrink: float) -> float:
        step = max((high - low) * shrink / (highest - lowest), 1e-12)
        rounded = np.clip(np.round(centres / step) * step, low * shrink, high * shrink)
        return float((counts * (np.square(centres - rounded))).sum())

    best = min(SHRINKS, key=error)
    return low * best, high * best

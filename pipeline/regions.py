"""Which operators of a graph to compute in float so that the whole takes least: a minimum cut.

An operator takes one time in 8 bits and another in float; a tensor between the two is converted, once for all that read
it, which takes time as well. Of all ways to choose, the cheapest is a minimum cut between "8 bits" and "float"
(Stone 1977, "Multiprocessor scheduling with the aid of network flow algorithms").
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

_MOST = 2**30  # capacities are integers of 32 bits


@dataclass(frozen=True, kw_only=True)
class Border:
    """A tensor: the operator that makes it, those that read it, and what a conversion of it takes.

    None stands for the outside, which is float: the caller.
    """

    maker: int | None
    readers: tuple[int | None, ...]
    us: float


def converted(borders: Sequence[Border], floats: Collection[int]) -> Iterator[Border]:
    """Yield the borders that are converted, once a direction, where the operators `floats` are in float."""
    for border in borders:
        made = border.maker is None or border.maker in floats
        for read in {reader is None or reader in floats for reader in border.readers}:
            if read != made:
                yield border


def cost(gains_us: Sequence[float], borders: Sequence[Border], floats: Collection[int]) -> float:
    """Return what a choice takes beyond everything in 8 bits without borders: see `cheapest`."""
    return sum(border.us for border in converted(borders, floats)) - sum(gains_us[number] for number in floats)


def cheapest(
    gains_us: Sequence[float],
    borders: Sequence[Border],
    *,
    fixed: Collection[int] = (),
    tied: Sequence[tuple[int, int]] = (),
) -> set[int]:
    """Return the operators to compute in float, as numbers.

    gains_us: how much longer each takes in 8 bits than in float, negative where it is faster. fixed: those that are
    float whatever they cost; tied: pairs that must be alike. Of choices that cost the same, the one with fewest floats.
    """
    count = len(gains_us)
    quantized, floating = count, count + 1  # the sides of the cut
    never = 1.0 + sum(map(abs, gains_us)) + 2 * sum(border.us for border in borders)
    edges = [
        (number, floating, gain) if gain > 0 else (quantized, number, -gain) for number, gain in enumerate(gains_us)
    ]
    edges += [(number, floating, never) for number in fixed]
    edges += [edge for a, b in tied for edge in ((a, b, never), (b, a, never))]
    for number, border in enumerate(borders):
        dequantized, requantized = count + 2 + 2 * number, count + 3 + 2 * number  # what a conversion would make
        maker, *readers = (floating if one is None else one for one in (border.maker, *border.readers))
        edges += [(maker, dequantized, border.us), (requantized, maker, border.us)]
        for reader in readers:
            edges += [(dequantized, reader, never), (reader, requantized, never)]
    reaching = _on_the_side_of(floating, quantized, edges, never)
    return {number for number in range(count) if number in reaching}


def _on_the_side_of(sink: int, source: int, edges: Sequence[tuple[int, int, float]], most: float) -> set[int]:
    """Return the nodes on the side of `sink` in the minimum cut that leaves it fewest. edges: (from, to, weight)."""
    starts, ends, weights = map(np.array, zip(*edges, strict=True))
    count = int(max(starts.max(), ends.max())) + 1
    units = np.ceil(weights * (_MOST / most)).astype(np.int64)
    capacity = csr_array((units, (starts, ends)), shape=(count, count))
    capacity.sum_duplicates()
    capacity.data = np.minimum(capacity.data, _MOST)
    capacity = capacity.astype(np.int32)
    left = capacity - maximum_flow(capacity, source, sink).flow
    return {int(node) for node in breadth_first_order(csr_array(left.T > 0), sink, return_predecessors=False)}

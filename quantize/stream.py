"""The residual stream of a graph: what each block reads, adds to and hands on, found by how the graph is wired.

A block adds what its products make to what it was given. Such sums, and what is computed around them up to the nearest
products (positions, norms, the pool at the end), are rounded once each in 8 bits, and all that is lost stays in what
every later block reads. Products lose less: their kernels are trained with their rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from operator import or_

from .graph.nodes import Graph, Tensor
from .kernels import LINEAR
from .placement import FusedOp, fuse

PRODUCTS = LINEAR | {"MatmulTransposed", "FusedLSTM"}


def residual_stream(graph: Graph) -> frozenset[int]:
    """Return the ids of the nodes of `graph` that are its residual stream; none where nothing is skipped.

    Tables that are looked up in, and products with their biases and clips, are no part of it.
    """
    operators = fuse(graph)
    makers = {id(out): number for number, fused in enumerate(operators) for out in fused.outputs}
    read = [[makers[key] for tensor in fused.inputs if (key := _made(tensor, makers)) is not None]
            for fused in operators]  # fmt: skip
    inside = [not _is_product(fused) and not _is_constant(fused) for fused in operators]
    waiting = [number for number in _sums(operators, read) if inside[number]]
    neighbours: list[set[int]] = [set(those) for those in read]
    for number, those in enumerate(read):
        for other in those:
            neighbours[other].add(number)
    found = set(waiting)
    while waiting:
        for number in neighbours[waiting.pop()] - found:
            if inside[number]:
                found.add(number)
                waiting.append(number)
    return frozenset(id(node) for number in found for node in operators[number].nodes)


def _made(tensor: Tensor, makers: dict[int, int]) -> int | None:
    """Return the id of `tensor`, or of what it was requantized from, if an operator makes it."""
    while id(tensor) not in makers and tensor.producer is not None and tensor.producer.op_type == "Requantize":
        (tensor,) = tensor.producer.inputs
    return id(tensor) if id(tensor) in makers else None


def _is_product(fused: FusedOp) -> bool:
    return fused.nodes[0].op_type in PRODUCTS


def _is_constant(fused: FusedOp) -> bool:
    """Tell whether an operator gives rows of a table, or tells places and truths: nothing of it is rounded."""
    reals = [tensor for tensor in fused.inputs if tensor.dtype.startswith("float")]
    return all(tensor.is_constant for tensor in reals) or not fused.outputs[0].dtype.startswith("float")


def _sums(operators: Sequence[FusedOp], read: Sequence[Sequence[int]]) -> Iterator[int]:
    """Yield the sums of two tensors of which one was computed from the other by products, among other things."""
    before: list[int] = []  # by operator, a bit for each that it was computed from, itself included
    by_products: list[int] = []  # likewise, those with a product on the way
    for number, (fused, those) in enumerate(zip(operators, read, strict=True)):
        given = _union(before, those)
        before.append(given | 1 << number)
        by_products.append(given if _is_product(fused) else _union(by_products, those))
        if fused.nodes[0].op_type == "Add" and len(set(those)) == 2:
            first, second = those
            if by_products[first] >> second & 1 or by_products[second] >> first & 1:
                yield number


def _union(sets: Sequence[int], those: Sequence[int]) -> int:
    return reduce(or_, (sets[number] for number in those), 0)

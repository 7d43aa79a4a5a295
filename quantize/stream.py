"""The residual stream of a graph: what each block reads, adds to and hands on, found by how the graph is wired.

A block adds what its products make to what it was given. Such sums, and what is computed around them up to the nearest
products (positions, norms, the pool at the end), are rounded once each in 8 bits, and all that is lost stays in what
every later block reads. Products lose less: their kernels are trained with their rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    read = [[_made(tensor, makers) for tensor in fused.inputs] for fused in operators]
    neighbours: list[set[int]] = [set() for _ in operators]
    for number, tensors in enumerate(read):
        for maker in (makers[id(tensor)] for tensor in tensors if id(tensor) in makers):
            neighbours[number].add(maker)
            neighbours[maker].add(number)
    inside = [not _is_product(fused) and not _is_constant(fused) for fused in operators]
    waiting = list(_sums(operators, read))
    found = set(waiting)
    while waiting:
        for number in neighbours[waiting.pop()] - found:
            if inside[number]:
                found.add(number)
                waiting.append(number)
    return frozenset(id(node) for number in found for node in operators[number].nodes)


def _made(tensor: Tensor, makers: Mapping[int, int]) -> Tensor:
    """Return `tensor`, or what it was requantized from in a graph that was placed before."""
    while id(tensor) not in makers and tensor.producer is not None and tensor.producer.op_type == "Requantize":
        (tensor,) = tensor.producer.inputs
    return tensor


def _is_product(fused: FusedOp) -> bool:
    return fused.nodes[0].op_type in PRODUCTS


def _is_constant(fused: FusedOp) -> bool:
    """Tell whether an operator gives rows of a table, or tells places and truths: nothing of it is rounded."""
    reals = [tensor for tensor in fused.inputs if tensor.dtype.startswith("float")]
    return all(tensor.is_constant for tensor in reals) or not fused.outputs[0].dtype.startswith("float")


def _sums(operators: Sequence[FusedOp], read: Sequence[Sequence[Tensor]]) -> Iterator[int]:
    """Yield the sums of two tensors of which one was computed from the other by products, among other things."""
    bits: dict[int, int] = {}  # one of each tensor; sets of them are integers
    before: dict[int, int] = {}  # by id of a tensor, those that it was computed from, itself included
    by_products: dict[int, int] = {}  # likewise, those with a product on the way
    for number, (fused, tensors) in enumerate(zip(operators, read, strict=True)):
        given = _union(before, tensors)
        passed = given if _is_product(fused) else _union(by_products, tensors)
        for out in fused.outputs:
            bits[id(out)] = 1 << len(bits)
            before[id(out)], by_products[id(out)] = given | bits[id(out)], passed
        made = [id(tensor) for tensor in tensors if id(tensor) in bits]
        if fused.nodes[0].op_type == "Add" and len(made) == 2:
            first, second = made
            if by_products[first] & bits[second] or by_products[second] & bits[first]:
                yield number


def _union(sets: Mapping[int, int], tensors: Sequence[Tensor]) -> int:
    return reduce(or_, (sets.get(id(tensor), 0) for tensor in tensors), 0)

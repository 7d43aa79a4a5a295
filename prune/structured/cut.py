"""A choice of units that go: what is left of each tensor, and what the model costs then."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np

from ...quantize.graph.nodes import Graph, Node, Tensor
from .rules import letters
from .units import Anatomy, Group


class Cut:
    """The indices that are left of each axis when units go. Shapes have 1 for the batch."""

    def __init__(self, anatomy: Anatomy, chosen: Iterable[tuple[Group, Iterable[int]]] = ()):
        self.anatomy = anatomy
        self.gone = np.zeros(anatomy.classes.count, bool)
        self.chosen = list(chosen)
        for group, units in self.chosen:
            for unit in units:
                self.gone[list(group.units[unit])] = True
        self._left: dict[int, np.ndarray | None] = {}

    def left_of(self, axis: np.ndarray) -> np.ndarray | None:
        """Return the indices of an axis of the table that are left, None if all are."""
        if id(axis) not in self._left:
            gone = self.gone[self.anatomy.class_of(axis)]
            self._left[id(axis)] = np.flatnonzero(~gone) if gone.any() else None
        return self._left[id(axis)]

    def left(self, tensor: Tensor) -> list[np.ndarray | None]:
        """Return the indices that are left of each axis of a tensor, None where all are."""
        axes = self.anatomy.table.of.get(id(tensor), ())
        return [None if axis is None else self.left_of(axis) for axis in axes]

    def touches(self, tensor: Tensor) -> bool:
        """Tell whether a tensor loses anything."""
        return any(left is not None for left in self.left(tensor))

    def shape(self, tensor: Tensor) -> tuple[int, ...]:
        """Return the shape that a tensor has afterwards."""
        left = self.left(tensor) or [None] * len(tensor.shape)
        sizes = zip(tensor.shape, left, strict=True)
        return tuple((size or 1) if kept is None else len(kept) for size, kept in sizes)

    def gathered(self, tensor: Tensor, value: Any) -> Any:
        """Return what is left of a tensor's value."""
        for axis, kept in enumerate(self.left(tensor)):
            value = value if kept is None else np.take(value, kept, axis=axis)
        return value

    def masked(self, tensor: Tensor, value: Any) -> Any:
        """Return a tensor's value with zeros in place of what goes."""
        for axis, kept in enumerate(self.left(tensor)):
            if kept is not None:
                keep = np.zeros(value.shape[axis], bool)
                keep[kept] = True
                value = np.where(keep.reshape([-1 if each == axis else 1 for each in range(value.ndim)]), value, 0)
        return value

    def macs(self) -> int:
        """Return the multiply-adds of products and convolutions for one sample."""
        return macs_of(self.anatomy.graph.nodes, self)

    def parameters(self) -> int:
        """Return how many numbers the weights have."""
        return sum(math.prod(self.shape(leaf)) for leaf in self.anatomy.trace.weights.values())


class Whole:
    """What nothing is cut from."""

    def shape(self, tensor: Tensor) -> tuple[int, ...]:
        """Return the shape of a tensor, with 1 for the batch."""
        return tuple(size or 1 for size in tensor.shape)


def macs_of(nodes: Iterable[Node], cut: Cut | Whole | None = None) -> int:
    """Return the multiply-adds of products and convolutions for one sample."""
    shapes = cut or Whole()
    return sum(_macs(node, shapes) for node in nodes)


def _macs(node: Node, cut: Cut | Whole) -> int:
    count = _COUNTS.get(node.op_type)
    return 0 if count is None else count(node, cut, [cut.shape(leaf) for leaf in node.inputs])


def _product(node: Node, cut: Cut | Whole, shapes: list[tuple[int, ...]]) -> int:
    terms, _ = letters(node)
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for letter, size in zip(term, shape, strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    return math.prod(sizes.values())


def _conv(node: Node, cut: Cut | Whole, shapes: list[tuple[int, ...]]) -> int:
    return math.prod(cut.shape(node.output)) * math.prod(shapes[1][:-1])


def _depthwise(node: Node, cut: Cut | Whole, shapes: list[tuple[int, ...]]) -> int:
    return math.prod(cut.shape(node.output)) * math.prod(shapes[1][:-2])


def _separable(node: Node, cut: Cut | Whole, shapes: list[tuple[int, ...]]) -> int:
    outputs, (_, depthwise, pointwise) = cut.shape(node.output), shapes
    places = math.prod(outputs) // outputs[-1]
    return places * math.prod(depthwise) + places * pointwise[-1] * pointwise[-2]


def _transposed(node: Node, cut: Cut | Whole, shapes: list[tuple[int, ...]]) -> int:
    return math.prod(shapes[0]) * math.prod(shapes[1][:-1])  # each input value meets the kernel of each output map


def _attention(node: Node, cut: Cut | Whole, shapes: list[tuple[int, ...]]) -> int:
    query, key, value = shapes[:3]
    return query[1] * key[1] * query[2] * (query[3] + value[3])


_COUNTS = {
    **dict.fromkeys(["Dot", "Einsum", "Matmul", "Tensordot"], _product),
    **dict.fromkeys(["Conv", "GroupedConv"], _conv),
    **dict.fromkeys(["ConvTranspose", "TransposedConv"], _transposed),
    "DepthwiseConv": _depthwise,
    "DotProductAttention": _attention,
    "SeparableConv": _separable,
}
PRODUCTS = frozenset(_COUNTS)


class Mask(Protocol):
    """Puts zeros in place of what goes."""

    def masked(self, tensor: Tensor, value: Any) -> Any:
        """Return a tensor's value with zeros in place of what goes."""
        ...


def run(
    graph: Graph, inputs: list[np.ndarray], cut: Mask | None = None, kept: set[int] | None = None
) -> dict[int, np.ndarray]:
    """Return the values of tensors by id, with zeros in place of what `cut` takes. kept: of which, default outputs."""
    values = dict(zip(map(id, graph.inputs), inputs, strict=True))
    wanted = {id(leaf) for leaf in graph.outputs} | (kept or set())
    last = {id(leaf): node for node in graph.nodes for leaf in node.inputs}
    execute(graph.nodes, values, cut, lambda node: [
        values.pop(id(leaf)) for leaf in dict.fromkeys(node.inputs)
        if last[id(leaf)] is node and id(leaf) not in wanted and id(leaf) in values
    ])  # fmt: skip
    values.update({id(leaf): leaf.value for leaf in graph.outputs if leaf.is_constant})
    return values


def execute(nodes: Iterable[Node], values: dict[int, Any], cut: Mask | None, after: Any = None) -> None:
    """Run `nodes` on `values`, into `values`."""
    batch = next((len(value) for value in values.values() if np.ndim(value)), 1)

    def value(leaf: Tensor) -> Any:
        if id(leaf) in values:
            return values[id(leaf)]
        return leaf.value if cut is None else cut.masked(leaf, leaf.value)

    for node in nodes:
        for out, result in zip(node.outputs, node.run(value, batch=batch), strict=True):
            array = np.asarray(result)
            values[id(out)] = array if cut is None else cut.masked(out, array)
        if after is not None:
            after(node)

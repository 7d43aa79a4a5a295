"""The batch of a model that was traced with its size known: found by tracing twice, as whatever differs.

A class token tiled by the size of the batch, a mask broadcast to it, a state of zeros in its shape: with an open batch
none of them can be traced, with a known one all can, but then the size is everywhere. Two traces with batches of two
sizes are alike but for it: each size, argument and constant that differs is the batch's, and is opened again.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import KerasTensor

from ...errors import BadInput
from ...keras_internals import maker_of
from ...untyped import ops, tree
from .nodes import Graph, Node, Tensor
from .operations import Batched

SIZES = (2, 3)
# What may know the size of the batch, and has a form that does not (see `movement`).
_OPEN = frozenset({"BroadcastTo", "GetItem", "Repeat", "Reshape", "Slice", "Tile"})


def lift(small: Graph, large: Graph) -> Graph:
    """Return `small`, the trace with a batch of `SIZES[0]`, with its batch open. large: the one with `SIZES[1]`.

    Raises: BadInput where more than the shape depends on the size of the batch, naming the operation.
    """
    if [node.op_type for node in small.nodes] != [node.op_type for node in large.nodes]:
        names = (one.name for one, other in zip(small.nodes, large.nodes, strict=False) if one.op_type != other.op_type)
        raise _depends(next(names, small.name), "its operations are others for another size")
    lifted: dict[int, Tensor] = {}
    repeats: list[Node] = []

    def constant(one: Tensor, other: Tensor) -> Tensor:
        if id(one) not in lifted:
            lifted[id(one)] = _constant(one, other, repeats)
        return lifted[id(one)]

    for node, other in zip(small.nodes, large.nodes, strict=True):
        try:
            node.args, node.kwargs = tree.map_structure(
                lambda a, b, node=node: constant(a, b) if _is_constant(a) else _value(a, b, node),
                (node.args, node.kwargs),
                (other.args, other.kwargs),
            )
        except (ValueError, TypeError) as error:
            if isinstance(error, BadInput):
                raise
            raise _depends(node.name, "it takes others for another size") from error
        _open_attributes(node, other)
        for out, theirs in zip(node.outputs, other.outputs, strict=True):
            out.shape = _shape(out.shape, theirs.shape, node.name)
        if node.op_type == "Reshape" and None in node.op.newshape:
            node.op.newshape = node.output.shape  # at most one size is open then
    for leaf, theirs in zip(small.inputs, large.inputs, strict=True):
        leaf.shape = _shape(leaf.shape, theirs.shape, leaf.name)
    small.outputs = [
        constant(one, other) if _is_constant(one) else one
        for one, other in zip(small.outputs, large.outputs, strict=True)
    ]
    small.nodes[:0] = repeats
    return small


def _is_constant(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.is_constant


def _depends(name: str, how: str) -> BadInput:
    return BadInput(
        f"operation {name} depends on the size of the batch, {how}: an exported file holds one sample, so compute "
        "what each sample needs from that sample alone"
    )


def _shape(one: tuple, other: tuple, name: str) -> tuple[int | None, ...]:
    if len(one) != len(other):
        raise _depends(name, "its result has another rank for another size")
    return tuple(_size(a, b, name) for a, b in zip(one, other, strict=True))


def _size(one: int | None, other: int | None, name: str) -> int | None:
    """Return a size that both have; None where both are a multiple of their batch."""
    if one == other:
        return one
    if one is None or other is None or one * SIZES[1] != other * SIZES[0]:
        raise _depends(name, f"{one} and {other} for batches of {SIZES[0]} and {SIZES[1]}")
    return None


def _value(one: Any, other: Any, node: Node) -> Any:
    """Return an argument that both traces have, with the batch open in it."""
    if isinstance(one, Tensor):
        return one
    if isinstance(one, slice) and isinstance(other, slice):
        parts = zip((one.start, one.stop, one.step), (other.start, other.stop, other.step), strict=True)
        return slice(*(_value(a, b, node) for a, b in parts))
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) and len(one) == len(other):
        return type(one)(_value(a, b, node) for a, b in zip(one, other, strict=True))
    if type(one) is int and type(other) is int and one != other and node.op_type in _OPEN:
        return _size(one, other, node.name)
    if isinstance(one, (int, float, str)) and one != other:
        raise _depends(node.name, f"{one} and {other} for batches of {SIZES[0]} and {SIZES[1]}")
    return one


def _open_attributes(node: Node, other: Node) -> None:
    if isinstance(node.op, keras.Layer):
        return
    for name, value in list(vars(node.op).items()):
        if not name.startswith("_") and name != "name":
            opened = _value(value, getattr(other.op, name), node)
            if opened is not value and opened != value:
                setattr(node.op, name, opened)


def _constant(one: Tensor, other: Tensor, repeats: list[Node]) -> Tensor:
    """Return a constant that both traces have, as what a batch of any size makes of its rows."""
    if one.shape == other.shape:
        if one.value is not other.value and not np.array_equal(one.value, other.value):
            raise _depends(one.name, "its values are others for another size")
        return one
    shape = _shape(one.shape, other.shape, one.name)
    axis = shape.index(None)
    first, second = (np.moveaxis(leaf.value, axis, 0) for leaf in (one, other))
    block = first[: len(first) // SIZES[0]]
    if shape.count(None) > 1 or not _repeats(block, first) or not _repeats(block, second):
        raise _depends(one.name, "its values are others for another sample")
    source = Tensor(one.name, block.shape, one.dtype, np.ascontiguousarray(block))
    order = [*range(1, axis + 1), 0, *range(axis + 1, len(shape))]  # from the front back to its axis
    out = _made(repeats, "batched", Batched(), source, (None, *block.shape[1:]))
    return out if axis == 0 else _made(repeats, "moved", _transpose(order), out, shape)


def _made(nodes: list[Node], what: str, op: Any, source: Tensor, shape: tuple[int | None, ...]) -> Tensor:
    name = f"{source.name}/{what}"
    out = Tensor(name, shape, source.dtype)
    out.producer = Node(type(op).__name__, op, (source,), {}, [out], name, name)
    nodes.append(out.producer)
    return out


def _transpose(order: list[int]) -> Any:
    symbolic = ops.transpose(KerasTensor([1] * len(order)), order)
    return maker_of(symbolic).operation


def _repeats(block: np.ndarray, values: np.ndarray) -> bool:
    return bool(np.array_equal(np.tile(block, (len(values) // len(block), *(1,) * (block.ndim - 1))), values))

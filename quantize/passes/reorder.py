"""Reshapes and transposes: put behind what is computed element by element, joined, folded into products."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...untyped import ops, tree
from ..graph.nodes import Consumers, Graph, Node, Tensor
from ..graph.operations import matmul_transposed
from .elementwise import UNARY
from .kinds import ELEMENTWISE, MOVEMENT, RESHAPES


def sink_movement(graph: Graph) -> bool:
    """Let elementwise operations come before the reshapes and transposes they follow; tell if any did.

    So biases, normalisations and scalar factors meet the product they can be folded into, and reshapes meet reshapes.
    """
    sank = False
    while _sink_one(graph):
        sank = True
    return sank


def _sink_one(graph: Graph) -> bool:
    consumers = Consumers(graph)
    for node in graph.nodes:
        movers = [
            given.producer
            for given in node.inputs
            if given.producer is not None and given.producer.op_type in MOVEMENT and consumers.only(given) is node
        ]
        if movers and _swap(graph, node, movers):
            return True
    return False


def _swap(graph: Graph, node: Node, movers: list[Node]) -> bool:
    """Put the elementwise `node` before the movement of its inputs, if that computes the same."""
    if node.op_type not in UNARY | ELEMENTWISE or len(node.outputs) > 1:
        return False
    first = movers[0]
    swapped = {}
    for given in node.inputs:
        if given.producer is not None and given.producer in movers:
            if not _moves_alike(given.producer, first):
                return False
            swapped[id(given)] = given.producer.inputs[0]
        elif not given.is_constant or (constant := _before(given, first)) is None:
            return False
        else:
            swapped[id(given)] = constant
    before, after = first.inputs[0], node.output
    inner = Tensor(f"{node.name}/moved", before.shape, after.dtype)
    node.args, node.kwargs = tree.map_structure(lambda part: swapped.get(id(part), part), (node.args, node.kwargs))
    node.outputs, inner.producer = [inner], node
    kind = first.op_type.lower()
    places = f"{node.name}/{kind}", f"{node.scope}/{kind}"
    mover = Node(first.op_type, first.op, first.args, first.kwargs, [after], *places)
    mover.reread(before, inner)
    after.producer = mover
    graph.nodes.insert(graph.nodes.index(node) + 1, mover)
    for old in movers:
        graph.nodes.remove(old)
    return True


def _moves_alike(mover: Node, other: Node) -> bool:
    if mover is other:
        return True
    if mover.op_type != other.op_type or _static(mover) != _static(other):
        return False
    if mover.inputs[0].shape != other.inputs[0].shape or mover.output.shape != other.output.shape:
        return False
    return mover.op_type in RESHAPES or (_order(mover) is not None and _order(mover) == _order(other))


def _static(node: Node) -> Any:
    """Return the arguments of `node` but the first, without tensors."""
    return tree.map_structure(lambda part: None if isinstance(part, Tensor) else part, node.args[1:])


def _order(node: Node) -> tuple[int, ...] | None:
    """Return the axes of a transpose that names them, counted from the first; None for all else."""
    axes = node.op.axes if node.op_type == "Transpose" else None
    return None if axes is None else tuple(axis % len(axes) for axis in axes)


def _before(constant: Tensor, mover: Node) -> Tensor | None:
    """Return `constant` as it reads before the movement, or None where it would not broadcast the same."""
    if constant.value.size == 1:
        return replace(constant, shape=(), value=constant.value.reshape(()))
    if (order := _order(mover)) is not None:
        spread = constant.value.reshape((1,) * (len(order) - constant.value.ndim) + constant.shape)
        value = spread.transpose(np.argsort(order))
        return replace(constant, shape=value.shape, value=value)
    channels, moved = mover.inputs[0].shape[-1], mover.output.shape
    used = list(constant.shape)
    while used and used[0] == 1:
        used = used[1:]
    if mover.op_type not in RESHAPES or constant.value.size != channels or tuple(used) != tuple(moved[-len(used) :]):
        return None
    return replace(constant, shape=(channels,), value=constant.value.reshape(-1))


def fold_transposes(graph: Graph) -> None:
    """Let a product read the last two axes of its second operand the other way round rather than swap them before."""
    consumers = Consumers(graph)
    for node in graph.nodes:
        if node.op_type != "Matmul" or len(node.inputs) != 2:
            continue
        left, right = node.inputs
        swap = right.producer
        if swap is not None and _swaps_last_two(swap) and consumers.only(right) is node:
            node.op_type, node.op = "MatmulTransposed", matmul_transposed
            node.args, node.kwargs = (left, swap.inputs[0]), {}
    graph.prune_dead()


def _swaps_last_two(node: Node) -> bool:
    rank = len(node.output.shape)
    if node.op_type == "Swapaxes":
        return {node.op.axis1 % rank, node.op.axis2 % rank} == {rank - 2, rank - 1}
    if node.op_type != "Transpose" or rank < 2:
        return False
    order = range(rank)[::-1] if node.op.axes is None else [axis % rank for axis in node.op.axes]
    return list(order) == [*range(rank - 2), rank - 1, rank - 2]


def merge_movement(graph: Graph) -> None:
    """Join reshapes in a row and transposes in a row, and drop those that change nothing."""
    for node in list(graph.nodes):
        _join_transposes(graph, node)
        if node.op_type in RESHAPES:
            _join_reshapes(graph, node)
    graph.prune_dead()


def _join_transposes(graph: Graph, node: Node) -> None:
    order = _order(node)
    if order is None:
        return
    source = node.inputs[0]
    while source.producer is not None and (before := _order(source.producer)) is not None:
        order = tuple(before[axis] for axis in order)
        source = source.producer.inputs[0]
    if order == tuple(range(len(order))):
        graph.replace(node.output, source)
    elif source is not node.inputs[0]:
        node.op, node.args, node.kwargs = type(node.op)(order), (source,), {}


def _join_reshapes(graph: Graph, node: Node) -> None:
    source = node.inputs[0]
    while source.producer is not None and source.producer.op_type in RESHAPES:
        source = source.producer.inputs[0]
    if source.shape == node.output.shape:
        graph.replace(node.output, source)
    elif source is not node.inputs[0]:
        shape = tuple(-1 if size is None else size for size in node.output.shape)
        node.op_type, node.op, node.args, node.kwargs = "Reshape", ops.reshape, (source, shape), {}

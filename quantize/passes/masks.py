"""The many ways to say that a score does not count, said in one."""

from __future__ import annotations

import numpy as np

from ...untyped import ops, tree
from ..graph.nodes import Graph, Node, Tensor
from ..graph.operations import masked
from .kinds import MOVEMENT

_HOPELESS = -1e4  # added to a score, it leaves nothing after a softmax


def recognise_masks(graph: Graph) -> None:
    """Find the many ways to say that a score does not count, and say it in one: `masked`.

    A sum with a large negative constant, or with a boolean times one; a choice between the score and such a constant.
    In int8 each would stretch the range of the scores until nothing is left of them.
    """
    for node in list(graph.nodes):
        parts = _masked_sum(graph, node) if node.op_type in {"Add", "Subtract"} else _masked_choice(graph, node)
        if parts is not None:
            scores, mask = parts
            node.op_type, node.op, node.args, node.kwargs = "Masked", masked, (scores, mask), {}
    graph.prune_dead()


def _masked_choice(graph: Graph, node: Node) -> tuple[Tensor, Tensor] | None:
    if node.op_type != "Where" or len(node.inputs) != 3:
        return None
    mask, first, second = node.inputs
    if _is_hopeless(second) and not _is_hopeless(first):
        return first, mask
    if _is_hopeless(first) and not _is_hopeless(second):
        return second, _negated(graph, node, mask)
    return None


def _is_hopeless(tensor: Tensor) -> bool:
    if tensor.is_constant:
        return not tensor.trainable and bool(np.all(tensor.value <= _HOPELESS))
    node = tensor.producer
    if node is None or node.op_type not in {"Add", "Subtract"} or len(node.inputs) != 2:
        return False
    if not node.inputs[1].is_constant:
        return False
    offset = node.inputs[1].value * (1 if node.op_type == "Add" else -1)
    return not node.inputs[1].trainable and bool(np.all(offset <= _HOPELESS))


def _masked_sum(graph: Graph, node: Node) -> tuple[Tensor, Tensor] | None:
    if len(node.inputs) != 2:
        return None
    sign = 1 if node.op_type == "Add" else -1
    operands = [tuple(node.inputs)] if node.op_type == "Subtract" else [tuple(node.inputs), tuple(node.inputs[::-1])]
    for scores, offset in operands:
        if offset.is_constant and not offset.trainable:
            values = offset.value * sign
            kept = values == 0
            if np.all(kept | (values <= _HOPELESS)) and np.any(kept) and not np.all(kept):
                return scores, Tensor(f"{offset.name}.mask", kept.shape, "bool", kept)
        elif (path := _from_boolean(graph, node, offset)) is not None:
            mask, low, high = path
            if low * sign <= _HOPELESS and high == 0:
                return scores, mask
            if high * sign <= _HOPELESS and low == 0:
                return scores, _negated(graph, node, mask)
    return None


def _from_boolean(graph: Graph, consumer: Node, tensor: Tensor) -> tuple[Tensor, float, float] | None:
    """Return the boolean tensor that `tensor` is a function of, in the shape of `tensor`, and its values for False and
    True.
    """
    chain, movers = [], []
    while tensor.producer is not None and tensor.producer.op_type in {"Add", "Subtract", "Multiply"} | MOVEMENT:
        data = [given for given in tensor.producer.inputs if not given.is_constant]
        numbers = [given for given in tensor.producer.inputs if given.is_constant]
        if len(data) != 1 or any(number.trainable or number.value.size != 1 for number in numbers):
            return None
        (movers if tensor.producer.op_type in MOVEMENT else chain).append(tensor.producer)
        tensor = data[0]
    cast = tensor.producer
    if cast is None or cast.op_type != "Cast" or cast.inputs[0].dtype != "bool":
        return None
    values = np.array([0.0, 1.0], np.float32)
    for node in reversed(chain):
        held = {id(number): number.value.reshape(()) for number in node.inputs if number.is_constant}
        (result,) = node.run(lambda given: ops.convert_to_tensor(held.get(id(given), values)))  # noqa: B023
        values = np.asarray(result)
    mask = cast.inputs[0]
    for mover in reversed(movers):
        mask = _moved(graph, consumer, mask, mover)
    return mask, float(values[0]), float(values[1])


def _moved(graph: Graph, consumer: Node, mask: Tensor, mover: Node) -> Tensor:
    """Return `mask` moved as `mover` moves its input, made before `consumer`."""
    name = f"{mover.name}/mask"
    out = Tensor(name, mover.output.shape, "bool")
    args, kwargs = tree.map_structure(
        lambda argument: mask if isinstance(argument, Tensor) else argument, (mover.args, mover.kwargs)
    )
    out.producer = Node(mover.op_type, mover.op, args, kwargs, [out], name, f"{mover.scope}/mask")
    graph.nodes.insert(graph.nodes.index(consumer), out.producer)
    return out


def _negated(graph: Graph, consumer: Node, mask: Tensor) -> Tensor:
    if mask.is_constant:
        return Tensor(f"{mask.name}.not", mask.shape, "bool", ~mask.value)
    if mask.producer is not None and mask.producer.op_type == "LogicalNot":
        return mask.producer.inputs[0]
    name = f"{consumer.name}/not"
    out = Tensor(name, mask.shape, "bool")
    out.producer = Node("LogicalNot", ops.logical_not, (mask,), {}, [out], name, f"{consumer.scope}/not")
    graph.nodes.insert(graph.nodes.index(consumer), out.producer)
    return out

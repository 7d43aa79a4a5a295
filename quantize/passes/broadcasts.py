"""What is broadcast, and sums that broadcast both operands."""

from __future__ import annotations

from ..graph.nodes import Graph
from ..graph.operations import broadcast_sum
from .kinds import COMPARISONS, ELEMENTWISE

_BROADCASTS = {"BroadcastTo", "Batched"}
_BROADCASTING = {
    *ELEMENTWISE, *COMPARISONS, "Divide", "TrueDivide", "LogicalAnd", "LogicalOr", "Masked",
}  # fmt: skip


def drop_broadcasts(graph: Graph) -> None:
    """Let elementwise operations read what was broadcast to the shape that they broadcast it to themselves."""
    for node in graph.nodes:
        for tensor in node.inputs if node.op_type in _BROADCASTING else ():
            made = tensor.producer
            if made is None or made.op_type not in _BROADCASTS or len(node.inputs) < 2:
                continue
            plain = made.inputs[0]
            shapes = [plain.shape if operand is tensor else operand.shape for operand in node.inputs]
            if _broadcast(shapes) == node.output.shape:
                node.reread(tensor, plain)
    graph.prune_dead()


def _broadcast(shapes: list[tuple[int | None, ...]]) -> tuple[int | None, ...] | None:
    """Return the shape that tensors of `shapes` have together, if any; an open size is one like any other."""
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    sizes = [{size for size in along if size != 1} or {1} for along in zip(*padded, strict=True)]
    return tuple(size for (size,) in sizes) if all(len(along) == 1 for along in sizes) else None


def spell_out_sums(graph: Graph) -> None:
    """Add operands of which none has the shape of the sum otherwise than Keras does (see `broadcast_sum`)."""
    for node in graph.nodes:
        if (
            node.op_type == "Add"
            and all(operand.shape != node.output.shape for operand in node.inputs)
            and len(node.inputs) == 2
        ):
            node.op = broadcast_sum

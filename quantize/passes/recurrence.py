"""The products of an unrolled recurrence: biases where they fuse, all steps of a sequence at once."""

from __future__ import annotations

from ...untyped import ops
from ..graph.nodes import Consumers, Graph, Node, Tensor
from ..kernels import LINEAR
from .affine import is_per_channel


def attach_biases(graph: Graph) -> None:
    """Add a bias to the product it fuses with: (x W + h U) + b, as recurrent cells have it, is (x W + b) + h U."""
    consumers = Consumers(graph)
    for node in list(graph.nodes):
        if node.op_type != "Add" or len(node.inputs) != 2 or not is_per_channel(node.inputs[1], node.output):
            continue
        total, bias = node.inputs
        inner = total.producer
        if inner is None or inner.op_type != "Add" or len(inner.inputs) != 2 or consumers.only(total) is None:
            continue
        operands = (each for each in inner.inputs if each.shape == total.shape)
        products = [each for each in operands if _is_bare_product(each, consumers)]
        if len(products) != 2:
            continue
        first, second = products
        inner.args, inner.kwargs = (first, bias), {}
        node.args, node.kwargs = (total, second), {}
        graph.nodes.remove(inner)
        graph.nodes.insert(graph.nodes.index(node), inner)


def _is_bare_product(tensor: Tensor, consumers: Consumers) -> bool:
    node = tensor.producer
    return (
        node is not None
        and node.op_type in LINEAR
        and node.inputs[-1].is_constant
        and consumers.only(tensor) is not None
    )


def hoist_projections(graph: Graph) -> None:
    """Multiply all steps of a sequence by a kernel at once, where an unrolled recurrence multiplies one after another.

    The steps share their scales already, so each value is rounded as before.
    """
    for unstack in [node for node in graph.nodes if node.op_type == "Unstack" and node.op.axis == 1]:
        if len(unstack.inputs[0].shape) != 3:
            continue
        consumers = Consumers(graph)
        products: dict[tuple[int, str], list[Node]] = {}
        for frame in unstack.outputs:
            for node in consumers.of(frame):
                if node and node.op_type == "Matmul" and node.inputs[0] is frame and node.inputs[1].is_constant:
                    products.setdefault((id(node.inputs[1]), node.scope), []).append(node)
        for steps in products.values():
            if len(steps) == len(unstack.outputs):
                _hoist(graph, unstack, steps, consumers)
    graph.prune_dead()


def _hoist(graph: Graph, unstack: Node, products: list[Node], consumers: Consumers) -> None:
    """Put one product, with the bias if all steps add the same, before `unstack`. `products`: one a step, in order."""
    source, scope = unstack.inputs[0], products[0].scope
    operands, ends = [("Matmul", ops.matmul, products[0].inputs[1], scope)], products
    sums = [end for node in products if (end := consumers.only(node.output)) is not None and _adds_constant(end)]
    if len(sums) == len(products) and len({id(end.inputs[1]) for end in sums}) == 1:
        ends = sums
        operands.append(("Add", ops.add, ends[0].inputs[1], ends[-1].scope))  # the first step adds no state
    made, value = [], source
    for kind, op, operand, origin in operands:
        name = f"{scope}/all_{kind.lower()}"
        out = Tensor(name, (*source.shape[:2], ends[0].output.shape[-1]), source.dtype)
        out.producer = Node(kind, op, (value, operand), {}, [out], name, name, origin)
        made.append(out.producer)
        value = out
    parts = [Tensor(f"{end.name}/step", end.output.shape, source.dtype) for end in ends]
    split = Node("Unstack", unstack.op, (value,), {}, parts, f"{scope}/steps", f"{scope}/steps")
    for end, part in zip(ends, parts, strict=True):
        part.producer = split
        graph.replace(end.output, part)
    where = graph.nodes.index(unstack)
    graph.nodes[where:where] = [*made, split]


def _adds_constant(node: Node) -> bool:
    return node.op_type == "Add" and len(node.inputs) == 2 and node.inputs[1].is_constant

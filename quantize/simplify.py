"""Rewrites that leave a graph's function as it is and its operations fewer: what is computed from weights becomes a
weight.

Every pass is decided by the graph's structure and its constants, never by the values of trainable weights, so that a
model rebuilt from its configuration simplifies to the same graph.
"""

from __future__ import annotations

import numpy as np
from keras import ops, tree

from .graph import Graph, Node, Tensor
from .operators import LINEAR

_SAME = {"ConvertToTensor", "StopGradient", "Copy", "Identity", "Cast"}
_ELEMENTWISE = {"Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Maximum", "Minimum"}


def simplify(graph: Graph) -> Graph:
    """Apply all passes to `graph` in place and return it."""
    lift_scalars(graph)
    multiply_by_reciprocals(graph)
    drop_identities(graph)
    propagate_zeros(graph)
    fold_weights(graph)
    fold_affine(graph)
    graph.prune_dead()
    return graph


def lift_scalars(graph: Graph) -> None:
    """Turn the Python numbers among elementwise operands into constants."""
    for node in graph.nodes:
        if node.kind in _ELEMENTWISE:

            def lift(leaf, node=node):
                if isinstance(leaf, (int, float)) and not isinstance(leaf, bool):
                    return Tensor(f"{node.name}.scalar".replace("/", "."), (), "float32", np.float32(leaf))
                return leaf

            node.args = tree.map_structure(lift, node.args)


def multiply_by_reciprocals(graph: Graph) -> None:
    """Turn each division by an untrained constant into a product: LiteRT has no int8 division."""
    for node in graph.nodes:
        if node.kind in {"Divide", "TrueDivide"} and len(node.inputs) == 2:
            data, divisor = node.inputs
            if divisor.is_constant and not divisor.trainable:
                value = np.asarray(1 / divisor.value, divisor.dtype)
                factor = Tensor(f"{node.name}.reciprocal".replace("/", "."), divisor.shape, divisor.dtype, value)
                node.kind, node.op, node.args, node.kwargs = "Multiply", ops.multiply, (data, factor), {}


def drop_identities(graph: Graph) -> None:
    """Remove copies and casts that change nothing."""
    for node in graph.nodes:
        if node.kind in _SAME and len(node.inputs) == 1 and node.inputs[0].dtype == node.output.dtype:
            graph.replace(node.output, node.inputs[0])
    graph.prune_dead()


def propagate_zeros(graph: Graph) -> None:
    """Remove what a constant zero does: the first step of a recurrence starts from one."""
    for node in graph.nodes:
        zeros = [leaf for leaf in node.inputs if leaf.is_constant and not leaf.trainable and not np.any(leaf.value)]
        if not zeros:
            continue
        others = [leaf for leaf in node.inputs if leaf is not zeros[0]]
        if node.kind in {"Multiply", "Matmul"}:
            shape = tuple(1 if size is None else size for size in node.output.shape)
            graph.replace(
                node.output,
                Tensor(f"{node.name}.zero".replace("/", "."), shape, "float32", np.zeros(shape, np.float32)),
            )
        elif node.kind == "Add" and len(others) == 1 and others[0].shape == node.output.shape:
            graph.replace(node.output, others[0])
    graph.prune_dead()


def fold_weights(graph: Graph) -> None:
    """Evaluate what depends on weights alone, unless one of these weights is also used elsewhere (it stays tied)."""
    constant_only: list[Node] = []
    derived: dict[int, set[int]] = {}
    for node in graph.nodes:
        if node.inputs and all(leaf.is_constant or id(leaf) in derived for leaf in node.inputs):
            roots = set().union(*(derived.get(id(leaf), {id(leaf)}) for leaf in node.inputs))
            derived.update((id(out), roots) for out in node.outputs)
            constant_only.append(node)
    readers = graph.consumers()
    inside = {id(node) for node in constant_only}
    tied = {
        id(leaf) for leaf in graph.constants
        if leaf.trainable and any(id(reader) not in inside for reader in readers.get(id(leaf), []))
    }  # fmt: skip
    for node in constant_only:
        if tied & derived[id(node.output)]:
            continue
        values = node.run(lambda leaf: ops.convert_to_tensor(leaf.value))
        trainable = any(leaf.trainable for leaf in node.inputs)
        for out, value in zip(node.outputs, values, strict=True):
            array = np.asarray(value)
            graph.replace(out, Tensor(out.name.replace("/", "."), array.shape, out.dtype, array, trainable))
    graph.prune_dead()


def fold_affine(graph: Graph) -> None:
    """Fold per-channel products and sums that follow a linear operation into its kernel and bias (batch norm)."""
    for node in list(graph.nodes):
        if node.kind not in {"Multiply", "Add", "Subtract"} or len(node.inputs) != 2:
            continue
        readers = graph.consumers()
        linear, bias = _linear_before(node.inputs[0], readers)
        if linear is None or not _is_per_channel(node.inputs[1], node.output) or len(linear.inputs) != 2:
            continue
        factor = node.inputs[1].value
        if node.kind == "Multiply":
            _scale(linear, factor)
            if bias is not None:
                _set_constant(bias, 1, bias.inputs[1].value * factor)
        elif bias is not None:
            _set_constant(bias, 1, bias.inputs[1].value + (factor if node.kind == "Add" else -factor))
        else:
            continue  # the sum itself is the bias
        graph.replace(node.output, node.inputs[0])
        graph.prune_dead()


def _linear_before(tensor: Tensor, readers: dict[int, list[Node]]) -> tuple[Node | None, Node | None]:
    """Return the linear node that `tensor` comes from and the node that adds its bias, if nothing else reads them."""
    node, bias = tensor.producer, None
    if node is None or len(readers[id(tensor)]) != 1:
        return None, None
    if node.kind == "Add" and len(node.inputs) == 2 and _is_per_channel(node.inputs[1], node.output):
        node, bias = node.inputs[0].producer, node
        if node is None or len(readers[id(node.output)]) != 1:
            return None, None
    return (node, bias) if node.kind in LINEAR and node.inputs[-1].is_constant else (None, None)


def _is_per_channel(constant: Tensor, output: Tensor) -> bool:
    """Tell whether `constant` has one value for each entry of the last axis of `output`, or one in all."""
    return constant.is_constant and (
        constant.value.size == 1 or constant.value.size == output.shape[-1] == constant.shape[-1]
    )


def _scale(linear: Node, factor: np.ndarray) -> None:
    kernel = linear.inputs[1].value
    shape = kernel.shape[-2:] if linear.kind == "DepthwiseConv" else kernel.shape[-1:]
    _set_constant(linear, 1, kernel * (factor.reshape(shape) if factor.size > 1 else factor))


def _set_constant(node: Node, index: int, value: np.ndarray) -> None:
    """Give `node` a constant of its own in place of the one it reads at `index`."""
    old = node.inputs[index]
    new = Tensor(old.name, value.shape, old.dtype, value.astype(old.dtype), trainable=True)
    node.args = tree.map_structure(lambda leaf: new if leaf is old else leaf, node.args)

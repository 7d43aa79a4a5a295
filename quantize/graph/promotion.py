"""Casts that Keras makes without a word: of operands of several types, where kernels take one."""

from __future__ import annotations

import keras
import numpy as np

from ...keras_internals import maker_of
from ...untyped import ops, tree
from .layer_rules import LEAVES
from .nodes import Graph, Node, Tensor

_RESULT = frozenset(
    ["Add", "Arctan2", "Concatenate", "Divide", "Dot", "Einsum", "FloorDivide", "Fmax", "Fmin", "Fmod", "Inner",
     "Matmul", "Maximum", "Minimum", "Mod", "Multiply", "Power", "Stack", "Subtract", "Tensordot", "TrueDivide"]
)  # fmt: skip
_COMPARISONS = frozenset(["Equal", "NotEqual", "Greater", "GreaterEqual", "Less", "LessEqual"])
_LEAVES = frozenset(leaf.__name__ for leaf in LEAVES)  # augmentation gives the floats of its policy
_LOGIC = frozenset(["LogicalAnd", "LogicalOr", "LogicalXor", "LogicalNot"])


def promote(graph: Graph) -> None:
    """Write the casts out, in place: truths and integers among numbers of another type, numbers among truths."""
    made: dict[tuple[int, str], Tensor] = {}
    nodes = []
    for node in graph.nodes:
        for leaf, dtype in _wanted(node):
            if leaf.dtype == dtype:
                continue
            key = id(leaf), dtype
            if key not in made:
                made[key] = _cast(leaf, dtype, node, nodes)
            node.args, node.kwargs = _reread(node, leaf, made[key])
        nodes.append(node)
    graph.nodes = nodes


def _wanted(node: Node) -> list[tuple[Tensor, str]]:
    """Return the operands of `node` and the type that it computes in."""
    operands = node.inputs
    if node.op_type in _LEAVES:
        return [(leaf, node.output.dtype) for leaf in operands[:1]]
    if node.op_type in _LOGIC:
        return [(leaf, "bool") for leaf in operands]
    if node.op_type == "Where" and isinstance(node.args[0], Tensor):
        values = [leaf for leaf in node.args[1:] if isinstance(leaf, Tensor) and leaf is not node.args[0]]
        return [(node.args[0], "bool"), *((leaf, node.output.dtype) for leaf in values)]
    if node.op_type in _RESULT:
        return [(leaf, node.output.dtype) for leaf in operands]
    if node.op_type in _COMPARISONS and len(operands) > 1:
        common = keras.backend.result_type(*(leaf.dtype for leaf in operands))
        return [(leaf, common) for leaf in operands]
    return []


def _cast(leaf: Tensor, dtype: str, reader: Node, nodes: list[Node]) -> Tensor:
    """Return `leaf` in `dtype`: a constant at once, anything else by a node put among `nodes`."""
    name = f"{reader.name}/cast_{leaf.name}_{dtype}"
    if leaf.is_constant and not leaf.trainable:
        return Tensor(name.replace("/", "."), leaf.shape, dtype, np.asarray(leaf.value).astype(dtype))
    symbolic = ops.cast(keras.KerasTensor(leaf.shape, dtype=leaf.dtype), dtype)
    out = Tensor(name, leaf.shape, dtype)
    out.producer = Node("Cast", maker_of(symbolic).operation, (leaf,), {}, [out], name, f"{reader.scope}/cast")
    nodes.append(out.producer)
    return out


def _reread(node: Node, old: Tensor, new: Tensor) -> tuple:
    return tree.map_structure(lambda leaf: new if leaf is old else leaf, (node.args, node.kwargs))

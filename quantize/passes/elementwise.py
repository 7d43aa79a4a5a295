"""Functions of one value as tables of 256 entries.

What computes each output value from one input value alone is, on int8, a table: exact whatever the function is. A chain
or diamond of such operations (softplus, tanh, product with the input) becomes one table. Where every operation has a
kernel of its own nothing is merged: kernels run inside a delegate, tables beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...untyped import ops
from ..graph.nodes import Consumers, Graph, Node, Tensor
from ..operators import CLIPS, rule_for

UNARY = frozenset([
    "Abs", "Absolute", "Arccos", "Arccosh", "Arcsin", "Arcsinh", "Arctan", "Arctanh", "Cbrt", "Ceil", "Celu", "Clip",
    "Cos", "Cosh", "Deg2rad", "Elu", "Erf", "Erfc", "Erfinv", "Exp", "Exp2", "Expm1", "Fabs", "Floor", "Gelu",
    "HardShrink", "HardTanh", "LeakyRelu", "Log", "Log10", "Log1p", "Log2", "LogSigmoid", "Mish", "Rad2deg", "ReLU",
    "Reciprocal", "Relu", "Relu6", "Round", "Rsqrt", "Selu", "Sigmoid", "Sign", "Sin", "Sinc", "Sinh", "SoftShrink",
    "Softplus", "Softsign", "SparsePlus", "SparseSigmoid", "Sqrt", "Square", "Squareplus", "Tan", "Tanh",
    "TanhShrink", "Threshold", "Trunc",
])  # fmt: skip
BINARY = frozenset(
    ["Add", "Arctan2", "Divide", "FloorDivide", "Fmod", "Maximum", "Minimum", "Mod", "Multiply", "Power", "Subtract",
     "TrueDivide"]
)  # fmt: skip


@dataclass(eq=False)
class Elementwise:
    """The nodes between `source` and `result`, called as one function."""

    source: Tensor
    result: Tensor
    nodes: list[Node]

    def __call__(self, x: Any) -> Any:
        """Compute the values of `result` from those of `source`, of any shape."""
        held = {id(self.source): x}
        for node in self.nodes:
            (held[id(node.output)],) = node.run(
                lambda tensor: held[id(tensor)] if id(tensor) in held else ops.convert_to_tensor(tensor.value)
            )
        return held[id(self.result)]


def fold_elementwise(graph: Graph) -> None:
    """Merge each elementwise function that holds an operation without a kernel of its own into a "Table" node."""
    for seed in list(graph.nodes):
        if seed not in graph.nodes or not _is_elementwise(seed) or rule_for(seed) is not None:
            continue
        regions = ((source, _region(graph, source, seed)) for source in _sources(graph, seed))
        source, region = next((pair for pair in regions if pair[1]), (None, []))
        if source is not None:
            name, scope, result = region[-1].name, region[-1].scope, region[-1].output
            table = Node("Table", Elementwise(source, result, region), (source,), {}, [result], name, scope)
            graph.nodes[graph.nodes.index(region[-1])] = table
            result.producer = table
            graph.nodes = [node for node in graph.nodes if node not in region]


def _is_elementwise(node: Node) -> bool:
    return node.op_type in UNARY | BINARY and node.output.dtype.startswith("float")


def _data(node: Node) -> list[Tensor]:
    """Return what `node` reads but for constants of one value."""
    return [
        tensor for tensor in node.inputs if not (tensor.is_constant and tensor.value.size == 1 and not tensor.trainable)
    ]


def _sources(graph: Graph, seed: Node) -> list[Tensor]:
    """Return what `seed` may be a elementwise function of, the earliest first: nothing from there on is rounded.

    Of 2 + 1e-4 x, 256 steps from zero show almost nothing. A ReLU ends the way: the kernel before it applies it for
    nothing, and what it cuts off needs no steps.
    """
    way: list[Node] = []
    wanted = {id(seed)}
    for node in reversed(graph.nodes):
        if id(node) in wanted and _is_elementwise(node):
            rule = rule_for(node)
            if rule is None or rule.builtin_op not in CLIPS:
                way.append(node)
                wanted.update(id(tensor.producer) for tensor in _data(node))
    leaves = {id(tensor): tensor for node in reversed(way) for tensor in _data(node)}.values()
    return [tensor for tensor in leaves if tensor.dtype.startswith("float") and not tensor.is_constant]


def _region(graph: Graph, source: Tensor, seed: Node) -> list[Node]:
    """Return the largest set of elementwise nodes of `source`, with `seed`, of which only the last is read elsewhere.

    It is empty if `seed` is no function of `source` alone, or what lies between is read elsewhere too.
    """
    inside: dict[int, Node] = {}
    reachable = {id(source)}
    for node in graph.nodes:
        data = _data(node)
        of_source = data and all(id(tensor) in reachable for tensor in data)
        if of_source and _is_elementwise(node) and node.output.shape == source.shape:
            inside[id(node)] = node
            reachable.add(id(node.output))
    if id(seed) not in inside:
        return []
    consumers = Consumers(graph)
    for last in reversed(list(inside.values())):
        part = _ancestors(last, inside)
        members = {id(node) for node in part}
        closed = all(
            node is last or all(id(consumer) in members for consumer in consumers.of(node.output)) for node in part
        )
        if id(seed) in members and closed:
            return part
    return []


def _ancestors(last: Node, inside: dict[int, Node]) -> list[Node]:
    wanted = {id(last)}
    for node in reversed(list(inside.values())):
        if id(node) in wanted:
            wanted.update(id(tensor.producer) for tensor in node.inputs if tensor.producer is not None)
    return [node for node in inside.values() if id(node) in wanted]

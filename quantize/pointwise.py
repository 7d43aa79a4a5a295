"""Functions of one value as tables of 256 entries.

What computes each output value from one input value alone is, on int8, a table: exact whatever the function is. A chain
or diamond of such operations (softplus, tanh, product with the input) becomes one table. Where every operation has a
kernel of its own nothing is merged: kernels run inside a delegate, tables beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .graph import Graph, Node, Readers, Tensor
from .operators import rule_for

UNARY = frozenset(
    [
        "Absolute",
        "Arccos",
        "Arccosh",
        "Arcsin",
        "Arcsinh",
        "Arctan",
        "Arctanh",
        "Cbrt",
        "Ceil",
        "Celu",
        "Clip",
        "Cos",
        "Cosh",
        "Elu",
        "Erf",
        "Erfc",
        "Exp",
        "Exp2",
        "Expm1",
        "Floor",
        "Gelu",
        "HardShrink",
        "HardTanh",
        "LeakyRelu",
        "Log",
        "Log10",
        "Log1p",
        "Log2",
        "LogSigmoid",
        "ReLU",
        "Reciprocal",
        "Relu",
        "Relu6",
        "Round",
        "Rsqrt",
        "Selu",
        "Sigmoid",
        "Sign",
        "Sin",
        "Sinh",
        "SoftShrink",
        "Softplus",
        "Softsign",
        "SparsePlus",
        "SparseSigmoid",
        "Sqrt",
        "Square",
        "Squareplus",
        "Tan",
        "Tanh",
        "TanhShrink",
        "Threshold",
        "Trunc",
    ]
)
BINARY = frozenset(["Add", "Divide", "Maximum", "Minimum", "Multiply", "Power", "Subtract", "TrueDivide"])


@dataclass(eq=False)
class Pointwise:
    """The nodes between `source` and `result`, called as one function."""

    source: Tensor
    result: Tensor
    nodes: list[Node]

    def __call__(self, x: Any) -> Any:
        """Compute the values of `result` from those of `source`, of any shape."""
        from keras import ops

        held = {id(self.source): x}
        for node in self.nodes:
            (held[id(node.output)],) = node.run(
                lambda leaf: held[id(leaf)] if id(leaf) in held else ops.convert_to_tensor(leaf.value)
            )
        return held[id(self.result)]


def fold_pointwise(graph: Graph) -> None:
    """Merge each pointwise function that holds an operation without a kernel of its own into a node of kind "Table"."""
    for seed in list(graph.nodes):
        if seed not in graph.nodes or rule_for(seed) is not None or not _source(seed):
            continue
        source = _source(seed)
        region = _region(graph, source, seed)
        name, site, result = region[-1].name, region[-1].site, region[-1].output
        table = Node("Table", Pointwise(source, result, region), (source,), {}, [result], name, site)
        graph.nodes[graph.nodes.index(region[-1])] = table
        result.producer = table
        graph.nodes = [node for node in graph.nodes if node not in region]


def _source(node: Node) -> Tensor | None:
    """Return the tensor that `node` is a pointwise function of, if it is one."""
    data = {
        id(leaf): leaf for leaf in node.inputs if not (leaf.is_constant and leaf.value.size == 1 and not leaf.trainable)
    }
    if node.kind not in UNARY | BINARY or len(data) != 1 or not node.output.dtype.startswith("float"):
        return None
    source = next(iter(data.values()))
    return source if source.shape == node.output.shape and not source.is_constant else None


def _region(graph: Graph, source: Tensor, seed: Node) -> list[Node]:
    """Return the largest set of pointwise nodes of `source` around `seed` of which only the last is read elsewhere."""
    inside: dict[int, Node] = {}
    reachable = {id(source)}
    for node in graph.nodes:
        data = [leaf for leaf in node.inputs if not (leaf.is_constant and leaf.value.size == 1 and not leaf.trainable)]
        pointwise = node.kind in UNARY | BINARY and data and all(id(leaf) in reachable for leaf in data)
        if pointwise and node.output.shape == source.shape:
            inside[id(node)] = node
            reachable.add(id(node.output))
    readers = Readers(graph)
    for last in reversed(list(inside.values())):
        part = _ancestors(last, inside)
        members = {id(node) for node in part}
        closed = all(node is last or all(id(one) in members for one in readers.of(node.output)) for node in part)
        if id(seed) in members and closed:
            return part
    return [seed]


def _ancestors(last: Node, inside: dict[int, Node]) -> list[Node]:
    wanted = {id(last)}
    for node in reversed(list(inside.values())):
        if id(node) in wanted:
            wanted.update(id(leaf.producer) for leaf in node.inputs if leaf.producer is not None)
    return [node for node in inside.values() if id(node) in wanted]

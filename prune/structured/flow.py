"""A traced graph as a runtime runs it: what is folded into weights is gone, what works in place rides along."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...quantize.graph.nodes import Graph, Node, Tensor
from .cut import PRODUCTS

# They make no new values.
VIEWS = frozenset(["ConvertToTensor", "Dropout", "ExpandDims", "Identity", "Ravel", "Reshape", "Squeeze",
                   "StopGradient"])  # fmt: skip
FOLDED = frozenset(["Add", "Multiply", "Subtract"])  # with weights, behind a product: its bias, a normalization
PADDED = frozenset(["Conv", "DepthwiseConv"])  # they take the padding before them as their own
BOUNDS = frozenset(["Clip", "ReLU", "Relu", "Relu6"])  # kernels apply them to what they compute


@dataclass(eq=False)
class Operator:
    """A node and what works on its result in place. riders: those nodes; made: their results and its own.

    reads: what it reads that depends on the inputs of the model.
    """

    node: Node
    reads: list[Tensor]
    made: list[list[Tensor]]
    riders: list[Node] = field(default_factory=list)


class Flow:
    """The operators of a graph, in its order. storage: what shares memory, the graph's inputs first."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.operators: list[Operator] = []
        self.storage: list[list[Tensor]] = [[leaf] for leaf in graph.inputs]
        self._at: dict[int, tuple[list[Tensor], Operator | None]] = {
            id(stored[0]): (stored, None) for stored in self.storage
        }
        readers: dict[int, list[str]] = defaultdict(list)
        for node in graph.nodes:
            for leaf in dict.fromkeys(node.inputs):
                readers[id(leaf)].append(node.op_type)
        for leaf in graph.outputs:
            readers[id(leaf)].append("")
        for node in graph.nodes:
            reads = [leaf for leaf in dict.fromkeys(node.inputs) if id(leaf) in self._at]
            if reads:  # else it depends on weights only
                self._enter(node, reads, readers)

    def is_computed(self, leaf: Tensor) -> bool:
        """Tell whether a tensor depends on the inputs of the model, not on weights only."""
        return id(leaf) in self._at

    def alive(self) -> list[tuple[list[Tensor], int, int]]:
        """Return what shares memory with the numbers of the first and the last operator that it exists at."""
        first = {id(stored): 0 for stored in self.storage}
        last = dict(first)
        for place, operator in enumerate(self.operators):
            for stored in operator.made:
                first[id(stored)] = last[id(stored)] = place
            for leaf in operator.reads:
                last[id(self._at[id(leaf)][0])] = place
        end = max(0, len(self.operators) - 1)
        last.update({id(self._at[id(leaf)][0]): end for leaf in self.graph.outputs if id(leaf) in self._at})
        return [(stored, first[id(stored)], last[id(stored)]) for stored in self.storage]

    def _enter(self, node: Node, reads: Sequence[Tensor], readers: Mapping[int, list[str]]) -> None:
        stored, before = self._at[id(reads[0])]
        if node.op_type == "Pad" and PADDED.issuperset(readers[id(node.output)]):
            self._at[id(node.output)] = (stored, before)
            return
        if _rides(node, reads, before.node if before is not None and len(readers[id(reads[0])]) == 1 else None):
            stored.append(node.output)
            self._at[id(node.output)] = (stored, before)
            if before is not None:
                before.riders.append(node)
            return
        operator = Operator(node, list(reads), [[out] for out in node.outputs])
        self.operators.append(operator)
        self.storage += operator.made
        self._at.update({id(made[0]): (made, operator) for made in operator.made})


def _rides(node: Node, reads: Sequence[Tensor], behind: Node | None) -> bool:
    """Tell whether a node works on what it reads in place. behind: what made that, if nobody else reads it."""
    if len(reads) != 1 or len(node.outputs) != 1 or _size(reads[0]) != _size(node.output):
        return False
    if node.op_type in VIEWS:
        return True
    return behind is not None and (node.op_type in BOUNDS or (node.op_type in FOLDED and behind.op_type in PRODUCTS))


def _size(leaf: Tensor) -> int:
    count = 1
    for size in leaf.shape:
        count *= size or 1
    return count

"""Which form the reciprocal root of a normalization has in int8."""

from __future__ import annotations

from ..graph.nodes import Graph
from ..graph.operations import ReciprocalRoot

ROOTS = ("table", "operator")


def choose_roots(graph: Graph, form: str) -> Graph:
    """Mark every reciprocal root to become the operator of that name if `form` says so; return the graph."""
    for node in graph.nodes:
        if form == "operator" and node.op_type == "Rsqrt":
            node.op = ReciprocalRoot()
    return graph

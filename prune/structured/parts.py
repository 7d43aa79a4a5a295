"""The parts that a model is put together from, layers and operations of its own graph, as they were traced."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras

from ...keras_internals import graph_inside, is_graph
from ...quantize.graph.nodes import Node, Tensor
from ...quantize.graph.tracing import Trace
from ...untyped import tree


@dataclass(eq=False)
class Part:
    """A layer or operation of a model, with one call of it: what went in and what came out, as traced."""

    operation: Any
    args: Any
    kwargs: Any
    outputs: list[Tensor]

    @property
    def title(self) -> str:
        """Its name and class."""
        return f"{self.operation.name} ({type(self.operation).__name__})"

    @cached_property
    def inputs(self) -> list[Tensor]:
        """The tensors among its arguments."""
        return [leaf for leaf in tree.flatten((self.args, self.kwargs)) if isinstance(leaf, Tensor)]

    @cached_property
    def nodes(self) -> list[Node]:
        """The operations between its arguments and its outputs, in their order."""
        stop = {id(leaf) for leaf in self.inputs}
        order: list[Node] = []
        seen: set[int] = set()
        stack = [(leaf.producer, False) for leaf in self.outputs if id(leaf) not in stop]
        while stack:
            node, done = stack.pop()
            if node is None or (id(node) in seen and not done):
                continue
            if done:
                order.append(node)
                continue
            seen.add(id(node))
            stack.append((node, True))
            stack += [(leaf.producer, False) for leaf in node.inputs if id(leaf) not in stop]
        return order

    @cached_property
    def tensors(self) -> list[Tensor]:
        """All tensors that it has to do with, its weights among them."""
        inner = [leaf for node in self.nodes for leaf in (*node.inputs, *node.outputs)]
        return list({id(leaf): leaf for leaf in [*self.inputs, *inner]}.values())


def parts_of(model: keras.Model, trace: Trace) -> dict[int, Part]:
    """Return the parts of a traced model, at their first call, by the id of their layer or operation."""
    return {key: parts[0] for key, parts in calls_of_parts(model, trace).items()}


def calls_of_parts(model: keras.Model, trace: Trace) -> dict[int, list[Part]]:
    """Return the parts of a traced model at each of their calls, by the id of their layer or operation."""
    calls: dict[int, list[Part]] = defaultdict(list)
    for call in trace.calls:
        if all(leaf is not None for leaf in tree.flatten((call.args, call.outputs))):
            calls[id(call.layer)].append(Part(call.layer, call.args, without_training(call.kwargs), call.outputs))
    for node in trace.graph.nodes:
        calls[id(node.op)].append(Part(node.op, node.args, node.kwargs, node.outputs))
    wanted = operations_in(model) if is_composed(model) else [model]
    return {id(operation): calls[id(operation)] for operation in wanted if calls[id(operation)]}


def is_composed(operation: Any) -> bool:
    """Tell a model that is a graph of layers, and can be put together again from them."""
    return isinstance(operation, keras.Sequential) or (isinstance(operation, keras.Model) and is_graph(operation))


def operations_in(model: Any) -> Iterator[Any]:
    """Yield the layers and operations of a graph of layers, those of models inside it too."""
    graph = graph_inside(model) if isinstance(model, keras.Sequential) else model
    for operation in graph.operations:
        if is_composed(operation):
            yield from operations_in(operation)
        elif not isinstance(operation, keras.layers.InputLayer):
            yield operation


def without_training(kwargs: Any) -> dict[str, Any]:
    """Return arguments of a call without the one that no trace has."""
    return {name: value for name, value in kwargs.items() if name != "training"}

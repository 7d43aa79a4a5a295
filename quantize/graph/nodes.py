"""A graph of `keras.ops` operations with its weights lifted to inputs, and what records Keras' own into one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import keras
import numpy as np
from keras import KerasTensor

from ...keras_internals import maker_of
from ...untyped import ops, tree
from .layer_rules import leaf_of
from .operations import Batched, body_of, closed


@dataclass(eq=False)
class Tensor:
    """An edge of the graph. `shape` has None for the batch; `value` is set for weights and constants.

    `regularizer` is what the model adds to its loss for a weight.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    value: Any = None  # an array
    trainable: bool = False
    producer: Node | None = field(default=None, repr=False)
    regularizer: Callable[[Any], Any] | None = None

    @property
    def is_constant(self) -> bool:
        return self.value is not None


@dataclass(eq=False)
class Node:
    """One operation. `args` and `kwargs` are its call arguments, with a `Tensor` wherever a tensor goes in.

    `scope` names the place in the source: the steps of an unrolled recurrence share it, and with it their scales.
    `stands_for` is the scope of the nodes that this one was made of, if it does at once what they did step by step.
    """

    op_type: str
    op: Any
    args: Any
    kwargs: Any
    outputs: list[Tensor]
    name: str
    scope: str
    stands_for: str = ""

    @property
    def origin(self) -> str:
        """The place in the source that it computes, however it was rewritten."""
        return self.stands_for or self.scope

    @cached_property
    def inputs(self) -> list[Tensor]:
        """The tensors among the arguments, each as often as it is one."""
        return [leaf for leaf in tree.flatten((self.args, self.kwargs)) if isinstance(leaf, Tensor)]

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in {"args", "kwargs"}:
            self.__dict__.pop("inputs", None)

    @property
    def output(self) -> Tensor:
        return self.outputs[0]

    def reread(self, old: Tensor, new: Tensor) -> None:
        """Read `new` wherever it reads `old`."""
        self.args, self.kwargs = tree.map_structure(
            lambda argument: new if argument is old else argument, (self.args, self.kwargs)
        )

    @property
    def op_types(self) -> list[str]:
        """Its kind, and those of the operations that were merged into it."""
        return [self.op_type, *(one.op_type for one in getattr(self.op, "nodes", ()))]

    def run(
        self, values: Callable[[Tensor], Any], *, training: bool | None = False, batch: Any = 1, **extra: Any
    ) -> list[Any]:
        """Execute the operation on `values(tensor)` for each input; returns one value per output.

        training: for layers kept whole; some are random unless told otherwise. batch: for what repeats along it.
        """
        is_layer = isinstance(self.op, keras.Layer)
        if is_layer:
            extra["training"] = bool(training)
        if isinstance(self.op, Batched):
            extra["batch"] = batch
        args, kwargs = self._with(values)
        compute = self.op if is_layer else body_of(closed(self.op, batch))
        results = tree.flatten(compute(*args, **{**kwargs, **extra}))
        if is_layer:  # whose policy may ask for half precision
            results = [ops.cast(result, out.dtype) for result, out in zip(results, self.outputs, strict=True)]
        return results

    def _with(self, values: Callable[[Tensor], Any]) -> tuple[Any, Any]:
        """Return the arguments with the value of each tensor in its place."""

        def value(leaf: Any) -> Any:
            return values(leaf) if isinstance(leaf, Tensor) else leaf

        if not self.kwargs and not any(isinstance(arg, (list, tuple, dict)) for arg in self.args):
            return [value(arg) for arg in self.args], {}
        return tree.map_structure(value, (self.args, self.kwargs))


@dataclass(eq=False)
class Graph:
    """Nodes in execution order, between `inputs` and `outputs` (flat lists, in the model's order).

    `losses` names the layers that add to the model's loss when they are called, which no node does.
    """

    name: str
    inputs: list[Tensor]
    outputs: list[Tensor]
    nodes: list[Node]
    losses: list[str] = field(default_factory=list)

    @property
    def constants(self) -> list[Tensor]:
        """Weights and constants in order of first use, each once."""
        seen = {id(leaf): leaf for node in self.nodes for leaf in node.inputs if leaf.is_constant}
        seen.update({id(leaf): leaf for leaf in self.outputs if leaf.is_constant})
        return list(seen.values())

    def replace(self, old: Tensor, new: Tensor) -> None:
        """Let every reader of `old` read `new`."""
        for node in self.nodes:
            if old in node.inputs:
                node.reread(old, new)
        self.outputs = [new if tensor is old else tensor for tensor in self.outputs]

    def prune_dead(self) -> None:
        """Drop the nodes that no output needs."""
        needed = {id(leaf) for leaf in self.outputs}
        kept = []
        for node in reversed(self.nodes):
            if any(id(leaf) in needed for leaf in node.outputs):
                needed.update(id(leaf) for leaf in node.inputs)
                kept.append(node)
        self.nodes = kept[::-1]


class Consumers:
    """Who reads each tensor of `graph` as it is now. None stands for whoever takes the outputs of the graph."""

    def __init__(self, graph: Graph):
        self._of: dict[int, list[Node | None]] = {}
        for node in graph.nodes:
            for key in dict.fromkeys(map(id, node.inputs)):
                self._of.setdefault(key, []).append(node)
        for leaf in graph.outputs:
            self._of.setdefault(id(leaf), []).append(None)

    def of(self, tensor: Tensor) -> list[Node | None]:
        """Return all readers of `tensor`."""
        return self._of.get(id(tensor), [])

    def only(self, tensor: Tensor) -> Node | None:
        """Return the node that reads `tensor` if nothing else does."""
        found = self.of(tensor)
        return found[0] if len(found) == 1 else None


def nodes_before(outputs: list, stop: set[int]) -> list:
    """Return the Keras nodes that lead to `outputs`, in execution order, not going past the tensors in `stop`."""
    order, seen = [], set()
    stack = [(leaf, False) for leaf in reversed(outputs) if isinstance(leaf, KerasTensor)]
    while stack:
        tensor, done = stack.pop()
        node = maker_of(tensor)
        if done:
            order.append(node)
            continue
        if id(tensor) in stop or node is None or id(node) in seen:
            continue
        seen.add(id(node))
        stack.append((tensor, True))
        stack.extend((leaf, False) for leaf in reversed(node.arguments.keras_tensors))
    return order


def computed_dtype(dtype: str) -> str:
    """Return what a graph computes in where the model has `dtype`: whatever its policy, real numbers are float32."""
    return "float32" if keras.backend.is_float_dtype(dtype) else dtype


_OPERATIONS = frozenset(name.replace("_", "") for name in dir(ops))


def op_type_of(operation: Any) -> str:
    """Return what the operator table calls `operation`; a layer kept whole is no operation of the same name."""
    name = type(operation).__name__
    if not isinstance(operation, keras.Layer):
        return name
    if leaf := leaf_of(operation):
        return leaf.__name__
    return f"{name} layer" if name.lower() in _OPERATIONS else name


class Recorder:
    """Turns recorded Keras nodes into nodes of our own, which outlive the model's state."""

    def __init__(self):
        self.tensors: dict[int, Tensor] = {}
        self.constants: dict[int, Tensor] = {}
        self._kept: list[Any] = []

    def convert(self, leaf: Any) -> Any:
        """Return the `Tensor` of a symbolic tensor or an array; anything else is a static argument."""
        if isinstance(leaf, KerasTensor):
            return self.tensors[id(leaf)]
        if not isinstance(leaf, keras.Variable) and not (hasattr(leaf, "shape") and hasattr(leaf, "dtype")):
            return leaf
        if id(leaf) not in self.constants:
            value = np.asarray(leaf)
            value = value.astype(computed_dtype(str(value.dtype)), copy=False)
            is_variable = isinstance(leaf, keras.Variable)
            label = leaf.path.replace("/", ".") if is_variable else f"constant_{len(self.constants)}"
            trainable = bool(getattr(leaf, "trainable", False))
            self.constants[id(leaf)] = Tensor(label, value.shape, str(value.dtype), value, trainable)
            self._kept.append(leaf)
        return self.constants[id(leaf)]

    def record(self, keras_node: Any, name: str, scope: str) -> Node:
        """Convert one Keras node and its outputs."""
        args, kwargs = keras_node.arguments.convert(self.convert)
        outputs = [
            Tensor(f"{name}:{index}" if index else name, tuple(out.shape), computed_dtype(out.dtype))
            for index, out in enumerate(keras_node.outputs)
        ]
        operation = keras_node.operation
        if type(operation).__name__ == "Cast":
            operation = type(operation)(computed_dtype(operation.dtype))
        node = Node(op_type_of(operation), operation, args, kwargs, outputs, name, scope)
        for out, tensor in zip(keras_node.outputs, outputs, strict=True):
            tensor.producer = node
            self.tensors[id(out)] = tensor
        return node


def splice(graph: Graph, node: Node, function: Callable) -> list[Node]:
    """Put the operations that `function` makes of the arguments of `node` in its place; return the new nodes.

    Nothing happens where `function` returns NotImplemented. Sites derive from the node's, so that steps of an unrolled
    recurrence go on sharing them.
    """
    recorder = Recorder()
    stand_ins: dict[int, KerasTensor] = {}

    def stand_in(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        if id(leaf) not in stand_ins:
            stand_ins[id(leaf)] = KerasTensor(leaf.shape, dtype=leaf.dtype)
            recorder.tensors[id(stand_ins[id(leaf)])] = leaf
        return stand_ins[id(leaf)]

    args, kwargs = tree.map_structure(stand_in, (node.args, node.kwargs))
    result = function(*args, **kwargs)
    if result is NotImplemented:
        return []
    outputs = tree.flatten(result)
    counts: Counter[str] = Counter()
    made = []
    for record in nodes_before(outputs, {id(leaf) for leaf in stand_ins.values()}):
        kind = type(record.operation).__name__.lower()
        counts[kind] += 1
        number = f"_{counts[kind]}" if counts[kind] > 1 else ""
        made.append(recorder.record(record, f"{node.name}/{kind}{number}", f"{node.scope}/{kind}{number}"))
    for leaf in recorder.constants.values():
        leaf.name = f"{node.name}.{leaf.name}".replace("/", ".")
    for old, new in zip(node.outputs, outputs, strict=True):
        graph.replace(old, recorder.convert(new))
    where = graph.nodes.index(node)
    graph.nodes[where : where + 1] = made
    return made


def name_constants_once(graph: Graph) -> None:
    seen: Counter[str] = Counter()
    for tensor in graph.constants:
        seen[tensor.name] += 1
        if seen[tensor.name] > 1:
            tensor.name = f"{tensor.name}_{seen[tensor.name]}"


def run(graph: Graph, inputs: list, values: Callable[[Tensor], Any] | None = None) -> list:
    """Execute `graph` on backend tensors; `values` overrides weights (default: as traced)."""
    held = {id(leaf): value for leaf, value in zip(graph.inputs, inputs, strict=True)}
    lookup = values or (lambda leaf: ops.convert_to_tensor(leaf.value))

    def value(leaf: Tensor) -> Any:
        return held[id(leaf)] if id(leaf) in held else lookup(leaf)

    batch = ops.shape(inputs[0])[0] if inputs else 1
    for node in graph.nodes:
        for leaf, result in zip(node.outputs, node.run(value, batch=batch), strict=True):
            held[id(leaf)] = result
    return [value(leaf) for leaf in graph.outputs]

"""A Keras model as a graph of `keras.ops` operations, with its weights lifted to inputs.

`trace` calls the model on symbolic tensors with every layer opened: a layer's `call` runs in place of the layer, so
what is recorded are convolutions, products and sums rather than layers. While it runs, each variable stands in as a
symbolic tensor; otherwise what a layer computes from its variables alone would be evaluated once and become a stale
constant. Random layers stay whole (`LEAVES`), as do those of Keras without weights that are not written in operations
(image preprocessing, encodings); some have a rule of their own (`composites.LAYERS`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, ops, tree

from ..errors import BadInput
from . import composites
from .operations import Batched

# Random in training, nothing at inference; Keras versions differ in what they have of them.
LEAVES: tuple[type[keras.Layer], ...] = tuple(
    getattr(keras.layers, name) for name in (
        "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "SpatialDropout1D", "SpatialDropout2D",
        "SpatialDropout3D",
        "AugMix", "CutMix", "MixUp", "RandAugment", "RandomBrightness", "RandomColorDegeneration", "RandomColorJitter",
        "RandomContrast", "RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomGaussianBlur",
        "RandomGrayscale", "RandomHue", "RandomInvert", "RandomPerspective", "RandomPosterization", "RandomRotation",
        "RandomSaturation", "RandomSharpness", "RandomShear", "RandomTranslation", "RandomZoom",
    ) if hasattr(keras.layers, name)
)  # fmt: skip
_TRACKERS = {"_trainable_variables", "_non_trainable_variables", "_tracker", "_layers", "_losses", "_metrics"}


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

    `site` names the place in the source: the steps of an unrolled recurrence share it, and with it their scales.
    """

    kind: str
    op: Any
    args: Any
    kwargs: Any
    outputs: list[Tensor]
    name: str
    site: str

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

    def run(
        self, values: Callable[[Tensor], Any], *, training: bool | None = False, batch: Any = 1, **extra: Any
    ) -> list[Any]:
        """Execute the operation on `values(tensor)` for each input; returns one value per output.

        training: for layers kept whole; some are random unless told otherwise. batch: for what repeats along it.
        """
        if isinstance(self.op, keras.Layer):
            extra["training"] = bool(training)
        if isinstance(self.op, Batched):
            extra["batch"] = batch
        args, kwargs = tree.map_structure(
            lambda leaf: values(leaf) if isinstance(leaf, Tensor) else leaf, (self.args, self.kwargs)
        )
        results = tree.flatten(self.op(*args, **{**kwargs, **extra}))
        if isinstance(self.op, keras.Layer):  # whose policy may ask for half precision
            results = [ops.cast(result, out.dtype) for result, out in zip(results, self.outputs, strict=True)]
        return results


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

        def swap(leaf):
            return new if leaf is old else leaf

        for node in self.nodes:
            if old in node.inputs:
                node.args, node.kwargs = tree.map_structure(swap, (node.args, node.kwargs))
        self.outputs = [swap(leaf) for leaf in self.outputs]

    def prune_dead(self) -> None:
        """Drop the nodes that no output needs."""
        needed = {id(leaf) for leaf in self.outputs}
        kept = []
        for node in reversed(self.nodes):
            if any(id(leaf) in needed for leaf in node.outputs):
                needed.update(id(leaf) for leaf in node.inputs)
                kept.append(node)
        self.nodes = kept[::-1]


class Readers:
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


def trace(model: keras.Model, rules: Mapping[type, Callable] = MappingProxyType({})) -> Graph:
    """Trace `model` to operations. The model is left as it was.

    rules: by type of layer, how to open it otherwise than usual.
    Raises: BadInput if the model has no symbolic inputs or a layer needs values while it is traced, naming the layer.
    """
    arguments = tree.map_structure(lambda x: KerasTensor(x.shape, dtype=x.dtype, name=x.name), symbolic_inputs(model))
    with _Opened(model, rules) as opened:
        outputs = tree.flatten(opened.call(model, arguments))
        return _collect(model.name, tree.flatten(arguments), outputs, opened)


def symbolic_inputs(model: keras.Model) -> Any:
    """Return the symbolic inputs of `model` as it takes them: a tensor, or a list or dict of several.

    Raises: BadInput if they are not known: a subclassed model that was never called on a symbolic tensor.
    """
    try:
        found = model.inputs if isinstance(model, keras.Sequential) else model.input
    except (AttributeError, ValueError):
        found = None
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    if found is None or not tree.flatten(found):
        raise BadInput(
            f"model {model.name!r} has no known input shape: "
            "call it once on a keras.Input, or build it as a functional model"
        )
    return found


class _Opened:
    """The model's layers with symbolic variables and their bodies in place of themselves, for as long as the context
    lasts.
    """

    def __init__(self, model: keras.Model, rules: Mapping[type, Callable]):
        self.model, self.rules = model, rules
        self.weights: dict[int, tuple[KerasTensor, keras.Variable]] = {}
        self.aliases: dict[int, KerasTensor] = {}
        self.places: dict[int, str] = {}
        self.losses: list[str] = []
        self._calls: Counter[str] = Counter()
        self._stack: list[keras.Layer] = []
        self._kept: list[Any] = []
        self._undo = ExitStack()

    def __enter__(self) -> _Opened:
        layers = {id(layer): layer for layer in self.model._flatten_layers(include_self=True, recursive=True)}
        for layer in layers.values():
            self._undo.callback(
                _restore, layer, dict(layer.__dict__), len(layer._inbound_nodes), len(layer._outbound_nodes)
            )
            if isinstance(layer, LEAVES):
                continue
            self._lift(layer)
            if layer.activity_regularizer is not None:
                self.losses.append(layer.name)
            layer.__dict__["add_loss"] = lambda loss, _layer=layer: self.losses.append(_layer.name)
            layer.__dict__["symbolic_call"] = lambda *args, _layer=layer, **kwargs: self.call(_layer, *args, **kwargs)
        return self

    def __exit__(self, *exception: object) -> None:
        self._undo.close()

    def _lift(self, layer: keras.Layer) -> None:
        def stand_in(value: Any) -> Any:
            if not isinstance(value, keras.Variable):
                return value
            if id(value) not in self.weights:
                self.weights[id(value)] = KerasTensor(value.shape, dtype=value.dtype, name=value.path), value
            return self.weights[id(value)][0]

        for key, value in list(layer.__dict__.items()):
            if key not in _TRACKERS:
                replaced = composites.symbolic(_replace_variables(value, stand_in))
                if replaced is not value:
                    layer.__dict__[key] = replaced

    def call(self, layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        """Run the layer's body (or its composite rule) on symbolic tensors; returns fresh tensors that alias the
        result.
        """
        body = composites.layer_rule(layer, self.rules) or layer.call
        self._stack.append(layer)
        place = "/".join(opened.name for opened in self._stack[1:])
        try:
            inner = body(*args, **kwargs)
        except (ValueError, TypeError, AttributeError, NotImplementedError) as error:
            if isinstance(error, BadInput):
                raise
            if type(layer).__module__.startswith("keras.") and not layer.weights:
                return _fresh(layer.compute_output_spec(*args, **kwargs))  # Keras records the layer as one operation
            raise BadInput(
                f"layer {layer.name!r} ({type(layer).__name__}) cannot be traced to operations: "
                f"{str(error).strip().splitlines()[0]}. "
                "Write its call with keras.ops on tensors of known shape, without Python control flow on values."
            ) from error
        finally:
            self._stack.pop()
        self._calls[place] += 1
        self._tag(tree.flatten(inner), tree.flatten((args, kwargs)), place)
        return tree.map_structure(self._alias, inner)

    def _alias(self, inner: KerasTensor) -> KerasTensor:
        outer = KerasTensor(inner.shape, dtype=inner.dtype)
        self.aliases[id(outer)] = inner
        self._kept.append(outer)  # ids stay unique only while the object lives
        return outer

    def resolve(self, tensor: KerasTensor) -> KerasTensor:
        while id(tensor) in self.aliases:
            tensor = self.aliases[id(tensor)]
        return tensor

    def _tag(self, outputs: list, inputs: list, place: str) -> None:
        """Give the nodes between `inputs` and `outputs` that no inner layer has claimed the place
        `layer/operation_index`.
        """
        calls = self._calls[place]
        is_step = any(isinstance(layer, keras.layers.RNN) for layer in self._stack)
        prefix = place if calls == 1 or is_step else f"{place}#{calls}"
        stop = {id(self.resolve(leaf)) for leaf in inputs if isinstance(leaf, KerasTensor)}
        fresh = [node for node in _nodes_before(outputs, self.resolve, stop) if id(node) not in self.places]
        counts: Counter[str] = Counter()
        for node in fresh:
            kind = type(node.operation).__name__.lower()
            counts[kind] += 1
            number = f"_{counts[kind]}" if counts[kind] > 1 else ""
            self.places[id(node)] = f"{prefix}/{kind}{number}" if prefix else f"{kind}{number}"
            self._kept.append(node)


def _fresh(spec: Any) -> Any:
    return tree.map_structure(lambda leaf: KerasTensor(leaf.shape, dtype=leaf.dtype), spec)


def _replace_variables(value: Any, stand_in: Callable) -> Any:
    """Return `value`, or a plain copy with each variable replaced if it is or directly holds one."""
    if isinstance(value, keras.Variable):
        return stand_in(value)
    if isinstance(value, (list, tuple)) and any(isinstance(item, keras.Variable) for item in value):
        return type(value)(map(stand_in, value)) if isinstance(value, tuple) else list(map(stand_in, value))
    if isinstance(value, dict) and any(isinstance(item, keras.Variable) for item in value.values()):
        return {key: stand_in(item) for key, item in value.items()}
    return value


def _restore(layer: keras.Layer, attributes: dict, inbound: int, outbound: int) -> None:
    layer.__dict__.clear()
    layer.__dict__.update(attributes)
    del layer._inbound_nodes[inbound:]
    del layer._outbound_nodes[outbound:]


def _nodes_before(outputs: list, resolve: Callable, stop: set[int]) -> list:
    """Return the Keras nodes that lead to `outputs`, in execution order, not going past the tensors in `stop`."""
    order, seen = [], set()
    stack = [(resolve(leaf), False) for leaf in reversed(outputs) if isinstance(leaf, KerasTensor)]
    while stack:
        tensor, done = stack.pop()
        node = _producer(tensor)
        if done:
            order.append(node)
            continue
        if id(tensor) in stop or node is None or id(node) in seen:
            continue
        seen.add(id(node))
        stack.append((tensor, True))
        stack.extend((resolve(leaf), False) for leaf in reversed(node.arguments.keras_tensors))
    return order


def _producer(tensor: KerasTensor):
    history = getattr(tensor, "_keras_history", None)
    if history is None or history.operation is None:
        return None
    return history.operation._inbound_nodes[history.node_index]


def computed_dtype(dtype: str) -> str:
    """Return what a graph computes in where the model has `dtype`: whatever its policy, real numbers are float32."""
    return "float32" if keras.backend.is_float_dtype(dtype) else dtype


class _Recorder:
    """Turns recorded Keras nodes into nodes of our own, which outlive the model's state."""

    def __init__(self, resolve: Callable[[KerasTensor], KerasTensor] = lambda tensor: tensor):
        self.resolve = resolve
        self.tensors: dict[int, Tensor] = {}
        self.constants: dict[int, Tensor] = {}
        self._kept: list[Any] = []

    def convert(self, leaf: Any) -> Any:
        """Return the `Tensor` of a symbolic tensor or an array; anything else is a static argument."""
        if isinstance(leaf, KerasTensor):
            return self.tensors[id(self.resolve(leaf))]
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

    def record(self, keras_node: Any, name: str, site: str) -> Node:
        """Convert one Keras node and its outputs."""
        args, kwargs = keras_node.arguments.convert(self.convert)
        outputs = [
            Tensor(f"{name}:{index}" if index else name, tuple(out.shape), computed_dtype(out.dtype))
            for index, out in enumerate(keras_node.outputs)
        ]
        operation = keras_node.operation
        if type(operation).__name__ == "Cast":
            operation = type(operation)(computed_dtype(operation.dtype))
        node = Node(type(operation).__name__, operation, args, kwargs, outputs, name, site)
        for out, tensor in zip(keras_node.outputs, outputs, strict=True):
            tensor.producer = node
            self.tensors[id(out)] = tensor
        return node


def _collect(name: str, inputs: list, outputs: list, opened: _Opened) -> Graph:
    recorder = _Recorder(opened.resolve)
    for index, leaf in enumerate(inputs):
        recorder.tensors[id(leaf)] = Tensor(
            leaf.name or f"input_{index}", tuple(leaf.shape), computed_dtype(leaf.dtype)
        )
    for leaf, variable in opened.weights.values():
        label, trainable = variable.path.replace("/", "."), bool(variable.trainable)
        dtype = computed_dtype(leaf.dtype)
        value = np.asarray(variable).astype(dtype, copy=False)
        recorder.tensors[id(leaf)] = Tensor(
            label, tuple(leaf.shape), dtype, value, trainable, regularizer=variable.regularizer
        )
    graph_inputs = [recorder.tensors[id(leaf)] for leaf in inputs]
    names: Counter[str] = Counter()
    nodes = []
    for record in _nodes_before(outputs, opened.resolve, {id(leaf) for leaf in inputs}):
        site = opened.places.get(id(record)) or type(record.operation).__name__.lower()
        names[site] += 1
        nodes.append(recorder.record(record, site if names[site] == 1 else f"{site}@{names[site]}", site))
    losses = list(dict.fromkeys(opened.losses))
    graph = Graph(name, graph_inputs, [recorder.convert(leaf) for leaf in outputs], nodes, losses)
    _name_constants_once(graph)
    return graph


def splice(graph: Graph, node: Node, function: Callable) -> list[Node]:
    """Put the operations that `function` makes of the arguments of `node` in its place; return the new nodes.

    Nothing happens where `function` returns NotImplemented. Sites derive from the node's, so that steps of an unrolled
    recurrence go on sharing them.
    """
    recorder = _Recorder()
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
    for record in _nodes_before(outputs, recorder.resolve, {id(leaf) for leaf in stand_ins.values()}):
        kind = type(record.operation).__name__.lower()
        counts[kind] += 1
        number = f"_{counts[kind]}" if counts[kind] > 1 else ""
        made.append(recorder.record(record, f"{node.name}/{kind}{number}", f"{node.site}/{kind}{number}"))
    for leaf in recorder.constants.values():
        leaf.name = f"{node.name}.{leaf.name}".replace("/", ".")
    for old, new in zip(node.outputs, outputs, strict=True):
        graph.replace(old, recorder.convert(new))
    where = graph.nodes.index(node)
    graph.nodes[where : where + 1] = made
    return made


def _name_constants_once(graph: Graph) -> None:
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

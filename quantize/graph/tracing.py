"""From a Keras model to a graph of `keras.ops` operations.

`trace` calls the model on symbolic tensors with every layer opened: a layer's `call` runs in place of the layer, so
what is recorded are convolutions, products and sums rather than layers. While it runs, each variable stands in as a
symbolic tensor; otherwise what a layer computes from its variables alone would be evaluated once and become a stale
constant. Random layers stay whole (`composites.LEAVES`), as do those without weights that are not written in
operations (image preprocessing, encodings); some have a rule of their own (`composites.LAYERS`).

The batch is open at first. A model that asks for its size (a token tiled by it, a mask of its shape) is traced with
two batches instead, and what differs between the two is the batch (`batch`).
"""

from __future__ import annotations

import inspect
import linecache
import re
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from keras import KerasTensor

from ...ends import symbolic_inputs
from ...errors import BadInput, EdgewrightError
from ...keras_internals import TRACKERS, abstract_outputs, calls_of, forget_calls, layers_in
from ...untyped import tree
from . import batch
from . import layer_rules as composites
from .nodes import Graph, Node, Recorder, Tensor, computed_dtype, name_constants_once, nodes_before
from .symbolic import DRAWS, symbolic_python


def trace(model: keras.Model, rules: Mapping[type, Callable] = MappingProxyType({}), inputs: Any = None) -> Graph:
    """Trace `model` to operations. The model is left as it was.

    rules: by type of layer, how to open it otherwise than usual. inputs: symbolic tensors as the model takes them, by
    default its own.
    Raises: BadInput if the model has no symbolic inputs or a layer needs values while it is traced, naming the layer.
    """
    return trace_calls(model, rules, inputs).graph


@dataclass(eq=False)
class Call:
    """A call of a layer, however deep inside others: its arguments and outputs with a `Tensor` for each tensor."""

    layer: keras.Layer
    args: Any
    kwargs: Any
    outputs: list[Tensor]


@dataclass(eq=False)
class Trace:
    """A graph with what it came of. weights: by id of the variable."""

    graph: Graph
    calls: list[Call]
    weights: dict[int, Tensor]


def trace_calls(model: keras.Model, rules: Mapping[type, Callable] = MappingProxyType({}), inputs: Any = None) -> Trace:
    """Trace `model` as `trace` does, and tell which tensors went into each call of a layer and which came out."""
    inputs = symbolic_inputs(model) if inputs is None else inputs
    try:
        traced = _trace(model, rules, inputs, None)
        is_open = any(None in leaf.shape[1:] for leaf in traced.graph.inputs)
        if is_open or not any(_asks_for_two_sizes(node) for node in traced.graph.nodes):
            return traced
    except _NeedsBatch:
        pass
    small, large = (_trace(model, rules, inputs, size) for size in batch.SIZES)
    batch.lift(small.graph, large.graph)
    return small


def _asks_for_two_sizes(node: Node) -> bool:
    """Tell whether more than the batch is unknown behind `node`, or a reshape leaves more than that to be found."""
    unknown = max((sum(size is None for size in out.shape) for out in node.outputs), default=0)
    return unknown > 1 or (node.op_type == "Reshape" and None in node.op.newshape and -1 in node.op.newshape)


def _trace(model: keras.Model, rules: Mapping[type, Callable], inputs: Any, size: int | None) -> Trace:
    arguments = tree.map_structure(lambda x: KerasTensor((size, *x.shape[1:]), dtype=x.dtype, name=x.name), inputs)
    with _Opened(model, rules, size) as opened:
        outputs = tree.flatten(opened.call(model, arguments))
        return _collect(model.name, tree.flatten(arguments), outputs, opened)


class _NeedsBatch(BadInput):
    """Raised where a layer cannot be traced with an open batch; perhaps it can with a known one."""


class _Opened:
    """The model's layers with symbolic variables and their bodies in place of themselves, for as long as the context
    lasts.
    """

    def __init__(self, model: keras.Model, rules: Mapping[type, Callable], size: int | None):
        self.model, self.rules, self.size = model, rules, size
        self.weights: dict[int, tuple[KerasTensor, keras.Variable]] = {}
        self.places: dict[int, str] = {}
        self.carried: set[int] = set()  # the nodes of recurrences, whose steps share a place
        self.losses: list[str] = []
        self.calls: list[tuple[keras.Layer, Any, Any, Any]] = []
        self._whole: set[int] = set()
        self._known: set[int] = set()
        self._calls: Counter[str] = Counter()
        self._stack: list[keras.Layer] = []
        self._kept: list[Any] = []  # ids stay unique only while the objects live
        self._undo = ExitStack()

    def __enter__(self) -> _Opened:
        for layer in layers_in(self.model):
            self._open(layer)

        def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:  # a method of every layer, not of ours
            return self.call(layer, *args, **kwargs)

        self._undo.enter_context(symbolic_python(call, self._is_whole))
        return self

    def __exit__(self, *exception: object) -> None:
        self._undo.close()

    def _open(self, layer: keras.Layer) -> None:
        """Let the weights of `layer` be symbolic, once."""
        if id(layer) in self._known:
            return
        self._known.add(id(layer))
        self._kept.append(layer)
        self._undo.callback(_restore, layer, dict(layer.__dict__), calls_of(layer))
        if composites.leaf_of(layer):
            return
        self._lift(layer)
        if layer.activity_regularizer is not None:
            self.losses.append(layer.name)
        layer.__dict__["add_loss"] = lambda loss: self.losses.append(layer.name)

    def _lift(self, layer: keras.Layer) -> None:
        def stand_in(value: Any) -> Any:
            if not isinstance(value, keras.Variable):
                return value
            if id(value) not in self.weights:
                self.weights[id(value)] = KerasTensor(value.shape, dtype=value.dtype, name=value.path), value
            return self.weights[id(value)][0]

        for key, value in list(layer.__dict__.items()):
            if key not in TRACKERS:
                replaced = composites.symbolic(_replace_variables(value, stand_in))
                if replaced is not value:
                    layer.__dict__[key] = replaced

    def _is_whole(self, operation: Any) -> bool:
        return id(operation) in self._whole

    def call(self, layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        """Run the layer's body (or its composite rule) on symbolic tensors."""
        self._open(layer)  # those that the body of another one makes are met here
        if _is_told_to_train(layer, kwargs) and (what := composites.random_part(layer)):
            raise BadInput(
                f"layer {self._place(layer)!r} ({type(layer).__name__}) is called with training=True, so that "
                f"{what} draws random numbers at inference, which in a file would be one constant: call it without, or "
                "let the model take the noise as an input"
            )
        self._whole.discard(id(layer))
        outputs = self._run(layer, args, kwargs)
        self.calls.append((layer, args, kwargs, outputs))
        return outputs

    def _run(self, layer: keras.Layer, args: Any, kwargs: Any) -> Any:
        if composites.leaf_of(layer):
            return self._keep(layer, args, kwargs)
        body = composites.layer_rule(layer, self.rules) or layer.call
        self._stack.append(layer)
        place = "/".join(opened.name for opened in self._stack[1:])
        try:
            outputs = body(*args, **kwargs)
        except EdgewrightError as error:
            if str(error) != DRAWS:
                raise
            raise BadInput(
                f"layer {place or layer.name!r} ({type(layer).__name__}) {DRAWS}, which in a file would be one "
                "constant: let the model take the noise as an input, or leave the layer out of what is exported"
            ) from None
        except Exception as error:
            waits = self.size is None and not _is_of_keras(layer)
            if not waits and not layer.weights and (whole := self._try_whole(layer, args, kwargs)) is not None:
                return whole
            refusal = _NeedsBatch if self.size is None else BadInput
            raise refusal(_untraceable(layer, place, error)) from error
        finally:
            self._stack.pop()
        self._calls[place] += 1
        self._tag(tree.flatten(outputs), tree.flatten((args, kwargs)), place)
        return outputs

    def _place(self, layer: keras.Layer) -> str:
        """Return the path of `layer` where it is called now."""
        return "/".join([opened.name for opened in self._stack[1:]] + [layer.name])

    def _keep(self, layer: keras.Layer, args: Any, kwargs: Any) -> Any:
        """Let Keras record `layer` as one operation."""
        self._whole.add(id(layer))
        spec = layer.compute_output_spec(*args, **kwargs)
        return tree.map_structure(lambda leaf: KerasTensor(leaf.shape, dtype=leaf.dtype), spec)

    def _try_whole(self, layer: keras.Layer, args: Any, kwargs: Any) -> Any:
        """Keep a layer that computes with a backend's own functions, unless it asks for values as well."""
        try:
            if not _is_of_keras(layer):
                abstract_outputs(layer.call, *args, **kwargs)
            return self._keep(layer, args, kwargs)
        except Exception:  # the reason why it could not be opened is the one to tell
            self._whole.discard(id(layer))
            return None

    def _tag(self, outputs: list, inputs: list, place: str) -> None:
        """Give the nodes between `inputs` and `outputs` that no inner layer has claimed the place
        `layer/operation_index`.
        """
        calls = self._calls[place]
        is_step = any(isinstance(layer, keras.layers.RNN) or _is_recurrence(layer) for layer in self._stack)
        prefix = place if calls == 1 or is_step else f"{place}#{calls}"
        stop = {id(leaf) for leaf in inputs if isinstance(leaf, KerasTensor)}
        fresh = [node for node in nodes_before(outputs, stop) if id(node) not in self.places]
        counts: Counter[str] = Counter()
        for node in fresh:
            kind = type(node.operation).__name__.lower()
            counts[kind] += 1
            number = f"_{counts[kind]}" if counts[kind] > 1 else ""
            self.places[id(node)] = f"{prefix}/{kind}{number}" if prefix else f"{kind}{number}"
            if is_step:
                self.carried.add(id(node))
            self._kept.append(node)


def _is_recurrence(layer: keras.Layer) -> bool:
    """Tell whether a layer says that it calls those inside it once a time step, as a recurrence of its own does."""
    return bool(getattr(layer, "is_recurrence", False))


def _is_told_to_train(layer: keras.Layer, kwargs: Mapping[str, Any]) -> bool:
    """Tell whether a call says training=True: augmentation has it by default, and Keras records that as said."""
    if kwargs.get("training") is not True:
        return False
    parameter = inspect.signature(layer.call).parameters.get("training")
    return parameter is None or parameter.default is not True


def _is_of_keras(layer: keras.Layer) -> bool:
    return type(layer).__module__.startswith("keras.") and not isinstance(layer, keras.layers.Lambda)


_CODES = re.compile(r"\x1b\[[0-9;]*m")


def _untraceable(layer: keras.Layer, place: str, error: Exception) -> str:
    """Return what stands in the way, in one line: the layer, the reason, the user's own line of code, the remedy."""
    lines = [line.strip() for line in _CODES.sub("", str(error)).splitlines() if line.strip()]
    reason = lines[0].split(". ")[0].rstrip(".") if lines else ""
    where = _users_line(error)
    return (
        f"layer {place or layer.name!r} ({type(layer).__name__}) cannot be traced to operations: "
        f"{type(error).__name__}: {reason}{where}. "
        "Write its call with keras.ops on tensors of known shape, without Python control flow on values."
    )


def _users_line(error: Exception) -> str:
    """Return the last line of code on the way to `error` that is not of an installed package or ours."""
    ours = str(Path(__file__).resolve().parent.parent)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = frame.filename
        is_library = "site-packages" in file or file.startswith("<") or f"{Path(file).resolve()}".startswith(ours)
        if not is_library and frame.lineno is not None:
            return f", at {Path(file).name}:{frame.lineno}: {linecache.getline(file, frame.lineno).strip()}"
    return ""


def _replace_variables(value: Any, stand_in: Callable) -> Any:
    """Return `value`, or a plain copy with each variable replaced if it is or directly holds one."""
    if isinstance(value, keras.Variable):
        return stand_in(value)
    if isinstance(value, (list, tuple)) and any(isinstance(item, keras.Variable) for item in value):
        return type(value)(map(stand_in, value)) if isinstance(value, tuple) else list(map(stand_in, value))
    if isinstance(value, dict) and any(isinstance(item, keras.Variable) for item in value.values()):
        return {key: stand_in(item) for key, item in value.items()}
    return value


def _restore(layer: keras.Layer, attributes: dict[str, Any], calls: tuple[int, int]) -> None:
    layer.__dict__.clear()
    layer.__dict__.update(attributes)
    forget_calls(layer, calls)


def _collect(name: str, inputs: list, outputs: list, opened: _Opened) -> Trace:
    recorder = Recorder()
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
    for record in nodes_before(outputs, {id(leaf) for leaf in inputs}):
        scope = opened.places.get(id(record)) or type(record.operation).__name__.lower()
        names[scope] += 1
        unique = scope if names[scope] == 1 else f"{scope}@{names[scope]}"
        nodes.append(recorder.record(record, unique, scope if id(record) in opened.carried else unique))
    losses = list(dict.fromkeys(opened.losses))
    graph = Graph(name, graph_inputs, [recorder.convert(leaf) for leaf in outputs], nodes, losses)
    name_constants_once(graph)
    weights = {id(variable): recorder.tensors[id(leaf)] for leaf, variable in opened.weights.values()}
    return Trace(graph, [_known(call, recorder) for call in opened.calls], weights)


def _known(call: tuple[keras.Layer, Any, Any, Any], recorder: Recorder) -> Call:
    """Return a call with our tensors in place of Keras'; None for those that no output needs."""
    layer, *rest = call
    args, kwargs, outputs = tree.map_structure(
        lambda leaf: recorder.tensors.get(id(leaf)) if isinstance(leaf, KerasTensor) else leaf, rest
    )
    return Call(layer, args, kwargs, tree.flatten(outputs))

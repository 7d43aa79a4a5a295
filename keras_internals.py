"""All that we use of Keras and that Keras does not promise: one small function each, and a test that tries each.

Where a new Keras breaks one of them, `tests/test_keras_internals.py` says which; the rest of the package need not know.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import keras

# Attributes of a layer in which Keras keeps its variables and layers beside those that the layer itself has.
TRACKERS = frozenset(
    {"_trainable_variables", "_non_trainable_variables", "_tracker", "_layers", "_losses", "_metrics"}
)  # fmt: skip


# ---------------------------------------------------------------- layers


def layers_in(layer: Any, *, itself: bool = True, deep: bool = True) -> Iterator[keras.Layer]:
    """Yield the layers inside `layer`, itself first; deep: those inside of these too."""
    if hasattr(layer, "_flatten_layers"):
        return iter(layer._flatten_layers(include_self=itself, recursive=deep))
    return iter(getattr(layer, "layers", ()))


def dense_in(network: keras.Model) -> list[Any]:
    """Return the Dense layers inside a network, in the order in which it has them."""
    return [layer for layer in layers_in(network) if isinstance(layer, keras.layers.Dense)]


def own_trainable(layer: keras.Layer) -> list[keras.Variable]:
    """Return the trainable variables that `layer` made itself, not those of layers inside it."""
    return list(layer._trainable_variables)


def takes_mask(layer: keras.Layer) -> bool:
    """Tell whether the `call` of `layer` has an argument for a mask."""
    return bool(layer._call_has_mask_arg)


@contextmanager
def recorded(layers: Mapping[str, keras.Layer]) -> Iterator[dict[str, Any]]:
    """Yield a dict that comes to hold what each of `layers` returns inside the block, the last time it is run.

    So inner results of any model are had without building another: it may run its layers as it likes.
    """
    seen: dict[str, Any] = {}

    def recording(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            seen[name] = call(*args, **kwargs)
            return seen[name]

        return run

    plain: dict[str, Any] = {name: layer.__dict__ for name, layer in layers.items()}  # past Keras' own bookkeeping
    before = {name: attributes.get("call") for name, attributes in plain.items()}
    for name, layer in layers.items():
        plain[name]["call"] = recording(name, layer.call)
    try:
        yield seen
    finally:
        for name, attributes in plain.items():
            del attributes["call"]
            if before[name] is not None:
                attributes["call"] = before[name]


@contextmanager
def carried(layers: Mapping[str, keras.layers.RNN], first: Mapping[str, list[Any]]) -> Iterator[dict[str, list[Any]]]:
    """Yield a dict that comes to hold the last states of each of `layers`; inside, they begin at the states `first`.

    A call that gives a layer its states itself begins at those.
    """
    last: dict[str, list[Any]] = {}

    def carrying(name: str, layer: keras.layers.RNN) -> Callable[..., Any]:
        call, returns = layer.call, layer.return_state

        def run(sequences: Any, initial_state: Any = None, **kwargs: Any) -> Any:
            layer.__dict__["return_state"] = True
            try:
                output, *last[name] = call(
                    sequences, initial_state=first[name] if initial_state is None else initial_state, **kwargs
                )
            finally:
                layer.__dict__["return_state"] = returns
            return (output, *last[name]) if returns else output

        return run

    plain: dict[str, Any] = {name: layer.__dict__ for name, layer in layers.items()}  # past Keras' own bookkeeping
    for name, layer in layers.items():
        plain[name]["call"] = carrying(name, layer)
    try:
        yield last
    finally:
        for attributes in plain.values():
            del attributes["call"]


@contextmanager
def sharing(operations: Iterable[Any]) -> Iterator[None]:
    """Let configurations that hold one of `operations` name it, so that `made_again` ties what was tied."""
    from keras.src.saving import serialization_lib

    with serialization_lib.ObjectSharingScope():
        for each in operations:
            serialization_lib.record_object_after_serialization(each, {"module": ""})
        yield


def made_again(operation: Any, config: dict[str, Any]) -> Any:
    """Return a layer or operation of the kind of `operation`, while `sharing` the one that holders of it hold too."""
    from keras.src.saving import serialization_lib

    made = serialization_lib.get_shared_object(id(operation))
    if made is None:
        made = type(operation).from_config(config)
        serialization_lib.record_object_after_deserialization(made, id(operation))
    return made


# ---------------------------------------------------------------- the graph of a functional model


@dataclass(frozen=True)
class Origin:
    """What made a symbolic tensor: an operation, the how-manieth call of it, the how-manieth result."""

    operation: Any
    call: int
    index: int


def origin_of(tensor: Any) -> Origin | None:
    """Return what made a symbolic tensor, None if nothing did."""
    history = getattr(tensor, "_keras_history", None)
    if history is None or history.operation is None:
        return None
    return Origin(history.operation, history.node_index, history.tensor_index)


def node_of(operation: Any, call: int) -> Any:
    """Return Keras' record of a call of `operation`: `operation, arguments, input_tensors, outputs`."""
    return operation._inbound_nodes[call]


def maker_of(tensor: Any) -> Any:
    """Return Keras' record of the call that made a symbolic tensor, None if nothing did."""
    origin = origin_of(tensor)
    return None if origin is None else node_of(origin.operation, origin.call)


def calls_of(layer: keras.Layer) -> tuple[int, int]:
    """Return how many calls of `layer` Keras has recorded, and how many calls that read its results."""
    return len(layer._inbound_nodes), len(layer._outbound_nodes)


def forget_calls(layer: keras.Layer, kept: tuple[int, int]) -> None:
    """Let Keras forget all but the first calls, as many as `calls_of` said."""
    del layer._inbound_nodes[kept[0] :]
    del layer._outbound_nodes[kept[1] :]


def is_graph(model: Any) -> bool:
    """Tell whether `model` is a graph of operations: functional, or a class around a functional one."""
    return hasattr(model, "_nodes_by_depth")


def nodes_in_order(model: Any) -> list[Any]:
    """Return Keras' records of the calls in a functional model, from its inputs to its outputs."""
    by_depth = model._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def graph_inside(model: keras.Sequential) -> Any:
    """Return the functional model that a Sequential one is once it is built, else None."""
    return model._functional


def run_graph(model: Any, inputs: list[Any], operation_for: Callable[[Any], Any], call: Callable[..., Any]) -> Any:
    """Run a functional model with `call(operation_for(operation), *args, **kwargs)` in place of each call."""
    return model._run_through_graph(inputs, operation_fn=operation_for, call_fn=call)


# ---------------------------------------------------------------- the backend


def abstract_outputs(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return what `function` makes of symbolic tensors as the backend runs it without values.

    Raises: whatever the backend does if `function` asks for a value.
    """
    from keras.src import backend

    return backend.compute_output_spec(function, *args, **kwargs)


def tensorflow_numpy() -> Any:
    """Return the module of what Keras computes by TensorFlow, where an export changes two functions for a while."""
    return importlib.import_module("keras.src.backend.tensorflow.numpy")


def value_of(variable: Any) -> Any:
    """Return the present value of a variable as a tensor of the backend.

    TensorFlow takes a variable itself for a tensor, and then computes with it several times slower.
    """
    value = variable.value
    return value.read_value() if hasattr(value, "read_value") else value


# ---------------------------------------------------------------- tracing


@contextmanager
def signatures_read_once() -> Iterator[None]:
    """Let Keras read the signature of each class of operations once, not for each operation that is made."""
    from keras.src.ops import operation

    plain = operation.inspect
    operation.inspect = SimpleNamespace(**{
        **vars(inspect),
        "signature": functools.cache(inspect.signature),
        "getfullargspec": functools.cache(inspect.getfullargspec),
    })  # fmt: skip
    try:
        yield
    finally:
        operation.inspect = plain


@dataclass(frozen=True)
class Patched:
    """Modules and classes whose attributes tracing replaces for a while (see `quantize.graph.symbolic`)."""

    calls: Any  # the module whose `Node` records the call of a layer
    einsum: type
    attention: type
    rank: type
    draws: Any  # the module whose `draw_seed` all random numbers of Keras come from


def patched() -> Patched:
    """Return what tracing replaces attributes of."""
    from keras.src import backend
    from keras.src.layers import layer
    from keras.src.ops import nn, numpy

    return Patched(
        calls=layer,
        einsum=numpy.Einsum,
        attention=nn.DotProductAttention,
        rank=numpy.Ndim,
        draws=backend.random,
    )


@contextmanager
def without_weights() -> Iterator[None]:
    """Let models that are built meanwhile have weights of a shape and no values, to be counted.

    Keras keeps a list of them, and would allocate them all when the next model is called.
    """
    from keras.src.backend.common import global_state

    kept: Any = global_state.get_global_attribute("uninitialized_variables", [], set_to_default=True)
    waiting = list(kept)
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        global_state.set_global_attribute("uninitialized_variables", waiting)

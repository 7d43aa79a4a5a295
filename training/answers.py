"""What a model answers: its outputs by name and shape, and the operation that each ends in."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from ..errors import BadInput
from .data import Output

_PASSED = ("Reshape", "Flatten", "Identity", "Dropout", "Squeeze", "ExpandDims", "Cast", "Concatenate")
ENDINGS = ("sigmoid", "softmax")
LINEAR = "linear"  # known to end in none of them


def outputs_of(model: keras.Model) -> tuple[Output, ...]:
    """Return the outputs of a built model in the order of `model.outputs`, which files have too.

    A dict of outputs gives its keys; else they are called as Keras calls them, after layers.
    """
    symbols = keras.tree.flatten(model.outputs)
    names = (
        sorted(model.output)
        if isinstance(getattr(model, "output", None), Mapping)
        else list(getattr(model, "output_names", []))
    )
    if len(set(names)) != len(symbols):
        names = [f"output_{place}" for place in range(len(symbols))]
    return tuple(
        Output(name=name, shape=tuple(symbol.shape[1:]), ending=ending(symbol))
        for name, symbol in zip(names, symbols, strict=True)
    )


def places_of(heads: Sequence[str], outputs: Sequence[Output], model: str) -> dict[str, int]:
    """Return which output answers each head: by name, or where names were lost, in the same order.

    Raises: BadInput for more heads than outputs.
    """
    names = [output.name for output in outputs]
    if all(head in names for head in heads):
        return {head: names.index(head) for head in heads}
    if len(heads) > len(names):
        raise BadInput(f"targets for {', '.join(heads)}, but {model!r} has {len(names)} outputs: {', '.join(names)}")
    return {head: place for place, head in enumerate(heads)}


def ending(symbol: Any) -> str | None:
    """Return the activation that a symbolic output comes from, "linear" where it is none, None where nobody can tell."""
    history = getattr(symbol, "_keras_history", None)
    if history is None:
        return None
    operation, node, place = history
    graph = getattr(getattr(operation, "plan", None), "graph", None)
    if graph is not None:  # the quantization-aware graph, whole in one layer
        return _of_traced(graph.outputs[place])
    if isinstance(operation, keras.models.Sequential) or hasattr(operation, "_nodes_by_depth"):
        return ending(keras.tree.flatten(operation.outputs)[place])
    operation = getattr(operation, "layer", operation)  # a wrapper's own, as pruning has them
    if type(operation).__name__ in _PASSED:
        before = {ending(argument) for argument in operation._inbound_nodes[node].input_tensors}
        return before.pop() if len(before) == 1 else None
    activation = getattr(operation, "activation", None)
    name = getattr(activation, "__name__", type(operation).__name__).lower()
    if name in ENDINGS:
        return name
    return LINEAR if type(operation).__module__.startswith("keras.") else None


def _of_traced(leaf: Any) -> str | None:
    while leaf.producer is not None and leaf.producer.kind in _PASSED and len(leaf.producer.inputs) == 1:
        leaf = leaf.producer.inputs[0]
    kind = "" if leaf.producer is None else leaf.producer.kind.lower()
    return kind if kind in ENDINGS else LINEAR

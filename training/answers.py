"""What a model answers: its outputs by name and shape, and the operation that each ends in."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from ..errors import BadInput
from ..keras_internals import is_graph, node_of, origin_of
from .data import Dataset, Output

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
        Output(name=name, shape=tuple(symbol.shape[1:]), ending=ending(symbol), whole="float" not in symbol.dtype)
        for name, symbol in zip(names, symbols, strict=True)
    )


def built(model: keras.Model, samples: Any) -> keras.Model:
    """Return `model` with inputs and outputs that can be asked for, built from the shapes of `samples`.

    A Sequential without an Input is built in place; of a subclassed model a functional one is returned that holds it as
    its only layer and shares its weights.  Raises: BadInput with what the model says to such samples.
    """
    if getattr(model, "inputs", None):
        return model
    try:
        inputs = _symbols(samples)
        answers = model(inputs)
    except Exception as error:  # whatever a model of somebody's own raises
        shapes = keras.tree.map_structure(lambda array: array.shape[1:], samples)
        words = " ".join(str(error).split())[:200]
        raise BadInput(f"model {model.name!r} cannot be called on samples of shape {shapes}: {words}") from error
    return model if getattr(model, "inputs", None) else keras.Model(inputs, answers, name=model.name)


def in_order(model: keras.Model, x: Any) -> list[Any]:
    """Return samples as one array an input, in the model's order: a dict's own says nothing."""
    return [x[symbol.name] for symbol in model.inputs] if isinstance(x, Mapping) else keras.tree.flatten(x)


def _symbols(samples: Any) -> Any:
    """Return one keras.Input for each array of `samples`; unnamed ones are a list, as they were given."""
    if not isinstance(samples, Mapping):
        return keras.Input(samples.shape[1:], dtype=samples.dtype)
    named = {name: keras.Input(array.shape[1:], dtype=array.dtype, name=name) for name, array in samples.items()}
    unnamed = all(name == f"input_{place}" for place, name in enumerate(named))
    return list(named.values()) if unnamed else named


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


def others(outputs: Sequence[Output], places: Mapping[str, int]) -> dict[str, int]:
    """Return name and place of the outputs that are at none of `places`, but for whole numbers, which nobody trains."""
    known = enumerate(outputs)
    return {each.name: place for place, each in known if place not in places.values() and not each.whole}


def untold(dataset: Dataset) -> tuple[str, ...]:
    """Return the names of the outputs that the data have no targets for, of the network that they are presented to."""
    known = dataset.shown
    if known is None or not dataset.heads:
        return ()
    return tuple(others(known.outputs, places_of(list(dataset.heads), known.outputs, known.network)))


def ending(symbol: Any) -> str | None:
    """Return the activation that an output comes from, "linear" where it is none, None where nobody can tell."""
    origin = origin_of(symbol)
    if origin is None:
        return None
    operation = origin.operation
    graph = getattr(getattr(operation, "plan", None), "graph", None)
    if graph is not None:  # the quantization-aware graph, whole in one layer
        return _of_traced(graph.outputs[origin.index])
    if isinstance(operation, keras.models.Sequential) or is_graph(operation):
        return ending(keras.tree.flatten(operation.outputs)[origin.index])
    operation = getattr(operation, "layer", operation)  # a wrapper's own, as pruning has them
    if type(operation).__name__ in _PASSED:
        before = {ending(argument) for argument in node_of(operation, origin.call).input_tensors}
        return before.pop() if len(before) == 1 else None
    activation = getattr(operation, "activation", None)
    name = getattr(activation, "__name__", type(operation).__name__).lower()
    if name in ENDINGS:
        return name
    return LINEAR if type(operation).__module__.startswith("keras.") else None


def _of_traced(tensor: Any) -> str | None:
    while tensor.producer is not None and tensor.producer.op_type in _PASSED and len(tensor.producer.inputs) == 1:
        tensor = tensor.producer.inputs[0]
    kind = "" if tensor.producer is None else tensor.producer.op_type.lower()
    return kind if kind in ENDINGS else LINEAR

"""The ends of a Keras model: its symbolic inputs, and what inputs and outputs are called, in files too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras
from keras import KerasTensor, tree

from .errors import BadInput
from .keras_internals import origin_of


def symbolic_inputs(model: keras.Model) -> Any:
    """Return the symbolic inputs of `model` as it takes them: a tensor, or a list or dict of several, of any batch.

    Raises: BadInput if they are not known: a subclassed model that was never called on a symbolic tensor.
    """
    try:
        inputs = model.inputs if isinstance(model, keras.Sequential) else model.input
    except (AttributeError, ValueError):
        inputs = None
    if isinstance(inputs, list) and len(inputs) == 1:
        inputs = inputs[0]
    if inputs is None or not tree.flatten(inputs):
        raise BadInput(
            f"model {model.name!r} has no known input shape: "
            "call it once on a keras.Input, or build it as a functional model"
        )
    return tree.map_structure(lambda x: KerasTensor((None, *x.shape[1:]), dtype=x.dtype, name=x.name), inputs)


def input_names(model: keras.Model) -> list[str]:
    """Return the names of the inputs in their flat order."""
    return [tensor.name for tensor in tree.flatten(symbolic_inputs(model))]


def output_names(model: keras.Model, count: int) -> list[str]:
    """Return a name for each of `count` outputs: the keys of a dict, else the layers that make them.

    None is that of an input. Where Keras does not tell (a subclassed model) they are numbered.
    """
    told = _told(model)
    return distinct(told if len(told) == count else (), count, input_names(model))


def distinct(names: Sequence[str], count: int, taken: Iterable[str]) -> list[str]:
    """Return `count` names that differ from each other and from those `taken`, by numbers behind them."""
    used, chosen = set(taken), []
    for index in range(count):
        name = names[index] if index < len(names) else f"output_{index}"
        number, candidate = 1, name
        while candidate in used:
            number += 1
            candidate = f"{name}_{number}"
        used.add(candidate)
        chosen.append(candidate)
    return chosen


def _told(model: keras.Model) -> list[str]:
    made = model.outputs if isinstance(model, keras.Sequential) else getattr(model, "output", None)
    paths = [path for path, _ in tree.flatten_with_path(made)] if made is not None else []
    if paths and all(any(isinstance(part, str) for part in path) for path in paths):
        return ["_".join(map(str, path)) for path in paths]
    makers: list[Any] = [origin.operation if (origin := origin_of(tensor)) else None for tensor in tree.flatten(made)]
    if makers and getattr(makers[0], "is_quantization_aware", False):  # one layer, which knows what it was made of
        return _of_source(makers[0].source)
    return [maker.name for maker in makers if maker is not None]


def _of_source(source: Any) -> list[str]:
    """Read the names of output layers off a serialized model, if it could be serialized."""
    config = source.get("config", {}) if isinstance(source, dict) else {}
    if "output_layers" in config:
        return _layer_names(config["output_layers"])
    layers = config.get("layers") or []
    return [layers[-1]["config"]["name"]] if layers and isinstance(layers[-1], dict) else []


def _layer_names(entries: Any) -> list[str]:
    """Return the names among nested entries of (layer, node, tensor)."""
    if isinstance(entries, (list, tuple)) and len(entries) == 3 and isinstance(entries[0], str):
        return [entries[0]]
    parts: Sequence[Any] = list(entries.values()) if isinstance(entries, dict) else entries
    return [name for part in parts for name in _layer_names(part)]

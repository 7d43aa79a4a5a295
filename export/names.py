"""What the inputs and outputs of a file are called: as Keras calls them."""

from __future__ import annotations

from typing import Any

import keras

from ..quantize.graph.tracing import symbolic_inputs
from ..quantize.qat import QuantizedGraph


def input_names(model: keras.Model) -> list[str]:
    """Return the names of the inputs in their flat order."""
    return [leaf.name for leaf in keras.tree.flatten(symbolic_inputs(model))]


def output_names(model: keras.Model, count: int) -> list[str]:
    """Return a name for each of `count` outputs: the keys of a dict, else the layers that make them.

    None is that of an input. Where Keras does not tell (a subclassed model) they are numbered.
    """
    found = _told(model)
    found = found if len(found) == count else [f"output_{index}" for index in range(count)]
    taken, names = set(input_names(model)), []
    for name in found:
        others = (f"{name}_{number}" for number in range(2, count + len(taken) + 2))
        names.append(name if name not in taken else next(other for other in others if other not in taken))
        taken.add(names[-1])
    return names


def _told(model: keras.Model) -> list[str]:
    made = model.outputs if isinstance(model, keras.Sequential) else getattr(model, "output", None)
    paths = [path for path, _ in keras.tree.flatten_with_path(made)] if made is not None else []
    if paths and all(any(isinstance(part, str) for part in path) for path in paths):
        return ["_".join(map(str, path)) for path in paths]
    makers = [getattr(leaf, "_keras_history", (None,))[0] for leaf in keras.tree.flatten(made)]
    if makers and isinstance(makers[0], QuantizedGraph):
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
    parts = entries.values() if isinstance(entries, dict) else entries
    return [name for part in parts for name in _layer_names(part)]

"""A functional Keras 3 model described so that tf-keras can rebuild it: layers, calls, weights; and what cannot go."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import KerasTensor

from ...errors import BadInput
from ...keras_internals import graph_inside, is_graph, nodes_in_order
from ...untyped import tree

# Arguments that tf-keras knows under another name.
_RENAMED = {("LeakyReLU", "negative_slope"): "alpha"}
# Entries of a configuration that are no arguments, at the value where they say nothing.
_IDLE = {"rms_scaling": False}


@dataclass
class Description:
    """A functional model as JSON can hold it: layers, their calls between numbered tensors, and inputs and outputs.

    Nested functional models are opened. `sources` are the Keras 3 layers in the order of `layers`.
    """

    name: str
    layers: list[dict[str, Any]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    inputs: list[dict[str, Any]] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    sources: list[keras.Layer] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return all but the sources."""
        return {name: getattr(self, name) for name in ("name", "layers", "calls", "inputs", "outputs")}

    def weights(self) -> dict[str, np.ndarray]:
        """Return every weight by `LAYER/INDEX`."""
        return {
            f"{number}/{index}": np.asarray(weight)
            for number, layer in enumerate(self.sources)
            for index, weight in enumerate(layer.get_weights())
        }


def describe(model: keras.Model) -> Description:
    """Describe `model` for tf-keras. Raises: BadInput listing each layer that cannot go there, with the reason."""
    return _Walk(model).description


class _Walk:
    """The walk over a model's calls, nested models included; it numbers the tensors and collects what is refused."""

    def __init__(self, model: keras.Model):
        self.description = Description(model.name)
        self.refused: list[dict[str, str]] = []
        self.number_of: dict[int, int] = {}
        self.kept: list[KerasTensor] = []  # a number stands for an identity as long as the tensor lives
        functional = _functional(model)
        if functional is None:
            raise BadInput(refusal(model, [_refused(model, "only functional and Sequential models can be rebuilt")]))
        for tensor in functional.inputs:
            self.description.inputs.append(
                {"tensor": self._number(tensor), "shape": list(tensor.shape), "dtype": tensor.dtype,
                 "name": tensor.name}
            )  # fmt: skip
        self._model(functional)
        if self.refused:
            raise BadInput(refusal(model, self.refused))
        self.description.outputs = [self.number_of[id(tensor)] for tensor in functional.outputs]

    def _number(self, tensor: KerasTensor) -> int:
        self.kept.append(tensor)
        return self.number_of.setdefault(id(tensor), len(self.number_of))

    def _model(self, model: Any) -> None:
        for node in nodes_in_order(model):
            if not isinstance(node.operation, keras.layers.InputLayer):
                self._call(node)

    def _call(self, node: Any) -> None:
        operation = node.operation
        inner = _functional(operation)
        if inner is not None:
            for outside, inside in zip(node.input_tensors, inner.inputs, strict=True):
                self.number_of[id(inside)] = self._number(outside)
                self.kept.append(inside)
            self._model(inner)
            for outside, inside in zip(node.outputs, inner.outputs, strict=True):
                self.number_of[id(outside)] = self._number(inside)
                self.kept.append(outside)
            return
        reason = _reason_against(operation) or _reason_against_call(node)
        if reason:
            self.refused.append(_refused(operation, reason))
        else:
            self.description.calls.append(
                {
                    "layer": self._layer(operation),
                    "inputs": [self._number(tensor) for tensor in node.input_tensors],
                    "single": isinstance(node.arguments.args[0], KerasTensor),
                    "outputs": [self._number(tensor) for tensor in node.outputs],
                }
            )

    def _layer(self, layer: keras.Layer) -> int:
        for number, known in enumerate(self.description.sources):
            if known is layer:
                return number
        names = {entry["name"] for entry in self.description.layers}
        name = layer.name if layer.name not in names else f"{layer.name}_{len(names)}"
        config = {**_translated(type(layer), layer.get_config()), "name": name}
        self.description.layers.append(
            {"name": name, "type": type(layer).__name__, "config": config, "weights": len(layer.weights)}
        )
        self.description.sources.append(layer)
        return len(self.description.sources) - 1


def _functional(operation: Any) -> Any:
    """Return the graph of a functional or Sequential model, None for anything else."""
    if type(operation) is keras.Sequential:
        return graph_inside(operation)
    return operation if _is_builtin(operation) and is_graph(operation) else None


def _is_builtin(operation: Any) -> bool:
    return type(operation).__module__.startswith("keras.")


def _reason_against(operation: Any) -> str:
    if not isinstance(operation, keras.Layer):
        return "an operation outside a layer; use a layer for it, such as keras.layers.Add for a sum"
    if isinstance(operation, keras.Model):
        return "a subclassed model; only functional and Sequential ones can be rebuilt"
    if not _is_builtin(operation):
        return "a layer of your own, which tf-keras does not have"
    if operation.dtype_policy.name != "float32":
        return f"dtype {operation.dtype_policy.name}; only float32 is carried over"
    return ""


def _reason_against_call(node: Any) -> str:
    arguments = node.arguments
    first = arguments.args[0] if arguments.args else None
    others = tree.flatten((arguments.args[1:], arguments.kwargs))
    said = [leaf for leaf in others if leaf is not None and leaf is not False]  # training=False says nothing
    if said or not isinstance(first, KerasTensor | list | tuple):
        return "called with more than its input tensors; only layer(x) and layer([a, b]) are carried over"
    return ""


def _translated(kind: type, config: dict[str, Any]) -> dict[str, Any]:
    """Return a layer's configuration as tf-keras reads it.

    Initializers are left out, since weights are carried over, and so is what stands at Keras 3's default: tf-keras has
    the same, or does not know the argument. What it gets wrong nevertheless, the probe finds.
    """
    defaults = _IDLE | _defaults(kind)
    kept = {
        name: value
        for name, value in config.items()
        if not name.endswith("_initializer") and name != "dtype" and not (name in defaults and defaults[name] == value)
    }
    return {_RENAMED.get((kind.__name__, name), name): _plain(value) for name, value in kept.items()}


def _plain(value: Any) -> Any:
    """Return a serialized object as {class_name, config}, the form that both generations of Keras read."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if not (isinstance(value, dict) and isinstance(value.get("config"), dict)):
        return value
    kind = getattr(keras.layers, value["class_name"], object)
    return {"class_name": value["class_name"], "config": _translated(kind, value["config"])}


def _defaults(kind: type) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if "__init__" in vars(base):
            parameters = inspect.signature(base.__init__).parameters.values()
            found |= {one.name: one.default for one in parameters if one.default is not one.empty}
    return found


def _refused(operation: Any, reason: str) -> dict[str, str]:
    return {"name": operation.name, "type": type(operation).__name__, "reason": reason}


def refusal(model: keras.Model, rows: Sequence[dict[str, str]]) -> str:
    """Return the message that says layer by layer why `model` cannot be taken; rows of {name, type, reason}."""
    listed = "; ".join(f"{row['name']} ({row['type']}): {row['reason']}" for row in rows)
    return f"engine tfmot cannot take model {model.name!r}: {listed}. The built-in engine may: leave --engine out"

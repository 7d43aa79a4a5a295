"""A kernel as a product of two thin ones, by its singular values, and the two layers that hold them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ..untyped import ops


@dataclass(frozen=True, eq=False)
class Factors:
    """A layer, and what its kernel is as a product. rank: None where it stays whole, for `reason`."""

    layer: Any
    form: Form | None = None
    rank: int | None = None
    u: np.ndarray | None = None  # (inputs, rank)
    v: np.ndarray | None = None  # (rank, outputs)
    dropped: np.ndarray | None = None  # singular values
    reason: str = ""

    def row(self, places: int) -> dict[str, Any]:
        """Return what the report says of it; places: how often its kernel is multiplied in one sample."""
        size = math.prod(self.layer.kernel.shape)
        bias = getattr(self.layer, "bias", None)
        besides = 0 if bias is None else math.prod(bias.shape)
        after = size if self.u is None or self.v is None else self.u.size + self.v.size
        dropped = np.zeros(0) if self.dropped is None else self.dropped
        error, norm = float(np.linalg.norm(dropped)), float(np.linalg.norm(values_of(self.layer.kernel)))
        return {
            "name": self.layer.name,
            "shape": tuple(self.layer.kernel.shape),
            "rank": self.rank,
            "parameters": (size + besides, after + besides),
            "macs": (places * size, places * after),
            "error": error,
            "relative": error / norm if norm else 0.0,
            "spectral": float(dropped[:1].sum()),
            "reason": self.reason,
        }

    def layers(self, name: str) -> list[keras.Layer]:
        """Return the two layers, not built; the second is called `name`."""
        assert self.form is not None and self.rank is not None
        config = self.layer.get_config()
        without = {key: None for key in ("bias_axes", "activity_regularizer", "kernel_constraint") if key in config}
        without |= {"use_bias": False} if "use_bias" in config else {}
        first = {**config, "name": f"{self.layer.name}_u", "activation": "linear", **without}
        second = {**config, "name": name, "kernel_constraint": None}
        made = type(self.layer)
        return [
            made.from_config({**first, **self.form.first(self.rank)}),
            made.from_config({**second, **self.form.second(self.layer)}),
        ]

    def fill(self, first: Any, second: Any) -> None:
        """Give the two layers, built, their weights."""
        assert self.u is not None and self.v is not None
        first.kernel.assign(self.u.reshape(first.kernel.shape))
        second.kernel.assign(self.v.reshape(second.kernel.shape))
        if getattr(self.layer, "bias", None) is not None:
            second.bias.assign(np.array(ops.convert_to_numpy(self.layer.bias)))  # JAX would share the array itself


@dataclass(frozen=True)
class Form:
    """How a kind of layer is two. outputs: how many of the last axes of its kernel count its outputs; first, second:
    what changes in its configuration.
    """

    outputs: int
    first: Callable[[int], dict[str, Any]]
    second: Callable[[Any], dict[str, Any]]

    def matrix(self, layer: Any) -> np.ndarray:
        """Return the kernel as (inputs, outputs) in float64."""
        kernel = values_of(layer.kernel)
        return kernel.reshape(-1, math.prod(kernel.shape[kernel.ndim - self.outputs :]))


def _one_by_one(layer: Any) -> dict[str, Any]:
    ones = (1,) * layer.rank
    return {"kernel_size": ones, "strides": ones, "dilation_rate": ones, "padding": "valid"}


_DENSE = Form(1, lambda rank: {"units": rank}, lambda layer: {})
_CONV = Form(1, lambda rank: {"filters": rank}, _one_by_one)


def form_of(layer: Any) -> tuple[Form | None, str]:
    """Return how `layer` is two, or why it is not. A class of somebody else's may compute otherwise."""
    kind = type(layer)
    if getattr(layer, "quantization_mode", None):
        return None, "its kernel is quantized"
    if kind in (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D) and layer.groups > 1:
        return None, "the groups of its kernel are small already"
    if kind in (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D):
        return _CONV, ""
    if kind is keras.layers.EinsumDense:
        return _einsum_form(layer.equation), f"{layer.equation} is no product of inputs with outputs"
    return (_DENSE if kind is keras.layers.Dense else None), f"a {kind.__name__} is not known as a product of two"


def _einsum_form(equation: str) -> Form | None:
    """Return how abc,cde->abde and its like are two: abc,cr->abr and abr,rde->abde."""
    given, kernel, made = equation.replace("->", ",").split(",")
    inputs = "".join(letter for letter in kernel if letter in given)
    outputs = kernel.removeprefix(inputs)
    kept = "".join(letter for letter in given if letter not in inputs)
    if len(inputs + outputs) != len(kernel) or not inputs or not outputs or set(inputs) & set(made):
        return None  # in another order, or an output reads inputs of its own
    if not all(side.startswith(("...", kept[:1])) for side in (given, made)) or "." in given.removeprefix("..."):
        return None
    between = next(letter for letter in "rstuvwxyz" if letter not in equation)
    open_sizes = (None,) * (len(kept.replace(".", "")) - ("." not in kept))  # those of the batch are not told
    first = f"{given},{inputs}{between}->{kept}{between}"
    return Form(
        len(outputs),
        lambda rank: {"equation": first, "output_shape": (*open_sizes, rank)},
        lambda layer: {"equation": f"{kept}{between},{between}{outputs}->{made}"},
    )


def rank_for(budget: str, value: float, shape: tuple[int, ...], singular: np.ndarray) -> int:
    """Return the rank that a budget allows or asks for, at least 1."""
    if budget == "share":
        return max(1, min(len(singular), math.floor((1 - value) * math.prod(shape) / sum(shape))))
    if budget == "rank":
        return min(int(value), len(singular))
    squares = np.concatenate([np.cumsum(singular[::-1] ** 2)[::-1], [0.0]])  # what is dropped at rank 0, 1, ...
    most = (1 - value if budget == "energy" else value**2) * squares[0]
    return max(1, int(np.argmax(squares <= most * (1 + 1e-9))))  # 1 - 0.8 is a little less than 0.2


def values_of(variable: Any) -> np.ndarray:
    """Return a variable's value in float64."""
    return np.asarray(ops.convert_to_numpy(variable), np.float64)


__all__ = ["Factors", "Form", "form_of", "rank_for", "values_of"]

"""The narrowest range that kernels take for what an operator makes."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..untyped import ops
from .fake_quant import SMALLEST_RANGE, limits, steps
from .placement import FusedOp

if TYPE_CHECKING:
    from .layer import QuantizedGraph


def narrowest(layer: QuantizedGraph, fused: FusedOp, numbers: ModuleType | Any = ops) -> Any:
    """Return the narrowest range for what `fused` makes: its kernel has to multiply by less than 256.

    Nothing is lost, since one step of the accumulator, or of the coarsest summand, is what a result is known to.
    numbers: `ops`, for values that training follows, or numpy.
    """
    plan = layer.plan
    scales = [scale for tensor in fused.inputs if (scale := plan.scale_of(tensor)) is not None]
    if fused.rule is None or not scales or not (fused.kernel is not None or fused.rule.arithmetic in _NARROW):
        return 0.0
    as_given = _as_numpy if numbers is np else _same
    sizes = [(high - low) / steps(scale.bits) for scale in scales for low, high in [map(as_given, layer.range(scale))]]
    if fused.kernel is not None:  # whose scale training may change: a factor of 16 is left for that
        kernel = as_given(layer.weight(fused.kernel))
        largest = numbers.max(numbers.abs(kernel)) / limits(fused.precision.weights)[1]
        return steps(8) * sizes[0] * _larger(numbers, largest, SMALLEST_RANGE) / 16
    if fused.rule.arithmetic == "product":
        return steps(8) * sizes[0] * sizes[-1] / 128
    return steps(8) * functools.reduce(functools.partial(_larger, numbers), sizes) / 128


_NARROW = ("product", "sum")


def _same(value: Any) -> Any:
    return value


def _as_numpy(value: Any) -> Any:
    return value if isinstance(value, float) else np.asarray(value)


def _larger(numbers: Any, one: Any, other: Any) -> Any:
    """Return the maximum, of numpy's numbers in the type that tensors have."""
    return np.maximum(np.float32(one), np.float32(other)) if numbers is np else ops.maximum(one, other)

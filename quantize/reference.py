"""Rounding as LiteRT's reference kernels and TensorFlow Lite Micro do it: in integers; XNNPACK multiplies in float.

A sum of products becomes an integer of the output's scale by a multiplier, written as a factor from 0.5 to 1 in 31 bits
and a shift to the right. Each rounds: after the factor to integers, halves up; after the shift to steps, halves away
from 0. So a value is rounded to that part of a step which the shift leaves, then to a step. In 8 bits; in 16 the
multiplier has 15 bits and rounds once, which is not imitated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..untyped import ops
from .fake_quant import PUSH, ROUNDINGS, steps
from .placement import FusedOp

if TYPE_CHECKING:
    from .layer import QuantizedGraph

Rounding = Callable[[Any, Any, Any, int], Any]
TWICE = frozenset({
    "BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MEAN", "MUL", "QUANTIZE", "RELU", "RELU6",
    "RELU_N1_TO_1", "SUM", "TRANSPOSE_CONV",
})  # fmt: skip
ONCE = {"RESIZE_BILINEAR": "away from 0"}  # others as their rows say


def reference_rounding(layer: QuantizedGraph, fused: FusedOp, kernel_scale: Any) -> Rounding | None:
    """Return what rounds the outputs of a quantized operator as reference kernels do; None for to the nearest.

    kernel_scale: of each output channel, where it has a kernel.
    """
    rule = fused.rule
    assert rule is not None
    accumulated = _accumulated(layer, fused, kernel_scale) if rule.builtin_op in TWICE else None
    if accumulated is None or fused.precision.activations > 8:
        return ROUNDINGS.get(ONCE.get(rule.builtin_op, rule.rounding))
    count = _averaged(fused) if rule.builtin_op == "MEAN" else 1
    return lambda values, low, high, bits: _twice(values, low, high, bits, accumulated, count)


def _accumulated(layer: QuantizedGraph, fused: FusedOp, kernel_scale: Any) -> Any:
    """Return what 1 of the accumulator stands for, (channels,) where each has its own; None where an input has no
    scale.
    """
    first = fused.nodes[0]
    factors = list(first.inputs) if fused.row is not None and fused.row.arithmetic == "product" else fused.inputs[:1]
    scales = [layer.plan.scale_of(tensor) for tensor in factors * (2 if first.op_type == "Square" else 1)]
    value: Any = 1.0 if kernel_scale is None else ops.reshape(kernel_scale, (-1,))
    for scale in scales:
        if scale is None:
            return None
        low, high = layer.range(scale)
        value = value * ((high - low) / steps(scale.bits))
    return value / math.prod(fused.options.get("average_over", ()))


def _averaged(fused: FusedOp) -> int:
    """Return how many values a mean is taken of."""
    shape = fused.inputs[0].shape
    return math.prod(shape[axis] or 1 for axis in fused.options["axes"])


def _twice(values: Any, low: Any, high: Any, bits: int, accumulated: Any, count: int) -> Any:
    """Round to a part of a step, then to a step. count: of the values of a mean, by which its shift is greater."""
    scale = (high - low) / steps(bits)
    multiplier = ops.convert_to_tensor(accumulated / scale, "float32")
    shift = ops.floor(ops.log2(multiplier)) + 1 - math.floor(math.log2(count))
    part = 2.0 ** ops.minimum(shift, 0.0)
    integers = ops.floor(values / (scale * part) + 0.5 + PUSH) * part
    integers = ops.round(integers + ops.sign(integers) * part / 4)  # no half is left
    inside = ops.clip(values, low, high)
    return inside + ops.stop_gradient(ops.clip(integers * scale, low, high) - inside)

"""Rounding as LiteRT's reference kernels and TensorFlow Lite Micro do it: in integers, where XNNPACK multiplies in float.

A sum of products becomes an integer of the output's scale by a multiplier, which is written as a factor in [0.5, 1) of
31 bits and a shift to the right. Each rounds: the factor to integers, halves up, the shift to the output's steps,
halves away from 0. So a value is first rounded to the shift's part of a step, then to a step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .fake_quant import PUSH, ROUNDINGS, steps
from .placement import FusedOp
from .untyped import ops

if TYPE_CHECKING:
    from .layer import QuantizedGraph

Rounding = Callable[[Any, Any, Any, int], Any]
# What these round as, by operator, where that is not as their rows say. The value says whose scales multiply.
_KERNEL, _INPUTS, _MEAN = "kernel", "inputs", "mean"
TWICE = {
    **dict.fromkeys(["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"], _KERNEL),
    **dict.fromkeys(["BATCH_MATMUL", "MUL", "QUANTIZE", "RELU", "RELU6", "RELU_N1_TO_1", "SUM"], _INPUTS),
    "MEAN": _MEAN,
}
ONCE = {"RESIZE_BILINEAR": "away from 0"}


def reference_rounding(layer: QuantizedGraph, fused: FusedOp, kernel_scale: Any) -> Rounding | None:
    """Return what rounds the outputs of `fused` as reference kernels do; None for to the nearest."""
    assert fused.rule is not None
    whose = TWICE.get(fused.rule.builtin_op)
    if whose is None:
        return ROUNDINGS.get(ONCE.get(fused.rule.builtin_op, fused.rule.rounding))
    product, count = 1.0, 1
    inputs = fused.nodes[0].inputs if whose == _INPUTS else fused.inputs[:1]
    if fused.nodes[0].op_type == "Square":
        inputs = inputs * 2
    for tensor in inputs:
        scale = layer.plan.scale_of(tensor)
        if scale is None:
            return None
        low, high = layer.range(scale)
        product = product * ((high - low) / steps(scale.bits))
    if whose == _KERNEL:
        window = fused.options.get("average_over")
        product = product / math.prod(window) if window else product * ops.reshape(kernel_scale, (-1,))
    if whose == _MEAN:
        shape = fused.inputs[0].shape
        count = math.prod(shape[axis] or 1 for axis in fused.options["axes"])

    def rounding(values: Any, low: Any, high: Any, bits: int) -> Any:
        return _twice(values, low, high, bits, product, count)

    return rounding


def _twice(values: Any, low: Any, high: Any, bits: int, product: Any, count: int) -> Any:
    """Round to a part of a step, then to a step. count: how many values a mean has, which makes its shift greater."""
    scale = (high - low) / steps(bits)
    shift = ops.floor(ops.log2(ops.convert_to_tensor(product / scale, "float32"))) + 1 - math.floor(math.log2(count))
    part = 2.0 ** ops.minimum(shift, 0.0)
    parts = ops.floor(values / (scale * part) + 0.5 + PUSH)
    integers = parts * part
    integers = ops.round(integers + ops.sign(integers) * part * 0.25)
    inside = ops.clip(values, low, high)
    return inside + ops.stop_gradient(ops.clip(integers * scale, low, high) - inside)

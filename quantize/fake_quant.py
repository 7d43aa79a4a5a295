"""Rounding as int8 kernels do it, with straight-through gradients.

Activations: 256 steps between two real values that place zero on a step (asymmetric int8, -128 to 127). Kernels:
symmetric per channel, -127 to 127, the range being the largest magnitude of the channel at present.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

STEPS = 255
SMALLEST_RANGE = 1e-6


def nudge(low: float, high: float, symmetric: bool = False) -> tuple[float, float]:
    """Widen [low, high] to hold zero and move it so that zero lies on one of the 256 steps.

    symmetric: on the middle one.  Source: arXiv:1712.05877, section 3.1.
    """
    if symmetric:
        scale = np.float32(max(-low, high, SMALLEST_RANGE) / 127)
        return float(scale * np.float32(-128)), float(scale * np.float32(127))
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    scale = np.float32(max(high - low, SMALLEST_RANGE) / STEPS)
    zero_point = int(np.clip(round(-128 - low / float(scale)), -128, 127))
    return float(scale * np.float32(-128 - zero_point)), float(scale * np.float32(127 - zero_point))


def scale_and_zero_point(low: float, high: float) -> tuple[np.float32, int]:
    """Return the int8 scale and zero point of a nudged range."""
    scale = np.float32((np.float32(high) - np.float32(low)) / np.float32(STEPS))
    return scale, int(np.clip(np.round(-128 - np.float64(low) / np.float64(scale)), -128, 127))


def value_range(values: Any, symmetric: bool = False) -> tuple[Any, Any]:
    """Return the nudged range of a tensor's present values, as tensors without gradient."""
    if symmetric:
        scale = ops.stop_gradient(ops.maximum(ops.max(ops.abs(values)), SMALLEST_RANGE) / 127)
        return scale * -128, scale * 127
    low = ops.minimum(ops.min(values), 0.0)
    high = ops.maximum(ops.max(values), 0.0)
    scale = ops.maximum(high - low, SMALLEST_RANGE) / STEPS
    zero_point = ops.clip(ops.round(-128 - low / scale), -128, 127)
    return ops.stop_gradient(scale * (-128 - zero_point)), ops.stop_gradient(scale * (127 - zero_point))


def fake_quantize(values: Any, low: Any, high: Any) -> Any:
    """Round `values` to the 256 steps of [low, high]; the gradient passes inside the range and stops outside."""
    return keras.quantizers.fake_quant_with_min_max_vars(values, low, high, num_bits=8)


def to_even(values: Any, low: Any, high: Any) -> Any:
    """Round to steps with halves to even. The mean of a pool at its input's scale often lies halfway, and kernels do
    so.
    """
    scale = (high - low) / STEPS
    return values + ops.stop_gradient(ops.round(values / scale) * scale - values)


def kernel_limits(kernel: Any, channels: tuple[int, ...]) -> Any:
    """Return the largest magnitude per channel, in the shape of the kernel with 1 on the other axes."""
    rank = len(kernel.shape)
    kept = {axis % rank for axis in channels}
    return ops.max(ops.abs(kernel), axis=[axis for axis in range(rank) if axis not in kept], keepdims=True)


def kernel_scale(kernel: Any, channels: tuple[int, ...]) -> Any:
    """Return the scale per channel, in the shape of `kernel_limits`."""
    return ops.maximum(kernel_limits(kernel, channels), SMALLEST_RANGE) / 127


def fake_quantize_kernel(kernel: Any, channels: tuple[int, ...]) -> Any:
    """Round a kernel to 255 symmetric steps per channel. The range follows the values, so no gradient is cut."""
    scale = ops.stop_gradient(kernel_scale(kernel, channels))
    return kernel + ops.stop_gradient(ops.round(kernel / scale) * scale - kernel)


def fake_quantize_bias(bias: Any, data_range: tuple[Any, Any], scale: Any) -> Any:
    """Round a bias to the int32 steps of its accumulator: the input's scale times the kernel's, per channel."""
    low, high = data_range
    step = ops.stop_gradient(ops.reshape(scale, (-1,)) * ((high - low) / STEPS))
    return bias + ops.stop_gradient(ops.reshape(ops.round(ops.reshape(bias, (-1,)) / step) * step, bias.shape) - bias)

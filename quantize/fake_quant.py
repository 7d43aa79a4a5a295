"""Rounding as integer kernels do it, with straight-through gradients.

Activations: 256 steps between two real values that place zero on a step (asymmetric int8, -128 to 127), or 65536 around
zero (int16). Kernels: symmetric per channel, -127 to 127 (or -7 to 7), the range being the largest magnitude of the
channel at present.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from ..backends import at_once, twice
from ..untyped import ops

STEPS = 255  # of 8 bits
SMALLEST_RANGE = 1e-6
SMALLEST_CHANNEL = 2**-8  # of the largest channel of a kernel
BIAS_LIMITS = (-(2.0**31), 2.0**31 - 128)  # what 32 bits hold, as float32


def steps(bits: int) -> int:
    """Return how many steps lie between the smallest and the largest integer of `bits` bits."""
    return (1 << bits) - 1


def limits(bits: int) -> tuple[int, int]:
    """Return the smallest and the largest integer of `bits` bits."""
    return -(1 << bits - 1), (1 << bits - 1) - 1


def nudge(low: float, high: float, symmetric: bool = False, bits: int = 8) -> tuple[float, float]:
    """Widen [low, high] to hold zero and move it so that zero lies on one of the steps.

    symmetric: on the middle one, as 16 bits always have it.  Source: arXiv:1712.05877, section 3.1.
    """
    if symmetric or bits > 8:
        lowest, highest = limits(bits)
        scale = np.float32(max(-low, high, SMALLEST_RANGE) / highest)
        return float(scale * np.float32(lowest)), float(scale * np.float32(highest))
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    scale = np.float32(max(high - low, SMALLEST_RANGE) / STEPS)
    zero_point = int(np.clip(round(-128 - low / float(scale)), -128, 127))
    return float(scale * np.float32(-128 - zero_point)), float(scale * np.float32(127 - zero_point))


def to_power_of_two(low: float, high: float, bits: int) -> tuple[float, float]:
    """Widen [low, high] to the next symmetric range whose step is a power of two and that reaches to 1 at least and 64
    at most: what the kernels of recurrences take.
    """
    highest = limits(bits)[1]
    step = 2.0 ** np.clip(np.ceil(np.log2(max(-low, high, SMALLEST_RANGE) / highest)), 1 - bits, 7 - bits)
    return float(-step * highest), float(step * highest)


def scale_and_zero_point(low: float, high: float, bits: int = 8) -> tuple[np.float32, int]:
    """Return the scale and zero point of a nudged range."""
    if bits > 8:
        return np.float32(np.float32(high) / np.float32(limits(bits)[1])), 0
    scale = np.float32((np.float32(high) - np.float32(low)) / np.float32(STEPS))
    return scale, int(np.clip(np.round(-128 - np.float64(low) / np.float64(scale)), -128, 127))


def value_range(values: Any, symmetric: bool = False, bits: int = 8) -> tuple[Any, Any]:
    """Return the nudged range of a tensor's present values, as tensors without gradient."""
    return nudged(ops.min(values), ops.max(values), symmetric, bits)


@at_once("symmetric", "bits")
def nudged(low: Any, high: Any, symmetric: bool = False, bits: int = 8) -> tuple[Any, Any]:
    """Do what `nudge` does on tensors; no gradient passes."""
    low, high = ops.minimum(low, 0.0), ops.maximum(high, 0.0)
    if symmetric or bits > 8:
        lowest, highest = limits(bits)
        scale = ops.stop_gradient(ops.maximum(ops.maximum(-low, high), SMALLEST_RANGE) / highest)
        return scale * lowest, scale * highest
    scale = ops.maximum(high - low, SMALLEST_RANGE) / STEPS
    zero_point = ops.clip(ops.round(-128 - low / scale), -128, 127)
    return ops.stop_gradient(scale * (-128 - zero_point)), ops.stop_gradient(scale * (127 - zero_point))


@at_once("bits")
def fake_quantize(values: Any, low: Any, high: Any, bits: int = 8) -> Any:
    """Round `values` to the steps of [low, high]; the gradient passes inside the range and stops outside."""
    rounded = keras.quantizers.fake_quant_with_min_max_vars(values, low, high, num_bits=bits)
    if not twice():
        return rounded
    inside = ops.clip(values, low, high)  # its gradient is a constant to the next one
    return inside + ops.stop_gradient(rounded - inside)


@at_once("bits")
def _to_even(values: Any, low: Any, high: Any, bits: int, origin: Any = 0) -> Any:
    """Round as a float product with the scale is; `origin` is what was added to it before.

    Snapped to a grid on which halves are exact first: noise of float32 would decide them. The gradient stops where that
    of `fake_quantize` does.
    """
    scale = (high - low) / steps(bits)
    integers = ops.round(ops.round(values / (scale * GRID)) * GRID + origin)
    inside = ops.clip(values, low, high)
    return inside + ops.stop_gradient(ops.clip((integers - origin) * scale, low, high) - inside)


def _to_even_integer(values: Any, low: Any, high: Any, bits: int) -> Any:
    return _to_even(values, low, high, bits, _zero_point(low, (high - low) / steps(bits), bits))


@at_once("bits")
def _up(values: Any, low: Any, high: Any, bits: int) -> Any:
    """Push halves over the edge: `fake_quantize` rounds them up but for noise."""
    return values + (high - low) / steps(bits) * PUSH


@at_once("bits")
def _away_from_zero(values: Any, low: Any, high: Any, bits: int) -> Any:
    """Round integers, zero point included, away from 0: half of a step is pushed over the edge before."""
    scale = (high - low) / steps(bits)
    zero_point = _zero_point(low, scale, bits)
    integers = values / scale + zero_point
    integers = ops.round(integers + ops.sign(integers) * PUSH)
    return values + ops.stop_gradient((integers - zero_point) * scale - values)


def _zero_point(low: Any, scale: Any, bits: int) -> Any:
    return ops.round(limits(bits)[0] - low / scale)


PUSH = 1 / 4096  # of a step: less than what lies between a half and its neighbours in a mean of up to 2048 values
GRID = 1 / 16384  # of a step: some ulps of 255 steps in float32, and less than what lies near a half without being one
# Means, sums and changes of scale by a simple ratio often lie halfway between two steps. What kernels do then, by name.
# Convolutions add the zero point to what is rounded, reductions round the integer that includes it (XNNPACK).
ROUNDINGS = {"to even": _to_even, "to even integers": _to_even_integer, "up": _up, "away from 0": _away_from_zero}


@at_once("channels")
def kernel_limits(kernel: Any, channels: tuple[int, ...]) -> Any:
    """Return the largest magnitude per channel, in the shape of the kernel with 1 on the other axes."""
    rank = len(kernel.shape)
    kept = {axis % rank for axis in channels}
    return ops.max(ops.abs(kernel), axis=[axis for axis in range(rank) if axis not in kept], keepdims=True)


@at_once("channels", "bits")
def kernel_scale(kernel: Any, channels: tuple[int, ...], bits: int = 8) -> Any:
    """Return the scale per channel, in the shape of `kernel_limits`.

    A channel (nearly) of zeros, as pruning leaves them, gets a share of the largest: its bias has to fit in 32 bits.
    """
    largest = kernel_limits(kernel, channels)
    least = ops.maximum(ops.max(largest) * SMALLEST_CHANNEL, SMALLEST_RANGE)
    return ops.maximum(largest, least) / limits(bits)[1]


@at_once("channels", "bits")
def fake_quantize_kernel(kernel: Any, channels: tuple[int, ...], bits: int = 8, scale: Any = None) -> Any:
    """Round a kernel to symmetric steps per channel. The range follows the values, so no gradient is cut.

    scale: what `kernel_scale` gives for it, where that is known already.
    """
    scale = ops.stop_gradient(kernel_scale(kernel, channels, bits) if scale is None else scale)
    return kernel + ops.stop_gradient(ops.round(kernel / scale) * scale - kernel)


@at_once("bits")
def fake_quantize_bias(bias: Any, data_range: tuple[Any, Any], scale: Any, bits: int = 8) -> Any:
    """Round a bias to the steps of its accumulator: the input's scale times the kernel's, per channel."""
    low, high = data_range
    step = ops.stop_gradient(ops.reshape(scale, (-1,)) * ((high - low) / steps(bits)))
    integers = ops.clip(ops.round(ops.reshape(bias, (-1,)) / step), *BIAS_LIMITS)
    return bias + ops.stop_gradient(ops.reshape(integers * step, bias.shape) - bias)


@at_once("bits")
def learned_steps(values: Any, rounded: Any, low: Any, high: Any, bits: int = 8) -> Any:
    """Return zeros whose gradient, with the straight-through one of `rounded` by `values`, is that of learned steps.

    The step s is differentiated as in LSQ: by round(v / s) - v / s inside the range, by the integer limit outside,
    times 1 / sqrt(values x largest integer).  Source: Esser et al. 2020, arXiv:1902.08153, section 2.
    """
    count = steps(bits)
    step = (high - low) / count
    fixed = ops.stop_gradient(step)
    slope = (ops.stop_gradient(rounded) - ops.clip(ops.stop_gradient(values), low, high)) / fixed
    slope = ops.where(values < low, low / fixed, ops.where(values > high, high / fixed, slope))
    damping = 1 / np.sqrt(max(1, np.prod([size or 1 for size in values.shape])) * (count // 2))
    return ops.stop_gradient(slope) * ((step - fixed) * damping)

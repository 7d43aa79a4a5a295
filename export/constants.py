"""Constants of the integer program: kernels, biases and other constants as the integers that training saw."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from ..quantize.fake_quant import BIAS_LIMITS, fake_quantize, limits, scale_and_zero_point
from ..quantize.graph.nodes import Tensor
from ..quantize.placement import FusedOp, Plan, Scale
from .program import Array


class Planned(Protocol):
    """A planned graph with its weights, as `QuantizedGraph` is one."""

    plan: Plan

    def weight(self, tensor: Tensor, /) -> Any:
        """Return the present value of a weight or constant."""
        ...

    def range(self, scale: Scale, /) -> tuple[Any, Any]:
        """Return the real values of the least and the largest integer of `scale`."""
        ...

    def kernel_scale(self, fused: FusedOp, kernel: Any, bits: int, /) -> Any:
        """Return the scale of each output of a kernel, in its shape with 1 on the other axes."""
        ...


class Constants:
    """The constants of a planned graph, each made once."""

    def __init__(self, layer: Planned):
        self.layer = layer
        self._made: dict[tuple[Any, ...], Array] = {}

    def in_float(self, name: str, values: np.ndarray) -> Array:
        """Return a constant as it is."""
        key = name, str(values.dtype), values.shape, values.tobytes()
        if key not in self._made:
            self._made[key] = Array(name, values.shape, str(values.dtype), data=values)
        return self._made[key]

    def quantization(self, scale: Scale) -> tuple[np.float32, int]:
        """Return the size of a step, and the integer that stands for 0."""
        low, high = (float(limit) for limit in self.layer.range(scale))
        return scale_and_zero_point(low, high, scale.bits)

    def operand(self, tensor: Tensor, scale: Scale | None) -> Array:
        """Return a constant that is no kernel: integers of one scale where its reader is quantized, else as it is."""
        values = np.asarray(self.layer.weight(tensor))
        if scale is None:
            return self.in_float(tensor.name, values)
        size, zero_point = self.quantization(scale)
        integers = rounded(values, size, zero_point, scale.bits)
        shape = integers.shape or (1,)
        return Array(tensor.name, shape, str(integers.dtype), np.array([size]), zero_point, integers.reshape(shape))

    def kernel_and_bias(self, fused: FusedOp, data: Array) -> list[Array]:
        """Return kernel (as Keras has it) and bias, zeros where it has none, of an operator that reads `data`."""
        assert fused.kernel is not None
        kernel = np.asarray(self.layer.weight(fused.kernel), np.float32)
        bias = self._bias_of(fused, kernel)
        if not fused.is_quantized:
            return [self.in_float(fused.kernel.name, kernel), self.in_float(f"{fused.name}.bias", bias)]
        weights = self._kernel(fused, fused.kernel, kernel)
        key = "bias", id(fused.bias), id(weights), float(data.steps[0])
        if key not in self._made:
            self._made[key] = accumulator(f"{fused.name}.bias", bias, data, weights)
        return [weights, self._made[key]]

    def _bias_of(self, fused: FusedOp, kernel: np.ndarray) -> np.ndarray:
        if fused.bias is not None:
            return np.asarray(self.layer.weight(fused.bias)).reshape(-1)
        assert fused.form is not None
        return np.zeros(fused.form.outputs(kernel.shape), np.float32)

    def _kernel(self, fused: FusedOp, tensor: Tensor, kernel: np.ndarray) -> Array:
        """Return a kernel as integers, symmetric per output channel."""
        assert fused.form is not None
        bits = fused.precision.weights
        key = "kernel", id(tensor), bits
        if key not in self._made:
            scale = np.asarray(self.layer.kernel_scale(fused, kernel, bits))
            integers = np.round(kernel / scale).astype(np.int8)
            dtype = "int4" if bits == 4 else "int8"
            self._made[key] = Array(tensor.name, integers.shape, dtype, scale.reshape(-1), data=integers)
        return self._made[key]


def as_unsigned(array: Array, name: str) -> Array:
    """Return an array of the same real values in unsigned bytes."""
    return Array(name, array.shape, "uint8", array.scale, array.zero_point + 128)


def accumulator(name: str, bias: np.ndarray, data: Array, weights: Array) -> Array:
    """Return a bias as integers of the accumulator's scale: 32 bits wide for activations of 8 bits, else 64."""
    scale = (data.steps.astype(np.float64) * weights.steps).astype(np.float32)
    wide = np.int32 if data.dtype == "int8" else np.int64
    integers = np.clip(np.round(bias / scale.astype(np.float64)), *BIAS_LIMITS).astype(wide)
    return Array(name, integers.shape, str(integers.dtype), scale, data=integers)


def rounded(values: Any, scale: np.float32, zero_point: int, bits: int = 8) -> np.ndarray:
    """Return the integers of `values`, rounded as the fake-quantizer does: at a midpoint every bit counts."""
    lowest, highest = limits(bits)
    low, high = (np.float32(scale * (end - zero_point)) for end in (lowest, highest))
    real = np.asarray(fake_quantize(values, low, high, bits))
    return np.clip(np.round(real / scale) + zero_point, lowest, highest).astype(f"int{bits}")

"""An ONNX graph under construction: its nodes, constants and names, and in which layout each array is at hand.

ONNX convolutions want channels first: an array is kept in either layout and transposed only where its reader needs the
other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from onnx import helper, numpy_helper

from .layouts import TO_FIRST, TO_LAST
from .program import Array, Operator

Layout = Literal["channels_last", "channels_first"]
LAST: Layout = "channels_last"
FIRST: Layout = "channels_first"


class OnnxGraph:
    """Nodes and initializers in order.

    names: of the real values of an array in a layout; inner: the arrays that an operator reads.
    """

    def __init__(self, operators: Sequence[Operator]):
        self.nodes: list[Any] = []
        self.initializers: dict[str, Any] = {}
        self.names: dict[tuple[Array, Layout], str] = {}
        self.inner = {array for operator in operators for array in operator.inputs}
        self._taken: dict[str, int] = {}
        self._kernels: dict[tuple[Any, ...], str] = {}

    # ------------------------------------------------------------ nodes and constants

    def unique(self, name: str) -> str:
        """Return `name`, numbered where it is taken."""
        name = name.replace(":", "_")
        self._taken[name] = self._taken.get(name, 0) + 1
        return name if self._taken[name] == 1 else f"{name}__{self._taken[name]}"

    def constant(self, name: str, values: Any) -> str:
        """Store a constant; return its name."""
        name = self.unique(name)
        self.initializers[name] = numpy_helper.from_array(np.array(values, order="C"), name)
        return name

    def kernel(self, name: str, values: np.ndarray) -> str:
        """Store the numbers of a kernel or table, once for all layers that share them; return their name."""
        if values.ndim < 2:
            return self.constant(name, values)
        key = (values.shape, str(values.dtype), values.tobytes())
        if key not in self._kernels:
            self._kernels[key] = self.constant(name, values)
        return self._kernels[key]

    def number(self, name: str, value: float) -> str:
        """Store a real number; return its name."""
        return self.constant(name, np.float32(value))

    def integers(self, name: str, values: Any) -> str:
        """Store integers as ONNX wants shapes and axes, in 64 bits; return their name."""
        return self.constant(name, np.array(values, np.int64))

    def node(self, op_type: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Add a node of one output; return the name of that."""
        output = self.unique(name)
        self.nodes.append(helper.make_node(op_type, inputs, [output], name=output, **attributes))
        return output

    def clip(self, source: str, low: float, high: float, name: str) -> str:
        """Add a clip."""
        limits = [self.number(f"{name}.{end}", value) for end, value in (("low", low), ("high", high))]
        return self.node("Clip", [source, *limits], f"{name}.clip")

    def reshape(self, source: str, shape: Sequence[int], name: str) -> str:
        """Add a change of shape."""
        return self.node("Reshape", [source, self.integers(f"{name}.shape", shape)], name)

    def activate(self, activation: str | None, source: str, name: str) -> str:
        """Add a fused activation."""
        if activation == "relu":
            return self.node("Relu", [source], f"{name}.relu")
        return self.clip(source, 0.0, 6.0, name) if activation == "relu6" else source

    # ------------------------------------------------------------ arrays

    def read(self, array: Array, layout: Layout = LAST) -> str:
        """Return the name of the real values of `array` in `layout`."""
        if (array, layout) not in self.names:
            if array.data is not None:
                self.names[array, layout] = self._read_constant(array, array.data, layout)
            else:
                other, order = (FIRST, TO_LAST) if layout == LAST else (LAST, TO_FIRST)
                source = self.names[array, other]
                self.names[array, layout] = self.node("Transpose", [source], f"{array.name}_{layout}", perm=order)
        return self.names[array, layout]

    def _read_constant(self, array: Array, values: np.ndarray, layout: Layout) -> str:
        if layout == FIRST and values.ndim and values.shape != (1,):
            values = values.reshape((1,) * (4 - values.ndim) + values.shape).transpose(TO_FIRST)
        if array.scale is None:
            return self.constant(array.name, values)
        stored, zero = self.kernel(array.name, stored_as(array, values)), stored_as(array, array.zero_point)
        return self._dequantized(array, stored, array.scale[0], zero)

    def weights(self, array: Array, values: np.ndarray, axis: int = 0) -> str:
        """Store a kernel or bias, its `values` as ONNX wants them, channels along `axis`; return its name."""
        if array.scale is None:
            return self.kernel(array.name, values)
        if values.dtype == np.int64:  # accumulators of 16-bit activations; the values fit
            values = values.astype(np.int32)
        per_channel = len(array.scale) > 1
        scale = array.scale if per_channel else array.scale[0]
        stored, zero = self.kernel(array.name, values), np.zeros(scale.shape, values.dtype)
        return self._dequantized(array, stored, scale, zero, **({"axis": axis} if per_channel else {}))

    def _dequantized(self, array: Array, stored: str, scale: Any, zero: np.ndarray, **attributes: Any) -> str:
        parameters = [self.constant(f"{array.name}.scale", scale), self.constant(f"{array.name}.zero_point", zero)]
        return self.node("DequantizeLinear", [stored, *parameters], f"{array.name}.dequantized", **attributes)

    def quantization(self, array: Array) -> list[str]:
        """Store scale and zero point of an activation; return their names."""
        scale = self.constant(f"{array.name}.scale", array.steps[0])
        return [scale, self.constant(f"{array.name}.zero_point", stored_as(array, array.zero_point))]

    def write(self, array: Array, source: str, layout: Layout = LAST) -> None:
        """Record `source` as the values of `array`, rounded to its scale if it has one."""
        if array.scale is not None:
            parameters = self.quantization(array)
            rounded = self.node("QuantizeLinear", [source, *parameters], f"{array.name}.quantized")
            source = self.node("DequantizeLinear", [rounded, *parameters], f"{array.name}.dequantized")
        self.names[array, layout] = source

    def layout_of(self, arrays: Sequence[Array]) -> Layout:
        """Return channels first if that saves transposes: every 4-D activation is at hand in it."""
        varying = [array for array in arrays if array.data is None]
        is_first = all(len(array.shape) == 4 and (array, FIRST) in self.names for array in varying)
        return FIRST if varying and is_first else LAST


def stored_as(array: Array, integers: Any) -> np.ndarray:
    """Shift int8 to uint8: on x86 ONNX Runtime has integer kernels only for unsigned activations, signed weights."""
    wide = np.asarray(integers, np.int16)
    return wide if array.dtype == "int16" else (wide + 128).astype(np.uint8)


def onnx_dtype(array: Array) -> int:
    """Return ONNX' number of the type of an array's real values."""
    return helper.np_dtype_to_tensor_dtype(np.dtype(array.dtype if array.scale is None else "float32"))

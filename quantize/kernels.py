"""The form of a kernel, by the kind of product that reads it: which axes are its outputs, each with a scale of its own.

Decided here once. A fused operator carries its form (`FusedOp.form`), and whatever folds a factor into a kernel,
calibrates, fake-quantizes or exports one asks that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .fake_quant import fake_quantize_kernel, kernel_scale


@dataclass(frozen=True)
class KernelForm:
    """The axes of a kernel as Keras has it.

    channels: those that count the outputs, in their order; a depthwise kernel has its inputs and the copies of each.
    inputs: the one that counts the inputs (of a group).
    """

    channels: tuple[int, ...] = (-1,)
    inputs: int = -2

    @property
    def is_depthwise(self) -> bool:
        """Tell whether each output reads one input only."""
        return self.inputs in self.channels

    def outputs(self, shape: Sequence[int]) -> int:
        """Return how many outputs a kernel of `shape` has."""
        return math.prod(shape[axis] for axis in self.channels)

    def scale(self, kernel: Any, bits: int = 8) -> Any:
        """Return the scale of each output, in the shape of `kernel` with 1 on the other axes."""
        return kernel_scale(kernel, self.channels, bits)

    def fake_quantize(self, kernel: Any, bits: int = 8, scale: Any = None) -> Any:
        """Return `kernel` rounded to its steps; scale: what `scale` gives for it, where that is known already."""
        return fake_quantize_kernel(kernel, self.channels, bits, scale)

    def spread(self, factors: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """Return a factor for each output, (outputs,), in a shape that broadcasts with a kernel of `shape`."""
        kept = {axis % len(shape) for axis in self.channels}
        return factors.reshape([size if axis in kept else 1 for axis, size in enumerate(shape)])

    def spread_inputs(self, factors: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """Return a factor for each input, (inputs,), in a shape that broadcasts with a kernel of `shape`."""
        return factors.reshape([size if axis == self.inputs % len(shape) else 1 for axis, size in enumerate(shape)])


# By the kind of operation; the kernel is its second argument.
FORMS: dict[str, KernelForm] = {
    "Conv": KernelForm(),
    "GroupedConv": KernelForm(),
    "DepthwiseConv": KernelForm(channels=(-2, -1)),
    "TransposedConv": KernelForm(channels=(-2,), inputs=-1),
    "Matmul": KernelForm(),
}
LINEAR = frozenset(FORMS)

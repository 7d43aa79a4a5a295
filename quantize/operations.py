"""Operations that Keras computes but cannot trace or call symbolically."""

from __future__ import annotations

from typing import Any

import keras
from keras import KerasTensor, ops


class GroupedConv(keras.Operation):
    """A convolution whose kernel reads a part of the channels: `ops.conv` computes it but knows no symbolic form."""

    def __init__(self, strides=1, padding="valid", data_format=None, dilation_rate=1, *, name=None):
        super().__init__(name=name)
        self.strides, self.padding, self.data_format, self.dilation_rate = strides, padding, data_format, dilation_rate

    def call(self, x: Any, kernel: Any) -> Any:
        """Shapes: (N, H, W, C), (h, w, C / groups, D) -> (N, H', W', D)."""
        return ops.conv(x, kernel, self.strides, self.padding, self.data_format, self.dilation_rate)

    def compute_output_spec(self, x: Any, kernel: Any) -> Any:
        """Return the output of a convolution over all channels: its shape is the same."""
        whole = KerasTensor((*kernel.shape[:-2], x.shape[-1], kernel.shape[-1]), dtype=kernel.dtype)
        return ops.conv(x, whole, self.strides, self.padding, self.data_format, self.dilation_rate)


class TransposedConv(keras.Operation):
    """`ops.conv_transpose`, whose own operation mixes up padding and output padding when called (Keras 3.15)."""

    def __init__(self, strides, padding, output_padding, dilation_rate, *, name=None):
        super().__init__(name=name)
        self.strides, self.padding, self.data_format = strides, padding, None
        self.output_padding, self.dilation_rate = output_padding, dilation_rate

    def call(self, x: Any, kernel: Any) -> Any:
        """Shapes: (N, H, W, C), (h, w, D, C) -> (N, H', W', D)."""
        extra, rate = self.output_padding, self.dilation_rate
        return ops.conv_transpose(x, kernel, self.strides, self.padding, extra, dilation_rate=rate)

    def compute_output_spec(self, x: Any, kernel: Any) -> Any:
        """Return the symbolic output."""
        return self.call(x, kernel)


def matmul_transposed(left: Any, right: Any) -> Any:
    """Multiply by `right` with its last two axes swapped.  Shapes: (..., T, d), (..., S, d) -> (..., T, S)."""
    return ops.matmul(left, ops.swapaxes(right, -1, -2))


NEVER = -1e9  # a score of what is masked, in float


def masked(scores: Any, mask: Any) -> Any:
    """Return the scores where `mask` holds and NEVER elsewhere, for a softmax to make zero of.  Shapes: broadcast."""
    return ops.where(mask, scores, NEVER)

"""Operations that Keras computes but cannot trace or call symbolically, or that one kernel does at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import KerasTensor

from ...untyped import ops


class Constant(keras.Operation):
    """A constant as a symbolic tensor, for operations that look at their data alone to tell whether they are traced."""

    def call(self, value: Any) -> Any:
        """Return `value`."""
        return value

    def compute_output_spec(self, value: Any) -> Any:
        """Return the symbolic output."""
        return KerasTensor(value.shape, dtype=keras.backend.standardize_dtype(value.dtype))


class Batched(keras.Operation):
    """Repeats what a sample has along the batch, whose size is known to who runs the graph. In a file it is 1."""

    def call(self, x: Any, batch: Any = 1) -> Any:
        """Shapes: (k, ...) -> (k batch, ...)."""
        if x.shape[0] != 1:
            return ops.tile(x, (batch, *(1,) * (len(x.shape) - 1)))
        return ops.broadcast_to(x, (batch, *x.shape[1:]))

    def compute_output_spec(self, x: Any) -> Any:
        """Return the symbolic output."""
        return KerasTensor((None, *x.shape[1:]), dtype=x.dtype)


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
        channels = x.shape[1 if self.data_format == "channels_first" else -1]
        whole = KerasTensor((*kernel.shape[:-2], channels, kernel.shape[-1]), dtype=kernel.dtype)
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
        return ops.conv_transpose(x, kernel, self.strides, self.padding, extra, "channels_last", rate)

    def compute_output_spec(self, x: Any, kernel: Any) -> Any:
        """Return the symbolic output."""
        return self.call(x, kernel)


_OPEN = {"BroadcastTo": "shape", "Reshape": "newshape", "Tile": "repeats"}  # where a traced operation has the batch


def closed(operation: Any, batch: Any) -> Any:
    """Return `operation` with `batch` for the size that a layer got as None when it asked its input for it."""
    field = _OPEN.get(type(operation).__name__)
    sizes = getattr(operation, field) if field and isinstance(operation, keras.Operation) else ()
    if not isinstance(sizes, (list, tuple)) or None not in sizes:
        return operation
    known = -1 if field == "newshape" else batch  # samples may have been folded into it
    return type(operation)(tuple(known if size is None else size for size in sizes))


def body_of(operation: Any) -> Callable[..., Any]:
    """Return what computes `operation`, without what Keras does around it for symbolic tensors."""
    if type(operation).__name__ == "ConvTranspose":  # its own mixes up padding and output padding (Keras 3.15)
        op = operation
        return lambda x, kernel: ops.conv_transpose(
            x, kernel, op.strides, op.padding, op.output_padding, op.data_format, op.dilation_rate
        )
    return operation.call if isinstance(operation, keras.Operation) else operation


class FusedLSTM(keras.Operation):
    """A long short-term memory over a whole sequence, from states of zero, as LiteRT's kernel computes it.

    Weights come gate by gate, in the order input, forget, cell, output. Source: Hochreiter and Schmidhuber 1997; forget
    gate of Gers 2000.
    """

    def call(self, x: Any, *weights: Any, rounded: tuple[Callable, Callable] | None = None) -> tuple[Any, Any]:
        """Return outputs and cell states of all steps; `rounded` quantizes each before the next step reads it.

        Shapes: (N, T, F), four of (U, F), four of (U, U), four of (U,) -> (N, T, U) twice.
        """
        kernel, recurrent = (ops.transpose(ops.concatenate(four, axis=0)) for four in (weights[:4], weights[4:8]))
        round_output, round_cell = rounded or (_same, _same)
        projected = ops.matmul(x, kernel) + ops.concatenate(weights[8:], axis=0)  # (N, T, 4 U)
        units = recurrent.shape[0]

        def step(states: Any, given: Any) -> Any:
            output, cell = states
            gates = given + ops.matmul(output, recurrent)
            i, f, g, o = (gates[:, part * units : (part + 1) * units] for part in range(4))
            cell = round_cell(ops.sigmoid(f) * cell + ops.sigmoid(i) * ops.tanh(g))
            output = round_output(ops.sigmoid(o) * ops.tanh(cell))
            return (output, cell), (output, cell)

        zeros = ops.zeros_like(projected[:, 0, :units])
        _, (outputs, cells) = ops.scan(step, (zeros, zeros), ops.swapaxes(projected, 0, 1))
        return ops.swapaxes(outputs, 0, 1), ops.swapaxes(cells, 0, 1)

    def compute_output_spec(self, x: Any, *weights: Any) -> Any:
        """Return the symbolic outputs."""
        return tuple(KerasTensor((*x.shape[:2], weights[0].shape[0]), dtype=x.dtype) for _ in range(2))


def _same(x: Any) -> Any:
    return x


class ReciprocalRoot(keras.Operation):
    """A reciprocal square root by the operator of that name, where others look it up in a table."""

    def call(self, x: Any) -> Any:
        """Return 1 / sqrt(x)."""
        return ops.rsqrt(x)

    def compute_output_spec(self, x: Any) -> Any:
        """Return the symbolic output."""
        return KerasTensor(x.shape, dtype=x.dtype)


def matmul_transposed(left: Any, right: Any) -> Any:
    """Multiply by `right` with its last two axes swapped.  Shapes: (..., T, d), (..., S, d) -> (..., T, S)."""
    return ops.matmul(left, ops.swapaxes(right, -1, -2))


def broadcast_sum(left: Any, right: Any) -> Any:
    """Add tensors that broadcast each other: Keras 3.15 on TensorFlow takes one of them for a bias in a batch of 1."""
    return ops.subtract(left, ops.negative(right))


NEVER = -1e9  # a score of what is masked, in float


def masked(scores: Any, mask: Any) -> Any:
    """Return the scores where `mask` holds and NEVER elsewhere, for a softmax to make zero of.  Shapes: broadcast."""
    return ops.where(mask, scores, NEVER)

"""Cells of recurrences that Keras has not: variants of the LSTM, and recurrences that are deep within a time step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from ..untyped import ops

GATES = ("input", "forget", "output")


@keras.saving.register_keras_serializable("edgewright")
class LSTMVariantCell(layers.Layer):
    """An LSTM cell that looks at its memory, or does without a gate or an activation; for `keras.layers.RNN`.

    i, f, o = sigmoid(W x + U h + b [+ p c]), g = tanh(W x + U h + b); c = f c + i g; h = o tanh(c). Kernels hold gates
    and candidate in the order i, f, g, o, those left out missing; without any option the weights are those of
    `keras.layers.LSTMCell`.

    peepholes: gates see the memory, one weight a unit; the output gate sees the new one (Gers 2000). without: gates
    that are left out, held at 1. input_activation, output_activation: of g and of c in h, None for none.
    Shapes: x (N, F), h and c (N, units) -> h, [h, c].  Source: the ablations of Greff 2017, arXiv:1503.04069; without
    the forget gate, Hochreiter and Schmidhuber 1997.  Raises: ValueError for a gate that there is not.
    """

    def __init__(
        self,
        units: int,
        peepholes: bool = False,
        without: Sequence[str] = (),
        input_activation: str | None = "tanh",
        output_activation: str | None = "tanh",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if unknown := [gate for gate in without if gate not in GATES]:
            raise ValueError(f"without={unknown[0]!r}: an LSTM cell has the gates {', '.join(GATES)}")
        self.units, self.peepholes, self.without = units, peepholes, tuple(without)
        self.input_activation, self.output_activation = input_activation, output_activation
        self.parts = [part for part in ("input", "forget", "candidate", "output") if part not in self.without]
        self.state_size, self.output_size = [units, units], units

    def build(self, input_shape: Any) -> None:
        """Make kernel (F, k units), recurrent kernel (units, k units), bias (k units), peepholes (units) each."""
        width = len(self.parts) * self.units
        self.kernel = self.add_weight((input_shape[-1], width), "glorot_uniform", name="kernel")
        self.recurrent_kernel = self.add_weight((self.units, width), "orthogonal", name="recurrent_kernel")
        self.bias = self.add_weight((width,), self._open, name="bias")
        seeing = [part for part in self.parts if part != "candidate"] if self.peepholes else []
        self.seen = {part: self.add_weight((self.units,), "zeros", name=f"peephole_{part}") for part in seeing}

    def _open(self, shape: Any, dtype: Any = None) -> Any:
        """Return biases of 0, and of 1 for the forget gate, so that a fresh net remembers (Jozefowicz 2015)."""
        parts = [(ops.ones if part == "forget" else ops.zeros)((self.units,), dtype=dtype) for part in self.parts]
        return ops.concatenate(parts)

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        """Compute one time step."""
        hidden, memory = states
        sums = ops.add(ops.add(ops.matmul(inputs, self.kernel), ops.matmul(hidden, self.recurrent_kernel)), self.bias)
        z = dict(zip(self.parts, ops.split(sums, len(self.parts), axis=1), strict=True))
        g = _activated(z["candidate"], self.input_activation)
        let_in = ops.multiply(self._gate("input", z, memory), g) if "input" in z else g
        kept = ops.multiply(self._gate("forget", z, memory), memory) if "forget" in z else memory
        memory = ops.add(kept, let_in)
        hidden = _activated(memory, self.output_activation)
        if "output" in z:
            hidden = ops.multiply(self._gate("output", z, memory), hidden)
        return hidden, [hidden, memory]

    def _gate(self, part: str, z: dict[str, Any], memory: Any) -> Any:
        return ops.sigmoid(ops.add(z[part], ops.multiply(memory, self.seen[part])) if self.peepholes else z[part])

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        """Return states of zero."""
        return [ops.zeros((batch_size, self.units), dtype=self.compute_dtype) for _ in range(2)]

    def get_config(self) -> dict[str, Any]:
        """Return what the cell is made of."""
        own = ("units", "peepholes", "without", "input_activation", "output_activation")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


def _activated(x: Any, activation: str | None) -> Any:
    return x if activation is None else getattr(ops, activation)(x)


@keras.saving.register_keras_serializable("edgewright")
class DeepTransitionCell(layers.Layer):
    """An Elman cell that is deep within a time step, or sees states of more than one step back.

    x goes through `input_layers` layers; h = tanh(W x + sum over k in lags of U_k h(t - k) + b), and then through
    `transition_layers - 1` further ones, past which `shortcut` leads h(t - 1) into the last. All have `units` units and
    tanh; with the defaults the weights are those of `keras.layers.SimpleRNNCell`.
    Shapes: x (N, F), states max(lags) times (N, units) -> h, states, the last one first.
    Source: Pascanu 2014, arXiv:1312.6026; several lags, Lin 1996 (NARX), El Hihi and Bengio 1996.
    Raises: ValueError for lags that are not from 1 on, or a shortcut past nothing.
    """

    def __init__(
        self,
        units: int,
        input_layers: int = 0,
        transition_layers: int = 1,
        shortcut: bool = False,
        lags: Sequence[int] = (1,),
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not lags or min(lags) < 1 or len(set(lags)) < len(lags):
            raise ValueError(f"lags={tuple(lags)}: name time steps back, each once and from 1 on")
        if shortcut and transition_layers < 2:
            raise ValueError("shortcut=True: there is nothing to lead past; ask for transition_layers of 2 or more")
        self.units, self.input_layers, self.transition_layers = units, input_layers, transition_layers
        self.shortcut, self.lags = shortcut, tuple(lags)
        self.state_size, self.output_size = [units] * max(lags), units
        self.into = [layers.Dense(units, "tanh", name=f"input_{index}") for index in range(1, input_layers + 1)]
        self.deeper = [layers.Dense(units, name=f"transition_{index}") for index in range(2, transition_layers + 1)]

    def build(self, input_shape: Any) -> None:
        """Make kernel (F, units), a recurrent kernel (units, units) a lag, bias (units), and the layers between."""
        width = input_shape[-1]
        for layer in self.into:
            layer.build((None, width))
            width = self.units
        square = (self.units, self.units)
        self.kernel = self.add_weight((width, self.units), "glorot_uniform", name="kernel")
        self.recurrent_kernels = [
            self.add_weight(square, "orthogonal", name=f"recurrent_kernel_{lag}") for lag in self.lags
        ]
        self.bias = self.add_weight((self.units,), "zeros", name="bias")
        self.past = self.add_weight(square, "orthogonal", name="shortcut") if self.shortcut else None
        for layer in self.deeper:
            layer.build((None, self.units))

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        """Compute one time step."""
        x = inputs
        for layer in self.into:
            x = layer(x)
        total = ops.matmul(x, self.kernel)
        for lag, kernel in zip(self.lags, self.recurrent_kernels, strict=True):
            total = ops.add(total, ops.matmul(states[lag - 1], kernel))
        hidden = ops.tanh(ops.add(total, self.bias))
        for place, layer in enumerate(self.deeper, 1):
            hidden = layer(hidden)
            if self.past is not None and place == len(self.deeper):
                hidden = ops.add(hidden, ops.matmul(states[0], self.past))
            hidden = ops.tanh(hidden)
        return hidden, [hidden, *states[:-1]]

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        """Return states of zero."""
        return [ops.zeros((batch_size, self.units), dtype=self.compute_dtype) for _ in self.state_size]

    def get_config(self) -> dict[str, Any]:
        """Return what the cell is made of."""
        own = ("units", "input_layers", "transition_layers", "shortcut", "lags")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


@keras.saving.register_keras_serializable("edgewright")
class ConvLSTMCell(layers.Layer):
    """An LSTM cell whose units lie on a grid, each of which sees its neighbours' of the step before.

    x, what the input adds to the gates, is there already, in the order o, f, i, g: o, f, i = sigmoid(x + K * h),
    g = tanh(x + K * h); c = f c + i g; h = o tanh(c). The biases are those of x. Grids are flat outside the cell.
    shape: of the grid, of one axis or two. size: of the kernel K along each.
    Shapes: x (N, grid 4 units), h and c (N, grid units) -> h, [h, c].
    Source: van den Oord 2016, arXiv:1601.06759, equation 3 (row LSTM); Shi 2015, arXiv:1506.04214.
    """

    def __init__(self, shape: Sequence[int], units: int, size: int = 3, **kwargs: Any):
        super().__init__(**kwargs)
        self.shape, self.units, self.size = tuple(shape), units, size
        self.output_size = units * math.prod(self.shape)
        self.state_size = [self.output_size, self.output_size]

    def build(self, input_shape: Any) -> None:
        """Make the kernel (size, ..., units, 4 units)."""
        sizes = (*[self.size] * len(self.shape), self.units, 4 * self.units)
        self.recurrent_kernel = self.add_weight(sizes, "glorot_uniform", name="recurrent_kernel")

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        """Compute one step."""
        hidden, memory = (ops.reshape(each, (-1, *self.shape, self.units)) for each in states)
        given = ops.reshape(inputs, (-1, *self.shape, 4 * self.units))
        sums = ops.add(given, ops.conv(hidden, self.recurrent_kernel, padding="same"))
        *gates, update = ops.split(sums, 4, axis=-1)
        let_out, forget, let_in = map(ops.sigmoid, gates)
        memory = ops.add(ops.multiply(forget, memory), ops.multiply(let_in, ops.tanh(update)))
        hidden = ops.multiply(let_out, ops.tanh(memory))
        hidden, memory = (ops.reshape(each, (-1, self.output_size)) for each in (hidden, memory))
        return hidden, [hidden, memory]

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        """Return states of zero."""
        return [ops.zeros((batch_size, self.output_size), dtype=self.compute_dtype) for _ in range(2)]

    def get_config(self) -> dict[str, Any]:
        """Return what the cell is made of."""
        return {**super().get_config(), "shape": self.shape, "units": self.units, "size": self.size}

"""Attention of recurrent decoders over what an encoder made (Bahdanau 2015, Luong 2015)."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, layers, ops

States = Sequence[KerasTensor]


@keras.saving.register_keras_serializable("edgewright")
class Alignment(layers.Layer):
    """Averages a memory by how well each place of it fits the query; what is not there has no part.

    additive: scores are v . tanh(W query + key), else query . key. The key of a place is the memory itself (dot), or a
    projection of it (general; concat and additive), which an encoder computes once.
    Shapes: query (N, T, U), memory (N, S, M), keys (N, S, A), there (N, S) bool -> (N, T, M).
    Source: Luong 2015, arXiv:1508.04025, eq. 8; Bahdanau 2015, arXiv:1409.0473, appendix A.1.2.
    """

    def __init__(self, additive: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.additive = additive
        self.softmax = layers.Softmax(name="softmax")

    def build(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, query_shape: Any, memory_shape: Any, keys_shape: Any, there_shape: Any = None
    ):
        """Make the projections of additive scores."""
        self.places, width = keys_shape[1:]
        if self.additive:
            self.query = layers.Dense(width, use_bias=False, name="query")
            self.query.build(query_shape)
            self.score = layers.Dense(1, use_bias=False, name="score")
            self.score.build((None, None, None, width))

    def call(self, query: KerasTensor, memory: KerasTensor, keys: KerasTensor, there: KerasTensor):
        """Return the contexts."""
        return ops.matmul(self.weights_of(query, keys, there), memory)

    def weights_of(self, query: KerasTensor, keys: KerasTensor, there: KerasTensor) -> Any:
        """Return how much each place counts, (N, T, S), 1 in all."""
        return self.softmax(self.scores_of(query, keys), mask=ops.expand_dims(there, 1))

    def scores_of(self, query: KerasTensor, keys: KerasTensor) -> Any:
        """Return how well each place fits, (N, T, S)."""
        if not self.additive:
            return ops.matmul(query, ops.swapaxes(keys, -1, -2))
        asked: Any = ops.expand_dims(self.query(query), 2)  # (N, T, 1, A)
        fits: Any = self.score(ops.tanh(asked + ops.expand_dims(keys, 1)))  # (N, T, S, 1)
        return ops.reshape(fits, (-1, query.shape[1], self.places))

    def compute_output_shape(self, query_shape: Any, memory_shape: Any, keys_shape: Any, there_shape: Any):
        """Return the shape of the contexts."""
        return (*query_shape[:-1], memory_shape[-1])

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "additive": self.additive}


class _Cell(layers.Layer):
    """One step of a decoder that attends.  call: (x (N, E), states, memory, keys, there) -> (output, new states)."""

    def __init__(self, units: int, depth: int, additive: bool, **kwargs: Any):
        super().__init__(**kwargs)
        self.units, self.depth = units, depth
        self.alignment = Alignment(additive, name="alignment")

    def attend(self, query: KerasTensor, *seen: KerasTensor) -> Any:
        """Return the context of one query, (N, U) -> (N, M)."""
        return ops.squeeze(self.alignment(ops.expand_dims(query, 1), *seen), 1)

    def build(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, x_shape: Any, states_shape: Any, memory_shape: Any, keys_shape: Any, there_shape: Any
    ):
        """Build the attention for queries of this layer's states."""
        self.alignment.build((None, 1, self.units), memory_shape, keys_shape, there_shape)


class InputFeedingCell(_Cell):
    """LSTM layers that read the token with what was said of the step before; the output is tanh(W [context; state]).

    States: that output, then hidden and cell of each layer.  Source: arXiv:1508.04025, section 3.3.
    """

    def build(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, x_shape: Any, states_shape: Any, memory_shape: Any, keys_shape: Any, there_shape: Any
    ):
        """Make the layers."""
        self.cells = [layers.LSTMCell(self.units, name=f"lstm_{k}") for k in range(1, self.depth + 1)]
        for k, cell in enumerate(self.cells):
            cell.build((None, self.units if k else x_shape[-1] + self.units))
        self.said = layers.Dense(self.units, activation="tanh", use_bias=False, name="said")
        self.said.build((None, memory_shape[-1] + self.units))
        super().build(x_shape, states_shape, memory_shape, keys_shape, there_shape)

    def call(self, x: KerasTensor, states: States, *seen: KerasTensor):
        """Return what is said, and the new states."""
        y: Any = ops.concatenate([x, states[0]], axis=-1)
        new = []
        for k, cell in enumerate(self.cells):
            y, after = cell(y, list(states[1 + 2 * k : 3 + 2 * k]))
            new += after
        said: Any = self.said(ops.concatenate([self.attend(y, *seen), y], axis=-1))
        return said, [said, *new]


class SearchCell(_Cell):
    """A GRU that reads the token with a context chosen by its state; the output is [state before; token; context].

    States: that of the GRU.  Source: arXiv:1409.0473, appendix A.2.2.
    """

    def build(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, x_shape: Any, states_shape: Any, memory_shape: Any, keys_shape: Any, there_shape: Any
    ):
        """Make the recurrence."""
        self.cell = layers.GRUCell(self.units, name="gru")
        self.cell.build((None, x_shape[-1] + memory_shape[-1]))
        super().build(x_shape, states_shape, memory_shape, keys_shape, there_shape)

    def call(self, x: KerasTensor, states: States, *seen: KerasTensor):
        """Return what the readout reads, and the new state."""
        context = self.attend(states[0], *seen)
        _, new = self.cell(ops.concatenate([x, context], axis=-1), list(states))
        return ops.concatenate([states[0], x, context], axis=-1), [new[0] if isinstance(new, list) else new]


class GazeCell(_Cell):
    """An LSTM that reads the token with a context that its state of the step before chose out of a picture's regions.

    Soft: the mean of the regions by their weights, times a gate beta = sigmoid(w . h). Hard: one region, the one of the
    largest score, to which `noise` (N, S) may be added: of Gumbel noise the region is drawn by the weights.
    The output is (hidden state, context, weights (N, S), the region that is taken, one-hot, or the weights again).
    States: hidden and cell.  Source: Xu 2015, arXiv:1502.03044, sections 3.1.2, 4.1 and 4.2.1.
    """

    hard = False

    def build(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, x_shape: Any, states_shape: Any, memory_shape: Any, keys_shape: Any, there_shape: Any = None
    ):
        """Make the recurrence and the gate."""
        self.cell = layers.LSTMCell(self.units, name="lstm")
        self.cell.build((None, x_shape[-1] + memory_shape[-1]))
        if not self.hard:
            self.gate = layers.Dense(1, activation="sigmoid", name="gate")
            self.gate.build((None, self.units))
        self.alignment.build((None, 1, self.units), memory_shape, keys_shape)

    def call(self, x: KerasTensor, states: States, memory: KerasTensor, keys: KerasTensor, there: Any, noise: Any):
        """Return what is said, and the new states."""
        query: Any = ops.expand_dims(states[0], 1)
        scores = self.alignment.scores_of(query, keys)  # (N, 1, S)
        weights = self.alignment.softmax(scores)
        if self.hard:
            judged = scores if noise is None else scores + ops.expand_dims(noise, 1)
            chosen: Any = ops.one_hot(ops.argmax(judged, axis=-1), scores.shape[-1])
            context: Any = ops.squeeze(ops.matmul(chosen, memory), 1)
        else:
            chosen = weights
            context = self.gate(states[0]) * ops.squeeze(ops.matmul(weights, memory), 1)
        hidden, new = self.cell(ops.concatenate([x, context], axis=-1), list(states))
        return (hidden, context, ops.squeeze(weights, 1), ops.squeeze(chosen, 1)), new


class HardGazeCell(GazeCell):
    """A `GazeCell` that takes one region."""

    hard = True


CELLS = {"input_feeding": InputFeedingCell, "search": SearchCell, "gaze": GazeCell, "hard_gaze": HardGazeCell}


@keras.saving.register_keras_serializable("edgewright")
class AttentiveRecurrence(layers.Layer):
    """Runs a decoder's cell over the tokens of a sentence, each step attending to the memory.

    kind: of `CELLS`. depth: layers of an input-feeding cell. additive: see `Alignment`.
    Shapes: x (N, T, E), states, memory (N, S, M), keys (N, S, A), there (N, S) bool, None where all are, and of hard
    gazes noise (N, T, S), None for none -> outputs (N, T, ...), new states.
    """

    is_recurrence = True  # its steps share weights and, quantized, scales

    def __init__(self, kind: str, units: int, depth: int = 1, additive: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.kind, self.units, self.depth, self.additive = kind, units, depth, additive
        self.cell = CELLS[kind](units, depth, additive, name="cell")

    def build(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, x_shape: Any, states_shape: Any, memory_shape: Any, keys_shape: Any, there_shape: Any = None
    ):
        """Make the cell."""
        self.cell.build((x_shape[0], x_shape[-1]), states_shape, memory_shape, keys_shape, there_shape)

    def call(
        self, x: KerasTensor, states: States, memory: KerasTensor, keys: KerasTensor, there: Any = None,
        noise: Any = None
    ):  # fmt: skip
        """Return outputs and the states behind the last step."""
        outputs, states = [], list(states)
        frames: Any = ops.unstack(x, x.shape[1], axis=1)
        seen = (memory, keys, there)
        gazes = isinstance(self.cell, GazeCell)
        noises: Any = [None] * len(frames) if noise is None else ops.unstack(noise, x.shape[1], axis=1)
        for frame, chance in zip(frames, noises, strict=True):
            output, states = self.cell(frame, states, *seen, *([chance] if gazes else []))
            outputs.append(output if isinstance(output, tuple) else (output,))
        return (*(ops.stack(parts, axis=1) for parts in zip(*outputs, strict=True)), *states)

    def compute_output_spec(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, x: Any, states: Any, memory: Any, keys: Any, there: Any = None, noise: Any = None
    ):
        """Return what `call` does, without values: as one step says it, where the backend would trace them all."""
        steps, states = x.shape[1], list(states)

        def with_steps(part: Any, count: int) -> KerasTensor:
            return KerasTensor((part.shape[0], count, *part.shape[2:]), dtype=part.dtype)

        one = [None if part is None else with_steps(part, 1) for part in (x, noise)]
        made: Any = super().compute_output_spec(one[0], states, memory, keys, there, one[1])
        parts = len(made) - len(states)
        return (*(with_steps(part, steps) for part in made[:parts]), *made[parts:])

    def get_config(self):
        """Return the constructor's arguments."""
        own = {"kind": self.kind, "units": self.units, "depth": self.depth, "additive": self.additive}
        return {**super().get_config(), **own}

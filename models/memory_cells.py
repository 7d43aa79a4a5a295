"""Cells of recurrences with a memory of rows beside their units, which they read and write by weights of the rows.

All states begin at zero. Weights that begin at the first row are kept as what they differ from it by.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import keras
import numpy as np
from keras import layers

from ..untyped import ops

LEAST = 1e-3  # of a weight whose logarithm is taken
SMALLEST = 1e-2  # square of a vector's length that counts as none: its reciprocal root still fits into few bits


class MemoryCell(layers.Layer):
    """An LSTM that reads what it read last, tells by one linear layer what to do with the memory, and reads again.

    units: of the LSTM. rows, width: of the memory M. heads: how many rows are read at once, each a mixture.
    Shapes: x (N, F), states: hidden and cell (N, units), memory (N, rows width), read (N, heads width), and what the
    kind of access keeps -> [hidden, read] (N, units + heads width), states. States are flat.
    """

    def __init__(self, units: int, rows: int, width: int, heads: int = 1, **kwargs: Any):
        super().__init__(**kwargs)
        self.units, self.rows, self.width, self.heads = units, rows, width, heads
        self.state_size = [units, units, rows * width, heads * width, *self.kept()]
        self.output_size = units + heads * width
        self.interface = layers.Dense(sum(self.parts().values()), name="interface")

    def kept(self) -> list[int]:
        """Return the sizes of further states."""
        raise NotImplementedError

    def parts(self) -> Mapping[str, int]:
        """Return what the controller tells, and the size of each."""
        raise NotImplementedError

    def access(self, told: Mapping[str, Any], memory: Any, kept: Any) -> tuple[Any, Any, list[Any]]:
        """Return the memory that was written to, the weights (N, heads, rows) it is read by, and what is kept."""
        raise NotImplementedError

    def build(self, input_shape: Any) -> None:
        """Make the LSTM, whose gates are in the order i, f, g, o, and the interface.

        What is read has a kernel of its own: at the first step it is nothing, and cannot stand beside a batch of x.
        """
        sizes = {"kernel": input_shape[-1], "read_kernel": self.heads * self.width, "recurrent_kernel": self.units}
        start = {"recurrent_kernel": "orthogonal"}
        self.kernel, self.read_kernel, self.recurrent_kernel = (
            self.add_weight((size, 4 * self.units), start.get(name, "glorot_uniform"), name=name)
            for name, size in sizes.items()
        )
        self.bias = self.add_weight((4 * self.units,), self._remembering, name="bias")
        self.interface.build((None, self.units))

    def _remembering(self, shape: Any, dtype: Any = None) -> Any:
        """Return biases of 0, and of 1 for the forget gate."""
        return ops.convert_to_tensor(np.repeat([0.0, 1.0, 0.0, 0.0], self.units).astype("float32"), dtype=dtype)

    def controlled(self, x: Any, read: Any, hidden: Any, carry: Any) -> tuple[Any, Any]:
        """Return hidden and cell state of the LSTM after one more step."""
        sums = ops.add(ops.matmul(x, self.kernel), ops.matmul(read, self.read_kernel))
        sums = ops.add(ops.add(sums, ops.matmul(hidden, self.recurrent_kernel)), self.bias)
        i, f, g, o = ops.split(sums, 4, axis=1)
        carry = ops.add(ops.multiply(ops.sigmoid(f), carry), ops.multiply(ops.sigmoid(i), ops.tanh(g)))
        return ops.multiply(ops.sigmoid(o), ops.tanh(carry)), carry

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        """Compute one time step."""
        hidden, carry, memory, read, *kept = states
        hidden, carry = self.controlled(inputs, read, hidden, carry)
        sizes = self.parts()
        said, ends = self.interface(hidden), np.cumsum([0, *sizes.values()]).tolist()
        told = {name: said[:, first:last] for name, (first, last) in zip(sizes, pairwise(ends), strict=True)}
        memory = ops.reshape(memory, (-1, self.rows, self.width))
        memory, weights, kept = self.access(told, memory, kept)
        read = ops.reshape(ops.matmul(weights, memory), (-1, self.heads * self.width))
        flat = ops.reshape(memory, (-1, self.rows * self.width))
        return ops.concatenate([hidden, read], axis=-1), [hidden, carry, flat, read, *kept]

    def by_head(self, x: Any, size: int) -> Any:
        """Return what was told of all heads by head.  Shapes: (N, heads size) -> (N, heads, size)."""
        return ops.reshape(x, (-1, self.heads, size))

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        """Return states of zero."""
        return [ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in self.state_size]

    def get_config(self) -> dict[str, Any]:
        """Return what the cell is made of."""
        own = ("units", "rows", "width", "heads")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


# ---------------------------------------------------------------- weights of rows


def by_content(memory: Any, keys: Any, strength: Any) -> Any:
    """Return a softmax of the cosines between keys and rows, times a strength.

    Shapes: memory (N, rows, width), keys (N, heads, width), strength (N, heads, 1) -> (N, heads, rows).
    """
    likeness = ops.matmul(directed(keys), ops.swapaxes(directed(memory), -1, -2))
    return ops.softmax(strength * likeness, axis=-1)


def directed(vectors: Any) -> Any:
    """Return vectors of length one, much shorter ones nearly as they are."""
    return vectors * ops.rsqrt(ops.sum(ops.square(vectors), axis=-1, keepdims=True) + SMALLEST)


def first_row(rows: int) -> np.ndarray:
    """Return the weights (rows,) of the first row alone, which a state of zeros stands for.

    Adding what is missing to a sum of one would do as well in float. Quantized it does not: in a sequence the first
    step is a constant, so that calibration sees the missing part at later steps alone, where there is none.
    """
    return np.eye(1, rows, dtype="float32")[0]


def interpolated(gate: Any, found: Any, last: Any) -> Any:
    """Return the weights found by content as far as the gate is open, else those of the step before."""
    return last + gate * (found - last)


def shifted(weights: Any, shift: Any) -> Any:
    """Return weights moved round the memory, by how much each of the shifts -k..k counts; one product for all of them.

    Shapes: weights (N, rows), shift (N, 2 k + 1) -> (N, rows).
    """
    rows, reach = weights.shape[-1], shift.shape[-1] // 2
    moved = [np.roll(np.eye(rows, dtype="float32"), step, axis=1) for step in range(-reach, reach + 1)]
    each = ops.reshape(ops.matmul(weights, np.concatenate(moved, axis=1)), (-1, 2 * reach + 1, rows))
    return ops.squeeze(ops.matmul(ops.expand_dims(shift, 1), each), 1)


def scalar_shift(shift: Any, places: Any) -> Any:
    """Return how much each whole place counts for a shift between two of them.  Shapes: (N, 1), (k,) -> (N, k).

    6.7 is 0.3 of 6 and 0.7 of 7.  Source: Graves 2014, arXiv:1410.5401, section 3.3.2.
    """
    return ops.relu(1.0 - ops.abs(shift - np.asarray(places, "float32")))


def sharpened(weights: Any, power: Any) -> Any:
    """Return weights to a power, adding up to one: as a softmax of logarithms, so that nothing is divided."""
    return ops.softmax(power * ops.log(weights + LEAST), axis=-1)


def before(usage: Any) -> Any:
    """Return which row goes before which, in the order of usage, the first of two that are alike.

    Comparisons in place of a sort, which no device does.  Shapes: (N, rows) -> (N, rows i, rows j), 1 where j is
    before i.
    """
    own, others = ops.expand_dims(usage, 2), ops.expand_dims(usage, 1)
    earlier = np.tril(np.ones((usage.shape[-1],) * 2, bool), -1)[None]
    tied = ops.logical_and(ops.equal(others, own), earlier)
    return ops.cast(ops.logical_or(ops.less(others, own), tied), usage.dtype)


def allocated(usage: Any) -> Any:
    """Return how free each row is once all rows that are freer were taken: (1 - u_i) times their u_j.

    The product is the exponential of a sum of logarithms over `before`; sorted, it is equation 1 of Graves 2016.
    Shapes: (N, rows) -> the same.
    """
    logarithms = ops.expand_dims(ops.log(usage + LEAST), -1)
    return (1.0 - usage) * ops.exp(ops.squeeze(ops.matmul(before(usage), logarithms), -1))


def written(memory: Any, weights: Any, erase: Any, add: Any) -> Any:
    """Return the memory with a share of each row erased, and a vector added to it, by weights of rows.

    Shapes: memory (N, rows, width), weights (N, rows), erase, add (N, width) -> memory.
    """
    rows, erase, add = ops.expand_dims(weights, 2), ops.expand_dims(erase, 1), ops.expand_dims(add, 1)
    return memory * (1.0 - ops.matmul(rows, erase)) + ops.matmul(rows, add)


# ---------------------------------------------------------------- three kinds of access


@keras.saving.register_keras_serializable("edgewright")
class NTMCell(MemoryCell):
    """The access of a neural Turing machine, by content and by place; one head reads, one writes.

    shift: "softmax" of the shifts -reach..reach, or "scalar", one number between them. Kept: weights of reading and of
    writing less the first row, (N, rows) each.  Source: Graves 2014, arXiv:1410.5401, section 3.
    """

    def __init__(self, units: int, rows: int, width: int, reach: int = 1, shift: str = "softmax", **kwargs: Any):
        self.reach, self.shift = reach, shift
        if shift not in ("softmax", "scalar"):
            raise ValueError(f"shift={shift!r}: 'softmax' or 'scalar'")
        super().__init__(units, rows, width, **{**kwargs, "heads": 1})

    def kept(self) -> list[int]:
        """Return the sizes of the weights."""
        return [self.rows, self.rows]

    def parts(self) -> Mapping[str, int]:
        """Return what both heads are told."""
        shift = 2 * self.reach + 1 if self.shift == "softmax" else 1
        head = {"key": self.width, "strength": 1, "gate": 1, "shift": shift, "power": 1}
        heads = {f"{kind}_{name}": size for kind in ("read", "write") for name, size in head.items()}
        return {**heads, "erase": self.width, "add": self.width}

    def access(self, told: Mapping[str, Any], memory: Any, kept: Any) -> tuple[Any, Any, list[Any]]:
        """Write, then read."""
        first = first_row(self.rows)
        reading, writing = (weights + first for weights in kept)
        writing = self.addressed(told, "write", memory, writing)
        memory = written(memory, writing, ops.sigmoid(told["erase"]), ops.tanh(told["add"]))
        reading = self.addressed(told, "read", memory, reading)
        return memory, ops.expand_dims(reading, 1), [reading - first, writing - first]

    def addressed(self, told: Mapping[str, Any], head: str, memory: Any, last: Any) -> Any:
        """Return the weights (N, rows) of a head, which had the weights `last`."""
        key, strength = ops.expand_dims(ops.tanh(told[f"{head}_key"]), 1), ops.softplus(told[f"{head}_strength"])
        found = ops.squeeze(by_content(memory, key, ops.expand_dims(strength, 1)), 1)
        weights = interpolated(ops.sigmoid(told[f"{head}_gate"]), found, last)
        if self.shift == "softmax":
            shift = ops.softmax(told[f"{head}_shift"], axis=-1)
        else:
            places = np.arange(-self.reach, self.reach + 1)
            shift = scalar_shift(self.reach * ops.tanh(told[f"{head}_shift"]), places)
        return sharpened(shifted(weights, shift), 1.0 + ops.softplus(told[f"{head}_power"]))

    def get_config(self) -> dict[str, Any]:
        """Return what the cell is made of."""
        return {**super().get_config(), "reach": self.reach, "shift": self.shift}


@keras.saving.register_keras_serializable("edgewright")
class DNCCell(MemoryCell):
    """The access of a differentiable neural computer: free rows are allocated, and read again in the order of writing.

    Weights add up to one or less. Kept: usage (N, rows), links (N, rows rows), precedence (N, rows), weights of reading
    (N, heads rows) and of writing (N, rows).  Source: Graves 2016, Hybrid computing using a neural network with dynamic
    external memory, methods.
    """

    def kept(self) -> list[int]:
        """Return the sizes of usage, links, precedence, and weights."""
        return [self.rows, self.rows**2, self.rows, self.heads * self.rows, self.rows]

    def parts(self) -> Mapping[str, int]:
        """Return the interface vector."""
        wide, heads = self.width, self.heads
        return {"read_keys": heads * wide, "read_strengths": heads, "modes": 3 * heads, "free": heads, "key": wide,
                "strength": 1, "erase": wide, "add": wide, "allocation": 1, "write": 1}  # fmt: skip

    def access(self, told: Mapping[str, Any], memory: Any, kept: Any) -> tuple[Any, Any, list[Any]]:
        """Free, allocate, write, link, and read."""
        usage, links, precedence, reading, writing = kept
        reading, links = self.by_head(reading, self.rows), ops.reshape(links, (-1, self.rows, self.rows))
        usage = used(usage, reading, writing, ops.sigmoid(told["free"]))
        found = self.found(memory, told["key"], told["strength"], 1)
        chosen = interpolated(ops.sigmoid(told["allocation"]), allocated(usage), ops.squeeze(found, 1))
        writing = ops.sigmoid(told["write"]) * chosen
        memory = written(memory, writing, ops.sigmoid(told["erase"]), ops.tanh(told["add"]))
        links = linked(links, precedence, writing)
        precedence = (1.0 - ops.sum(writing, axis=-1, keepdims=True)) * precedence + writing
        found = self.found(memory, told["read_keys"], told["read_strengths"], self.heads)
        mode = ops.expand_dims(ops.softmax(self.by_head(told["modes"], 3), axis=-1), -1)  # (N, heads, 3, 1)
        back, ahead = ops.matmul(reading, links), ops.matmul(reading, ops.swapaxes(links, -1, -2))
        reading = mode[:, :, 0] * back + mode[:, :, 1] * found + mode[:, :, 2] * ahead
        flat = [ops.reshape(links, (-1, self.rows**2)), precedence, ops.reshape(reading, (-1, self.heads * self.rows))]
        return memory, reading, [usage, *flat, writing]

    def found(self, memory: Any, keys: Any, strengths: Any, heads: int) -> Any:
        """Return weights by content.  Shapes: keys (N, heads width), strengths (N, heads) -> (N, heads, rows)."""
        keys = ops.reshape(ops.tanh(keys), (-1, heads, self.width))
        return by_content(memory, keys, ops.expand_dims(1.0 + ops.softplus(strengths), -1))


def used(usage: Any, reading: Any, writing: Any, free: Any) -> Any:
    """Return the usage of rows: those that were written to are used, those that were read may be free again.

    Shapes: usage, writing (N, rows), reading (N, heads, rows), free (N, heads) -> (N, rows).
    """
    kept = 1.0 - ops.expand_dims(free, -1) * reading
    usage = usage + writing - usage * writing
    for head in range(reading.shape[1]):
        usage = usage * kept[:, head]
    return usage


def linked(links: Any, precedence: Any, writing: Any) -> Any:
    """Return which row was written to (i) after which (j).

    Shapes: links (N, rows i, rows j), precedence, writing (N, rows) -> links.
    """
    after, then = ops.expand_dims(writing, 2), ops.expand_dims(precedence, 1)
    others = (1.0 - np.eye(links.shape[-1], dtype="float32"))[None]
    return ((1.0 - after - ops.expand_dims(writing, 1)) * links + ops.matmul(after, then)) * others


@keras.saving.register_keras_serializable("edgewright")
class MANNCell(MemoryCell):
    """The access of a memory-augmented net: by content alone, and each head writes where it read last, or where least
    was read and written.

    The least used row is emptied first. A strength sharpens the softmax, which Santoro's has not: cosines alone tell 24
    rows hardly apart. Kept: usage (N, rows) and weights of reading less the first row (N, heads rows).
    decay: of usage.  Source: Santoro 2016, arXiv:1605.06065, section 3.2.
    """

    def __init__(self, units: int, rows: int, width: int, heads: int = 4, decay: float = 0.95, **kwargs: Any):
        self.decay = decay
        super().__init__(units, rows, width, heads, **kwargs)

    def kept(self) -> list[int]:
        """Return the sizes of usage and weights."""
        return [self.rows, self.heads * self.rows]

    def parts(self) -> Mapping[str, int]:
        """Return what the heads are told."""
        return {"keys": self.heads * self.width, "strengths": self.heads, "gates": self.heads}

    def access(self, told: Mapping[str, Any], memory: Any, kept: Any) -> tuple[Any, Any, list[Any]]:
        """Write, then read."""
        usage, last = kept[0], self.by_head(kept[1], self.rows) + first_row(self.rows)
        gates, keys = ops.expand_dims(ops.sigmoid(told["gates"]), -1), self.by_head(told["keys"], self.width)
        keys, least = ops.tanh(keys), least_used(usage)
        writing = interpolated(gates, last, ops.expand_dims(least, 1))  # (N, heads, rows)
        memory = memory * ops.expand_dims(1.0 - least, 2) + ops.matmul(ops.swapaxes(writing, -1, -2), keys)
        reading = by_content(memory, keys, ops.expand_dims(1.0 + ops.softplus(told["strengths"]), -1))
        usage = self.decay * usage + ops.sum(reading + writing, axis=1)
        deviation = ops.reshape(reading - first_row(self.rows), (-1, self.heads * self.rows))
        return memory, reading, [usage, deviation]

    def get_config(self) -> dict[str, Any]:
        """Return what the cell is made of."""
        return {**super().get_config(), "decay": self.decay}


def least_used(usage: Any) -> Any:
    """Return 1 for the row that was used least, the first of several, else 0.  Shapes: (N, rows) -> the same."""
    return ops.cast(ops.equal(ops.sum(before(usage), axis=-1), 0.0), usage.dtype)

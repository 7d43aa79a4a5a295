"""Attention whose cost does not grow with the square of the length (Tay 2022, Efficient Transformers: a survey).

A sequence net is trained; its step, which a device calls, carries what later tokens may look at. What that is tells the
rows apart: the keys and values of the last tokens, in a ring; those of this block and of the last token of each earlier
one; those of this segment and the one before; or means over all tokens. Positions are absolute, also where a paper's
are relative.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, layers, ops

from .attention import Block, SelfAttention, SinusoidalPositions, attention_weights, feed_forward, step_at
from .registry import Bars, Deployable, register

FAMILY = "transformer"


@register(
    task="language_model",
    input_shape=(512,),
    dtype="int32",
    classes=65,
    params=4_765_761,
    paper="Beltagy 2020, Longformer, arXiv:2004.05150, its window alone; Luong 2015, local attention",
    data=("tinyshakespeare", "scikit_learn_texts"),
    training={"clip_norm": 1.0},
    edge={"input_shape": (32,), "depth": 2, "width": 48, "heads": 2, "feed_forward": 96, "window": 8, "dropout": 0.0},
    bars=Bars(floor=25.0),  # perplexity: of letters by their frequency alone 35 on scikit_learn_texts
    networks=("sequence", "step"),
    deploy=(Deployable(network="step", derived_from="sequence", states={"*_out": "*"}),),
    variants={
        "sparse_attention": {
            "params": 4_765_761,
            "paper": "Child 2019, Generating long sequences with sparse Transformers, arXiv:1904.10509, fixed pattern",
            "kind": "sparse",
        },
        "linear_attention": {
            "params": 4_765_761,
            "paper": "Katharopoulos 2020, Transformers are RNNs, arXiv:2006.16236",
            "kind": "linear",
        },
        "segment_recurrent_transformer": {
            "params": 4_765_761,
            "paper": "Dai 2019, Transformer-XL, arXiv:1901.02860",
            "kind": "segment",
            "bars": Bars(floor=25.0),
        },
    },
)
def local_attention(
    input_shape: tuple[int, ...], classes: int, *, depth: int = 6, width: int = 256, heads: int = 8,
    feed_forward: int = 1024, window: int = 64, dropout: float = 0.1, kind: str = "local"
):  # fmt: skip
    """Build a decoder whose blocks look back a little way only, by `kind`: "local", "sparse", "segment" or "linear".

    window: how many tokens a window, a block or a segment has; the length is a multiple of it.
    Shapes: sequence: tokens (N, T) int32 -> logits (N, T, classes); step: token (N, 1), position (N, 1) int32 and the
    states of each block -> logits (N, 1, classes) and the new states.
    """
    (length,) = input_shape
    block = Block(heads=heads, feed_forward=feed_forward, dropout=dropout)
    names = [f"block_{index}" for index in range(1, depth + 1)]
    tokens = keras.Input((length,), dtype="int32", name="tokens")
    x = SinusoidalPositions(name="positions")(layers.Embedding(classes, width, name="embedding")(tokens))
    for name in names:
        x = _block(x, _attention(kind, length, width, heads, window, f"{name}_attention")(x), block, name)
    sequence = keras.Model(tokens, layers.Dense(classes, name="logits")(x), name="sequence")
    token, position = (keras.Input((1,), dtype="int32", name=name) for name in ("token", "position"))
    x = layers.Embedding(classes, width, name="embedding")(token)
    x = SinusoidalPositions(length, name="positions")(x, position)
    inputs, outputs = {"token": token, "position": position}, {}
    for name in names:
        attend = _attention(kind, length, width, heads, window, f"{name}_attention")
        sizes = states_of(kind, length=length, width=width, heads=heads, window=window)
        states: list[Any] = [keras.Input(size, name=f"{name}_{state}") for state, size in sizes.items()]
        inputs |= {state.name: state for state in states}
        if kind == "linear":
            attended, *new = attend(x, initial_state=states)
        else:
            attended, *new = attend(x, states=states, position=position, length=length)
        outputs |= {f"{state.name}_out": after for state, after in zip(states, new, strict=True)}
        x = _block(x, attended, block, name)
    outputs["logits"] = layers.Dense(classes, name="logits")(x)
    return {"sequence": sequence, "step": keras.Model(inputs, outputs, name="step")}


def states_of(kind: str, *, length: int, width: int, heads: int, window: int) -> Mapping[str, tuple[int, ...]]:
    """Return the shapes of the states of one block by name, without the batch."""
    row, size = (window, width), width // heads
    return {
        "local": {"keys": row, "values": row},
        "segment": {"keys": row, "values": row, "memory_keys": row, "memory_values": row},
        "sparse": {"keys": row, "values": row, "kept_keys": (length // window, width),
                   "kept_values": (length // window, width)},
        "linear": {"sums": (width * size,), "norms": (width,), "total": (heads,)},
    }[kind]  # fmt: skip


def _attention(kind: str, length: int, width: int, heads: int, window: int, name: str) -> Any:
    if kind == "linear":
        cell = LinearAttentionCell(width, heads, length, name="cell")
        return layers.RNN(cell, return_sequences=True, return_state=True, name=name)
    kinds = {"local": LocalAttention, "sparse": SparseAttention, "segment": SegmentAttention}
    if kind not in kinds:
        raise ValueError(f"kind={kind!r}; allowed: {', '.join(kinds)}, linear")
    return kinds[kind](heads, window, name=name)


def _block(x: Any, attended: Any, block: Block, name: str) -> Any:
    """Add what a block has besides its attention."""
    attended = attended[0] if isinstance(attended, (list, tuple)) else attended  # a recurrence returns its states too
    return feed_forward(block.add(x, attended, f"{name}_attention"), block, name)


class _Windowed(SelfAttention):
    """Attention within windows: queries of one block of `window` tokens to keys that a subclass chooses for it.

    Shapes: (N, T, width) -> the same, T being a multiple of the window; a step: x (N, 1, width), position (N, 1) and
    states -> (N, 1, width) and the new states. length: of the sequences that a step goes through.
    """

    def __init__(self, heads: int, window: int, **kwargs: Any):
        super().__init__(heads, **kwargs)
        self.window = window

    def call(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, x: KerasTensor, *, states: Sequence[KerasTensor] | None = None, position: KerasTensor | None = None,
        length: int | None = None
    ):  # fmt: skip
        """Attend from each position of x to what it may look at; of a step with the new states behind it."""
        query = self.query_projection(x) * (self.inner // self.heads) ** -0.5
        key, value = self.key_projection(x), self.value_projection(x)
        if states is not None:
            (key, value), keep, new = self._step(key, value, states, position, length)
            return (self._mixed(self._split(query), self._split(key), self._split(value), keep, 1), *new)
        blocks = self._blocks(x.shape[1])
        keys, values, keep = self._windows(key, value, blocks)
        # Heads of all blocks lie on one axis: (N, blocks heads, window, d) and (N, blocks heads, keys, d).
        query, keys, values = (self._folded(part, blocks) for part in (query, keys, values))
        return self._mixed(query, keys, values, np.repeat(keep, self.heads, 1), blocks)

    def compute_output_spec(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, x: Any, *, states: Any = None, **_: Any
    ):
        """Return what `call` does, without values; see `SelfAttention`."""
        if states is None:
            self._blocks(x.shape[1])
        made = [KerasTensor(each.shape, dtype=self.compute_dtype) for each in (x, *(states or ()))]
        return made[0] if states is None else tuple(made)

    def _blocks(self, length: int) -> int:
        """Return how many windows a sequence has.  Raises: ValueError if they are not whole."""
        blocks, left = divmod(length, self.window)
        if left:
            raise ValueError(f"window={self.window} must divide the length {length}")
        return blocks

    def _mixed(self, query: Any, key: Any, value: Any, keep: Any, blocks: int) -> Any:
        mixed: Any = ops.matmul(attention_weights(query, key, keep), value)  # (N, blocks heads, window, d)
        if blocks > 1:
            mixed = ops.reshape(mixed, (-1, blocks, self.heads, *mixed.shape[2:]))
            mixed = ops.transpose(mixed, (0, 1, 3, 2, 4))
        else:
            mixed = ops.transpose(mixed, (0, 2, 1, 3))
        return self.output_projection(ops.reshape(mixed, (-1, blocks * query.shape[2], self.inner)))

    def _folded(self, x: Any, blocks: int) -> Any:
        """Return (N, blocks x rows, inner) as (N, blocks heads, rows, d)."""
        rows = x.shape[1] // blocks
        parts: Any = ops.reshape(x, (-1, blocks, rows, self.heads, self.inner // self.heads))
        parts = ops.transpose(parts, (0, 1, 3, 2, 4))
        return ops.reshape(parts, (-1, blocks * self.heads, rows, self.inner // self.heads))

    def _before_and_in(self, x: Any, blocks: int) -> Any:
        """Return the rows of the window before each block, zeros before the first, and its own behind them."""
        rows = (-1, blocks, self.window, self.inner)
        padded: Any = ops.pad(x, ((0, 0), (self.window, 0), (0, 0)))
        earlier = padded[:, : x.shape[1]]
        both = ops.concatenate([ops.reshape(earlier, rows), ops.reshape(x, rows)], axis=2)
        return ops.reshape(both, (-1, 2 * blocks * self.window, self.inner))

    def _windows(self, key: Any, value: Any, blocks: int) -> tuple[Any, Any, np.ndarray]:
        """Return keys and values by block, (N, blocks x keys, inner), and which count, (1, blocks, window, keys)."""
        raise NotImplementedError

    def _step(self, key: Any, value: Any, states: Sequence[Any], position: Any, length: Any) -> Any:
        """Return the keys and values that a step looks at, which of them count, and the new states."""
        raise NotImplementedError

    def _here(self, position: Any, length: int) -> tuple[Any, Any]:
        """Return where in its window the position is, and which places are not behind it; see `step_at`."""
        places: Any = ops.take(np.arange(length, dtype="int32") % self.window, position)
        return step_at(places, self.window)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "window": self.window}


@keras.saving.register_keras_serializable("edgewright")
class LocalAttention(_Windowed):
    """Attention to the last `window` tokens, itself among them.  States: their keys and values, in a ring."""

    def _windows(self, key: Any, value: Any, blocks: int) -> tuple[Any, Any, np.ndarray]:
        query, keys = np.arange(self.window)[:, None] + self.window, np.arange(2 * self.window)[None]
        keep = np.tile((keys <= query) & (keys > query - self.window), (1, blocks, 1, 1))
        keep[:, 0, :, : self.window] = False
        return self._before_and_in(key, blocks), self._before_and_in(value, blocks), keep

    def _step(self, key: Any, value: Any, states: Sequence[Any], position: Any, length: Any) -> Any:
        here, _ = self._here(position, length)
        new = [self.cache_row(state, row, here) for state, row in zip(states, (key, value), strict=True)]
        _, past = step_at(position, self.window)  # the places that are written yet
        return new, past, new


@keras.saving.register_keras_serializable("edgewright")
class SegmentAttention(_Windowed):
    """Attention to the tokens of this segment so far and to those of the whole segment before, as they are.

    No gradient flows into the segment before.  States: keys and values of both.
    """

    def _windows(self, key: Any, value: Any, blocks: int) -> tuple[Any, Any, np.ndarray]:
        keep = np.concatenate([np.ones((self.window, self.window), bool), np.tri(self.window, dtype=bool)], 1)
        keep = np.tile(keep, (1, blocks, 1, 1))
        keep[:, 0, :, : self.window] = False
        return self._with_memory(key, blocks), self._with_memory(value, blocks), keep

    def _with_memory(self, x: Any, blocks: int) -> Any:
        rows = (-1, blocks, self.window, self.inner)
        padded: Any = ops.pad(ops.stop_gradient(x), ((0, 0), (self.window, 0), (0, 0)))
        earlier = padded[:, : x.shape[1]]
        both = ops.concatenate([ops.reshape(earlier, rows), ops.reshape(x, rows)], axis=2)
        return ops.reshape(both, (-1, 2 * blocks * self.window, self.inner))

    def _step(self, key: Any, value: Any, states: Sequence[Any], position: Any, length: Any) -> Any:
        here, past = self._here(position, length)
        first = here[:, :1]  # (N, 1, 1): a segment begins, the one that was filled becomes the memory
        rows, memories = states[:2], states[2:]
        memories = [self.cache_row(memory, row, first) for memory, row in zip(memories, rows, strict=True)]
        rows = [self.cache_row(state, row, here) for state, row in zip(rows, (key, value), strict=True)]
        remembered = np.full((1, 1, 1, self.window), self.window, dtype="int32")
        filled = ops.greater_equal(ops.reshape(position, (-1, 1, 1, 1)), remembered)
        both = [ops.concatenate(pair, axis=1) for pair in zip(memories, rows, strict=True)]
        return both, ops.concatenate([filled, past], axis=-1), [*rows, *memories]


@keras.saving.register_keras_serializable("edgewright")
class SparseAttention(_Windowed):
    """Attention to the tokens of this block so far, and to the last one of each block before.

    With blocks of sqrt(T) tokens the cost of T tokens is in T sqrt(T).  States: keys and values of the block, and those
    that are kept.
    """

    def _windows(self, key: Any, value: Any, blocks: int) -> tuple[Any, Any, np.ndarray]:
        own = np.tile(np.tri(self.window, dtype=bool), (1, blocks, 1, 1))
        earlier = np.tri(blocks, k=-1, dtype=bool)[None, :, None]  # of a block those before it
        keep = np.concatenate([own, np.tile(earlier, (1, 1, self.window, 1))], -1)
        return self._with_kept(key, blocks), self._with_kept(value, blocks), keep

    def _with_kept(self, x: Any, blocks: int) -> Any:
        own: Any = ops.reshape(x, (-1, blocks, self.window, self.inner))
        kept = ops.reshape(own[:, :, self.window - 1], (-1, 1, blocks, self.inner))
        both = ops.concatenate([own, ops.tile(kept, (1, blocks, 1, 1))], axis=2)
        return ops.reshape(both, (-1, blocks * (self.window + blocks), self.inner))

    def _step(self, key: Any, value: Any, states: Sequence[Any], position: Any, length: Any) -> Any:
        here, past = self._here(position, length)
        rows = [self.cache_row(state, row, here) for state, row in zip(states[:2], (key, value), strict=True)]
        last = np.arange(1, length // self.window + 1, dtype="int32")[None] * self.window - 1  # of each block
        ends = ops.reshape(ops.equal(position, last), (-1, last.shape[1], 1))
        kept = [self.cache_row(state, row, ends) for state, row in zip(states[2:], (key, value), strict=True)]
        earlier = ops.reshape(ops.greater(position, last), (-1, 1, 1, last.shape[1]))
        both = [ops.concatenate(pair, axis=1) for pair in zip(rows, kept, strict=True)]
        return both, ops.concatenate([past, earlier], axis=-1), [*rows, *kept]


@keras.saving.register_keras_serializable("edgewright")
class LinearAttentionCell(layers.Layer):
    """Attention by a product of features, as a recurrence: for `keras.layers.RNN`.

    phi(x) = elu(x) + 1; y = phi(q) S / (phi(q) z) with S and z the sums of phi(k) v' and of phi(k) over all tokens so
    far. y is the same for any multiple of S and z, and of phi(q): kept are their means, each token weighing |phi(k)|,
    and these weights' sum n over `length`, so that no value grows with time and no divisor comes near zero:
    with k' = phi(k) / |phi(k)| and r = |phi(k)| / n, S += r (k' v' - S), z += r (k' - z).
    width: of x and y.  Shapes: x (N, width), S (N, heads d d), z (N, width), n (N, heads) -> y (N, width), states.
    Source: arXiv:2006.16236, eq. 16 to 20.
    """

    def __init__(self, width: int, heads: int, length: int, **kwargs: Any):
        super().__init__(**kwargs)
        if width % heads:
            raise ValueError(f"heads={heads} must divide width={width}")
        self.width, self.heads, self.length, self.size = width, heads, length, width // heads
        self.state_size, self.output_size = [width * self.size, width, heads], width

    def build(self, input_shape: Sequence[int]):
        """Make the projections."""
        for part in ("query", "key", "value", "output"):
            projection = layers.Dense(self.width, use_bias=False, name=part)
            projection.build((None, input_shape[-1]))
            setattr(self, f"{part}_projection", projection)

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        """Compute one time step."""
        sums, norms, total = states
        rows = (-1, self.heads, 1, self.size)
        query, key, value = (
            ops.reshape(part(inputs), rows)
            for part in (self.query_projection, self.key_projection, self.value_projection)
        )
        query, _ = self._features(query)
        key, weight = self._features(key)
        total = total + ops.reshape(weight, (-1, self.heads))
        share: Any = weight / ops.reshape(total, (-1, self.heads, 1, 1))
        pair: Any = ops.matmul(ops.reshape(key, (-1, self.heads, self.size, 1)), value)  # (N, heads, d, d)
        before = ops.reshape(sums, (-1, self.heads, self.size, self.size))
        sums = before + share * (pair - before)
        before = ops.reshape(norms, rows)
        norms = before + share * (key - before)
        top: Any = ops.matmul(query, sums)  # (N, heads, 1, d)
        bottom = ops.matmul(query, ops.reshape(norms, (-1, self.heads, self.size, 1)))  # (N, heads, 1, 1)
        mixed = ops.reshape(top / bottom, (-1, self.width))
        states = zip((sums, norms, total), self.state_size, strict=True)
        return self.output_projection(mixed), [ops.reshape(state, (-1, size)) for state, size in states]

    def _features(self, x: Any) -> tuple[Any, Any]:
        """Return features that add up to one, (N, heads, 1, d), and their mean before, over the length."""
        features: Any = ops.elu(x)
        features = features + 1.0
        mean: Any = ops.mean(features, axis=-1, keepdims=True)
        return features / (mean * self.size), mean / self.length

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        """Return states of zero."""
        return [ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in self.state_size]

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "width": self.width, "heads": self.heads, "length": self.length}

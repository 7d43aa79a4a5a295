"""Attention (Vaswani 2017, arXiv:1706.03762): its layer, positions, and the blocks that Transformers are built of.

One layer serves encoders, decoders and their steps, so that all have weights of the same paths: a step of one token
reads the keys and values of earlier ones from a cache, which is an input and, a row written into it, an output.

What does not count is told by truths, `keep`, rather than by sums with a large negative number: int8 takes a choice as
it is, while such a sum would leave no steps to the scores. Sequence lengths are static and the batch is the only -1 of
a reshape, so that every product is a batched matrix product of known shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, layers, ops

NEVER = -3e4  # a score that counts for nothing; float16 has it too


def attention(query: KerasTensor, key: KerasTensor, value: KerasTensor, keep: Any = None, bias: Any = None) -> Any:
    """Average `value` by how far each key agrees with the query: softmax(Q K' + bias) V.

    The query comes scaled by 1 / sqrt(d): next to its projection the factor folds into the kernel. keep: False for
    keys that do not count.
    Shapes: (..., T, d), (..., S, d), (..., S, v), keep and bias to broadcast with (..., T, S) -> (..., T, v).
    Source: arXiv:1706.03762, eq. 1.
    """
    return ops.matmul(attention_weights(query, key, keep, bias), value)


def attention_weights(query: KerasTensor, key: KerasTensor, keep: Any = None, bias: Any = None) -> Any:
    """Return how much each query takes of each key: softmax(Q K' + bias), (..., T, S); see `attention`."""
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2))  # (..., T, S)
    if bias is not None:
        scores = scores + bias
    return ops.softmax(scores if keep is None else ops.where(keep, scores, NEVER))


def causal(length: int) -> np.ndarray:
    """Return which positions each may look at, itself and earlier ones: (1, 1, length, length) bool."""
    return np.tril(np.ones((1, 1, length, length), bool))


def known(tokens: Any) -> Any:
    """Return which tokens are no padding, id 0.  Shapes: ids (N, S) -> (N, 1, 1, S) bool, to keep keys by."""
    return ops.reshape(ops.not_equal(tokens, 0), (-1, 1, 1, tokens.shape[1]))


def step_at(position: Any, length: int) -> tuple[Any, Any]:
    """Return where a step writes its key and value, and which keys it may look at: those up to there.

    Shapes: position (N, 1) int -> (N, length, 1) bool, (N, 1, 1, length) bool.
    """
    places = np.arange(length, dtype=np.int32)[None]
    here, past = ops.equal(position, places), ops.greater_equal(position, places)  # (N, length)
    return ops.reshape(here, (-1, length, 1)), ops.reshape(past, (-1, 1, 1, length))


# ---------------------------------------------------------------- positions


def positional_encoding(length: int, width: int, base: float = 10_000.0):
    """Return the sinusoids of section 3.5, (length, width) float32: sines at even, cosines at odd places."""
    angles = np.arange(length)[:, None] / base ** (np.arange(0, width, 2) / width)  # (length, width / 2)
    table = np.empty((length, width), np.float32)
    table[:, 0::2] = np.sin(angles)
    table[:, 1::2] = np.cos(angles)[:, : width // 2]
    return table


@keras.saving.register_keras_serializable("edgewright")
class SinusoidalPositions(layers.Layer):
    """Adds the positional encoding: a constant, not a weight.

    length: of the sequences that a step goes through, where one position is given with each token.
    Shapes: (N, T, width) -> the same; a step: (N, 1, width), position (N, 1) int.
    """

    def __init__(self, length: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.length = length

    def build(self, input_shape: Sequence[int]):
        """Compute the table for sequences of this shape."""
        self.table = positional_encoding(self.length or input_shape[1], input_shape[2])

    def call(self, x: KerasTensor, position: KerasTensor | None = None):
        """Return x plus the encoding of its positions."""
        table: Any = ops.cast(self.table, x.dtype)
        return x + (table[: x.shape[1]] if position is None else ops.take(table, position, axis=0))

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "length": self.length}


@keras.saving.register_keras_serializable("edgewright")
class LearnedPositions(layers.Layer):
    """Adds a vector a position, learned.

    length: how many positions there are.  Shapes: (N, T, width) -> the same; a step: (N, 1, width), position (N, 1).
    """

    def __init__(self, length: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.length = length

    def build(self, input_shape: Sequence[int]):
        """Make the table."""
        start: Any = keras.initializers.RandomNormal(stddev=0.02)
        self.table = self.add_weight(shape=(self.length, input_shape[-1]), initializer=start, name="table")

    def call(self, x: KerasTensor, position: KerasTensor | None = None):
        """Return x plus the vectors of its positions."""
        if position is not None:
            return x + ops.take(self.table, position, axis=0)
        return x + (self.table if x.shape[1] == self.length else self.table[: x.shape[1]])

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "length": self.length}


@keras.saving.register_keras_serializable("edgewright")
class RelativeBias(layers.Layer):
    """A bias of attention by the distance of key and query, learned by bucket and head (Raffel 2020, section 2.1).

    length: of the sequences. buckets: half of them for distances one by one, the others for ever larger ones up to
    `distant`. both: whether keys may lie behind the query; these have buckets of their own then.
    Shapes: x (N, T, width), which tells nothing but the backend -> (heads, length, length); with the position (N, 1) of
    a step -> (N, heads, 1, length).
    """

    def __init__(self, heads: int, length: int, buckets: int, both: bool, distant: int = 128, **kwargs: Any):
        super().__init__(**kwargs)
        self.heads, self.length, self.buckets, self.both, self.distant = heads, length, buckets, both, distant

    def build(self, input_shape: Sequence[int]):
        """Make the table."""
        start: Any = keras.initializers.RandomNormal(stddev=0.1)
        self.table = self.add_weight(shape=(self.buckets, self.heads), initializer=start, name="table")

    def call(self, x: KerasTensor, position: KerasTensor | None = None):
        """Return the bias of all positions, or of one."""
        places = np.arange(self.length)
        numbers = bucket_of(places[None] - places[:, None], self.buckets, self.both, self.distant)
        bias = ops.transpose(ops.take(self.table, numbers, axis=0), (2, 0, 1))  # (heads, T, S)
        if position is None:
            return bias
        return ops.transpose(ops.take(bias, position, axis=1), (1, 0, 2, 3))  # (heads, N, 1, S) to (N, heads, 1, S)

    def get_config(self):
        """Return the constructor's arguments."""
        own = {name: getattr(self, name) for name in ("heads", "length", "buckets", "both", "distant")}
        return {**super().get_config(), **own}


def bucket_of(distances: np.ndarray, buckets: int, both: bool, distant: int = 128) -> np.ndarray:
    """Return the bucket of each distance, key minus query: one each for near ones, then as wide as logarithms are.

    Source: Raffel 2020, arXiv:1910.10683, and the implementation published with it.
    """
    first = 0
    if both:
        buckets //= 2
        first, distances = buckets * (distances > 0), np.abs(distances)
    else:
        distances = np.maximum(-distances, 0)
    exact = buckets // 2
    share = np.log(np.maximum(distances, 1) / exact) / np.log(distant / exact)
    far = np.minimum(exact + (share * (buckets - exact)).astype(int), buckets - 1)
    return first + np.where(distances < exact, distances, far)


@keras.saving.register_keras_serializable("edgewright")
class LayerDrop(layers.Layer):
    """Skips a block at random in training: [what enters it, what it makes] -> one of the two, for a whole batch.

    rate: how often it is skipped.  Source: Fan 2020, arXiv:1909.11556, section 3.
    """

    def __init__(self, rate: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, inputs: Sequence[KerasTensor], training: bool = False):
        """Return what the block makes, but in training sometimes what entered it."""
        before, made = inputs
        if not training:
            return made
        return ops.where(keras.random.uniform((), seed=self.seed_generator) < self.rate, before, made)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "rate": self.rate}


# ---------------------------------------------------------------- the layer


@keras.saving.register_keras_serializable("edgewright")
class CacheRow(layers.Layer):
    """Writes one row into a cache.  Shapes: cache (N, S, width), row (N, 1, width), here (N, S, 1) bool -> the cache.

    A choice between both: nothing is rounded, and old and new keys have one scale.
    """

    def call(self, cache: KerasTensor, row: KerasTensor, here: KerasTensor):
        """Return the cache with the row where `here` says so."""
        return ops.where(here, row, cache)


@keras.saving.register_keras_serializable("edgewright")
class SelfAttention(layers.Layer):
    """Multi-head attention: of a sequence to itself, to a memory, or to the keys and values in a cache.

    heads: their number. use_bias: of the four projections, which have none in the paper. size: of a head, the heads'
    share of the width where left out. dropout: of the weights, in training.
    Shapes: (N, T, width) -> the same.
    """

    def __init__(
        self, heads: int, use_bias: bool = False, size: int | None = None, dropout: float = 0.0, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.heads, self.use_bias, self.size, self.dropout = heads, use_bias, size, dropout
        self.cache_row = CacheRow(name="cache")
        self.shown = layers.Identity(name=f"{self.name}_weights")  # by this name a student finds its teacher's
        self.drop = layers.Dropout(dropout, name="dropout") if dropout else None

    def build(self, input_shape: Sequence[int]):
        """Make the projections.  Raises: ValueError if the heads do not divide the width."""
        width = input_shape[-1]
        if self.size is None and width % self.heads:
            raise ValueError(f"heads={self.heads} must divide width={width}")
        self.inner = self.heads * (self.size or width // self.heads)
        for part in ("query", "key", "value", "output"):
            projection = layers.Dense(width if part == "output" else self.inner, use_bias=self.use_bias, name=part)
            projection.build((*input_shape[:-1], self.inner if part == "output" else width))
            setattr(self, f"{part}_projection", projection)

    def call(
        self,
        x: KerasTensor,
        memory: KerasTensor | None = None,
        *,
        keep: Any = None,
        bias: Any = None,
        keys: Sequence[KerasTensor] | None = None,
        cache: Sequence[KerasTensor] | None = None,
        here: KerasTensor | None = None,
        project_only: bool = False,
        return_keys: bool = False,
        return_weights: bool = False,
    ):
        """Attend from each position of x to all of x, of the memory (N, S, width), or of what follows.

        keep, bias: as of `attention`, to broadcast with (N, heads, T, S). keys: keys and values that `project_only`
        gave for a memory. cache, here: those of earlier steps, (N, S, inner) each, and where the row of x, (N, 1,
        width), is written (`step_at`). project_only: return the keys and values of x alone, (N, T, inner) each.
        return_keys: return keys and values, with what was written, behind the output. return_weights: return (N, heads,
        T, S) behind all else.
        """
        if project_only:
            return self.key_projection(x), self.value_projection(x)
        source = x if memory is None else memory
        query = self._split(self.query_projection(x) * (self.inner // self.heads) ** -0.5)  # (N, heads, T, d)
        key, value = keys or (self.key_projection(source), self.value_projection(source))
        if cache is not None:
            key, value = self.cache_row(cache[0], key, here), self.cache_row(cache[1], value, here)
        weights = self.shown(attention_weights(query, self._split(key), keep, bias))
        dropped = weights if self.drop is None else self.drop(weights)
        mixed: Any = ops.transpose(ops.matmul(dropped, self._split(value)), (0, 2, 1, 3))  # (N, T, heads, d)
        mixed = self.output_projection(ops.reshape(mixed, (-1, mixed.shape[1], self.inner)))
        returned = (mixed, *((key, value) if return_keys else ()), *((weights,) if return_weights else ()))
        return returned if len(returned) > 1 else mixed

    def compute_output_spec(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, x: Any, memory: Any = None, *, keys: Any = None, cache: Any = None, project_only: bool = False,
        return_keys: bool = False, return_weights: bool = False, **_: Any
    ):  # fmt: skip
        """Return what `call` does, without values: by shapes alone, where Keras would have the backend trace it all."""

        def made(*shape: int | None) -> KerasTensor:
            return KerasTensor(shape, dtype=self.compute_dtype)

        count, length, width = x.shape
        if project_only:
            return made(count, length, self.inner), made(count, length, self.inner)
        seen = (keys or cache or (x if memory is None else memory,))[0].shape[1]
        returned = (
            made(count, length, width),
            *((made(count, seen, self.inner), made(count, seen, self.inner)) if return_keys else ()),
            *((made(count, self.heads, length, seen),) if return_weights else ()),
        )
        return returned if len(returned) > 1 else returned[0]

    def _split(self, x: KerasTensor) -> Any:
        parts: Any = ops.reshape(x, (-1, x.shape[1], self.heads, self.inner // self.heads))
        return ops.transpose(parts, (0, 2, 1, 3))

    def get_config(self):
        """Return the constructor's arguments."""
        own = {"heads": self.heads, "use_bias": self.use_bias, "size": self.size, "dropout": self.dropout}
        return {**super().get_config(), **own}


# ---------------------------------------------------------------- blocks


@dataclass(frozen=True, kw_only=True)
class Block:
    """How the blocks of a model are made.

    heads, feed_forward: numbers of heads and of hidden units. norm_first: pre-norm, x + f(norm(x)), rather than
    post-norm, norm(x + f(x)). activation: of the hidden units. use_bias: of the projections of attention. rms: norms
    that scale only, and no bias anywhere (T5). size: of a head. weight_dropout: of attention weights.
    """

    heads: int
    feed_forward: int
    dropout: float = 0.1
    norm_first: bool = False
    activation: str = "relu"
    use_bias: bool = False
    rms: bool = False
    size: int | None = None
    weight_dropout: float = 0.0
    epsilon: float = 1e-6

    def attend(self, name: str) -> SelfAttention:
        """Return an attention layer."""
        return SelfAttention(self.heads, self.use_bias, self.size, self.weight_dropout, name=name)

    def norm(self, x: Any, name: str) -> Any:
        """Add a norm."""
        kind = layers.RMSNormalization if self.rms else layers.LayerNormalization
        return kind(epsilon=self.epsilon, name=f"{name}_norm")(x)

    def add(self, x: Any, update: Any, name: str) -> Any:
        """Add the residual sum and, behind it, the norm of post-norm."""
        if self.dropout:
            update = layers.Dropout(self.dropout, name=f"{name}_dropout")(update)
        x = layers.Add(name=f"{name}_add")([x, update])
        return x if self.norm_first else self.norm(x, name)

    def first(self, x: Any, name: str) -> Any:
        """Add the norm of pre-norm."""
        return self.norm(x, name) if self.norm_first else x


def encoder_block(x: KerasTensor, block: Block, name: str, *, keep: Any = None, bias: Any = None) -> Any:
    """Add self-attention and a feed-forward net, each with residual sum and norm.

    With `keep=causal(T)` this is the block of a decoder without memory.  Shapes: (N, T, width) -> the same.
    """
    part = f"{name}_attention"
    attended = block.attend(part)(block.first(x, part), keep=keep, bias=bias)
    return feed_forward(block.add(x, attended, part), block, name)


def prefill_block(x: KerasTensor, block: Block, name: str, *, bias: Any = None) -> Any:
    """Add the block of a decoder without memory, and return what its steps go on from, too.

    Shapes: (N, T, width) -> the same, keys and values (N, T, inner) each.
    """
    part, keep = f"{name}_attention", causal(x.shape[1])
    attended, key, value = block.attend(part)(block.first(x, part), keep=keep, bias=bias, return_keys=True)
    return feed_forward(block.add(x, attended, part), block, name), key, value


def decoder_block(
    x: KerasTensor, block: Block, name: str, *, memory: Any = None, keys: Any = None, keep: Any = None,
    memory_keep: Any = None, bias: Any = None, memory_bias: Any = None
):  # fmt: skip
    """Add self-attention, attention to a memory, and a feed-forward net, each with residual sum and norm.

    memory: (N, S, width), or keys: what `memory_keys` gave for it.  Shapes: (N, T, width) -> the same.
    """
    part = f"{name}_attention"
    x = block.add(x, block.attend(part)(block.first(x, part), keep=keep, bias=bias), part)
    x = cross(x, block, name, memory=memory, keys=keys, keep=memory_keep, bias=memory_bias)
    return feed_forward(x, block, name)


def cross(x: KerasTensor, block: Block, name: str, **given: Any) -> Any:
    """Add attention to a memory; given: see `SelfAttention.call`."""
    part = f"{name}_cross"
    return block.add(x, block.attend(part)(block.first(x, part), **given), part)


def memory_keys(memory: KerasTensor, block: Block, name: str) -> Any:
    """Return keys and values of a memory, for a step that shall not project it again: (N, S, inner) each."""
    return block.attend(f"{name}_cross")(memory, project_only=True)


def cached_block(
    x: KerasTensor, block: Block, name: str, cache: Sequence[Any], here: Any, *, keep: Any = None, bias: Any = None,
    **memory: Any
):  # fmt: skip
    """Add one step of an encoder or decoder block: of one token, earlier keys and values in `cache`.

    here, keep: of `step_at`. memory: for a decoder with one, `memory=` or `keys=`, `memory_keep=`, `memory_bias=`.
    Shapes: (N, 1, width), cache (N, S, inner) twice -> (N, 1, width), the new cache.
    """
    part = f"{name}_attention"
    attended, key, value = block.attend(part)(
        block.first(x, part), keep=keep, bias=bias, cache=cache, here=here, return_keys=True
    )
    x = block.add(x, attended, part)
    if memory:
        given = {word.removeprefix("memory_"): value for word, value in memory.items()}
        x = cross(x, block, name, **given)
    return feed_forward(x, block, name), key, value


def feed_forward(x: KerasTensor, block: Block, name: str) -> Any:
    """Add the feed-forward net of a block, at each position by itself."""
    part, bias = f"{name}_feed_forward", not block.rms
    mixed = block.first(x, part)
    mixed = layers.Dense(block.feed_forward, block.activation, use_bias=bias, name=f"{name}_expand")(mixed)
    mixed = layers.Dense(x.shape[-1], use_bias=bias, name=f"{name}_contract")(mixed)
    return block.add(x, mixed, part)

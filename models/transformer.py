"""The Transformer (Vaswani 2017, arXiv:1706.03762) and what is built from its blocks.

Sequence lengths are static and the batch is the only -1 of a reshape, so that every product is a batched matrix product
of known shape.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, layers, ops

from .registry import register


@register(
    task="classification",
    input_shape=(64,),
    dtype="int32",
    classes=2,
    params=37_847_042,
    paper="Vaswani 2017, arXiv:1706.03762, encoder of the base model",
    data=("rt_polarity", "digits"),
    edge={"vocabulary": 8_000, "depth": 2, "width": 32, "heads": 2, "feed_forward": 64},
)
def transformer_classifier(
    inputs: KerasTensor, classes: int, *, vocabulary: int = 37000, depth: int = 6, width: int = 512, heads: int = 8,
    feed_forward: int = 2048, dropout: float = 0.1
):  # fmt: skip
    """Build an encoder whose outputs are averaged over all positions, padding included.

    Shapes: token ids (N, T) in [0, vocabulary) -> logits (N, classes).
    """
    # The paper scales embeddings of deviation 1/sqrt(width) by sqrt(width); they start at 1 here, without a product.
    unit_normal: Any = keras.initializers.RandomNormal(stddev=1.0)
    x = layers.Embedding(vocabulary, width, embeddings_initializer=unit_normal, name="embedding")(inputs)
    x = SinusoidalPositions(name="positions")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    for index in range(1, depth + 1):
        x = encoder_block(x, heads, feed_forward, dropout, name=f"encoder_{index}")
    x = layers.GlobalAveragePooling1D(name="pool")(x)  # (N, width)
    return layers.Dense(classes, name="logits")(x)


def encoder_block(x: KerasTensor, heads: int, feed_forward: int, dropout: float, name: str):
    """Add self-attention and a position-wise feed-forward net, each followed by residual sum and norm (post-norm)."""
    width = x.shape[-1]
    attended = SelfAttention(heads, name=f"{name}_attention")(x)
    x = _add_norm(x, attended, dropout, name=f"{name}_attention")
    mixed = layers.Dense(feed_forward, activation="relu", name=f"{name}_expand")(x)  # (N, T, feed_forward)
    mixed = layers.Dense(width, name=f"{name}_contract")(mixed)
    return _add_norm(x, mixed, dropout, name=f"{name}_feed_forward")


def _add_norm(x: KerasTensor, update: KerasTensor, dropout: float, name: str):
    update = layers.Dropout(dropout, name=f"{name}_dropout")(update)
    x = layers.Add(name=f"{name}_add")([x, update])
    return layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm")(x)


def attention(query: KerasTensor, key: KerasTensor, value: KerasTensor) -> Any:
    """Average `value` by how far each key agrees with the query: softmax(Q K') V.

    The query comes scaled by 1 / sqrt(d): next to its projection the factor folds into the kernel.
    Shapes: (..., T, d), (..., S, d), (..., S, v) -> (..., T, v).  Source: arXiv:1706.03762, eq. 1.
    """
    weights = ops.softmax(ops.matmul(query, ops.swapaxes(key, -1, -2)))  # (..., T, S)
    return ops.matmul(weights, value)


def positional_encoding(length: int, width: int, base: float = 10_000.0):
    """Return the sinusoids of section 3.5, (length, width) float32: sines at even, cosines at odd places."""
    angles = np.arange(length)[:, None] / base ** (np.arange(0, width, 2) / width)  # (length, width / 2)
    table = np.empty((length, width), np.float32)
    table[:, 0::2] = np.sin(angles)
    table[:, 1::2] = np.cos(angles)[:, : width // 2]
    return table


@keras.saving.register_keras_serializable("edgewright")
class SinusoidalPositions(layers.Layer):
    """Adds the positional encoding: a constant, not a weight.  Shapes: (N, T, width) -> the same."""

    def build(self, input_shape: Sequence[int]):
        """Compute the table for sequences of this shape."""
        self.table = positional_encoding(*input_shape[1:])

    def call(self, x: KerasTensor):
        """Return x plus the encoding of its positions."""
        return x + ops.cast(self.table, x.dtype)


@keras.saving.register_keras_serializable("edgewright")
class SelfAttention(layers.Layer):
    """Multi-head self-attention; projections have no bias, as in the paper.  Shapes: (N, T, width) -> the same."""

    def __init__(self, heads: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.heads = heads

    def build(self, input_shape: Sequence[int]):
        """Make the projections.  Raises: ValueError if the heads do not divide the width."""
        _, self.length, self.width = input_shape
        if self.width % self.heads:
            raise ValueError(f"heads={self.heads} must divide width={self.width}")
        for part in ("query", "key", "value", "output"):
            projection = layers.Dense(self.width, use_bias=False, name=part)
            projection.build(input_shape)
            setattr(self, f"{part}_projection", projection)

    def call(self, x: KerasTensor):
        """Attend from each position to all."""
        scale = (self.width // self.heads) ** -0.5
        query = self._split(self.query_projection(x) * scale)  # (N, heads, T, d)
        key = self._split(self.key_projection(x))
        value = self._split(self.value_projection(x))
        mixed = ops.transpose(attention(query, key, value), (0, 2, 1, 3))  # (N, T, heads, d)
        return self.output_projection(ops.reshape(mixed, (-1, self.length, self.width)))

    def _split(self, x: KerasTensor) -> Any:
        parts: Any = ops.reshape(x, (-1, self.length, self.heads, self.width // self.heads))
        return ops.transpose(parts, (0, 2, 1, 3))

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "heads": self.heads}

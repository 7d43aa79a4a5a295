"""The Transformer (Vaswani 2017, arXiv:1706.03762) and what is built from its blocks."""

from typing import Any

import keras
from keras import KerasTensor, layers

from .attention import Block, SinusoidalPositions, encoder_block
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
    block = Block(heads=heads, feed_forward=feed_forward, dropout=dropout)
    x = layers.Embedding(vocabulary, width, embeddings_initializer=unit_normal, name="embedding")(inputs)
    x = SinusoidalPositions(name="positions")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    for index in range(1, depth + 1):
        x = encoder_block(x, block, name=f"encoder_{index}")
    x = layers.GlobalAveragePooling1D(name="pool")(x)  # (N, width)
    return layers.Dense(classes, name="logits")(x)

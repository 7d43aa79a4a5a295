"""The Transformer (Vaswani 2017, arXiv:1706.03762): its encoder by itself, and encoders with decoders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import KerasTensor, layers

from .attention import Block, SinusoidalPositions, encoder_block
from .encoder_decoder import DEPLOY, NETWORKS, Recipe, networks_of
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


@register(
    task="translation",
    input_shape={"source": (64,), "target": (64,)},
    dtype="int32",
    classes=37_000,
    params=63_045_632,
    paper="Vaswani 2017, arXiv:1706.03762, base model",
    data=("multi30k", "number_words"),
    training={"clip_norm": 1.0},
    edge={"input_shape": {"source": (16,), "target": (16,)}, "classes": 2000, "depth": 2, "width": 48, "heads": 4,
          "feed_forward": 96, "dropout": 0.0},
    networks=NETWORKS,
    deploy=DEPLOY,
    variants={
        "layerdrop_transformer": {
            "paper": "Fan 2020, Reducing Transformer depth on demand with structured dropout, arXiv:1909.11556",
            "params": 63_045_632,
            "layer_drop": 0.2,
            "removed": (2, 4, 6),
            "edge": {"depth": 3, "removed": (2,)},
        },
    },
)  # fmt: skip
def transformer_base(
    input_shape: Mapping[str, tuple[int, ...]], classes: int, *, depth: int = 6, width: int = 512, heads: int = 8,
    feed_forward: int = 2048, dropout: float = 0.1, layer_drop: float = 0.0, removed: tuple[int, ...] = ()
):  # fmt: skip
    """Build blocks with the norm behind (post-norm), sinusoids for positions, and one table for both embeddings and the
    output.

    layer_drop: how often a block is skipped in training. removed: blocks, from 1, that encoder and step leave out.
    Shapes: see `models.encoder_decoder`.
    """
    block = Block(heads=heads, feed_forward=feed_forward, dropout=dropout)
    recipe = Recipe(classes=classes, width=width, depth=depth, block=block, layer_drop=layer_drop, removed=removed)
    return networks_of(input_shape, recipe)

"""XLNet (Yang 2019, arXiv:1906.08237): tokens told in any order, by two streams of one Transformer.

The content stream knows each token, the query stream only where it stands; both ask, of the content alone. Since they
share all weights, a token that nobody knows is a place of the content stream that nobody looks at, with an id of its
own for "what stands here?". So a device runs one network, "content", which can tell tokens as well as read them.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from ..untyped import ops
from .attention import Block, SinusoidalPositions, feed_forward
from .registry import Bars, Deployable, register

FAMILY = "transformer"


@register(
    task="permuted_language_model",
    learner="permuted",
    input_shape=(512,),
    dtype="int32",
    classes=32_000,
    params=109_594_368,
    paper="Yang 2019, XLNet: generalized autoregressive pretraining for language understanding, arXiv:1906.08237, base",
    data=("ptb", "scikit_learn_words"),
    training={"clip_norm": 1.0},
    edge={"input_shape": (16,), "classes": 1_000, "segment": 8, "depth": 2, "width": 48, "heads": 2, "dropout": 0.0},
    bars=Bars(floor=400.0),  # perplexity; of words by their frequency alone it is higher
    networks=("sequence", "content"),
    deploy=(Deployable(network="content", derived_from="sequence", states={"*_out": "*"}),),
)
def xlnet(
    input_shape: tuple[int, ...], classes: int, *, segment: int = 256, depth: int = 12, width: int = 768,
    heads: int = 12, dropout: float = 0.1
):  # fmt: skip
    """Build both streams, and the content stream by itself. Positions are absolute, where the paper's are relative.

    segment: tokens of one; what is before it is remembered as it was, by its hidden states, zeros before the first.
    Id `classes` asks which token stands there.
    Shapes: sequence: tokens (N, T), mask (N, T, segment + T), which of the zeros and of all tokens each token knows,
    itself among them -> logits (N, T, classes) of each, from those it knows but itself; content: tokens, position
    (N, segment), mask (N, segment, 2 segment), of the memory and of this segment, memory_k (N, segment, width) by block
    -> logits (N, segment, classes), the new memory.
    Raises: ValueError for a length that is no whole segments.
    """
    (length,) = input_shape
    if length % segment:
        raise ValueError(f"segment={segment} must divide the length {length}")
    block = Block(heads=heads, feed_forward=4 * width, dropout=dropout, activation="gelu")
    names = [f"block_{index}" for index in range(1, depth + 1)]
    parts = _Parts(classes, width, block)
    return {
        "sequence": _streams(parts, names, length, segment),
        "content": _content(parts, names, length, segment),
    }


class _Parts:
    """What the networks have in common around their blocks: the same layers by the same names."""

    def __init__(self, classes: int, width: int, block: Block):
        self.classes, self.width, self.block = classes, width, block

    def embedded(self, tokens: Any, position: Any, length: int) -> Any:
        """Return vectors of tokens, the last of which asks, and of their positions."""
        normal: Any = keras.initializers.RandomNormal(stddev=0.02)
        self.table = layers.ReversibleEmbedding(
            self.classes + 1, self.width, embeddings_initializer=normal, name="embedding"
        )
        x = SinusoidalPositions(length, name="positions")(self.table(tokens), position)
        return layers.Dropout(self.block.dropout, name="dropout")(x) if self.block.dropout else x

    def attended(self, x: Any, known: Any, keep: Any, name: str) -> Any:
        """Add a block that asks from each place of x what is known, (N, S, width)."""
        part = f"{name}_attention"
        x = self.block.add(x, self.block.attend(part)(x, known, keep=keep), part)
        return feed_forward(x, self.block, name)

    def logits(self, x: Any) -> Any:
        """Return (N, T, classes)."""
        return layers.Identity(name="logits")(self.table(x, reverse=True)[..., : self.classes])


def _streams(parts: _Parts, names: list[str], length: int, segment: int) -> keras.Model:
    tokens = keras.Input((length,), dtype="int32", name="tokens")
    mask = keras.Input((length, segment + length), dtype="int32", name="mask")
    both = ops.concatenate([tokens, ops.full_like(tokens, parts.classes)], axis=1)  # (N, 2 T): content, query
    places = ops.zeros_like(both) + np.tile(np.arange(length, dtype=np.int32), 2)
    x = parts.embedded(both, places, length)
    others = ~np.eye(length, segment + length, k=segment, dtype=bool)[None]  # all but the token itself
    known = ops.not_equal(mask, 0)
    keep = ops.concatenate([known, ops.logical_and(known, others)], axis=1)
    keep = ops.reshape(keep, (-1, 1, 2 * length, segment + length))
    for name in names:
        content = x[:, :length]
        nothing = ops.zeros_like(content[:, :segment])
        x = parts.attended(x, ops.concatenate([nothing, content], axis=1), keep, name)
    return keras.Model({"tokens": tokens, "mask": mask}, parts.logits(x[:, length:]), name="sequence")


def _content(parts: _Parts, names: list[str], length: int, segment: int) -> keras.Model:
    tokens, position = (keras.Input((segment,), dtype="int32", name=name) for name in ("tokens", "position"))
    mask = keras.Input((segment, 2 * segment), dtype="int32", name="mask")
    inputs: dict[str, Any] = {"tokens": tokens, "position": position, "mask": mask}
    x, outputs = parts.embedded(tokens, position, length), {}
    keep = ops.reshape(ops.not_equal(mask, 0), (-1, 1, segment, 2 * segment))
    for index, name in enumerate(names, 1):
        memory: Any = keras.Input((segment, parts.width), name=f"memory_{index}")
        inputs[f"memory_{index}"] = memory
        outputs[f"memory_{index}_out"] = layers.Identity(name=f"remembered_{index}")(x)
        x = parts.attended(x, ops.concatenate([memory, x], axis=1), keep, name)
    return keras.Model(inputs, {"logits": parts.logits(x), **outputs}, name="content")

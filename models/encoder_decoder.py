"""An encoder and a decoder of Transformer blocks, as the networks of task "translation".

"sequence" is trained: source (N, S), target (N, T) -> logits (N, T, classes). A device runs "encoder" once for a
sentence: source -> the keys and values that each block of the decoder attends to, (N, S, inner) each; and "step" once
for each token: token (N, 1), position (N, 1), source, these, and by block the keys and values of earlier tokens,
(N, T, inner) -> logits (N, 1, classes) and the latter. Id 0 is padding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from .attention import (
    Block,
    LayerDrop,
    RelativeBias,
    SinusoidalPositions,
    cached_block,
    causal,
    decoder_block,
    encoder_block,
    known,
    memory_keys,
    step_at,
)
from .registry import Deployable

NETWORKS = ("sequence", "encoder", "step")
DEPLOY = (
    Deployable(network="encoder", derived_from="sequence"),
    Deployable(network="step", derived_from="sequence", states={"*_out": "*"}),
)
KINDS = ("key", "value")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What the networks are built of.

    depth: blocks of the encoder, and of the decoder. layer_drop: how often one is skipped in training. removed: blocks,
    from 1, that the deployed networks leave out. buckets: of distances with a bias of their own, in place of sinusoids.
    """

    classes: int
    width: int
    depth: int
    block: Block
    layer_drop: float = 0.0
    removed: tuple[int, ...] = ()
    buckets: int = 0

    @property
    def inner(self) -> int:
        """The width of keys and values."""
        return self.block.heads * (self.block.size or self.width // self.block.heads)

    @property
    def kept(self) -> tuple[int, ...]:
        """The blocks of the deployed networks."""
        return tuple(index for index in range(1, self.depth + 1) if index not in self.removed)


class _Layers:
    """The layers of one network around its blocks, by the same names in all."""

    def __init__(self, recipe: Recipe, source: int, target: int):
        self.recipe, self.source, self.target = recipe, source, target
        normal: Any = keras.initializers.RandomNormal(stddev=1.0)
        self.table = layers.ReversibleEmbedding(
            recipe.classes, recipe.width, embeddings_initializer=normal, name="embedding"
        )

    def embedded(self, tokens: Any, side: str, position: Any = None) -> Any:
        """Return tokens of the source or the target as vectors with their positions, (N, L, width).

        The paper scales embeddings of deviation 1/sqrt(width) by sqrt(width); here they start at 1, and `logits`, which
        reads the same table, is scaled instead.
        """
        x, length = self.table(tokens), self.source if side == "source" else self.target
        if not self.recipe.buckets:
            x = SinusoidalPositions(length, name=f"{side}_positions")(x, position)
        return self.dropped(x, f"{side}_dropout")

    def dropped(self, x: Any, name: str) -> Any:
        """Add dropout, if there is any."""
        return layers.Dropout(self.recipe.block.dropout, name=name)(x) if self.recipe.block.dropout else x

    def bias(self, x: Any, side: str, position: Any = None) -> Any:
        """Return the bias of distances, None where positions are added; a decoder's are towards earlier tokens only."""
        if not self.recipe.buckets:
            return None
        length, both = (self.source, True) if side == "source" else (self.target, False)
        heads, buckets = self.recipe.block.heads, self.recipe.buckets
        return RelativeBias(heads, length, buckets, both, name=f"{side}_bias")(x, position)

    def skipping(self, x: Any, block: Any, name: str) -> Any:
        """Return the output of a block, or at random its input."""
        return LayerDrop(self.recipe.layer_drop, name=f"{name}_drop")([x, block]) if self.recipe.layer_drop else block

    def encoded(self, source: Any, blocks: Any) -> Any:
        """Return the memory of a source, (N, S, width)."""
        x, keep = self.embedded(source, "source"), known(source)
        bias = self.bias(x, "source")
        for index in blocks:
            name = f"encoder_{index}"
            x = self.skipping(x, encoder_block(x, self.recipe.block, name, keep=keep, bias=bias), name)
        return self.recipe.block.first(x, "encoder_final")

    def logits(self, x: Any) -> Any:
        """Return (N, L, classes)."""
        x = self.recipe.block.first(x, "decoder_final") * self.recipe.width**-0.5
        return layers.Identity(name="logits")(self.table(x, reverse=True))


def networks_of(input_shape: Mapping[str, tuple[int, ...]], recipe: Recipe) -> dict[str, keras.Model]:
    """Build the three networks; see above."""
    (source,), (target,) = input_shape["source"], input_shape["target"]
    built = (_sequence, _encoder, _step)
    return {name: build(_Layers(recipe, source, target)) for name, build in zip(NETWORKS, built, strict=True)}


def _sequence(parts: _Layers) -> keras.Model:
    source, target = keras.Input((parts.source,), dtype="int32", name="source"), _target(parts, "target", parts.target)
    recipe, blocks = parts.recipe, range(1, parts.recipe.depth + 1)
    memory, x = parts.encoded(source, blocks), parts.embedded(target, "target")
    keep, memory_keep, bias = causal(parts.target), known(source), parts.bias(x, "target")
    for index in blocks:
        name = f"decoder_{index}"
        block = decoder_block(x, recipe.block, name, memory=memory, keep=keep, memory_keep=memory_keep, bias=bias)
        x = parts.skipping(x, block, name)
    return keras.Model({"source": source, "target": target}, parts.logits(x), name="sequence")


def at_once(source: Any, recipe: Recipe) -> Any:
    """Return what a decoder says at all places at once, having read nothing of what it says: logits (N, S, classes).

    It reads the source once more, as its places are: a copy, as in Gu 2018, section 3.
    """
    parts, keep = _Layers(recipe, source.shape[1], source.shape[1]), known(source)
    memory, x = parts.encoded(source, recipe.kept), parts.embedded(source, "target")
    for index in recipe.kept:
        x = decoder_block(x, recipe.block, f"decoder_{index}", memory=memory, memory_keep=keep)
    return parts.logits(x)


def _target(parts: _Layers, name: str, length: int) -> Any:
    return keras.Input((length,), dtype="int32", name=name)


def _encoder(parts: _Layers) -> keras.Model:
    source, outputs = keras.Input((parts.source,), dtype="int32", name="source"), {}
    memory = parts.encoded(source, parts.recipe.kept)
    for index in parts.recipe.kept:
        keys = memory_keys(memory, parts.recipe.block, f"decoder_{index}")
        outputs |= {f"memory_{kind}_{index}": made for kind, made in zip(KINDS, keys, strict=True)}
    return keras.Model(source, outputs, name="encoder")


def _step(parts: _Layers) -> keras.Model:
    recipe = parts.recipe
    token, position = _target(parts, "token", 1), _target(parts, "position", 1)
    source = keras.Input((parts.source,), dtype="int32", name="source")
    inputs, outputs = {"token": token, "position": position, "source": source}, {}
    here, past = step_at(position, parts.target)
    x, memory_keep = parts.embedded(token, "target", position), known(source)
    bias = parts.bias(x, "target", position)
    for index in recipe.kept:
        keys, cache = (
            {f"{what}{kind}_{index}": keras.Input((length, recipe.inner), name=f"{what}{kind}_{index}")
             for kind in KINDS}
            for what, length in (("memory_", parts.source), ("", parts.target))
        )  # fmt: skip
        x, key, value = cached_block(
            x, recipe.block, f"decoder_{index}", tuple(cache.values()), here, keep=past, bias=bias,
            keys=tuple(keys.values()), memory_keep=memory_keep,
        )  # fmt: skip
        inputs |= {**keys, **cache}
        outputs |= {f"key_{index}_out": key, f"value_{index}_out": value}
    return keras.Model(inputs, {"logits": parts.logits(x), **outputs}, name="step")

"""Pictures of texts: a decoder-only Transformer over the tokens of a text and, behind them, those of a picture.

"sequence" is trained; it answers what is made of the picture's tokens, too. A device runs "step" once for each token,
then "decoder" for the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from .attention import Block, LearnedPositions, cached_block, causal, encoder_block, step_at
from .registry import Bars, Deployable, register

FAMILY = "transformer"


class SandwichBlock(Block):
    """A block whose updates are normed once more before they are added (CogView, section 2.4)."""

    def add(self, x: Any, update: Any, name: str) -> Any:
        """Add the residual sum of a normed update."""
        return super().add(x, self.norm(update, f"{name}_last"), name)


@register(
    task="text_to_image",
    input_shape=(1088,),
    dtype="int32",
    classes=58_219,
    params=3_932_596_867,
    paper="Ding 2021, CogView: mastering text-to-image generation via Transformers, arXiv:2105.13290; 64 tokens of "
    "text, 32x32 of the picture. The decoder's sizes are ours, the codes k-means'",
    data=("captioned_mnist", "captioned_digits"),
    training={"clip_norm": 1.0},
    edge={"input_shape": (19,), "codes": 64, "grid": 4, "depth": 2, "width": 48, "heads": 2, "dropout": 0.0,
          "code_width": 16, "filters": (32,), "channels": 1},
    bars=Bars(floor=20.0),
    networks=("sequence", "step", "decoder"),
    deploy=(
        Deployable(network="step", derived_from="sequence", states={"*_out": "*"}),
        Deployable(network="decoder", derived_from="sequence"),
    ),
)  # fmt: skip
def cogview(
    input_shape: tuple[int, ...], classes: int, *, codes: int = 8192, grid: int = 32, depth: int = 48,
    width: int = 2560, heads: int = 40, dropout: float = 0.1, code_width: int = 256,
    filters: Sequence[int] = (256, 128, 64), channels: int = 3
):  # fmt: skip
    """Build blocks with norms before and behind what they add, and a decoder of the last tokens.

    Of the classes the first are the codes of pictures, the others words. grid: codes a side of a picture, each of which
    becomes 2^len(filters) pixels a side. The paper's relaxation of the softmax concerns 16-bit floats alone.
    Shapes: sequence: tokens (N, T) -> logits (N, T, classes), image (N, H, W, channels); step: token (N, 1), position
    (N, 1), keys and values (N, T, width) -> logits (N, 1, classes) and these; decoder: codes (N, grid^2) -> image.
    """
    (length,) = input_shape
    block = SandwichBlock(heads=heads, feed_forward=4 * width, dropout=dropout, weight_dropout=dropout,
                          norm_first=True, activation="gelu", use_bias=True, epsilon=1e-5)  # fmt: skip
    names = [f"block_{index}" for index in range(1, depth + 1)]

    def embedded(tokens: Any, position: Any = None) -> tuple[Any, Any]:
        normal: Any = keras.initializers.RandomNormal(stddev=0.02)
        table = layers.ReversibleEmbedding(classes, width, embeddings_initializer=normal, name="embedding")
        x = LearnedPositions(length, name="positions")(table(tokens), position)
        return layers.Dropout(dropout, name="dropout")(x), table

    def logits(x: Any, table: Any) -> Any:
        return layers.Identity(name="logits")(table(block.first(x, "final"), reverse=True))

    def image(ids: Any) -> Any:
        x = layers.Embedding(codes, code_width, name="codes_embedding")(ids)
        x = layers.Reshape((grid, grid, code_width), name="places")(x)
        for index, count in enumerate(filters, 1):
            x = layers.Conv2DTranspose(count, 4, 2, "same", activation="relu", name=f"up_{index}")(x)
        return layers.Conv2D(channels, 3, padding="same", name="image")(x)

    tokens: Any = keras.Input((length,), dtype="int32", name="tokens")
    x, table = embedded(tokens)
    for name in names:
        x = encoder_block(x, block, name, keep=causal(length))
    said = {"logits": logits(x, table), "image": image(tokens[:, length - grid**2 :])}

    token, position = (keras.Input((1,), dtype="int32", name=name) for name in ("token", "position"))
    inputs, outputs = {"token": token, "position": position}, {}
    here, past = step_at(position, length)
    x, table = embedded(token, position)
    for index, name in enumerate(names, 1):
        cache = {f"{kind}_{index}": keras.Input((length, width), name=f"{kind}_{index}") for kind in ("key", "value")}
        x, key, value = cached_block(x, block, name, tuple(cache.values()), here, keep=past)
        inputs |= cache
        outputs |= {f"key_{index}_out": key, f"value_{index}_out": value}

    ids = keras.Input((grid**2,), dtype="int32", name="codes")
    return {
        "sequence": keras.Model(tokens, said, name="sequence"),
        "step": keras.Model(inputs, {"logits": logits(x, table), **outputs}, name="step"),
        "decoder": keras.Model(ids, {"image": image(ids)}, name="decoder"),
    }

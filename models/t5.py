"""T5 (Raffel 2020, arXiv:1910.10683): an encoder and a decoder that put back spans taken out of texts."""

from __future__ import annotations

from collections.abc import Mapping

from .attention import Block
from .encoder_decoder import DEPLOY, NETWORKS, Recipe, networks_of
from .registry import Bars, register

FAMILY = "transformer"


@register(
    task="span_corruption",
    input_shape={"source": (512,), "target": (114,)},
    dtype="int32",
    classes=32_128,
    params=222_903_552,
    paper="Raffel 2020, arXiv:1910.10683, base model",
    data=("shakespeare_spans", "text_spans"),
    training={"clip_norm": 1.0},
    edge={"input_shape": {"source": (32,), "target": (8,)}, "depth": 2, "width": 48, "heads": 4, "size": 12,
          "feed_forward": 96, "dropout": 0.0},
    bars=Bars(floor=15.0),  # perplexity: letters by frequency come to some 10, three of eight tokens being sure
    networks=NETWORKS,
    deploy=DEPLOY,
)  # fmt: skip
def t5(
    input_shape: Mapping[str, tuple[int, ...]], classes: int, *, depth: int = 12, width: int = 768, heads: int = 12,
    size: int = 64, feed_forward: int = 3072, buckets: int = 32, dropout: float = 0.1
):  # fmt: skip
    """Build blocks with the norm before (pre-norm), norms that scale only, no bias but those of distances.

    Scores are divided by the root of the head's size, which the paper leaves to the initial weights.
    Shapes: see `models.encoder_decoder`.
    """
    block = Block(heads=heads, size=size, feed_forward=feed_forward, dropout=dropout, weight_dropout=dropout,
                  norm_first=True, rms=True)  # fmt: skip
    return networks_of(input_shape, Recipe(classes=classes, width=width, depth=depth, block=block, buckets=buckets))

"""Decoders without an encoder (Radford 2018 and 2019; Brown 2020): language models of Transformer blocks.

A sequence net is trained. A device runs two others with its weights: one that takes a prompt, zeros behind it, and
returns keys and values, and one that goes on from these a token at a time.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from .attention import Block, LearnedPositions, cached_block, causal, encoder_block, prefill_block, step_at
from .registry import Bars, Deployable, register

FAMILY = "transformer"


@register(
    task="language_model",
    input_shape=(1024,),
    dtype="int32",
    classes=50_257,
    params=124_439_808,
    paper="Radford 2019, Language models are unsupervised multitask learners (GPT-2)",
    data=("tinyshakespeare", "scikit_learn_texts"),
    training={"clip_norm": 1.0},
    edge={"input_shape": (32,), "depth": 2, "width": 48, "heads": 2, "dropout": 0.0},
    bars=Bars(floor=25.0),  # perplexity: of letters by their frequency alone 35 on scikit_learn_texts
    networks=("sequence", "prefill", "step"),
    deploy=(
        Deployable(network="prefill", derived_from="sequence"),
        Deployable(network="step", derived_from="sequence", states={"*_out": "*"}),
    ),
    variants={
        "gpt1": {
            "input_shape": (512,),
            "classes": 40_478,
            "params": 116_534_784,
            "paper": "Radford 2018, Improving language understanding by generative pre-training (GPT)",
            "norm_first": False,
            "edge": {"input_shape": (32,)},
        },
        "gpt3": {
            "input_shape": (2048,),
            "params": 174_604_259_328,
            "paper": "Brown 2020, arXiv:2005.14165, table 2.1 (GPT-3 175B; attention dense in all blocks)",
            "networks": ("sequence",),
            "deploy": "none: 175 billion parameters are counted only",
            "depth": 96,
            "width": 12_288,
            "heads": 96,
            "steps": False,
            "edge": {"input_shape": (32,), "depth": 2, "width": 48, "heads": 2},
        },
    },
)
def gpt2(
    input_shape: tuple[int, ...], classes: int, *, depth: int = 12, width: int = 768, heads: int = 12,
    norm_first: bool = True, tied: bool = True, dropout: float = 0.1, steps: bool = True
):  # fmt: skip
    """Build a decoder whose output layer is its embedding (tied), or one of its own.

    norm_first: norms before attention and feed-forward nets, and one behind all blocks, as in GPT-2 and 3; GPT-1 has
    them behind each. steps: build prefill and step besides. GPT-2 XL: depth=48, width=1600, heads=25.
    Shapes: sequence: tokens (N, T) -> logits (N, T, classes); prefill: tokens (N, T) -> logits and, by block, keys and
    values (N, T, width); step: token (N, 1), position (N, 1), keys and values -> logits (N, 1, classes) and these.
    """
    (length,) = input_shape
    block = Block(heads=heads, feed_forward=4 * width, dropout=dropout, weight_dropout=dropout, norm_first=norm_first,
                  activation="gelu", use_bias=True, epsilon=1e-5)  # fmt: skip
    names = [f"block_{index}" for index in range(1, depth + 1)]
    parts = _Parts(classes=classes, width=width, length=length, tied=tied, block=block)
    tokens = keras.Input((length,), dtype="int32", name="tokens")
    x = parts.embedded(tokens)
    for name in names:
        x = encoder_block(x, block, name, keep=causal(length))
    sequence = keras.Model(tokens, parts.logits(x), name="sequence")
    if not steps:
        return {"sequence": sequence}
    return {"sequence": sequence, "prefill": _prefill(parts, names), "step": _step(parts, names)}


class _Parts:
    """What the networks have in common around their blocks: the same layers by the same names."""

    def __init__(self, *, classes: int, width: int, length: int, tied: bool, block: Block):
        self.classes, self.width, self.length, self.tied, self.block = classes, width, length, tied, block

    def embedded(self, tokens: Any, position: Any = None) -> Any:
        """Return vectors of tokens and their positions, (N, T, width); `logits` goes back by the same table."""
        normal: Any = keras.initializers.RandomNormal(stddev=0.02)
        self.table = layers.ReversibleEmbedding(
            self.classes, self.width, tie_weights=self.tied, embeddings_initializer=normal, name="embedding"
        )
        x = LearnedPositions(self.length, name="positions")(self.table(tokens), position)
        return layers.Dropout(self.block.dropout, name="dropout")(x)

    def logits(self, x: Any) -> Any:
        """Return (N, T, classes)."""
        return layers.Identity(name="logits")(self.table(self.block.first(x, "final"), reverse=True))


def _prefill(parts: _Parts, names: list[str]) -> keras.Model:
    tokens, outputs = keras.Input((parts.length,), dtype="int32", name="tokens"), {}
    x = parts.embedded(tokens)
    for index, name in enumerate(names, 1):
        x, outputs[f"key_{index}"], outputs[f"value_{index}"] = prefill_block(x, parts.block, name)
    return keras.Model(tokens, {"logits": parts.logits(x), **outputs}, name="prefill")


def _step(parts: _Parts, names: list[str]) -> keras.Model:
    token, position = (keras.Input((1,), dtype="int32", name=name) for name in ("token", "position"))
    inputs, outputs = {"token": token, "position": position}, {}
    here, past = step_at(position, parts.length)
    x = parts.embedded(token, position)
    for index, name in enumerate(names, 1):
        cache = {f"{kind}_{index}": keras.Input((parts.length, parts.width), name=f"{kind}_{index}")
                 for kind in ("key", "value")}  # fmt: skip
        x, key, value = cached_block(x, parts.block, name, tuple(cache.values()), here, keep=past)
        inputs |= cache
        outputs |= {f"key_{index}_out": key, f"value_{index}_out": value}
    return keras.Model(inputs, {"logits": parts.logits(x), **outputs}, name="step")

"""Sequence to sequence without recurrences: gated convolutions that attend in every layer (Gehring 2017)."""

import math
from collections.abc import Mapping
from typing import Any

from keras import KerasTensor, layers, ops

from .attending import Alignment
from .attention import LearnedPositions
from .registry import register
from .seq2seq import DEPLOYED, LENGTHS, NETWORKS, SHORT, Shapes, networks_of

FAMILY = "rnn"
HALF = math.sqrt(0.5)  # a sum of two keeps the variance of one


@register(
    task="translation",
    input_shape=LENGTHS,
    dtype="int32",
    classes=40_000,
    params=136_043_584,
    paper="Gehring 2017, Convolutional sequence to sequence learning, arXiv:1705.03122, the net of English to Romanian",
    data=("multi30k", "number_words"),
    learning_rate=3e-3,
    training={"clip_norm": 0.1},
    edge={"input_shape": SHORT, "classes": 2000, "width": 64, "units": 64, "depth": 2},
    networks=NETWORKS,
    deploy=DEPLOYED,
)
def conv_seq2seq(
    input_shape: Shapes, classes: int, *, width: int = 512, units: int = 512, depth: int = 20, kernel: int = 3
):
    """Build an encoder and a decoder of gated convolutions; each layer of the decoder attends to all of the source.

    A layer of the decoder sees the last kernel - 1 frames and the new one: those are the states of the step. Weights
    are not normalised apart from their length, which changes no function.
    Shapes: sequence: source (N, S), target (N, T) -> logits (N, T, classes); encoder: source -> memory, keys (N, S,
    width); step: token (N, 1), position (N, 1), source, memory, keys, frames_k (N, kernel - 1, units) -> logits
    (N, 1, classes), new frames.
    """
    sizes = {f"frames_{k}": (kernel - 1, units) for k in range(1, depth + 1)}
    longest = input_shape["target"][0]

    def encoder(source: KerasTensor) -> dict[str, Any]:
        embedded = layers.Embedding(classes, width, name="source_embedding")(source)
        embedded = LearnedPositions(input_shape["source"][0], name="source_positions")(embedded)
        x = layers.Dense(units, name="source_in")(embedded)
        for k in range(1, depth + 1):
            gated = _gated(layers.Conv1D(2 * units, kernel, padding="same", name=f"encoder_{k}")(x))
            x = (gated + x) * HALF
        keys = layers.Dense(width, name="keys")(x)
        return {
            "keys": keys,
            "memory": layers.Rescaling(HALF, name="memory")(layers.Add(name="both")([keys, embedded])),
        }

    def decoder(
        tokens: KerasTensor, source: KerasTensor, made: Mapping[str, Any], states: Mapping[str, Any],
        position: KerasTensor | None = None,
    ):  # fmt: skip
        there, new = ops.not_equal(source, 0), {}
        embedded = layers.Embedding(classes, width, name="target_embedding")(tokens)
        embedded = LearnedPositions(longest, name="target_positions")(embedded, position)
        x = layers.Dense(units, name="target_in")(embedded)
        for k in range(1, depth + 1):
            frames = layers.Concatenate(axis=1, name=f"decoder_{k}_seen")([states[f"frames_{k}"], x])
            new[f"frames_{k}"] = frames[:, -(kernel - 1) :]
            gated = _gated(layers.Conv1D(2 * units, kernel, name=f"decoder_{k}")(frames))  # (N, T, units)
            query = (layers.Dense(width, name=f"query_{k}")(gated) + embedded) * HALF
            context = Alignment(name=f"alignment_{k}")(query, made["memory"], made["keys"], there)
            mixed = (gated + layers.Dense(units, name=f"context_{k}")(context)) * HALF
            x = (mixed + x) * HALF
        x = layers.Dense(width, name="target_out")(x)
        return layers.Dense(classes, name="logits")(x), new

    return networks_of(input_shape, encoder, decoder, sizes, attends=True, counts=True)


def _gated(x: KerasTensor) -> Any:
    """Return the first half of the features, as far as the second lets it through (gated linear units)."""
    values, gates = ops.split(x, 2, axis=-1)
    return values * ops.sigmoid(gates)

"""Captioners: a convolutional net reads a picture, an LSTM says what is in it, a token a step.

"sequence" is trained on pictures and their captions. A device runs "encoder" once for a picture, and "step" once for
each token. The same pair reads a line of characters: a picture whose caption is its text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import KerasTensor, layers, ops

from .attending import AttentiveRecurrence
from .registry import Bars, register
from .seq2seq import DEPLOYED, NETWORKS, networks_of
from .vgg import convolutions, stages

FAMILY = "rnn"
Shapes = Mapping[str, tuple[int, ...]]
PAPER_SHAPES = {"source": (224, 224, 3), "target": (20,)}
EDGE = {
    "input_shape": {"source": (24, 24, 1), "target": (10,)},
    "classes": 16,
    "depths": (1, 1, 1),
    "width": 16,
    "embedding": 24,
    "units": 48,
}
FED = ("input", "state")


def regions(picture: KerasTensor, depths: Sequence[int], width: int) -> Any:
    """Return the last maps of a VGG net before it would halve them once more, (N, H, W, maps)."""
    *before, last = depths
    x = stages(picture, before, width)[-1]
    return convolutions(x, last, width * min(2 ** (len(depths) - 1), 8), name=f"stage_{len(depths)}")


@register(
    task="captioning",
    input_shape=PAPER_SHAPES,
    dtype={"source": "float32", "target": "int32"},
    classes=10_000,
    params=85_328_208,
    paper="Vinyals 2015, Show and tell, arXiv:1411.4555, upon VGG-19 (Simonyan 2014) in place of GoogLeNet; fed at "
    "every step as in Donahue 2015, arXiv:1411.4389",
    data=("captioned_shapes",),
    learning_rate=4e-3,
    training={"clip_norm": 1.0},
    edge=EDGE,
    networks=NETWORKS,
    deploy=DEPLOYED,
)
def cnn_lstm_captioner(
    input_shape: Shapes, classes: int, *, depths: Sequence[int] = (2, 2, 4, 4, 4), width: int = 64,
    embedding: int = 512, units: int = 512, fed: Sequence[str] = FED
):  # fmt: skip
    """Build a CNN whose features enter an LSTM at every step ("input"), as its first "state", or both ways.

    Shapes: sequence: source (N, H, W, C), target (N, T) -> logits (N, T, classes); encoder: source -> features
    (N, embedding), states (N, units); step: token (N, 1), features, states -> logits (N, 1, classes), new states.
    Raises: ValueError for another way in than these two.
    """
    if not fed or set(fed) - set(FED):
        raise ValueError(f"fed={tuple(fed)}: features enter at 'input', 'state', or both")

    def encoder(picture: KerasTensor) -> dict[str, Any]:
        maps = layers.Flatten(name="flat")(regions(picture, depths, width))
        features = layers.Dense(embedding, activation="relu", name="features")(maps)
        made = {"features": features} if "input" in fed else {}
        for part in ("hidden", "cell"):
            start = layers.Dense(units, activation="tanh", name=f"first_{part}")(features)
            made[f"decoder_{part}"] = start if "state" in fed else ops.zeros_like(start)
        return made

    def decoder(tokens: KerasTensor, source: Any, made: Mapping[str, Any], states: Mapping[str, Any]):
        x = layers.Embedding(classes, embedding, name="embedding")(tokens)
        if "input" in fed:
            repeated = layers.RepeatVector(tokens.shape[1], name="at_each_step")(made["features"])
            x = layers.Concatenate(name="read")([x, repeated])
        recurrence = layers.LSTM(units, return_sequences=True, return_state=True, name="decoder")
        x, *new = recurrence(x, initial_state=list(states.values()))
        return layers.Dense(classes, name="logits")(x), dict(zip(states, new, strict=True))

    return networks_of(input_shape, encoder, decoder, _states(units), attends=False, pictures=True)


def _states(units: int) -> dict[str, tuple[int, ...]]:
    return {f"decoder_{part}": (units,) for part in ("hidden", "cell")}


@register(
    task="captioning",
    input_shape=PAPER_SHAPES,
    dtype={"source": "float32", "target": "int32"},
    classes=10_000,
    params=41_689_529,
    paper="Xu 2015, Show, attend and tell, arXiv:1502.03044, soft attention, upon VGG-19 (Simonyan 2014)",
    data=("captioned_shapes",),
    learning_rate=4e-3,
    training={"clip_norm": 1.0},
    edge=EDGE,
    networks=NETWORKS,
    deploy=DEPLOYED,
    variants={
        "hard_attention_captioner": {
            "paper": "Xu 2015, Show, attend and tell, arXiv:1502.03044, hard attention, upon VGG-19 (Simonyan 2014)",
            "params": 41_688_528,
            "learner": "reinforced",
            "bars": Bars(),
            "hard": True,
        },
    },
)
def soft_attention_captioner(
    input_shape: Shapes, classes: int, *, depths: Sequence[int] = (2, 2, 4, 4, 4), width: int = 64,
    embedding: int = 512, units: int = 1000, hard: bool = False
):  # fmt: skip
    """Build a CNN of whose regions an LSTM looks at a mean by weights before each token, or (hard) at one.

    Shapes: sequence: source (N, H, W, C), target (N, T) -> logits (N, T, classes); of hard attention it reads noise
    (N, T, S) besides, and answers attention and chosen (N, T, S) too; encoder: source -> memory (N, S, maps), keys
    (N, S, units), states (N, units); step: token (N, 1), memory, keys, states -> logits (N, 1, classes), attention
    (N, 1, S), new states, and of hard attention chosen (N, 1, S), one-hot.
    """
    picture: Any = keras.Input(tuple(input_shape["source"]))
    places = regions(picture, depths, width).shape[1:3]

    def encoder(picture: KerasTensor) -> dict[str, Any]:
        maps = regions(picture, depths, width)
        memory = layers.Reshape((places[0] * places[1], maps.shape[-1]), name="memory")(maps)
        mean = ops.mean(memory, axis=1)
        first = {f"decoder_{part}": layers.Dense(units, activation="tanh", name=f"first_{part}")(mean)
                 for part in ("hidden", "cell")}  # fmt: skip
        return {**first, "memory": memory, "keys": layers.Dense(units, name="keys")(memory)}

    def decoder(
        tokens: KerasTensor, source: Any, made: Mapping[str, Any], states: Mapping[str, Any], noise: Any = None
    ):
        x = layers.Embedding(classes, embedding, name="embedding")(tokens)
        kind = "hard_gaze" if hard else "gaze"
        recurrence = AttentiveRecurrence(kind, units, additive=True, name="decoder")
        hidden, context, weights, chosen, *new = recurrence(
            x, list(states.values()), made["memory"], made["keys"], None, noise
        )
        parts = [layers.Dense(embedding, use_bias=False, name=f"{name}_said")(part)
                 for name, part in (("hidden", hidden), ("context", context))]  # fmt: skip
        said = {"logits": layers.Dense(classes, name="logits")(layers.Add(name="said")([x, *parts])),
                "attention": weights}  # fmt: skip
        return {**said, **({"chosen": chosen} if hard else {})}, dict(zip(states, new, strict=True))

    noise = {"noise": (input_shape["target"][0], places[0] * places[1])} if hard else None
    return networks_of(input_shape, encoder, decoder, _states(units), attends=False, pictures=True, noise=noise)

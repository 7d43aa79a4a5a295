"""Taggers that see a window of words: Collobert's net on windows, and his convolution over sentences with a chain."""

from typing import Any

import keras
from keras import layers

from .registry import Bars, Deployable, register
from .tagging import transitions

FAMILY = "cnn"


@register(
    task="window_tagging",
    learner="window_ranking",
    input_shape=(5,),
    dtype="int32",
    classes=23,
    params=582_524,
    paper="Collobert and Weston 2008, A unified architecture for natural language processing; Collobert 2011, "
    "arXiv:1103.0398",
    data=("conll2000", "chunk_grammar"),
    edge={"vocabulary": 256, "width": 24, "units": 48},
    networks=("window",),
    bars=Bars(floor=0.7),
)
def window_tagger(
    input_shape: tuple[int, ...], classes: int, vocabulary: int = 10_000, width: int = 50, units: int = 300
):
    """Build a net on a window of words: a score, how likely they stand together, and the tag of the middle one.

    Shapes: words (N, w) int32 -> score (N, 1), tags (N, classes).
    """
    words = keras.Input(tuple(input_shape), dtype="int32", name="words")
    x: Any = layers.Embedding(vocabulary, width, name="vectors")(words)  # (N, w, width)
    x = layers.Flatten(name="together")(x)
    x = layers.Dense(units, activation="hard_tanh", name="hidden")(x)
    outputs = {"score": layers.Dense(1, name="score")(x), "tags": layers.Dense(classes, name="tags")(x)}
    return {"window": keras.Model(words, outputs, name="window")}


@register(
    task="tagging",
    learner="crf",
    input_shape=(78,),
    dtype="int32",
    classes=23,
    params=582_798,
    paper="Collobert 2011, Natural language processing (almost) from scratch, arXiv:1103.0398",
    data=("conll2000", "chunk_grammar"),
    training={"clip_norm": 1.0},
    edge={"input_shape": (16,), "vocabulary": 256, "width": 24, "units": 48},
    networks=("emissions", "transitions"),
    deploy=(Deployable(network="emissions", tables=("transitions",)),),
    bars=Bars(floor=0.7),
)
def conv_crf(
    input_shape: tuple[int, ...],
    classes: int,
    vocabulary: int = 10_000,
    width: int = 50,
    units: int = 300,
    window: int = 5,
):
    """Build a convolution over words whose scores go into a conditional random field.

    Shapes: emissions: tokens (N, T) int32 -> scores (N, T, classes); transitions: as of the other taggers.
    """
    tokens = keras.Input(tuple(input_shape), dtype="int32", name="tokens")
    x: Any = layers.Embedding(vocabulary, width, name="words")(tokens)  # (N, T, width)
    x = layers.Conv1D(units, window, padding="same", activation="hard_tanh", name="windows")(x)
    scores = layers.Dense(classes, name="scores")(x)
    return {"emissions": keras.Model(tokens, scores, name="emissions"), "transitions": transitions(classes)}

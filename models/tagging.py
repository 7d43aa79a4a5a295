"""Taggers: a tag for each word of a sentence, by a recurrent net, by a conditional random field, or by both.

A conditional random field is two networks: the emissions, which go to a device, and the "transitions", a table of one
weight that stays with the host, which finds the best path. Words are ids, 0 is padding behind the end of a sentence.
"""

from typing import Any

import keras
from keras import layers, ops

from .registry import Bars, Deployable, register

FAMILY = "rnn"

CHAINED: dict[str, Any] = {
    "learner": "crf",
    "networks": ("emissions", "transitions"),
    "deploy": (Deployable(network="emissions", tables=("transitions",)),),
}


@register(
    task="streamed_tagging",
    input_shape=(78,),
    dtype="int32",
    classes=23,
    params=928_123,
    paper="Huang 2015, Bidirectional LSTM-CRF models for sequence tagging, arXiv:1508.01991",
    data=("conll2000", "chunk_grammar"),
    training={"clip_norm": 1.0},
    edge={"input_shape": (16,), "vocabulary": 256, "width": 24, "units": 32, "dropout": 0.0},
    networks=("emissions", "step"),
    deploy=(
        "emissions",
        Deployable(
            network="step",
            derived_from="emissions",
            states={"forward_hidden_out": "forward_hidden", "forward_cell_out": "forward_cell"},
        ),
    ),
    bars=Bars(floor=0.7),
    variants={
        "bilstm_tagger": {"params": 1_356_223, "backward": True, "task": "tagging", "networks": ("emissions",),
                          "deploy": ("emissions",)},
        "lstm_crf": {"params": 928_698, "chain": True, "task": "tagging", **CHAINED},
        "bilstm_crf": {"params": 1_356_798, "backward": True, "chain": True, "task": "tagging", **CHAINED},
    },
)  # fmt: skip
def lstm_tagger(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    vocabulary: int = 10_000,
    width: int = 50,
    units: int = 300,
    dropout: float = 0.5,
    backward: bool = False,
    chain: bool = False,
):
    """Build a tagger on an LSTM over word vectors that start at random.

    backward: a second LSTM reads from the end. chain: the score of a tag depends on the one before it.
    Shapes: emissions: tokens (N, T) int32 -> scores (N, T, classes); step: token (N, 1) int32, hidden and cell
    (N, units) -> scores (N, 1, classes) and the new states; transitions: see `transitions`.
    """
    tokens = keras.Input(tuple(input_shape), dtype="int32", name="tokens")
    x: Any = layers.Embedding(vocabulary, width, name="words")(tokens)  # (N, T, width)
    x = layers.Dropout(dropout, name="drop_words")(x)
    told = [layers.LSTM(units, return_sequences=True, name="forward")(x)]
    if backward:
        told.append(layers.LSTM(units, return_sequences=True, go_backwards=True, name="backward")(x))
        told = [layers.Concatenate(name="both")([told[0], ops.flip(told[1], axis=1)])]
    x = layers.Dropout(dropout, name="drop_states")(told[0])
    networks = {"emissions": keras.Model(tokens, layers.Dense(classes, name="scores")(x), name="emissions")}
    if chain:
        networks["transitions"] = transitions(classes)
    elif not backward:
        networks["step"] = _step(classes, vocabulary, width, units)
    return networks


def _step(classes: int, vocabulary: int, width: int, units: int):
    token = keras.Input((1,), dtype="int32", name="token")
    states = {name: keras.Input((units,), name=name) for name in ("forward_hidden", "forward_cell")}
    x = layers.Embedding(vocabulary, width, name="words")(token)
    recurrence = layers.LSTM(units, return_sequences=True, return_state=True, name="forward")
    x, hidden, cell = recurrence(x, initial_state=list(states.values()))
    scores = layers.Dense(classes, name="scores")(x)
    outputs = {"scores": scores, "forward_hidden_out": hidden, "forward_cell_out": cell}
    return keras.Model({"token": token, **states}, outputs, name="step")


def transitions(classes: int):
    """Build the table of a chain, (classes + 2, classes): of each tag behind each tag, as the first, as the last.

    Shapes: row (N,) int32 -> scores of the next tag (N, classes).
    """
    row = keras.Input((), dtype="int32", name="row")
    table = layers.Embedding(classes + 2, classes, embeddings_initializer="zeros", name="moves")
    return keras.Model(row, table(row), name="transitions")


@register(
    task="tagging",
    input_shape=(78, 20),
    dtype="int32",
    classes=23,
    params=3_015_231,
    paper="Lafferty 2001, Conditional random fields: probabilistic models for segmenting and labeling sequence data",
    data=("conll2000", "chunk_grammar"),
    learning_rate=0.01,
    edge={"input_shape": (16, 20), "vocabulary": 2048},
    bars=Bars(floor=0.7),
    **CHAINED,
)
def crf(input_shape: tuple[int, ...], classes: int, vocabulary: int = 2**17):
    """Build a linear-chain conditional random field on sparse features: each has a weight for each tag.

    Shapes: emissions: features (N, T, F) int32 -> scores (N, T, classes); transitions: see `transitions`.
    """
    features = keras.Input(tuple(input_shape), dtype="int32", name="features")
    weights = layers.Embedding(vocabulary, classes, embeddings_initializer="zeros", name="weights")(features)
    scores = layers.Identity(name="scores")(ops.sum(weights, axis=2))  # (N, T, F, classes) -> (N, T, classes)
    return {"emissions": keras.Model(features, scores, name="emissions"), "transitions": transitions(classes)}

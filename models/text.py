"""Classifiers of short texts: word vectors, and what is done with their order. Ids: 0 is padding, behind the text.

Each row is of the family of what reads the vectors: a linear layer, a perceptron, a convolution.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, layers, ops

from .registry import Deployable, register

IDS, COUNT = "ids", "count"  # inputs: tokens, and how many of them are no padding
TOKEN = "token"  # of a step


@register(
    family="linear",
    task="classification",
    input_shape={IDS: (128,), COUNT: (1,)},
    dtype="int32",
    classes=2,
    params=448_034,
    paper="Joulin 2016, Bag of tricks for efficient text classification, arXiv:1607.01759",
    data=("rt_polarity_bigrams", "made_up_reviews_bigrams"),
    learning_rate=0.01,
    edge={"input_shape": {IDS: (64,), COUNT: (1,)}, "vocabulary": 7_000},
    variants={
        "language_identifier": {
            "params": 320_034,
            "vocabulary": 20_000,
            "input_shape": {IDS: (256,), COUNT: (1,)},
            "data": ("multi30k_languages", "made_up_languages"),
            "edge": {"input_shape": {IDS: (128,), COUNT: (1,)}, "vocabulary": 4_000},
        }
    },
)
def fasttext_classifier(inputs: Mapping[str, KerasTensor], classes: int, *, vocabulary: int = 28_000, width: int = 16):
    """Build the mean of the vectors of words and of hashed pairs of words, and one linear layer.

    Which ids are words, pairs or runs of letters is a matter of the data; their number decides what enters the mean.
    Shapes: ids (N, M), count (N, 1) int32 -> logits (N, classes).
    """
    x = layers.Embedding(vocabulary, width, name="embedding")(inputs[IDS])  # (N, M, width)
    x = MeanOf(name="mean")([x, inputs[COUNT]])
    return layers.Dense(classes, name="logits")(x)


@register(
    family="mlp",
    task="classification",
    input_shape=(64,),
    dtype="int32",
    classes=2,
    params=193_730,
    paper="Bengio 2003, A neural probabilistic language model (words in slots); Rumelhart 1986",
    data=("rt_polarity", "made_up_reviews"),
    edge={"input_shape": (32,), "vocabulary": 4_000},
)
def sentence_mlp(inputs: KerasTensor, classes: int, *, vocabulary: int = 8_000, width: int = 16, hidden: int = 64):
    """Build one hidden layer on the vectors of all word slots, one behind the other.

    Shapes: ids (N, L) int32 -> logits (N, classes).
    """
    x = layers.Embedding(vocabulary, width, name="embedding")(inputs)  # (N, L, width)
    x = layers.Flatten(name="slots")(x)
    x = layers.Dense(hidden, activation="relu", name="hidden")(x)
    return layers.Dense(classes, name="logits")(x)


@register(
    family="cnn",
    task="classification",
    input_shape=(64,),
    dtype="int32",
    classes=2,
    params=5_990_702,
    paper="Kim 2014, Convolutional neural networks for sentence classification, arXiv:1408.5882, CNN-rand",
    data=("rt_polarity", "made_up_reviews"),
    edge={"input_shape": (32,), "vocabulary": 4_000, "width": 32, "maps": 32},
)
def text_cnn(
    inputs: KerasTensor, classes: int, *, vocabulary: int = 18_766, width: int = 300, maps: int = 100,
    windows: Sequence[int] = (3, 4, 5), dropout: float = 0.5
):  # fmt: skip
    """Build convolutions over windows of words, of each feature map its largest value, dropout and a linear layer.

    The paper's 18,765 words of the data, with vectors that start at random. Shapes: ids (N, L) int32 -> logits
    (N, classes).
    """
    small: Any = keras.initializers.RandomUniform(-0.25, 0.25)
    x = layers.Embedding(vocabulary, width, embeddings_initializer=small, name="embedding")(inputs)  # (N, L, width)
    features = []
    for size in windows:
        found = layers.Conv1D(maps, size, activation="relu", name=f"window_{size}")(x)  # (N, L - size + 1, maps)
        features.append(layers.GlobalMaxPooling1D(name=f"largest_{size}")(found))
    x = layers.Concatenate(name="features")(features)
    x = layers.Dropout(dropout, name="dropout")(x)
    return layers.Dense(classes, name="logits")(x)


@register(
    family="rnn",
    task="classification",
    input_shape={IDS: (64,), COUNT: (1,)},
    dtype="int32",
    classes=2,
    params=407_490,
    paper="Elman 1990, Finding structure in time; Goodfellow 2016, Deep Learning, section 10.2.3",
    data=("rt_polarity", "made_up_reviews"),
    training={"clip_norm": 1.0},
    edge={"input_shape": {IDS: (24,), COUNT: (1,)}, "vocabulary": 4_000, "width": 32, "units": 32},
    networks=("sequence", "step"),
    deploy=(
        "sequence",
        Deployable(network="step", derived_from="sequence", states={"recurrence_hidden_out": "recurrence_hidden"}),
    ),
    variants={
        "text_lstm": {
            "params": 429_570,
            "paper": "Hochreiter and Schmidhuber 1997; forget gate of Gers 2000",
            "cell": "lstm",
            "deploy": (
                "sequence",
                Deployable(
                    network="step",
                    derived_from="sequence",
                    states={
                        "recurrence_hidden_out": "recurrence_hidden",
                        "recurrence_cell_out": "recurrence_cell",
                    },
                ),
            ),
        }
    },
)
def text_rnn(
    input_shape: Mapping[str, Sequence[int]], classes: int, vocabulary: int = 8_000, width: int = 50, units: int = 64,
    cell: str = "simple",
):  # fmt: skip
    """Build one recurrent layer, "simple" or "lstm", whose state behind the last word is classified.

    Shapes: sequence: ids (N, L), count (N, 1) int32 -> logits (N, classes); step: token (N, 1) int32 and the states of
    the layer, (N, units) each -> logits of the text so far, and new states.
    """
    ids, count = (keras.Input(tuple(input_shape[name]), dtype="int32", name=name) for name in (IDS, COUNT))
    x = layers.Embedding(vocabulary, width, name="embedding")(ids)  # (N, L, width)
    x = RECURRENCES[cell](units, return_sequences=True, name="recurrence")(x)  # (N, L, units)
    x = LastOf(name="last")([x, count])  # what padding does to the state behind it is not read
    logits = layers.Dense(classes, name="logits")(x)
    sequence = keras.Model({IDS: ids, COUNT: count}, logits, name="sequence")
    return {"sequence": sequence, "step": _step(classes, vocabulary, width, units, cell)}


RECURRENCES = {"simple": layers.SimpleRNN, "lstm": layers.LSTM}
STATES = {"simple": ("hidden",), "lstm": ("hidden", "cell")}


def _step(classes: int, vocabulary: int, width: int, units: int, cell: str):
    token = keras.Input((1,), dtype="int32", name=TOKEN)
    x = layers.Embedding(vocabulary, width, name="embedding")(token)  # (N, 1, width)
    states: list[Any] = [keras.Input((units,), name=f"recurrence_{state}") for state in STATES[cell]]
    x, *new = RECURRENCES[cell](units, return_state=True, name="recurrence")(
        x, initial_state=states if len(states) > 1 else states[0]
    )
    logits = layers.Dense(classes, name="logits")(x)
    outputs = {f"{state.name}_out": after for state, after in zip(states, new, strict=True)}
    inputs = {TOKEN: token, **{state.name: state for state in states}}
    return keras.Model(inputs, {"logits": logits, **outputs}, name="step")


@keras.saving.register_keras_serializable("edgewright")
class MeanOf(layers.Layer):
    """The mean of the first vectors of each sample, weighed 0 or one over their number.

    Shapes: x (N, L, width), count (N, 1) int32 -> (N, width).
    """

    def call(self, inputs: Sequence[KerasTensor]):
        """Return the mean, zeros of none."""
        x, count = inputs
        places = np.arange(x.shape[1], dtype="int32")[None]
        there: Any = ops.cast(ops.less(places, count), x.dtype)  # (N, L)
        weights = there / ops.maximum(ops.sum(there, 1, keepdims=True), 1.0)
        return ops.squeeze(ops.matmul(ops.expand_dims(weights, 1), x), 1)


@keras.saving.register_keras_serializable("edgewright")
class LastOf(layers.Layer):
    """The last of the first vectors of each sample.  Shapes: x (N, L, width), count (N, 1) int32 from 1 -> (N, width).

    As a product with 0 and 1, exact in integers too.
    """

    def call(self, inputs: Sequence[KerasTensor]):
        """Return the vector of index count - 1."""
        x, count = inputs
        places = np.arange(1, x.shape[1] + 1, dtype="int32")[None]
        chosen = ops.cast(ops.equal(places, count), x.dtype)  # (N, L)
        return ops.squeeze(ops.matmul(ops.expand_dims(chosen, 1), x), 1)

"""Reading comprehension: where in a passage the answer to a question stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import KerasTensor, layers

from ..untyped import ops
from .registry import register

FAMILY = "rnn"


def passage(words: int, question: int, letters: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a reader's inputs, of so many words, and letters in each."""
    return {
        f"{kind}{what}": shape
        for kind, size in (("context", words), ("question", question))
        for what, shape in (("", (size,)), ("_letters", (size, letters)), ("_mask", (size,)))
    }


@register(
    task="reading",
    input_shape=passage(400, 50, 16),
    dtype="int32",
    params=2_616_748,
    paper="Seo 2017, Bidirectional attention flow for machine comprehension, arXiv:1611.01603",
    data=("babi", "made_up_stories"),
    learning_rate=4e-3,
    training={"clip_norm": 1.0, "label_smoothing": 0.0},
    edge={
        "input_shape": passage(24, 4, 10), "vocabulary": 32, "units": 16, "filters": 16, "letter": 8, "depth": 1,
        "dropout": 0.0,
    },
)  # fmt: skip
def bidaf(
    inputs: Mapping[str, KerasTensor], *, vocabulary: int = 10_000, alphabet: int = 128, letter: int = 16,
    filters: int = 100, units: int = 100, depth: int = 2, dropout: float = 0.2
):  # fmt: skip
    """Build letters and words through two highway layers, an LSTM both ways over each text, attention both ways between
    them, `depth` further LSTMs over what each word of the passage then knows, and one more for where the answer ends.

    Masks are 1 for a word and 0 for padding, which nothing attends to; the host leaves out its scores.
    Shapes: context, context_mask (N, T), context_letters (N, T, C), and of the question (N, J) likewise, int32 ->
    start, end (N, T): logits of places.
    """
    read = _reader(vocabulary, alphabet, letter, filters, units, dropout)
    h, u = read(inputs, "context"), read(inputs, "question")  # (N, T, 2 units), (N, J, 2 units)
    masks = {kind: ops.not_equal(inputs[f"{kind}_mask"], 0) for kind in ("context", "question")}
    x = attended(h, u, masks["context"], masks["question"])  # (N, T, 8 units)
    known, modelled = x, x
    for number in range(1, depth + 1):
        modelled = _both_ways(units, f"modelling_{number}")(layers.Dropout(dropout, name=f"dropout_{number}")(modelled))
    ended = _both_ways(units, "ending")(layers.Dropout(dropout, name="ending_dropout")(modelled))
    return {"end": _scores([known, ended], dropout, "end"), "start": _scores([known, modelled], dropout, "start")}


def _reader(
    vocabulary: int, alphabet: int, letter: int, filters: int, units: int, dropout: float
) -> Callable[[Mapping[str, KerasTensor], str], Any]:
    """Return what makes vectors of words that know their neighbours, by the same layers for every text."""
    wide: Any = keras.initializers.RandomUniform(-(3**0.5), 3**0.5)  # as long as GloVe's: small ones leave names alike
    words = layers.Embedding(vocabulary, filters, embeddings_initializer=wide, name="words")
    letters = layers.Embedding(alphabet, letter, embeddings_initializer=wide, name="letters")
    found, most = layers.Conv1D(filters, 5, activation="relu", name="runs"), layers.GlobalMaxPooling1D(name="largest")
    highways, contextual = [Highway(name=f"highway_{k}") for k in (1, 2)], _both_ways(units, "contextual")

    def read(inputs: Mapping[str, KerasTensor], kind: str) -> Any:
        spelled = inputs[f"{kind}_letters"]
        runs = most(found(letters(ops.reshape(spelled, (-1, spelled.shape[-1])))))  # (N T, filters)
        of_letters = ops.reshape(runs, (-1, spelled.shape[1], filters))
        x = layers.Concatenate(name=f"{kind}_known")([of_letters, words(inputs[kind])])
        for highway in highways:
            x = highway(x)
        return contextual(layers.Dropout(dropout, name=f"{kind}_dropout")(x))

    return read


def _both_ways(units: int, name: str) -> layers.Layer:
    return layers.Bidirectional(layers.LSTM(units, return_sequences=True, name=f"{name}_lstm"), name=name)


def attended(h: Any, u: Any, there: Any, asked: Any) -> Any:
    """Return each word of the passage with what the question has for it, and what of the passage the question is about.

    Similarity is w . [h; u; h u]: its parts are computed apart. Each word of the passage attends to the question; the
    passage as a whole is attended to by the largest similarity of each word.
    Shapes: h (N, T, d), u (N, J, d), there (N, T), asked (N, J) bool -> [h; u'; h u'; h h'] (N, T, 4 d).
    Source: arXiv:1611.01603, section 2, layer 4.
    """
    weighed = Weighed(name="weighed")(h)
    alike: Any = ops.matmul(weighed, ops.swapaxes(u, 1, 2))  # (N, T, J)
    # minus: Keras takes (1, T, 1) that is added for a bias, which the converter refuses; the sign is learned
    alike = alike - layers.Dense(1, use_bias=False, name="of_context")(h)
    alike = alike + ops.swapaxes(layers.Dense(1, use_bias=False, name="of_question")(u), 1, 2)
    to_question: Any = layers.Softmax(name="to_question")(alike, mask=ops.expand_dims(asked, 1))
    told = ops.matmul(to_question, u)  # (N, T, d)
    to_context: Any = layers.Softmax(name="to_context")(ops.max(alike, axis=-1), mask=there)
    about: Any = ops.matmul(ops.expand_dims(to_context, 1), h)  # (N, 1, d)
    return layers.Concatenate(name="flow")([h, told, h * told, h * about])


def _scores(known: list[Any], dropout: float, name: str) -> Any:
    x = layers.Dropout(dropout, name=f"{name}_dropout")(layers.Concatenate(name=f"{name}_known")(known))
    return layers.Reshape((x.shape[1],), name=name)(layers.Dense(1, use_bias=False, name=f"{name}_score")(x))


@keras.saving.register_keras_serializable("edgewright")
class Weighed(layers.Layer):
    """Numbers times a weight each: w h of a similarity w . (h u).  Shapes: (..., d) -> the same."""

    def build(self, input_shape: Any):
        """Make the weights: a plain product to begin with, of about the length 1."""
        self.weight = self.add_weight(
            shape=(input_shape[-1],), initializer=keras.initializers.Constant(input_shape[-1] ** -0.5), name="weight"
        )

    def call(self, inputs: Any):
        """Compute the layer.  Shapes: see the class."""
        return inputs * self.weight


@keras.saving.register_keras_serializable("edgewright")
class Highway(layers.Layer):
    """A layer past which a gate leads: g relu(W x + b) + (1 - g) x.  Source: Srivastava 2015, arXiv:1505.00387."""

    def build(self, input_shape: Any):
        """Make both layers; at first most goes past."""
        width = input_shape[-1]
        shut: Any = keras.initializers.Constant(-1.0)
        self.carried = layers.Dense(width, activation="relu", name="carried")
        self.gate = layers.Dense(width, activation="sigmoid", bias_initializer=shut, name="gate")
        self.carried.build(input_shape)
        self.gate.build(input_shape)

    def call(self, inputs: Any):
        """Compute the layer.  Shapes: (..., d) -> the same."""
        return inputs + self.gate(inputs) * (self.carried(inputs) - inputs)

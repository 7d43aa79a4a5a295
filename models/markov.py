"""The hidden Markov model: discrete states that follow each other by a table, and show themselves by another."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from .registry import Bars, Deployable, register
from .tagging import transitions

FAMILY = "rnn"
LEAST = 1e-4  # added to a chance of which a logarithm is taken


@register(
    task="filtered_tagging",
    learner="hidden_markov",
    input_shape=(78, 23),
    classes=23,
    params=231_127,
    paper="Rabiner 1989, A tutorial on hidden Markov models and selected applications in speech recognition",
    data=("conll2000", "chunk_grammar"),
    edge={"input_shape": (16, 23), "vocabulary": 256},
    networks=("filter", "words", "transitions", "step"),
    deploy=(
        Deployable(
            network="step", derived_from="filter", states={"belief_out": "belief"}, tables=("words", "transitions")
        ),
    ),
    bars=Bars(floor=0.6),
)
def hidden_markov_model(input_shape: tuple[int, ...], classes: int, vocabulary: int = 10_000):
    """Build the filter of a hidden Markov model, its states being tags, and the tables that stay with the host.

    The host looks up how likely a word is in each state, logarithms less the largest, and behind the last word it may
    find the best path by the other table. A belief of zeros is that before the first word.
    Shapes: filter: emission (N, T, K) -> joint (N, T, K), log_scale (N, T, 1); step: emission (N, K), belief (N, K) ->
    joint (N, K), the new belief, log_scale (N, 1). joint: logarithms of the states' probabilities before these are
    divided by their sum, of which log_scale is the logarithm. words: a table (vocabulary, K); transitions: (K + 2, K).
    """
    emission = keras.Input((input_shape[0], classes), name="emission")
    joint = layers.RNN(FilterCell(classes, name="cell"), return_sequences=True, name="filter")(emission)
    row, belief = keras.Input((classes,), name="emission"), keras.Input((classes,), name="belief")
    now, (after,) = FilterCell(classes, name="filter")(row, [belief])
    word = keras.Input((), dtype="int32", name="word")
    table = layers.Embedding(vocabulary, classes, embeddings_initializer="zeros", name="words")(word)
    outputs = {"joint": now, "log_scale": LogSum(name="log_scale")(now), "belief_out": after}
    return {
        "filter": keras.Model(emission, {"joint": joint, "log_scale": LogSum(name="log_scale")(joint)}, name="filter"),
        "words": keras.Model(word, table, name="words"),
        "transitions": transitions(classes),
        "step": keras.Model({"emission": row, "belief": belief}, outputs, name="step"),
    }


@keras.saving.register_keras_serializable("edgewright")
class FilterCell(layers.Layer):
    """A step of the forward algorithm in logarithms: predict the state, weigh it by the emissions, divide by the sum.

    A belief of zeros, with which states begin, predicts the start.
    Shapes: emission (N, K), belief (N, K) -> joint (N, K), new belief (N, K).  Source: Rabiner 1989, equation 20.
    """

    def __init__(self, states: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.states = self.state_size = self.output_size = states

    def build(self, inputs_shape: Sequence[Any], states_shape: Any = None):  # pyright: ignore
        """Make the weights: all states alike."""
        even: Any = keras.initializers.Constant(1 / self.states)
        self.moves = self.add_weight(shape=(self.states, self.states), initializer=even, name="moves")
        self.start = self.add_weight(shape=(self.states,), initializer=even, name="start")
        self.built = True

    def call(self, inputs: Any, states: Sequence[Any]):
        """Compute the layer.  Shapes: see the class."""
        belief = states[0]
        total: Any = ops.sum(belief, axis=-1, keepdims=True)
        nothing: Any = ops.relu(1 - 2 * total)  # 1 before the first step, 0 behind it, however sums were rounded
        predicted: Any = ops.matmul(belief, self.moves) + nothing * self.start
        joint: Any = ops.log(ops.relu(predicted) + LEAST) + inputs  # pyright: ignore[reportOptionalOperand]
        return joint, [ops.softmax(joint)]

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "states": self.states}


@keras.saving.register_keras_serializable("edgewright")
class LogSum(layers.Layer):
    """The logarithm of a sum, of logarithms.  Shapes: (..., K) -> (..., 1)."""

    def call(self, inputs: Any):
        """Compute the layer.  Shapes: see the class."""
        total: Any = ops.sum(ops.exp(inputs), axis=-1, keepdims=True)
        return ops.log(total + LEAST)

    def compute_output_shape(self, input_shape: Sequence[Any]):
        """Return the shape of the outputs, batch included."""
        return (*input_shape[:-1], 1)

"""Networks that look up the sentences of a story, several times over, to answer a question about it.

Stories are rows of word ids, the last sentence in the last row: 0 fills up behind words, and whole rows before a short
story. Answers are words: there are as many classes as ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, layers

from ..untyped import ops
from .attention import LearnedPositions
from .registry import register

FAMILY = "rnn"

STORY, QUESTION = "story", "question"
SHAPE = {STORY: (50, 7), QUESTION: (7,)}
SMALL = {STORY: (10, 7), QUESTION: (4,)}  # bAbI's first task


@register(
    task="classification",
    input_shape=SHAPE,
    dtype="int32",
    classes=178,
    params=45_600,
    paper="Sukhbaatar 2015, End-to-end memory networks, arXiv:1503.08895; trained on all tasks of bAbI",
    data=("babi", "made_up_stories"),
    learning_rate=0.01,
    training={"clip_norm": 10.0, "label_smoothing": 0.0},
    edge={"input_shape": SMALL, "width": 20},
)
def memn2n(
    inputs: Mapping[str, KerasTensor], classes: int, *, width: int = 50, hops: int = 3, positions: bool = True
):  # fmt: skip
    """Build `hops` looks at all sentences, each for what the one before came to; tied adjacently.

    A hop weighs sentences by a softmax of u . m_i, and adds to u the mean of the c_i; c is the m of the next hop, and
    the last table makes words of what came out. The 177 words of bAbI, and one id for none.
    positions: words count by their place in the sentence, else a sentence is a bag of them.
    Shapes: story (N, S, W), question (N, Q) int32 -> logits (N, classes).
    """
    story, question = inputs[STORY], inputs[QUESTION]
    near: Any = keras.initializers.RandomNormal(stddev=0.1)
    tables = [layers.Embedding(classes, width, embeddings_initializer=near, name=f"table_{k}") for k in range(hops)]
    last = layers.ReversibleEmbedding(classes, width, embeddings_initializer=near, name=f"table_{hops}")
    summed = {name: WordSum(positions, name=f"{name}_sum") for name in (STORY, QUESTION)}
    read = [
        LearnedPositions(story.shape[1], name=f"ages_{k}")(summed[STORY]([table(story), story]))
        for k, table in enumerate([*tables, last])
    ]  # (N, S, width) each; how long ago a sentence was has a vector of its own
    there = ops.not_equal(story[:, :, 0], 0)
    u = summed[QUESTION]([tables[0](question), question])  # (N, width)
    for hop in range(1, hops + 1):
        fits = ops.squeeze(ops.matmul(read[hop - 1], ops.expand_dims(u, -1)), -1)
        weights: Any = layers.Softmax(name=f"attention_{hop}")(fits, mask=there)  # (N, S)
        told = ops.squeeze(ops.matmul(ops.expand_dims(weights, 1), read[hop]), 1)
        u = layers.Add(name=f"hop_{hop}")([u, told])
    return layers.Identity(name="logits")(last(u, reverse=True))


@register(
    task="classification",
    input_shape=SHAPE,
    dtype="int32",
    classes=178,
    params=274_579,
    paper="Kumar 2015, Ask me anything: dynamic memory networks for natural language processing, arXiv:1506.07285; "
    "sentences are read as in Xiong 2016, arXiv:1603.01417",
    data=("babi", "made_up_stories"),
    learning_rate=5e-3,
    training={"clip_norm": 1.0, "label_smoothing": 0.0},
    edge={"input_shape": SMALL, "width": 24, "passes": 2},
)
def dynamic_memory_network(
    inputs: Mapping[str, KerasTensor], classes: int, *, width: int = 80, passes: int = 3
):  # fmt: skip
    """Build `passes` readings of a story, each by a GRU that gates let in what the question and the memory ask for.

    A sentence is the sum of its words by their places, so that the recurrences have as many steps as sentences. What
    GRUs make of sentences and question is added to these sums, or gates, which are told no facts here, find out what is
    alike only after thousands of updates. The memory m = GRU(episode, m) begins as the question, and one step of a GRU
    behind the last says the answer.
    Shapes: story (N, S, W), question (N, Q) int32 -> logits (N, classes).
    """
    story, question = inputs[STORY], inputs[QUESTION]
    wide: Any = keras.initializers.RandomUniform(-(3**0.5), 3**0.5)  # Xiong 2016: from small ones no gate learns
    table = layers.Embedding(classes, width, embeddings_initializer=wide, name="embedding")
    sums = {key: WordSum(name=f"{key}_sum")([table(ids), ids]) for key, ids in inputs.items()}
    read: Any = layers.GRU(width, return_sequences=True, name="input")(sums[STORY])
    facts = layers.Add(name="facts")([sums[STORY], read])  # (N, S, width)
    q: Any = layers.Add(name="asked")([sums[QUESTION], layers.GRU(width, name="question_gru")(table(question))])
    there = ops.cast(ops.not_equal(story[:, :, :1], 0), "float32")  # (N, S, 1)
    gate = AttentionGate(width, name="gate")
    episode, update = layers.RNN(GatedGRUCell(width, name="cell"), name="episode"), layers.GRUCell(width, name="memory")
    memory = q
    for number in range(1, passes + 1):
        weights = layers.Multiply(name=f"attention_{number}")([gate([facts, q, memory]), there])
        told = episode(layers.Concatenate(name=f"gated_{number}")([facts, weights]))
        memory = update(told, [memory])[0]
    said = layers.GRUCell(width, name="answer")(q, [memory])[0]
    return layers.Dense(classes, name="logits")(said)


@keras.saving.register_keras_serializable("edgewright")
class WordSum(layers.Layer):
    """The sum of the vectors of a sentence's words, padding (id 0) left out.

    positions: the k-th of d numbers of the j-th of J words is weighed by (1 - j / J) - (k / d) (1 - 2 j / J), j and k
    from 1 on, so that the order of words counts.
    Shapes: x (..., W, width), ids (..., W) int32 -> (..., width).  Source: arXiv:1503.08895, section 4.1.
    """

    def __init__(self, positions: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        self.positions = positions

    def call(self, inputs: Any):
        """Compute the layer.  Shapes: see the class."""
        x, ids = inputs
        there: Any = ops.expand_dims(ops.cast(ops.not_equal(ids, 0), x.dtype), -2)  # (..., 1, W)
        if self.positions:
            x = x * place_weights(*x.shape[-2:])
        return ops.squeeze(ops.matmul(there, x), -2)

    def compute_output_shape(self, input_shape: Any):
        """Return the shape of the sums, batch included."""
        return (*input_shape[0][:-2], input_shape[0][-1])

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "positions": self.positions}


def place_weights(words: int, width: int) -> np.ndarray:
    """Return how much each number of each word's vector counts.  Shape (words, width) float32."""
    j, k = np.arange(1, words + 1)[:, None] / words, np.arange(1, width + 1) / width
    return ((1 - j) - k * (1 - 2 * j)).astype(np.float32)


@keras.saving.register_keras_serializable("edgewright")
class AttentionGate(layers.Layer):
    """How much of each fact shall be let in: a net of two layers on likenesses of fact c, question q and memory m.

    sigmoid(W2 tanh(W1 z + b1) + b2), z = [c, m, q, c q, c m, |c - q|, |c - m|, c' W q, c' W m].
    Shapes: facts (N, S, d), q, m (N, d) -> (N, S, 1).  Source: arXiv:1506.07285, section 2.3.
    """

    def __init__(self, units: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.units = units
        self.of_facts = layers.Dense(units, name="of_facts")
        self.of_both = layers.Dense(units, use_bias=False, name="of_both")  # the columns of W1 that no fact enters
        self.score = layers.Dense(1, activation="sigmoid", name="score")

    def build(self, input_shape: Any):
        """Make the layers."""
        width = input_shape[0][-1]
        self.likeness = layers.Dense(width, use_bias=False, name="likeness")
        self.likeness.build((None, width))
        self.of_facts.build((None, None, 5 * width + 2))
        self.of_both.build((None, 2 * width))
        self.score.build((None, None, self.units))

    def call(self, inputs: Any):
        """Compute the layer.  Shapes: see the class."""
        facts, *asked = inputs
        told = [facts]
        for vector in asked:
            each: Any = ops.expand_dims(vector, 1)
            told += [facts * each, ops.abs(facts - each)]
            told.append(ops.matmul(facts, ops.expand_dims(self.likeness(vector), -1)))  # (N, S, 1)
        rest: Any = ops.expand_dims(self.of_both(ops.concatenate(asked, axis=-1)), 1)
        return self.score(ops.tanh(self.of_facts(ops.concatenate(told, axis=-1)) + rest))

    def compute_output_shape(self, input_shape: Any):
        """Return the shape of the gates, batch included."""
        return (*input_shape[0][:-1], 1)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("edgewright")
class GatedGRUCell(layers.GRUCell):
    """A GRU cell that the last number of its input, the gate g, lets in: h = g GRU(x, h) + (1 - g) h.

    Shapes: [x, g] (N, F + 1), h (N, units) -> h, [h].  Source: arXiv:1506.07285, section 2.3.
    """

    def build(self, input_shape: Any):
        """Make the weights of the GRU."""
        super().build((*input_shape[:-1], input_shape[-1] - 1))

    def call(self, inputs: Any, states: Any, training: bool = False):
        """Compute one time step."""
        (hidden,) = states
        new: Any = super().call(inputs[:, :-1], [hidden], training=training)[0]
        mixed = hidden + inputs[:, -1:] * (new - hidden)
        return mixed, [mixed]

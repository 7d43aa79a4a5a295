"""What encoders of the BERT family are pre-trained as: heads, and a generator, upon the layers of their classifier.

The layers are the classifier's own, so what they learn is its, and nothing of this goes to a device.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import KerasTensor, layers, ops

from .attention import Block, SelfAttention
from .bert import bert_base, encoded

WORDS, PAIR, REPLACED = "words", "pair", "replaced"  # outputs
PLACES, ORIGINALS = "places", "originals"  # further inputs: where words are asked for, and which those were


def has_encoder(model: keras.Model) -> bool:
    """Tell if the layers of a classifier of `models/bert.py` can be found: not after pruning or QAT wrapped them."""
    names = {layer.name for layer in model.layers}
    return {"word_table", "embedding_norm", "hidden", "logits"} <= names


class TiedWords(layers.Layer):
    """Scores every word by the table that it is looked up in, and a bias.  Shapes: (N, P, width) -> (N, P, words)."""

    def __init__(self, table: layers.Embedding, **kwargs: Any):
        super().__init__(**kwargs)
        self.table = table

    def build(self, input_shape: Any):
        """Make the bias."""
        self.bias = self.add_weight(shape=(self.table.input_dim,), initializer="zeros", name="bias")

    def call(self, x: KerasTensor):
        """Return the scores."""
        return ops.matmul(x, ops.transpose(self.table.embeddings)) + self.bias


class Replace(layers.Layer):
    """Puts words drawn by a generator where it was asked for them.

    Shapes: logits (N, P, words), ids (N, T), places and originals (N, P), 0 where nothing is asked -> ids (N, T) and
    which of them are not what stood there, (N, T) float.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.random = keras.random.SeedGenerator()

    def call(self, logits: Any, ids: Any, places: Any, originals: Any):
        """Draw by Gumbel's trick, through which no gradient goes."""
        noise = keras.random.uniform(ops.shape(logits), 1e-6, 1 - 1e-6, seed=self.random)
        surprise: Any = ops.negative(ops.log(noise))
        drawn: Any = ops.argmax(ops.subtract(ops.stop_gradient(logits), ops.log(surprise)), axis=-1)  # (N, P)
        asked: Any = ops.cast(ops.not_equal(originals, 0), ids.dtype)
        there: Any = ops.one_hot(places, ids.shape[1], dtype=ids.dtype) * asked[..., None]  # (N, P, T)
        new, old = (ops.sum(there * ops.expand_dims(ops.cast(words, ids.dtype), -1), axis=1)
                    for words in (drawn, originals))  # fmt: skip
        anywhere: Any = ops.sum(there, axis=1)
        replaced = ops.where(ops.greater(anywhere, 0), new, ids)
        return replaced, ops.cast(ops.not_equal(new, old), "float32")


def masked_words(classifier: keras.Model, asked: int, pairs: bool) -> keras.Model:
    """Return the net that tells masked words and, of `pairs`, how two sentences belong together.

    asked: P, how many words a sample asks for at most.
    Shapes: the classifier's inputs and places (N, P) int32 -> words (N, P, vocabulary), pair (N, 2).
    """
    inputs, places = _inputs(classifier), keras.Input((asked,), dtype="int32", name=PLACES)
    hidden, pooled = _trunk(classifier)(inputs)
    outputs = {WORDS: _words(hidden, places, classifier.get_layer("word_table"), "words")}
    if pairs:
        outputs[PAIR] = layers.Dense(2, name=PAIR)(pooled)
    return keras.Model({**inputs, PLACES: places}, outputs, name="pretraining")


def replaced_words(classifier: keras.Model, asked: int) -> keras.Model:
    """Return a generator of masked words with the encoder as discriminator, which tells what words it replaced.

    Both look words and positions up in the same tables.
    Shapes: the classifier's inputs, places and originals (N, P) int32 -> words (N, P, vocabulary), replaced (N, T, 3):
    logit, whether it was, and 1 for what is no padding.  Source: Clark 2020, arXiv:2003.10555, section 2.
    """
    inputs = _inputs(classifier)
    places, originals = (keras.Input((asked,), dtype="int32", name=name) for name in (PLACES, ORIGINALS))
    looked_up = keras.Model(_of(classifier), classifier.get_layer("embedding_norm").output, name="tables")(inputs)
    drawn_from = _generator(looked_up, inputs["mask"], classifier)
    words = _words(drawn_from, places, classifier.get_layer("word_table"), "words")
    ids, truth = Replace(name="replace")(words, inputs["ids"], places, originals)
    hidden, _ = _trunk(classifier)({**inputs, "ids": ids})
    told = layers.Dense(hidden.shape[-1], activation="gelu", name="replaced_transform")(hidden)
    logit = layers.Dense(1, name=REPLACED)(told)[..., 0]
    judged = ops.stack([logit, truth, ops.cast(inputs["mask"], "float32")], axis=-1)
    given = {**inputs, PLACES: places, ORIGINALS: originals}
    return keras.Model(given, {WORDS: words, REPLACED: judged}, name="pretraining")


def teacher_of(student: keras.Model, times: int = 2) -> keras.Model:
    """Return a BERT of the same inputs, classes and heads, `times` as deep and as wide, with fresh weights."""
    inputs, (table, heads, width, feed_forward, depth) = _inputs(student), _sizes(student)
    logits = bert_base(
        inputs,
        student.get_layer("logits").units,
        vocabulary=table.input_dim,
        positions=student.get_layer("positions").length,
        width=times * width,
        depth=times * depth,
        heads=heads,
        feed_forward=times * feed_forward,
    )
    return keras.Model(inputs, logits, name="teacher")


def like_the_teacher(student: keras.Model, teacher: keras.Model) -> dict[str, str]:
    """Return which layers of a student are to be like which of its teacher: attention, hidden states, embeddings.

    Block m is like the last of the m-th group of the teacher's.  Source: Jiao 2019, arXiv:1909.10351, equations 7-9.
    """
    ours, theirs = (_sizes(model)[-1] for model in (student, teacher))
    pairs = {"embedding_norm": "embedding_norm"}
    for block in range(1, ours + 1):
        for part in ("attention_weights", "feed_forward_norm"):
            pairs[f"encoder_{block}_{part}"] = f"encoder_{block * theirs // ours}_{part}"
    return pairs


def _of(classifier: keras.Model) -> dict[str, KerasTensor]:
    return {symbol.name: symbol for symbol in classifier.inputs}


def _inputs(classifier: keras.Model) -> dict[str, Any]:
    return {
        symbol.name: keras.Input(symbol.shape[1:], dtype=symbol.dtype, name=symbol.name) for symbol in classifier.inputs
    }


def _trunk(classifier: keras.Model) -> keras.Model:
    """Return the encoder: its inputs by name -> hidden states (N, T, width) and the vector of the first token."""
    hidden = classifier.get_layer("hidden").output
    pooled = any(layer.name == "pooler" for layer in classifier.layers)
    first = classifier.get_layer("pooler").output if pooled else hidden[:, 0]
    return keras.Model(_of(classifier), (hidden, first), name="encoder_of_classifier")


def _words(hidden: KerasTensor, places: Any, table: layers.Embedding, name: str):
    """Add the head over masked words.  Shapes: (N, T, width), (N, P) -> (N, P, vocabulary)."""
    asked = ops.take_along_axis(hidden, places[..., None], axis=1)  # (N, P, width)
    asked = layers.Dense(table.output_dim, activation="gelu", name=f"{name}_transform")(asked)
    asked = layers.LayerNormalization(epsilon=1e-12, name=f"{name}_norm")(asked)
    return TiedWords(table, name=name)(asked)


def _sizes(model: keras.Model) -> tuple[Any, int, int, int, int]:
    """Return the table of words, and of the blocks heads, width, feed-forward units and number."""
    blocks = [layer for layer in model.layers if isinstance(layer, SelfAttention)]
    units = model.get_layer("encoder_1_expand").units
    return model.get_layer("word_table"), blocks[0].heads, blocks[0].inner, units, len(blocks)


def _generator(x: KerasTensor, mask: KerasTensor, classifier: keras.Model, share: int = 4):
    """Add an encoder of a quarter of the width, as the small model has it."""
    _, heads, width, feed_forward, depth = _sizes(classifier)
    block = Block(heads=max(1, heads // share), feed_forward=feed_forward // share, dropout=0.1, weight_dropout=0.1,
                  activation="gelu", use_bias=True, epsilon=1e-12)  # fmt: skip
    keep = ops.reshape(ops.not_equal(mask, 0), (-1, 1, 1, mask.shape[1]))
    x = layers.Dense(width // share, name="generator_widen")(x)
    return encoded(x, keep, block, depth, shared=False)

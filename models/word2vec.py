"""Word vectors: what goes to a device of them, and the networks of two tables that they are learned in.

A device has a table to look words up in and one whose rows are scored (`tables.py`). In training the second has other
rows, of the words around a word; once all is learned it gets those of the first.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from ..untyped import ops
from . import tables
from .registry import register

FAMILY = "embedding"
CENTRE, CONTEXTS, PIECES = "centre", "contexts", "pieces"  # inputs, what is read: a word, those around it, its parts
CANDIDATES, NODES, OTHER = (
    "candidates",
    "nodes",
    "other",
)  # what is scored: words, inner nodes of a tree, a word (GloVe)
TABLE, OTHERS, LOGITS = "table", "other_table", "logits"  # layers


@register(
    task="retrieval_first",
    learner="word_windows:reads=contexts,tells=words",
    input_shape=(1,),
    dtype="int32",
    classes=10_000,
    params=6_000_000,
    paper="Mikolov 2013, Efficient estimation of word representations in vector space, arXiv:1301.3781",
    data=("ptb_analogies", "made_up_analogies"),
    learning_rate=5e-3,
    edge={"width": 48},
    networks=(tables.LOOKUP, tables.SCORER),
    variants={
        "skipgram": {"params": 6_000_000, "learner": "word_windows:reads=centre,tells=words"},
        "skipgram_negative": {
            "params": 6_000_000,
            "learner": "word_windows:reads=centre,tells=candidates",
            "learning_rate": 2.5e-3,
            "paper": "Mikolov 2013, Distributed representations of words and phrases, arXiv:1310.4546, section 2.2",
        },
        "skipgram_hierarchical": {
            "params": 6_000_000,
            "learner": "word_windows:reads=centre,tells=nodes",
            "paper": "Mikolov 2013, Distributed representations of words and phrases, arXiv:1310.4546, section 2.1",
        },
        "glove": {
            "params": 6_000_000,
            "learner": "word_windows:reads=centre,tells=other",
            "learning_rate": 0.02,
            "paper": "Pennington 2014, GloVe: global vectors for word representation",
        },
        "fasttext": {
            "params": 6_000_000,
            "learner": "word_windows:reads=pieces,tells=candidates",
            "learning_rate": 1.5e-3,
            "paper": "Bojanowski 2017, Enriching word vectors with subword information, arXiv:1607.04606",
        },
        "debiased_embedding": {
            "params": 6_000_000,
            "learner": "word_windows:reads=centre,tells=candidates,debiased=1",
            "learning_rate": 2.5e-3,
            "paper": "Bolukbasi 2016, Man is to computer programmer as woman is to homemaker?, arXiv:1607.06520",
        },
        "cooccurrence_svd": {
            "params": 6_000_000,
            "learner": "cooccurrence_components",
            "paper": "Levy 2015, Improving distributional similarity with lessons learned from word embeddings",
        },
    },
)
def cbow(classes: int, width: int = 300):
    """Build the two tables of words; how they are learned is the learner's, see `tells_around`.

    The paper's 2 V N weights in training, and as many on a device.
    Shapes: lookup: row (N, 1) int32 -> vector (N, width); scorer: query (N, width) -> scores (N, classes).
    """
    return {tables.LOOKUP: tables.lookup(classes, width), tables.SCORER: tables.scorer(classes, width)}


@keras.saving.register_keras_serializable("edgewright")
class Bag(layers.Layer):
    """The sum of the rows whose id is not 0, or their mean.  Shapes: rows (N, n, d), ids (N, n) int32 -> (N, d)."""

    def __init__(self, mean: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        self.mean = mean

    def call(self, inputs: Any) -> Any:
        """Compute the layer.  Shapes: see the class."""
        rows, ids = inputs
        there: Any = ops.cast(ops.not_equal(ids, 0), rows.dtype)[..., None]
        total: Any = ops.sum(rows * there, 1)
        return total / ops.maximum(ops.sum(there, 1), 1.0) if self.mean else total

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "mean": self.mean}


def tells_around(
    reads: tuple[str, int], tells: tuple[str, int], *, words: int, width: int, pieces: int = 0
) -> keras.Model:
    """Build the network that tells the words around a word, or a word by those around it.

    reads, tells: names of inputs, see the top of the module, with how many ids they have. Of contexts the mean is taken
    and of pieces, `pieces` more rows, the sum; id 0 counts for nothing. Without ids to score, tells is ("words", 0),
    all words are scored. As in the paper the table of what is told begins with zeros where a sample asks for few rows.
    Shapes: ids (N, n) and (N, m) int32 -> logits (N, m), or of all words (N, words).
    """
    small: Any = keras.initializers.RandomUniform(-0.5 / width, 0.5 / width)
    read = keras.Input((reads[1],), dtype="int32", name=reads[0])
    rows = layers.Embedding(words + pieces, width, embeddings_initializer=small, name=TABLE)(read)  # (N, n, width)
    vector = Bag(mean=reads[0] != PIECES, name="vector")([rows, read])
    if not tells[1]:
        return keras.Model({reads[0]: read}, layers.Dense(words, use_bias=False, name=LOGITS)(vector), name="words")
    scored = keras.Input((tells[1],), dtype="int32", name=tells[0])
    begun: Any = (
        small if tells[0] == OTHER else "zeros"
    )  # products of zeros would leave both tables of GloVe as they are
    others = layers.Embedding(words, width, embeddings_initializer=begun, name=OTHERS)(scored)  # (N, m, width)
    logits = layers.Dot(axes=(2, 1), name="products")([others, vector])
    if tells[0] == OTHER:
        logits = layers.Add(name="biased")([logits, _bias(read, words, "bias"), _bias(scored, words, "other_bias")])
    return keras.Model({reads[0]: read, tells[0]: scored}, layers.Identity(name=LOGITS)(logits), name="words")


def _bias(ids: Any, words: int, name: str) -> Any:
    return layers.Flatten(name=name)(layers.Embedding(words, 1, embeddings_initializer="zeros", name=f"{name}es")(ids))

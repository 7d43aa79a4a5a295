"""Vectors of sentences that do not depend on the language: a sentence and its translation lie near each other."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from ..untyped import ops
from .registry import Bars, register
from .tables import SCORER, SCORES, VECTOR, scorer

FAMILY = "transformer"
IDS, MASK = "ids", "mask"


@register(
    task="sentence_retrieval",
    learner="ranking_pairs:temperature=0.05,cosine=1",
    input_shape={IDS: (32,), MASK: (32,)},
    dtype="int32",
    params=45_618_176,
    paper="Artetxe and Schwenk 2019, Massively multilingual sentence embeddings (LASER), arXiv:1812.10464; trained to "
    "rank translations, Guo 2018, arXiv:1807.11906",
    data=("multi30k", "number_words"),
    training={"clip_norm": 1.0},
    edge={"input_shape": {IDS: (16,), MASK: (16,)}, "vocabulary": 4_000, "width": 64, "units": 64, "depth": 1},
    networks=("encoder", SCORER),
    wide=(SCORES,),  # some values of a vector vary by a hundredth of others, less than a step of 8 bits for all
    bars=Bars(floor=0.5),
)
def sentence_encoder(
    input_shape: Mapping[str, tuple[int, ...]], vocabulary: int = 50_000, width: int = 320, units: int = 512,
    depth: int = 5, stored: int = 1_000
):  # fmt: skip
    """Build recurrences both ways over tokens of all languages, the largest of each value, and a table of sentences.

    stored: rows of the table, which hold what the encoder makes of sentences. Values lie above -1, and padding counts
    as that.
    Shapes: encoder: ids, mask (N, L) int32, 1 for a token and 0 for padding -> vector (N, 2 units); scorer: query
    (N, 2 units) -> scores (N, stored).
    """
    ids, mask = (keras.Input(tuple(input_shape[name]), dtype="int32", name=name) for name in (IDS, MASK))
    x: Any = layers.Embedding(vocabulary, width, name="embedding")(ids)  # (N, L, width)
    for layer in range(1, depth + 1):
        ways = [
            layers.LSTM(units, return_sequences=True, name=f"forward_{layer}")(x),
            ops.flip(layers.LSTM(units, return_sequences=True, go_backwards=True, name=f"backward_{layer}")(x), 1),
        ]
        x = layers.Concatenate(name=f"both_{layer}")(ways)  # (N, L, 2 units)
    there = ops.expand_dims(ops.cast(ops.not_equal(mask, 0), x.dtype), -1)
    x = x * there - (1.0 - there)  # a sum of both becomes a BiasAdd by Keras, which the converter refuses
    vector = layers.GlobalMaxPooling1D(name=VECTOR)(x)
    encoder = keras.Model({IDS: ids, MASK: mask}, vector, name="encoder")
    return {"encoder": encoder, SCORER: scorer(stored, 2 * units)}

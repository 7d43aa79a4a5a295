"""A table of vectors as a device has it: a network that looks rows up, and one that scores all rows for a query.

They are two networks with a table each: in LiteRT a table that is gathered from has one scale, the weights of a layer
have a scale a row. Where both shall hold the same rows, the learner sees to it (`training/rows.py`).
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

LOOKUP, SCORER = "lookup", "scorer"  # networks
ROW, QUERY, VECTOR, SCORES = "row", "query", "vector", "scores"  # their inputs and outputs


def lookup(rows: int, width: int, *, deviation: float = 0.1, name: str = LOOKUP) -> keras.Model:
    """Build a network that looks rows up.  Shapes: row (N, 1) int32 -> vector (N, width)."""
    row = keras.Input((1,), dtype="int32", name=ROW)
    normal: Any = keras.initializers.RandomNormal(stddev=deviation)
    vectors = layers.Embedding(rows, width, embeddings_initializer=normal, name="table")(row)
    return keras.Model(row, layers.Flatten(name=VECTOR)(vectors), name=name)


def scorer(
    rows: int, width: int, *, bias: bool = False, deviation: float = 0.1, fixed: bool = False
) -> keras.Model:  # fmt: skip
    """Build a network that multiplies a query with every row.

    fixed: its table is set by what is looked up, is not trained, and nothing of it is pruned.
    Shapes: query (N, width) -> scores (N, rows).
    """
    query = keras.Input((width,), name=QUERY)
    normal: Any = keras.initializers.RandomNormal(stddev=deviation)
    scores = layers.Dense(rows, use_bias=bias, kernel_initializer=normal, trainable=not fixed, name=SCORES)(query)
    return keras.Model(query, scores, name=SCORER)

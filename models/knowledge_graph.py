"""Embeddings of a graph of facts: each thing a row of a table, each relation a way to move or bend it.

A fact e = (source, relation, destination) has f(e), the similarity of the source's row and of the destination's that
the relation has transformed. The destination is what is told, sources are what is scored; a relation turned round has
parameters of its own, for facts whose source is told (Lerer 2019, section 3.1: reciprocal predicates).
"""

from typing import Any

import keras
from keras import layers

from ..untyped import ops
from .registry import register
from .tables import LOOKUP, QUERY, SCORER, SCORES, lookup

FAMILY = "embedding"
RELATION = "relation"


@register(
    task="retrieval",
    learner="ranking_pairs:cosine=1,temperature=0.1",
    input_shape=(2,),
    dtype="int32",
    classes=40_943,
    params=8_188_600,
    paper="Lerer 2019, PyTorch-BigGraph: a large-scale graph embedding system, arXiv:1903.12287, operator identity",
    data=("wn18rr", "family_tree"),
    learning_rate=0.01,
    edge={"width": 32},
    networks=(LOOKUP, SCORER),
    variants={
        "kg_translation": {
            "operator": "translation",
            "params": 8_190_800,
            "paper": "Bordes 2013, Translating embeddings for modeling multi-relational data (TransE), by cosines",
        },
        "kg_affine": {
            "operator": "affine",
            "learner": "ranking_pairs",
            "params": 8_410_800,
            "paper": "Lerer 2019, arXiv:1903.12287, operator affine; without its vector Nickel 2011 (RESCAL)",
        },
        "kg_diagonal": {
            "operator": "diagonal",
            "edge": {"width": 64},
            "learner": "ranking_pairs",
            "params": 8_190_800,
            "paper": "Yang 2015, Embedding entities and relations for learning and inference in knowledge bases "
            "(DistMult), arXiv:1412.6575",
        },
        "world2vec": {
            "operator": "translation",
            "classes": 10_000,
            "relations": 16,
            "params": 2_001_600,
            "paper": "Lerer 2019, arXiv:1903.12287, nodes and relations of many types in one table",
            "data": ("made_up_world",),
            "learning_rate": 0.005,
            "edge": {"width": 64},
        },
    },
)
def kg_identity(
    input_shape: tuple[int, ...], classes: int, relations: int = 22, width: int = 100, operator: str = "identity"
):  # fmt: skip
    """Build the table, and what scores all of its rows for one of them and a relation.

    A softmax over rows ranks better than the margin of the papers (learner "ranking_pairs:margin=1"): on `family_tree`
    translations come to an MRR of 0.42 by the one, 0.28 by the other.

    operator: "identity", "translation" (d + v), "affine" (A d + v) or "diagonal" (v d). The first two compare by
    cosines, a map that weighs each value by products.
    Shapes: lookup: row (N, 1) int32 -> vector (N, width); scorer: query (N, width), relation (N, 1) int32, but for
    identity, -> scores (N, classes). Relations from relations / 2 on are turned round.
    """
    query, relation = keras.Input((width,), name=QUERY), keras.Input((1,), dtype="int32", name=RELATION)
    inputs: Any = {QUERY: query} if operator == "identity" else {QUERY: query, RELATION: relation}
    cosine = operator in ("identity", "translation")
    x = transformed(query, relation, operator, relations)
    x = layers.UnitNormalization(name="unit")(x) if cosine else x
    scores = layers.Dense(classes, use_bias=False, name=SCORES)(x)
    return {
        LOOKUP: lookup(classes, width),
        SCORER: keras.Model(inputs, scores, name=SCORER),
    }


def transformed(x: Any, relation: Any, operator: str, relations: int) -> Any:
    """Return vectors (N, width) as their relations (N, 1) transform them, see `kg_identity`."""
    width = x.shape[-1]
    if operator == "identity":
        return x

    def of_relation(size: int, name: str, start: Any) -> Any:
        table = layers.Embedding(relations, size, embeddings_initializer=start, name=name)
        return layers.Flatten(name=f"{name}_flat")(table(relation))

    small = keras.initializers.RandomNormal(stddev=0.1 / width**0.5)
    if operator == "diagonal":
        normal = keras.initializers.RandomNormal(stddev=1.0)
        return layers.Multiply(name="bent")([x, of_relation(width, "factors", normal)])
    if operator == "affine":
        maps = of_relation(width * width, "maps", keras.initializers.RandomNormal(stddev=width**-0.5))
        maps = layers.Reshape((width, width), name="map")(maps)
        x = ops.squeeze(ops.matmul(maps, ops.expand_dims(x, -1)), -1)  # (N, width)
    return layers.Add(name="moved")([x, of_relation(width, "vectors", small)])

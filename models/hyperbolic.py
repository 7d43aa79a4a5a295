"""Points of hyperbolic space, in which a tree has room: a table on the hyperboloid, where a distance is a product."""

from __future__ import annotations

import keras

from .registry import Bars, register
from .tables import lookup, scorer

FAMILY = "embedding"


@register(
    task="retrieval",
    learner="poincare:edge=0.001",
    input_shape=(1,),
    dtype="int32",
    classes=1180,
    params=12_980,
    paper="Nickel and Kiela 2017, Poincare embeddings for learning hierarchical representations, arXiv:1705.08039; 10 "
    "dimensions, the 1,180 mammals of WordNet",
    data=("mammals", "made_up_tree"),
    networks=("lookup", "scorer"),
    learning_rate=0.3,
    wide=("*",),
    bars=Bars(floor=0.3),
)
def hyperbolic_embedding(classes: int, width: int = 10) -> dict[str, keras.Model]:
    """Build the points of as many nodes as `classes`, in as many dimensions as `width`; see `models/tables.py`.

    A point u of the Poincare ball lies in the tables as x = (2u, 1 + |u|^2) / (1 - |u|^2): then cosh of a distance is
    x0 y0 - x.y, which the scorer answers with its sign turned; the host takes arcosh, in float, of the few that it
    shows. Near the edge of the ball this is a small difference of large products: 8 bits of what is looked up are too
    few, those of the table are enough up to heights x0 of 1,000; and no weight of it may be pruned.
    Shapes: lookup: row (N, 1) -> vector (N, width + 1); scorer: query (N, width + 1) -> scores (N, classes).
    """
    return {"lookup": lookup(classes, width + 1), "scorer": scorer(classes, width + 1, fixed=True)}

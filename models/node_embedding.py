"""Vectors of nodes: a table for each graph, decoded by products or distances; learners tell the models apart."""

from __future__ import annotations

import keras

from .registry import Bars, register
from .tables import lookup, scorer

FAMILY = "graph"


@register(
    task="retrieval",
    learner="proximity:of=laplacian",
    input_shape=(1,),
    dtype="int32",
    classes=2708,
    params=695_956,
    paper="Belkin and Niyogi 2003, Laplacian eigenmaps for dimensionality reduction and data representation; 128 "
    "values as in Perozzi 2014",
    data=("cora_links", "karate_links", "block_links"),
    networks=("lookup", "scorer"),
    edge={"width": 32},
    bars=Bars(floor=0.3),
    variants={
        "graph_factorization": {
            "params": 693_248,
            "learner": "neighbours:squared=1,tied=1,negatives=10",
            "paper": "Ahmed 2013, Distributed large-scale natural graph factorization; 128 values",
            "distances": False,
            "learning_rate": 0.02,
            "training": {"weight_decay": 0.03},
        },
        "grarep": {
            "params": 693_248,
            "learner": "proximity:of=transitions,steps=4",
            "paper": "Cao 2015, GraRep: learning graph representations with global structural information; 4 x 32",
            "distances": False,
            "edge": {"width": 96},
        },
        "hope": {
            "params": 693_248,
            "learner": "proximity:of=katz",
            "paper": "Ou 2016, Asymmetric transitivity preserving graph embedding; 128 values",
            "distances": False,
        },
        "deepwalk": {
            "params": 693_248,
            "learner": "neighbours:walk=20,window=5",
            "paper": "Perozzi 2014, DeepWalk: online learning of social representations, arXiv:1403.6652",
            "distances": False,
            "learning_rate": 0.02,
        },
        "node2vec": {
            "params": 693_248,
            "learner": "neighbours:walk=20,window=5,p=1,q=0.5",
            "paper": "Grover 2016, node2vec: scalable feature learning for networks, arXiv:1607.00653",
            "distances": False,
            "learning_rate": 0.02,
        },
    },
)
def laplacian_eigenmaps(classes: int, width: int = 128, distances: bool = True) -> dict[str, keras.Model]:
    """Build a table that is looked up and one that is scored, of as many nodes as `classes`; see `models/tables.py`.

    distances: scores are to be minus half of squared distances, z.z' - |z'|^2 / 2, which asks for a bias; else they are
    products. The tables are the same of eigenmaps and factorization; else they are two sides of a node, as where edges
    come from and go to.
    Shapes: lookup: row (N, 1) -> vector (N, width); scorer: query (N, width) -> scores (N, classes).
    """
    return {"lookup": lookup(classes, width), "scorer": scorer(classes, width, bias=distances)}

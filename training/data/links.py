"""Graphs of which some edges are hidden: for a node the question is which others it is linked to."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import sources
from .dataset import Dataset, Split
from .graphs import CORA, PARTS, read_planetoid
from .queries import RETRIEVALS, Queries, known_of
from .sets import Asked, dataset

SHARES = {"validation": 0.05, "test": 0.1}  # of all edges
BLOCKS, BLOCK, TOWN = 24, 10, 4  # of `block_links`: blocks, nodes in each, blocks that are near each other
CHANCES = (0.7, 0.03, 0.001)  # of an edge within a block, a town, and elsewhere
SEED = 0  # which edges are hidden is the same for all seeds of a training


@dataset(input_shape=(1,), dtype="int32", tasks=RETRIEVALS, here=lambda: all(map(sources.find, CORA)))
def cora_links(asked: Asked) -> Dataset:
    """Return the 5,278 citations of Cora, a tenth of them hidden to judge, 5% to validate."""
    files = {part: sources.read(path) for part, path in zip(PARTS, CORA, strict=True)}
    _, _, edges, _ = read_planetoid(files)
    return hidden("cora_links", np.maximum(edges, edges.T), asked.task, source=sources.describe(CORA))


@dataset(input_shape=(1,), dtype="int32", tasks=RETRIEVALS)
def karate_links(asked: Asked) -> Dataset:
    """Return Zachary's karate club: 34 members, 78 friendships, of which 12 are hidden, 8 of them to judge."""
    import networkx

    club: Any = networkx.karate_club_graph()
    edges = networkx.to_numpy_array(club) > 0
    return hidden("karate_links", edges, asked.task, source=(f"networkx {networkx.__version__}",))


@dataset(input_shape=(1,), dtype="int32", tasks=RETRIEVALS, floor=0.3)
def block_links(asked: Asked) -> Dataset:
    """Return a made-up graph of 240 nodes: 24 blocks of 10, six towns of 4 blocks; most edges lie within a block."""
    return hidden("block_links", blocks(np.random.default_rng(SEED)), asked.task, source=("drawn",))


def blocks(random: np.random.Generator) -> np.ndarray:
    """Return the adjacency of a stochastic block model, (nodes, nodes).  Source: Holland 1983."""
    block = np.arange(BLOCKS * BLOCK) // BLOCK
    near, same = (block[:, None] // TOWN == block // TOWN), block[:, None] == block
    chances = np.where(same, CHANCES[0], np.where(near, CHANCES[1], CHANCES[2]))
    drawn = np.triu(random.random(chances.shape) < chances, 1)
    return (drawn | drawn.T).astype(np.float64)


def hidden(name: str, edges: np.ndarray, task: str, **facts: Any) -> Queries:
    """Return a graph with edges hidden, none of a spanning forest, so that each node keeps one.

    Each edge is two samples, a query from either end. What a node is linked to in any split, and the node itself, do
    not count against an answer.
    Shapes: edges (nodes, nodes), symmetric.  Source: Grover 2016, arXiv:1607.00653, section 4.4.
    """
    from scipy.sparse.csgraph import minimum_spanning_tree

    random = np.random.default_rng(SEED)
    weights = np.triu(edges > 0, 1) * (1 + random.random(edges.shape))
    tree = np.asarray(minimum_spanning_tree(weights).todense()) > 0
    free = random.permutation(np.argwhere((weights > 0) & ~tree))
    count, parts, start = int((weights > 0).sum()), {}, 0
    for part, share in SHARES.items():
        parts[part] = free[start : start + round(share * count)]
        start += len(parts[part])
    parts["train"] = np.concatenate([free[start:], np.argwhere(tree)])
    both = {part: np.concatenate([pairs, pairs[:, ::-1]]).astype(np.int32) for part, pairs in parts.items()}
    itself = np.arange(len(edges))
    known = known_of(*((pairs[:, :1], pairs[:, 1]) for pairs in both.values()), (itself[:, None], itself))
    return Queries(
        name=name,
        task=task,
        classes=len(edges),
        known=known,
        preprocessing="a query is the number of a node",
        **{part: Split(x=pairs[:, :1], y=pairs[:, 1]) for part, pairs in both.items()},
        **facts,
    )


def adjacency_of(links: Dataset) -> np.ndarray:
    """Return the edges of the training split, (nodes, nodes) of 0 and 1."""
    edges = np.zeros((links.classes, links.classes))
    edges[np.asarray(links.train.x)[:, 0], links.train.y] = 1
    return edges

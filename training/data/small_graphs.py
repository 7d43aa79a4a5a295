"""Small graphs of four kinds, drawn by seed: for nets features, edges and a mask, for tables shares of colours."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from ...errors import BadInput
from ..colours import Colours
from .dataset import Dataset, Split
from .sets import Asked, dataset

KINDS = ("ring", "star", "tree", "grid")
COUNTS = {"train": 640, "validation": 160, "test": 400}
NODES = 16  # at most
LEAST = 6
ASTRAY = 0.25  # of the graphs get an edge more than their kind has
ROUNDS = 2  # of refinement
SOURCE = ("drawn by Edgewright",)

Drawn = list[tuple[np.ndarray, int]]  # edges (n, n), kind


@dataset(input_shape={"features": (NODES, 2), "links": (NODES, NODES), "mask": (NODES,)}, tasks=("classification",))
def drawn_graphs(asked: Asked) -> Dataset:
    """Return rings, stars, trees and grids of 6 to 16 nodes in any order; a node has a one and a number drawn."""
    if asked.inputs:
        shapes = asked.shapes("drawn_graphs", "features", "links", "mask")
        if shapes != [(NODES, 2), (NODES, NODES), (NODES,)]:
            raise BadInput(f"data set 'drawn_graphs' has {NODES} nodes of 2 features, asked are {shapes}")
    splits: dict[str, Any] = {}
    random = np.random.default_rng(1)
    for part, graphs in _drawn().items():
        x = {"features": np.zeros((len(graphs), NODES, 2)), "links": np.zeros((len(graphs), NODES, NODES)),
             "mask": np.zeros((len(graphs), NODES))}  # fmt: skip
        for row, (edges, _) in enumerate(graphs):
            size = len(edges)
            x["features"][row, :size] = np.stack([np.ones(size), random.uniform(-1, 1, size)], -1)
            x["links"][row, :size, :size] = edges
            x["mask"][row, :size] = 1
        splits[part] = Split(x={name: array.astype(np.float32) for name, array in x.items()}, y=_labels(graphs))
    return Dataset(name="drawn_graphs", task="classification", classes=len(KINDS), labels=KINDS, source=SOURCE,
                   preprocessing=f"padded to {NODES} nodes", **splits)  # fmt: skip


@dataset(input_shape=(256,), tasks=("classification",))
def graph_colours(asked: Asked) -> Dataset:
    """Return of the same graphs which share of nodes has each colour, by refinement with a node's own colour."""
    return _coloured("graph_colours", asked, own=True)


@dataset(input_shape=(256,), tasks=("classification",))
def graph_neighbour_colours(asked: Asked) -> Dataset:
    """Return the same by refinement with the neighbours' colours alone."""
    return _coloured("graph_neighbour_colours", asked, own=False)


def _coloured(name: str, asked: Asked, *, own: bool) -> Dataset:
    """Return shares of the colours that most nodes of the training graphs have; others are not told."""
    if len(asked.input_shape) != 1:
        raise BadInput(f"data set {name!r} is shares of colours (colours,), asked is {asked.input_shape}")
    table, (width,) = Colours(own), asked.input_shape
    graphs, counts = _drawn(), {}
    for part, each in graphs.items():
        counts[part] = [table.counts(edges, np.zeros(len(edges), int), ROUNDS) for edges, _ in each]
    seen = Counter[int]()
    for each in counts["train"]:
        seen.update(each)
    known = {colour: place for place, (colour, _) in enumerate(seen.most_common(width))}
    splits: dict[str, Any] = {}
    for part, each in graphs.items():
        x = np.zeros((len(each), width), np.float32)
        for row, (edges, _) in enumerate(each):
            for colour, count in counts[part][row].items():
                if colour in known:
                    x[row, known[colour]] = count / len(edges)
        splits[part] = Split(x=x, y=_labels(each))
    return Dataset(name=name, task="classification", classes=len(KINDS), labels=KINDS, source=SOURCE, **splits,
                   preprocessing=f"shares of the {len(known)} colours most seen in {ROUNDS} rounds")  # fmt: skip


def _labels(graphs: Drawn) -> np.ndarray:
    return np.array([kind for _, kind in graphs], np.int32)


def _drawn() -> dict[str, Drawn]:
    """Return the graphs of each split: a function of nothing."""
    random = np.random.default_rng(0)
    return {
        part: [(_graph(random, KINDS[kind]), int(kind)) for kind in random.permutation(np.arange(count) % len(KINDS))]
        for part, count in COUNTS.items()
    }


def _graph(random: np.random.Generator, kind: str) -> np.ndarray:
    """Return the edges of a graph of one kind, its nodes in any order, (n, n)."""
    import networkx as nx

    size = int(random.integers(LEAST, NODES + 1))
    if kind == "grid":
        rows = int(random.integers(2, 5))
        graph = nx.grid_2d_graph(rows, max(2, min(size // rows, NODES // rows)))
    else:
        graph = {
            "ring": lambda: nx.cycle_graph(size),
            "star": lambda: nx.star_graph(size - 1),
            "tree": lambda: nx.random_labeled_tree(size, seed=int(random.integers(2**31))),
        }[kind]()
    edges = nx.to_numpy_array(graph)
    if random.uniform() < ASTRAY:
        one, other = random.choice(len(edges), 2, replace=False)
        edges[one, other] = edges[other, one] = 1
    order = random.permutation(len(edges))
    return edges[order][:, order]

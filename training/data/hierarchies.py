"""Trees and what lies above what in them: for a node the question is which others are its ancestors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from . import sources
from .dataset import Dataset, Split
from .queries import RETRIEVALS, Queries, known_of
from .sets import Asked, dataset

BRANCHES, DEPTH = 3, 5  # of `made_up_tree`
SHARES = {"validation": 0.05, "test": 0.1}  # of all pairs
SEED = 0
WORDNET = [f"wn18rr/{part}.txt" for part in ("train", "valid", "test")]
MAMMAL, ABOVE = "01861778", "_hypernym"  # as WordNet 3.0 numbers what a word means, and says what is above it


@dataset(input_shape=(1,), dtype="int32", tasks=RETRIEVALS, here=lambda: all(map(sources.find, WORDNET)))
def mammals(asked: Asked) -> Dataset:
    """Return the mammals of WN18RR: 392 meanings of WordNet and what is above each of them, of all three files."""
    below: dict[str, list[str]] = {}
    for path in WORDNET:
        for line in sources.read(path).decode().splitlines():
            head, relation, tail = line.split()
            if relation == ABOVE:
                below.setdefault(tail, []).append(head)
    return ancestors("mammals", _under(MAMMAL, below), asked.task, source=sources.describe(WORDNET))


@dataset(input_shape=(1,), dtype="int32", tasks=RETRIEVALS, floor=0.3)
def made_up_tree(asked: Asked) -> Dataset:
    """Return a tree of 364 nodes, three below each but the lowest, which lie five below the root."""
    return ancestors("made_up_tree", balanced(BRANCHES, DEPTH), asked.task, source=("computed",))


def balanced(branches: int, depth: int) -> list[list[int]]:
    """Return the parents of each node of a balanced tree, the root first."""
    count = (branches ** (depth + 1) - 1) // (branches - 1)
    return [[] if not node else [(node - 1) // branches] for node in range(count)]


def _under(root: str, below: Mapping[str, Sequence[str]]) -> list[list[int]]:
    """Return the parents of each node under a root, the root first and each behind one of its parents."""
    number, parents = {root: 0}, [[]]
    for node in (order := [root]):
        for child in below.get(node, ()):
            if child not in number:
                number[child] = len(number)
                parents.append([])
                order.append(child)
            parents[number[child]].append(number[node])
    return parents


def closure(parents: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return all pairs of a node and one of its ancestors, (pairs, 2), and which of them are parents."""
    above: list[set[int]] = [set() for _ in parents]
    for _ in parents:  # at most as often as the tree is deep
        grown = [own.union(found, *(above[one] for one in own)) for own, found in zip(map(set, parents), above,
                                                                                      strict=True)]  # fmt: skip
        if grown == above:
            break
        above = grown
    pairs = [(node, other) for node, found in enumerate(above) for other in sorted(found - {node})]
    return np.array(pairs), np.array([other in parents[node] for node, other in pairs])


def ancestors(name: str, parents: Sequence[Sequence[int]], task: str, **facts: Any) -> Queries:
    """Return all pairs of a hierarchy, some of those hidden that follow from others: no parent is.

    All ancestors of a node, and itself, do not count against an answer.
    """
    pairs, told = closure(parents)
    follows = np.random.default_rng(SEED).permutation(np.flatnonzero(~told))
    ends = np.cumsum([round(share * len(pairs)) for share in SHARES.values()])
    *judged, rest = np.split(follows, ends)
    chosen = {**dict(zip(SHARES, judged, strict=True)), "train": np.concatenate([rest, np.flatnonzero(told)])}
    every = np.arange(len(parents))
    return Queries(
        name=name,
        task=task,
        classes=len(parents),
        known=known_of((pairs[:, :1], pairs[:, 1]), (every[:, None], every)),
        preprocessing="a query is the number of a node",
        **{part: Split(x=pairs[own, :1].astype(np.int32), y=pairs[own, 1].astype(np.int32))
           for part, own in chosen.items()},
        **facts,
    )  # fmt: skip

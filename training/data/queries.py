"""Queries of which the answer is a row of a table: neighbours of a node, items of a user, the other end of a fact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from .dataset import Dataset

RETRIEVALS = ("retrieval", "retrieval_first", "retrieval_top")  # tasks: by MRR, hits@1 and hits@10


@dataclass(frozen=True, kw_only=True)
class Queries(Dataset):
    """Queries and the row that answers each: several samples of one query are several answers to it.

    Splits: x int32 (N, columns), what is asked; y int32 (N,), the row that answers. classes: rows that may answer.
    signs: the first columns are numbers of rows that are looked up, and the query is the sum of these by signs, as
    (-1, 1, 1) of an analogy a : b = c : ?. () where x goes to an encoder as it is, tokens or values (N, ...).
    unit_length: what is looked up is divided by its length first. further: the inputs of the scorer that the columns
    behind those are, each (N, 1), as ("relation",).
    known: x of a query -> all rows that do not count against an answer: its true ones of any split, and what is no
    answer, as the node itself. A query that is not there has none.
    """

    signs: tuple[int, ...] = (1,)
    unit_length: bool = False
    further: tuple[str, ...] = ()
    known: Mapping[tuple[int, ...], np.ndarray] = field(default_factory=dict, repr=False)


def known_of(*pairs: tuple[np.ndarray, np.ndarray]) -> dict[tuple[int, ...], np.ndarray]:
    """Return which rows answer each query, of pairs of queries (N, columns) and answers (N,): of all splits together.

    More that is not to count is given as a pair too: (nodes[:, None], nodes) for the nodes themselves.
    """
    found: dict[tuple[int, ...], set[int]] = {}
    for asked, answers in pairs:
        for query, answer in zip(np.asarray(asked).tolist(), np.asarray(answers).tolist(), strict=True):
            found.setdefault(tuple(query), set()).add(answer)
    return {query: np.array(sorted(rows)) for query, rows in found.items()}

"""Matrices of which some entries are known: what users make of items."""

from __future__ import annotations

from typing import Any

import numpy as np

from .dataset import Dataset, Split
from .sets import Asked, dataset

USERS, ITEMS, RANK = 120, 80, 3
SHARES = {"train": 0.45, "validation": 0.05, "test": 0.5}  # of the entries
SEED = 0


@dataset(input_shape=(2,), dtype="int32", tasks=("completion",), floor=0.9)
def low_rank(asked: Asked) -> Dataset:
    """Return a made-up matrix of rank 3 with means of users and items, 120 x 80; half of its entries are hidden."""
    random = np.random.default_rng(SEED)
    tastes, traits = random.standard_normal((USERS, RANK)), random.standard_normal((ITEMS, RANK))
    of_users, of_items = 0.5 * random.standard_normal((USERS, 1)), 0.5 * random.standard_normal(ITEMS)
    matrix = 3 + of_users + of_items + tastes @ traits.T
    entries = random.permutation(np.argwhere(np.ones(matrix.shape)))
    ends = np.cumsum([round(share * len(entries)) for share in SHARES.values()])
    parts = zip(SHARES, np.split(entries, ends[:-1]), strict=True)
    splits: dict[str, Any] = {
        part: Split(x=each.astype(np.int32), y=matrix[*each.T, None].astype(np.float32)) for part, each in parts
    }
    return Dataset(
        name="low_rank",
        task=asked.task,
        sizes={"users": USERS, "items": ITEMS},
        preprocessing="entries are numbers of a user and an item",
        source=("drawn",),
        **splits,
    )

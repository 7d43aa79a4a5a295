"""Numbers to be put in order by pointing at them."""

from typing import Any

import numpy as np

from ...errors import BadInput
from .dataset import Dataset, Split
from .sets import Asked, dataset

SIZES = {"train": 8000, "validation": 500, "test": 500}


@dataset(input_shape={"items": (10, 1), "last": (10, 1), "used": (10, 10)}, tasks=("pointing",))
def sorting(asked: Asked) -> Dataset:
    """Return sets of numbers drawn evenly from [0, 1), 8,000 / 500 / 500 of them by seed, and their order."""
    (count, size), *_ = asked.shapes("sorting", "items", "last", "used")
    if size != 1:
        raise BadInput(f"data set 'sorting' has items of one number, asked is {size}; build the model for (n, 1)")
    random = np.random.default_rng(0)
    splits: dict[str, Any] = {
        part: pointed(random.random((number, count, 1), np.float32)) for part, number in SIZES.items()
    }
    return Dataset(name="sorting", task=asked.task, preprocessing="numbers in [0, 1), the least first",
                   source=("generated",), **splits)  # fmt: skip


def pointed(items: np.ndarray) -> Split:
    """Return sets (N, n, 1) with where the least, the second and so on are, (N, n), and what is known at each step.

    last: the number before, 0 at first, (N, n, 1); used: 1 where a number was pointed at already, (N, n, n).
    """
    order = items[..., 0].argsort(1, kind="stable").astype(np.int32)
    put = np.take_along_axis(items, order[..., None], 1)
    last = np.concatenate([np.zeros_like(put[:, :1]), put[:, :-1]], 1)
    here = order[..., None] == np.arange(items.shape[1])  # (N, step, item)
    used = (here.cumsum(1) - here).astype(np.float32)
    return Split(x={"items": items, "last": last, "used": used}, y=order)

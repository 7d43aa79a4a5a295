"""Weights as a function of a seed, without a change of any global random state. Imports no Keras."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Make unseeded Keras initializers and dropout a function of `seed`: they draw their seeds from `random`."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)

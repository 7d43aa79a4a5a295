"""n-gram tables of counts, smoothed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...models.ngram import NOTHING, Interpolated
from ..config import TrainConfig
from ..data import Dataset
from ..ngrams import Counted, Run, Smoothed
from .register import Networks
from .solved import solver
from .tables import lone


@solver("ngram_counts")
def ngram_counts(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig) -> None:
    """Count the runs of words of the training text, and assign what Kneser-Ney smoothing makes of them.

    Where there is no room for all contexts of a length, the most frequent have it, each with all its runs.
    """
    layer = lone(networks).get_layer("logits")
    rows = np.column_stack([np.asarray(dataset.train.x), dataset.train.y])
    model = Smoothed.of(Counted.of(rows), layer.words)
    assign(layer, model)


def assign(layer: Interpolated, model: Smoothed) -> None:
    """Give a layer the tables of a model."""
    layer.chances.assign(np.array([model.chance(word) for word in range(layer.words)], np.float32))
    numbers: dict[Run, int] = {(): 0}
    for length, tables in enumerate(layer.longer, 1):
        behind: dict[Run, list[int]] = {}
        for *before, word in model.kinds[length]:
            behind.setdefault(tuple(before), []).append(word)
        chosen = _with_room(layer, model, behind, numbers)
        key = {before: numbers[before[:-1]] * layer.words + before[-1] for before in chosen}
        ordered = sorted(chosen, key=lambda before: key[before])
        numbers = {before: number for number, before in enumerate(ordered)}
        runs = sorted((number * layer.words + word, model.seen(word, *before))
                      for before, number in numbers.items() for word in behind[before])  # fmt: skip
        _fill(tables["contexts"], [key[before] for before in ordered], NOTHING)
        _fill(tables["left"], [model.left(*before) for before in ordered], 0)
        _fill(tables["runs"], [place for place, _ in runs], NOTHING)
        _fill(tables["seen"], [share for _, share in runs], 0)


def _with_room(
    layer: Interpolated, model: Smoothed, behind: dict[Run, list[int]], prefixes: dict[Run, int]
) -> Sequence[Run]:
    """Return contexts that there is room for with all their runs, the most frequent first.

    prefixes: the contexts one word shorter that have it; one that begins with none of them cannot be found.
    """
    after = model.after[len(next(iter(behind)))]
    ordered = sorted((before for before in behind if before[:-1] in prefixes), key=lambda run: (-after[run][0], run))
    sizes = np.cumsum([len(behind[before]) for before in ordered])
    return ordered[: min(layer.contexts, int(np.searchsorted(sizes, layer.runs, side="right")))]


def _fill(variable: Any, values: Sequence[float], filler: float) -> None:
    array = np.full(variable.shape, filler, variable.dtype)
    array[: len(values)] = values
    variable.assign(array)

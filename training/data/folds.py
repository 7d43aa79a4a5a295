"""Cross-validation: the samples at hand as folds, each of which is tested once. The official test split stays apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import starmap
from typing import Any, Literal

import numpy as np

from ...errors import BadInput
from .dataset import CLASSES, Array, Dataset, Split, divide

VALIDATION = 0.1  # of what a fold leaves, to choose the epoch by
Order = Literal["chance", "time", "group"]


def folds(dataset: Dataset, count: int, *, order: Order = "chance", seed: int = 0) -> Iterator[Dataset]:
    """Return `count` data sets of the training and validation samples, each tested on another fold of them.

    They are made one after the other, as they are asked for.

    order: "chance" draws folds, of classes with their shares; "time" takes samples in their order, tests on what
    follows, and never trains on a sample that is later than one it tests; "group" keeps the samples of a group
    (`Split.group`) on one side, classes near their shares. As many folds as samples, or groups, leave one out.
    Raises: BadInput for fewer than 2 folds, more than samples or groups, or than the rarest class has.
    """
    pool = _together(dataset.train, dataset.validation)
    labels = pool.y if dataset.task in CLASSES and isinstance(pool.y, np.ndarray) and pool.y.ndim == 1 else None
    groups = _groups(pool, dataset.name) if order == "group" else None
    _check(count, len(pool), order, groups)
    parts = _parts(len(pool), count, order, seed, labels, groups)

    def fold(rest: Array, tested: Array) -> Dataset:
        learned, judged = _validation(rest, order, seed, labels, groups)
        return replace(dataset, train=pool.take(learned), validation=pool.take(judged), test=pool.take(tested))

    return starmap(fold, parts)


def _groups(pool: Split, name: str) -> Array:
    if pool.group is None:
        raise BadInput(f"folds by group: nobody says whom the samples of {name!r} are of; give splits as "
                       "Split(x=..., y=..., group=...), or draw folds by chance")  # fmt: skip
    return np.unique(pool.group, return_inverse=True)[1]


def _check(count: int, samples: int, order: str, groups: Array | None) -> None:
    if groups is not None:
        if not 2 <= count <= (kinds := int(groups.max()) + 1):
            raise BadInput(f"folds {count}: allowed is 2 to {kinds}, of {kinds} groups")
        return
    most = samples - 1 if order == "time" else samples
    if not 2 <= count <= most:
        raise BadInput(f"folds {count}: allowed is 2 to {most}, of {samples} samples")


def _parts(
    samples: int, count: int, order: Order, seed: int, labels: Array | None, groups: Array | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    from sklearn.model_selection import (
        GroupKFold,
        KFold,
        LeaveOneOut,
        StratifiedGroupKFold,
        StratifiedKFold,
        TimeSeriesSplit,
    )

    places = np.arange(samples)
    if groups is not None and labels is None:
        return GroupKFold(count, shuffle=True, random_state=seed).split(places, groups=groups)
    if groups is not None:
        return StratifiedGroupKFold(count, shuffle=True, random_state=seed).split(places, labels, groups)
    if order == "time":
        return TimeSeriesSplit(count).split(places)
    if count == samples:
        return LeaveOneOut().split(places)
    if labels is not None:
        if count > (rarest := np.bincount(labels)[np.unique(labels)].min()):
            raise BadInput(f"folds {count}: the rarest class has {rarest} samples, a fold needs one of each")
        return StratifiedKFold(count, shuffle=True, random_state=seed).split(places, labels)
    return KFold(count, shuffle=True, random_state=seed).split(places)


def _validation(
    rest: Array, order: Order, seed: int, labels: Array | None, groups: Array | None
) -> tuple[np.ndarray, np.ndarray]:
    """Divide what a fold leaves into samples to learn and samples to choose the epoch by, these the last in time.

    Of groups some are for that, where a fold leaves two or more.
    """
    if order == "time":
        last = max(1, round(VALIDATION * len(rest)))
        return rest[:-last], rest[-last:]
    if groups is not None and len(kinds := np.random.default_rng(seed).permutation(np.unique(groups[rest]))) > 1:
        held = np.isin(groups[rest], kinds[: max(1, round(VALIDATION * len(kinds)))])
        return rest[~held], rest[held]
    kinds = labels[rest] if labels is not None else np.zeros(len(rest), int)
    learned, judged = divide(kinds, VALIDATION, seed)
    return rest[learned], rest[judged]


def _together(first: Split, second: Split) -> Split:
    group = None if first.group is None or second.group is None else np.concatenate([first.group, second.group])
    x = _joined(first.x, second.x)
    return Split(x=x, y=x if first.y is first.x else _joined(first.y, second.y), group=group)


def _joined(first: Any, second: Any) -> Any:
    if isinstance(first, Mapping):
        return {name: np.concatenate([values, second[name]]) for name, values in first.items()}
    return np.concatenate([first, second])

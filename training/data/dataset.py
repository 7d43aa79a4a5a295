"""What a data set is: three splits that do not overlap, checked before anything is trained or calibrated on them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from ...errors import BadInput
from .arrays import Input
from .targets import Head, Output

Array = np.ndarray
CLASSES = ("classification", "binary_classification")  # tasks whose classes keep their shares in a subset
LARGEST = 1e6  # beyond it a calibrated range is ruined: the converter "succeeds" with a useless scale


@dataclass(frozen=True, kw_only=True)
class Split:
    """Samples and their targets.

    x: float32 or int32 (N, ...), or a dict of such arrays for a model with several named inputs. y: (N, ...), or a
    dict of such arrays, in the order of the model's outputs, for several of them. group: (N,) whom each sample is of,
    such as a speaker or a patient, by name or number; None where nobody says.
    """

    x: Array | Mapping[str, Array]
    y: Any
    group: Array | None = None

    def __len__(self) -> int:
        return len(next(iter(self.y.values()))) if isinstance(self.y, Mapping) else len(self.y)

    def take(self, indices: Array) -> "Split":
        """Return the samples at `indices`."""
        same = self.y is self.x  # a reconstruction target is the sample itself: one array, not two
        x = _at(self.x, indices)
        group = None if self.group is None else np.asarray(self.group)[indices]
        return Split(x=x, y=x if same and isinstance(x, np.ndarray) else _at(self.y, indices), group=group)


def _at(arrays: Any, indices: Array) -> Any:
    return {name: array[indices] for name, array in arrays.items()} if isinstance(arrays, Mapping) else arrays[indices]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The network that samples are presented to, and what its inputs and outputs are, in its order.

    steps: networks that go through the first of these inputs a time step a call, and which of theirs reads it.
    """

    network: str
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    steps: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Data for one task.

    task: a name in the table of tasks; of several outputs theirs joined by "+", and `heads` says what each answers.
    classes: number of classes, or 0 where the task has none. labels: what classes 0 and on were called in the data,
    where that was no number. vocabulary: number of token ids, or 0 for float samples. tokens: what ids 0 and on stand
    for, where a tokenizer on the host must know. corpus: text to pre-train on (a `pieces.Corpus`), None for none.
    preprocessing: what was done to raw samples, in one line. source: file names with digests, or a package's version.
    unlabelled: samples (N, ...) without a label that may be learned from, those of `train` among them; None for none.
    augmentation: makes, from a seed, the Keras layers that change training samples at random, in order; None for none.
    inside: which places of a box are in what it holds: class, u and v from 0 to 1 across and down the box -> yes or no;
    masks follow from boxes by it, None for boxes alone.
    told: what a class number tells besides, by name: class numbers -> targets of a further output.
    sizes: how large a model's tables must be for the data, by the builder's argument: {"users": 120}; that of what is
    answered is `classes`.
    shown: the network that the samples were loaded for, None where they are in their own form.
    """

    name: str
    task: str
    train: Split
    validation: Split
    test: Split
    classes: int = 0
    vocabulary: int = 0
    tokens: tuple[str, ...] = field(default=(), repr=False)
    corpus: Any = field(default=None, repr=False)
    unlabelled: Any = field(default=None, repr=False)
    preprocessing: str = "none"
    source: tuple[str, ...] = ()
    augmentation: Callable[[int], Sequence[Any]] | None = None
    labels: tuple[str, ...] = ()
    heads: Mapping[str, Head] = field(default_factory=dict)
    told: Mapping[str, Callable[[Array], Array]] = field(default_factory=dict)
    inside: Callable[[Array, Array, Array], Array] | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    shown: Shown | None = None

    @property
    def named_labels(self) -> dict[str, tuple[str, ...]]:
        """The names of the classes of each output, by its name; a lone output has the name ""."""
        return {name: head.labels for name, head in self.heads.items()} or {"": self.labels}

    @property
    def input_shape(self):
        """Shape of one sample, or a dict of shapes for samples with several inputs."""
        return shape_of(self.train.x)

    @property
    def splits(self) -> dict[str, Split]:
        """The three splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def shape_of(x: Array | Mapping[str, Array]):
    """Return the shape of one sample of `x`."""
    return {name: value.shape[1:] for name, value in x.items()} if isinstance(x, Mapping) else x.shape[1:]


def facts_of(dataset: Dataset, kind: type[Dataset] | None = None) -> dict[str, Any]:
    """Return a data set's fields by name, to make another of them: those of `kind`, by default of its own class."""
    return {each.name: getattr(dataset, each.name) for each in fields(kind or dataset)}


def check(
    split: Split,
    what: str = "data",
    *,
    input_shape: tuple[int, ...] | Mapping[str, tuple[int, ...]] | None = None,
    classes: int = 0,
    vocabulary: int = 0,
    heads: Mapping[str, Head] | None = None,
    inputs: Mapping[str, tuple[int | None, ...]] | None = None,
) -> None:
    """Refuse a split that would ruin training or calibration; `what` names it in the message.

    heads: of targets of several outputs. inputs: shapes of a model's several inputs by name, None where open.

    Raises: BadInput naming sample and feature for NaN, infinity, values beyond 1e6, labels outside [0, classes) and
    token ids outside [0, vocabulary); also for an empty split, other dtypes than float32 and int32, another shape.
    """
    for name, x in (split.x if isinstance(split.x, Mapping) else {"": split.x}).items():
        where = f"{what}, input {name!r}" if name else what
        _check_array(x, where)
        if len(x) != len(split):
            raise BadInput(f"{where}: {len(x)} samples but {len(split)} targets; give one target a sample")
        wanted = (inputs or {}).get(name)
        if wanted is not None and not _fits(x.shape[1:], wanted):
            raise BadInput(f"{where}: samples have shape {x.shape[1:]}, the model takes {wanted}")
        if vocabulary and x.dtype == np.int32:
            _check_range(x, vocabulary, where, "token id")
    if input_shape is not None and shape_of(split.x) != input_shape:
        raise BadInput(f"{what}: samples have shape {shape_of(split.x)}, the model takes {input_shape}")
    if split.group is not None and np.shape(split.group) != (len(split),):
        raise BadInput(f"{what}: groups of shape {np.shape(split.group)}, {len(split)} samples; give one a sample")
    if split.y is split.x:
        return
    for name, targets in split.y.items() if isinstance(split.y, Mapping) else [("", split.y)]:
        where = f"{what}, output {name!r}" if name else what
        if len(targets) != len(split):
            raise BadInput(f"{where}: {len(targets)} targets, {len(split)} elsewhere; give one target a sample")
        if heads[name].classes if heads and name in heads else classes:
            _check_labels(targets, heads[name].classes if heads and name in heads else classes, where)
        else:
            _check_array(targets, f"{where}, targets")


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(free in (None, size) for size, free in zip(shape, wanted, strict=True))


def _check_array(x: Array, where: str) -> None:
    if x.dtype not in (np.float32, np.int32):
        raise BadInput(f"{where}: dtype {x.dtype}; samples are float32, or int32 for token ids. Convert with .astype()")
    if not x.size:
        raise BadInput(f"{where}: empty, shape {x.shape}; at least one sample is needed")
    if x.dtype == np.float32 and not (x.max() <= LARGEST and x.min() >= -LARGEST):  # false for NaN too
        index = np.argwhere(~(np.abs(x) <= LARGEST))[0]
        raise BadInput(
            f"{where}: {_place(index)} is {x[tuple(index)]}; values must be finite and within +-{LARGEST:g}. "
            f"Remove the sample or scale the feature"
        )


def _check_labels(y: Array, classes: int, what: str) -> None:
    if not np.issubdtype(y.dtype, np.integer):
        raise BadInput(f"{what}: labels have dtype {y.dtype}; give class numbers as integers (one-hot: y.argmax(-1))")
    if not y.size:
        raise BadInput(f"{what}: empty, shape {y.shape}; at least one sample is needed")
    _check_range(y, classes, what, "label")


def _check_range(values: Array, limit: int, where: str, kind: str) -> None:
    if values.min() < 0 or values.max() >= limit:
        index = np.argwhere((values < 0) | (values >= limit))[0]
        raise BadInput(f"{where}: {kind} of {_place(index)} is {values[tuple(index)]}, outside [0, {limit})")


def _place(index: Array) -> str:
    sample, *feature = (int(i) for i in index)
    return f"sample {sample}, feature {tuple(feature)}" if feature else f"sample {sample}"


def subset(split: Split, count: int, seed: int, *, stratify: bool) -> Split:
    """Return at most `count` samples, a pure function of `seed`, in their old order; classes keep their shares."""
    if count >= len(split):
        return split
    if count < 1:
        raise BadInput(f"limit {count}: at least 1 sample is needed")
    order = np.random.default_rng(seed).permutation(len(split))
    if stratify and isinstance(split.y, np.ndarray) and split.y.ndim == 1:
        order = order[np.argsort(_rank_in_class(split.y[order]), kind="stable")]
    return split.take(np.sort(order[:count]))


def divide(labels: Array, share: float, seed: int = 0) -> tuple[Array, Array]:
    """Return the indices of two parts, the second holding `share` of each class; every class is in both.

    The official sets use seed 0 whatever the training's seed is, so that all seeds are judged on the same samples.
    """
    rng = np.random.default_rng(seed)
    second = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        second[rng.permutation(members)[: max(1, round(share * len(members)))]] = True
    return np.flatnonzero(~second), np.flatnonzero(second)


def oversampled(dataset: Dataset, seed: int) -> Dataset:
    """Return `dataset` with training samples repeated until every class has as many as the largest.

    Raises: BadInput for data without a single class a sample.
    """
    labels = dataset.train.y
    if not dataset.classes or not isinstance(labels, np.ndarray) or labels.ndim != 1:
        raise BadInput(f"training setting oversample is True: data {dataset.name!r} has no single class a sample; "
                       "leave it out")  # fmt: skip
    random, most = np.random.default_rng(seed), int(np.bincount(labels).max())
    chosen = [np.resize(random.permutation(np.flatnonzero(labels == label)), most) for label in np.unique(labels)]
    return replace(dataset, train=dataset.train.take(np.sort(np.concatenate(chosen))))


def limited(dataset: Dataset, limit: int | None, test_limit: int | None, seed: int) -> Dataset:
    """Return `dataset` with at most `limit` training (and limit / 4 validation) and `test_limit` test samples."""
    stratify = dataset.task in CLASSES
    if limit is not None:
        dataset = replace(
            dataset,
            train=subset(dataset.train, limit, seed, stratify=stratify),
            validation=subset(dataset.validation, max(1, limit // 4), seed, stratify=stratify),
        )
    if test_limit is not None:
        dataset = replace(dataset, test=subset(dataset.test, test_limit, seed, stratify=stratify))
    return dataset


def calibration(dataset: Dataset, n: int = 256, seed: int = 0) -> Array | Mapping[str, Array]:
    """Return the inputs of `n` training samples; never of validation or test ones."""
    return subset(dataset.train, n, seed, stratify=dataset.task in CLASSES).x


def _rank_in_class(labels: Array) -> Array:
    """Return k / size for the k-th sample of each class: sorting by it keeps every prefix's class shares."""
    rank = np.zeros(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rank[members] = np.arange(len(members)) / len(members)
    return rank

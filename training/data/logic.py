"""Truth tables: the whole world of a logic gate, and XOR with noise on its inputs."""

import numpy as np

from ...errors import BadInput
from .dataset import Dataset, Split
from .sets import Asked, dataset

NOISE = 0.05  # deviation of the noise on the corners of `xor`
COUNTS = {"train": 800, "validation": 100, "test": 400}


@dataset(input_shape=(2,), tasks=("classification",))
def logic_and(asked: Asked) -> Dataset:
    """Return the four rows of AND; all splits hold all of them."""
    return _gate("logic_and", asked, (0, 0, 0, 1))


@dataset(input_shape=(2,), tasks=("classification",))
def logic_or(asked: Asked) -> Dataset:
    """Return the four rows of OR; all splits hold all of them."""
    return _gate("logic_or", asked, (0, 1, 1, 1))


@dataset(input_shape=(1,), tasks=("classification",))
def logic_not(asked: Asked) -> Dataset:
    """Return the two rows of NOT; all splits hold both."""
    return _gate("logic_not", asked, (1, 0))


@dataset(input_shape=(2,), tasks=("regression", "classification"), floor=0.9)
def xor(asked: Asked) -> Dataset:
    """Return points around the corners of the unit square and the exclusive or of their corner."""
    corners, truth = corners_of(2), np.array((0, 1, 1, 0))
    splits = {}
    for index, (part, count) in enumerate(COUNTS.items()):
        which = np.arange(count) % 4
        noise = np.random.default_rng(index).normal(scale=NOISE, size=(count, 2))
        x = (corners[which] + noise).astype(np.float32)
        splits[part] = Split(x=x, y=_targets(truth[which], asked.task))
    return _dataset("xor", asked, corners, f"noise of deviation {NOISE} on the corners", splits)


def corners_of(inputs: int) -> np.ndarray:
    """Return all rows of a truth table, (2**inputs, inputs) float32, counting upwards."""
    return (np.arange(2**inputs)[:, None] >> np.arange(inputs)[::-1] & 1).astype(np.float32)


def _gate(name: str, asked: Asked, truth: tuple[int, ...]) -> Dataset:
    corners = corners_of(len(truth).bit_length() - 1)
    rows = Split(x=corners, y=_targets(np.array(truth), asked.task))
    return _dataset(name, asked, corners, "none", dict.fromkeys(COUNTS, rows))


def _targets(truth: np.ndarray, task: str) -> np.ndarray:
    return truth.astype(np.int32) if task == "classification" else truth.astype(np.float32)[:, None]


def _dataset(name: str, asked: Asked, corners: np.ndarray, preprocessing: str, splits: dict[str, Split]) -> Dataset:
    if asked.input_shape != corners.shape[1:] or asked.dtype != "float32":
        raise BadInput(f"data set {name!r} has {corners.shape[1]} inputs; it cannot be shown as {asked.input_shape}")
    return Dataset(
        name=name,
        task=asked.task,
        classes=2 if asked.task == "classification" else 0,
        preprocessing=preprocessing,
        source=("generated",),
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
    )

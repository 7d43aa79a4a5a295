"""Glimpses: a step network reads patches that the host cuts out of a picture where it asked for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ... import metrics
from ...errors import BadInput
from ...metrics import Metric, Scores
from ...runners import Arrays, Judge, Runner
from ..data import Dataset, Input, load
from ..data.dataset import facts_of, subset
from ..presented import presented_as, takes
from .objective import Objective
from .register import Bound, Networks, enter
from .supervised import SHOWN

NETWORKS = SEQUENCE, STEP = "sequence", "step"
PICTURES, NOISE = "pictures", "noise"  # of the sequence net
PATCHES, LOCATION, MEAN, LOGITS = "patches", "location", "mean", "logits"  # of the step
DARK = 0.3  # what was not looked at is shown so bright


@dataclass(frozen=True, kw_only=True)
class Looked(Dataset):
    """Pictures, and what the networks read.  glimpses: how many there are of a picture."""

    step: tuple[Input, ...]
    glimpses: int

    def size_of(self, name: str) -> tuple[int, ...]:
        """Return the shape of one sample of an input of the step."""
        return next(tuple(size or 1 for size in each.shape) for each in self.step if each.name == name)


@dataclass(frozen=True, kw_only=True)
class Glimpsing(Objective):
    """Pictures told by a few glimpses, judged by accuracy: what is said behind the last counts.

    Networks: "sequence", pictures (N, H, W, C) and noise (N, G, 2), which is trained; "step", patches (N, scales, size,
    size, C), location (N, 2) in [-1, 1], states -> "logits" (N, K), "mean" (N, 2), where to look next, and states. The
    first glimpse is of the middle. The unit is a picture.
    """

    @property
    def metric(self) -> Metric:
        """Accuracy."""
        return metrics.get("accuracy")

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return pictures as the sequence net takes them.

        Raises: BadInput if a network is missing, or tells fewer classes apart than there are.
        """
        if missing := [name for name in NETWORKS if name not in networks]:
            raise BadInput(f"task {self.name!r} needs a network {missing[0]!r}, got {', '.join(networks)}")
        inputs = {each.name: each for each in takes(networks[SEQUENCE])["inputs"]}
        loaded = load(data, input_shape=inputs[PICTURES].shape, dtype="float32", task="classification", **asked)
        width = next(each.shape[-1] for each in takes(networks[SEQUENCE])["outputs"] if each.name == LOGITS)
        if not rebuilt and width is not None and width < loaded.classes:
            raise BadInput(f"{SEQUENCE!r} tells {width} classes apart, data {loaded.name!r} has {loaded.classes}; "
                           f"build it with classes={loaded.classes}")  # fmt: skip
        facts: dict[str, Any] = facts_of(loaded, Dataset) | {"task": self.name}
        return Looked(**facts, step=takes(networks[STEP])["inputs"], glimpses=inputs[NOISE].shape[0] or 1)

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n training pictures, and noise as wide as places, so that all of a picture is looked at, and the step
        finds its place in the range of the noise; of the step by time patches around places at random.
        """
        known, random = presented_as(dataset, Looked), np.random.default_rng(seed)
        pictures = np.asarray(subset(dataset.train, n, seed, stratify=False).x)
        places = random.uniform(-1, 1, (len(pictures), known.glimpses, 2)).astype(np.float32)
        if network == SEQUENCE:
            return {PICTURES: pictures, NOISE: places}
        scales, size = known.size_of(PATCHES)[:2]
        patches = [cut(pictures, places[:, step], size, scales) for step in range(known.glimpses)]
        return {PATCHES: np.stack(patches, axis=1), LOCATION: places}

    def looked(self, run: Runner, dataset: Dataset, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what is said behind each glimpse, (N, G, K), and where it was, (N, G, 2)."""
        known = presented_as(dataset, Looked)
        scales, size = known.size_of(PATCHES)[:2]
        place = np.zeros((len(pictures), 2), np.float32)
        states = {each.name: np.zeros((len(pictures), *known.size_of(each.name)), np.float32)
                  for each in known.step if each.name not in (PATCHES, LOCATION)}  # fmt: skip
        said, places = [], []
        for _ in range(known.glimpses):
            answers = run(STEP, {PATCHES: cut(pictures, place, size, scales), LOCATION: place, **states})
            states = {name: np.asarray(answers[f"{name}_out"]) for name in states}
            said.append(np.asarray(answers[LOGITS]))
            places.append(place)
            place = np.clip(np.asarray(answers[MEAN]), -1, 1).astype(np.float32)
        return np.stack(said, axis=1), np.stack(places, axis=1)

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score each test picture: right or not, (N, 1)."""
        said, _ = self.looked(run, dataset, np.asarray(dataset.test.x))
        return Scores.by_row(self.metric.scores(said[:, -1], np.asarray(dataset.test.y)))

    def pictures(self, run: Runner, dataset: Dataset) -> Mapping[str, np.ndarray]:
        """Return test pictures, and the same with what was not looked at dark."""
        x = np.asarray(dataset.test.x)[:SHOWN]
        size = presented_as(dataset, Looked).size_of(PATCHES)[1]
        _, places = self.looked(run, dataset, x)
        within = [_within(places[..., axis].ravel(), x.shape[1 + axis], size, 1).sum(1) for axis in (0, 1)]
        windows = np.einsum("nr,nc->nrc", *within).reshape(len(x), -1, *x.shape[1:3]).max(1)
        return {"samples": x, "looked at": (x + 0.2) / 1.2 * (DARK + (1 - DARK) * windows[..., None])}

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)


def cut(pictures: np.ndarray, places: np.ndarray, size: int, scales: int) -> np.ndarray:
    """Return patches around places in [-1, 1] as `models.glimpse.cropped` does, on the host.

    Shapes: (N, H, W, C), (N, 2) -> (N, scales, size, size, C) float32.
    """
    found = []
    for scale in range(scales):
        rows, columns = (_within(places[:, axis], pictures.shape[1 + axis], size, 2**scale) for axis in (0, 1))
        found.append(np.einsum("nrh,nhwc,nsw->nrsc", rows, pictures, columns, optimize=True))
    return np.stack(found, axis=1).astype(np.float32)


def _within(place: np.ndarray, length: int, size: int, step: int) -> np.ndarray:
    """Return what each line of a picture counts in each of a patch's.  Shapes: (N,) -> (N, size, length)."""
    first = (place.astype(np.float32) + np.float32(1)) * np.float32((length - 1) / 2) - np.float32(size * step / 2)
    below = first[:, None, None] + np.arange(size, dtype=np.float32)[:, None] * step - np.arange(length)
    return ((below <= 0) & (below > -step)).astype(np.float32) / step


def _loss(smoothing: float) -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


enter(Glimpsing(name="glimpsing", loss=_loss, labelled=True))

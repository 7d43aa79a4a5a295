"""Generation: a network draws samples from latent vectors, judged by how likely they make what was never seen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import metrics
from ...errors import BadInput
from ...metrics import Metric, Scores
from ...runners import Arrays, Judge, Runner
from ..data import Dataset, Input, load
from ..data.dataset import Split, facts_of, subset
from ..presented import takes
from .register import Bound, Networks, enter
from .supervised import SHOWN

DRAWN = 2000  # samples under which the test images are judged
WIDTHS = np.geomspace(0.05, 1.0, 14)  # of a kernel, in grey levels of [0, 1]
BLOCK = 500  # points whose distances are held at once
LATENT_SEED = 20_140_610  # apart from those of training and calibration
LABEL, CATEGORY, CODE = "label", "category", "code"  # latents that are no noise; the label is a class of the data
SOURCE, MASK = "source", "mask"  # what a sample is drawn of, and where it is drawn (1) or left as it is (0)
REAL, LABELLED = "real", "labelled"  # samples, and those of which the class is known where not all are


@dataclass(frozen=True, kw_only=True)
class Drawn(Dataset):
    """Samples, and the inputs of the two networks: what is drawn from, and what is drawn.

    Where one of them has a "label", the splits' y is the class, one-hot; else it is the sample.
    """

    latent: tuple[Input, ...]
    judged: tuple[Input, ...]

    @property
    def drawable(self) -> np.ndarray:
        """Training samples, those without a label too."""
        return np.asarray(self.train.x if self.unlabelled is None else self.unlabelled)

    def pools(self) -> tuple[dict[str, np.ndarray], ...]:
        """Return training samples by what a game calls them; of each pool batches are drawn by themselves."""
        if self.train.y is self.train.x:
            return ({REAL: np.asarray(self.train.x)},)
        labels = np.asarray(self.train.y)
        if self.unlabelled is None:
            return ({REAL: np.asarray(self.train.x), f"{REAL}_{LABEL}": labels},)
        return {REAL: self.drawable}, {LABELLED: np.asarray(self.train.x), f"{LABELLED}_{LABEL}": labels}


@dataclass(frozen=True, kw_only=True)
class Generation:
    """Samples of a generator, judged by the Parzen-window log-likelihood of the test images in nats per value.

    Networks: "generator", latents -> sample, and of a game "discriminator", sample -> logit. The unit is an image.
    Multiplied by the number of values it is the figure of the literature, but for fewer samples, which make it lower.
    Latents are drawn from a normal distribution, "label" and "category" from one-hot classes, "code" from [-1, 1].
    game: a discriminator tells samples from real ones. signed: samples lie in [-1, 1], of data in [0, 1]; else both are
    as the data are.
    Source: Goodfellow 2014, arXiv:1406.2661, section 5; Breuleux 2011.
    """

    name: str
    game: bool
    signed: bool = False

    @property
    def metric(self) -> Metric:
        """The mean log-likelihood."""
        return metrics.get("log_likelihood")

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return images in the shape that the generator draws, of a game [0, 1] becoming [-1, 1].

        Raises: BadInput if a network is missing, or of a game for values outside [0, 1].
        """
        if missing := [name for name in ("generator", *self.game * ("discriminator",)) if name not in networks]:
            raise BadInput(f"task {self.name!r} needs a network {missing[0]!r}, got {', '.join(networks)}")
        latent, judged = takes(networks["generator"])["inputs"], ()
        shape, width = networks["generator"].output_shape[1:], None
        if self.game:
            judged = takes(networks["discriminator"])["inputs"]
            shape = next(each.shape for each in judged if each.name != LABEL)
            ends = (*latent, *judged, *takes(networks["discriminator"])["outputs"])
            width = next((each.shape[-1] for each in ends if each.name == LABEL), None)
        served = "classification" if width else "reconstruction"
        loaded = load(data, input_shape=shape, dtype="float32", task=served, **asked)
        facts = facts_of(loaded)
        splits, words = loaded.splits, loaded.preprocessing
        if self.signed:
            splits = {part: _signed(split, f"{loaded.name} {part}") for part, split in splits.items()}
            if loaded.unlabelled is not None:
                facts["unlabelled"] = signed(np.asarray(loaded.unlabelled), f"{loaded.name} unlabelled")
            words = f"{words}; [0, 1] to [-1, 1]"
        if width:
            splits = {part: _one_hot(split, width, f"{loaded.name} {part}") for part, split in splits.items()}
            facts |= {"classes": 0, "augmentation": None}
        return Drawn(**{**facts, **splits, "task": self.name, "preprocessing": words}, latent=latent, judged=judged)

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n latents for the generator; for the discriminator n training images, and their classes if it asks."""
        assert isinstance(dataset, Drawn)
        if network == "generator":
            return drawn_from(dataset, n, seed)
        known = dataset.train if dataset.unlabelled is None else Split(x=dataset.drawable, y=dataset.drawable)
        chosen = subset(known, n, seed, stratify=False)
        return {each.name: np.asarray(chosen.y if each.name == LABEL else chosen.x) for each in dataset.judged}

    def observed(self, run: Runner, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return the same, but for the discriminator half of it drawn by the generator of `run`.

        Ranges of real samples alone cut off what it says of drawn ones, and with it all that either learns from it.
        """
        given = self.samples(dataset, network, n, seed)
        if network == "generator":
            return given
        assert isinstance(dataset, Drawn)
        latent = drawn_from(dataset, n // 2, seed)
        (drawn,) = run("generator", latent).values()
        made = {name: latent[LABEL] if name == LABEL else drawn for name in given}
        return {name: np.concatenate([values[: n - n // 2], made[name]]) for name, values in given.items()}

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score the test images under samples from the same latents for all runners; validation chooses the width."""
        assert isinstance(dataset, Drawn)
        drawn = self.drawn(run, dataset, DRAWN, LATENT_SEED)
        kernels, validation, test = map(self.grey, (drawn, dataset.validation.x, dataset.test.x))
        return Scores.by_row(parzen(test, validation, kernels)[:, None] / test.shape[1])

    def drawn(self, run: Runner, dataset: Drawn, count: int, seed: int) -> np.ndarray:
        """Return samples as the data are, see `signed`, from latents that are a function of `seed`."""
        (drawn,) = run("generator", drawn_from(dataset, count, seed)).values()
        return np.asarray(drawn)

    def grey(self, x: Any) -> np.ndarray:
        """Return values as the data have them, flat, (N, n) float32."""
        flat = np.asarray(x, np.float32).reshape(len(x), -1)
        return unsigned(flat) if self.signed else flat

    def pictures(self, run: Runner, dataset: Dataset) -> Mapping[str, np.ndarray]:
        """Return real images, and what is drawn from the same latents for all runners."""
        assert isinstance(dataset, Drawn)
        made = self.drawn(run, dataset, SHOWN, LATENT_SEED)
        real = np.asarray(dataset.test.x)[:SHOWN]
        return {name: self.grey(x).reshape(real.shape) for name, x in (("samples", real), ("drawn", made))}

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)


def latents(random: np.random.Generator, count: int, shapes: Mapping[str, tuple[int | None, ...]]) -> Arrays:
    """Return what is drawn for inputs by name, see `Generation`: (count, *shape) float32, 1 for what is open."""
    return {name: _latent(random, name, (count, *(size or 1 for size in shape))) for name, shape in shapes.items()}


def _latent(random: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name in (LABEL, CATEGORY):
        return np.eye(shape[-1], dtype=np.float32)[random.integers(0, shape[-1], shape[:-1])]
    if name == CODE:
        return random.uniform(-1, 1, shape).astype(np.float32)
    return random.standard_normal(shape, np.float32)


def drawn_from(dataset: Drawn, count: int, seed: int) -> Arrays:
    """Return what the generator is given for `count` samples."""
    return latents(np.random.default_rng(seed), count, {each.name: each.shape for each in dataset.latent})


def _one_hot(split: Split, width: int, where: str) -> Split:
    classes = np.asarray(split.y)
    if classes.max() >= width:
        raise BadInput(f"{where}: class {classes.max()}, but the input {LABEL!r} takes {width}; give data of so many")
    return Split(x=split.x, y=np.eye(width, dtype=np.float32)[classes])


def _signed(split: Split, where: str) -> Split:
    x = signed(np.asarray(split.x), where)
    return Split(x=x, y=x if split.y is split.x else split.y)


def signed(x: np.ndarray, where: str) -> np.ndarray:
    """Return values of [0, 1] in [-1, 1].  Raises: BadInput for others, naming `where` they are."""
    if x.min() < 0 or x.max() > 1:
        raise BadInput(f"{where}: values from {x.min():g} to {x.max():g}; images to be drawn lie in [0, 1]")
    return x * np.float32(2) - np.float32(1)


def unsigned(x: Any) -> np.ndarray:
    """Return values of [-1, 1] in [0, 1], float32."""
    return (np.asarray(x, np.float32) + 1) / 2


def parzen(test: np.ndarray, validation: np.ndarray, kernels: np.ndarray) -> np.ndarray:
    """Return log p(test) of a mixture of Gaussians around `kernels`, of the width that suits `validation` best.

    Shapes: (N, n), (M, n), (K, n) -> (N,) float64 nats.
    """
    width, _ = best_width(validation, kernels)
    return log_likelihoods(test, kernels, np.array([width]))[0]


def best_width(points: np.ndarray, kernels: np.ndarray) -> tuple[float, float]:
    """Return the width of `WIDTHS` under which points are likeliest, and the mean of their log p in nats."""
    each = log_likelihoods(points, kernels, WIDTHS).mean(1)
    return float(WIDTHS[each.argmax()]), float(each.max())


def log_likelihoods(points: np.ndarray, kernels: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Return log p(point) of a mixture of Gaussians of each width around `kernels`.

    Shapes: points (N, n), kernels (K, n), widths (W,) -> (W, N) float64 nats.
    """
    count, size = kernels.shape
    constant = math.log(count) + size * (np.log(widths) + math.log(2 * math.pi) / 2)  # (W,)
    lengths = (kernels**2).sum(1)
    found = np.empty((len(widths), len(points)))
    for start in range(0, len(points), BLOCK):
        block = points[start : start + BLOCK]
        squares = (block**2).sum(1, keepdims=True) + lengths - 2 * block @ kernels.T  # (B, K)
        nearest = np.maximum(squares.min(1, keepdims=True), 0)
        for index, width in enumerate(widths):
            scale = 2 * width**2
            sums = np.log(np.exp((nearest - squares) / scale).sum(1))
            found[index, start : start + BLOCK] = sums - nearest[:, 0] / scale - constant[index]
    return found


enter(Generation(name="generation", game=True, signed=True))
enter(Generation(name="distribution", game=True))
enter(Generation(name="sampling", game=False))

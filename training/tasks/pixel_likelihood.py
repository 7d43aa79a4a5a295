"""Exact likelihood of binary pixels, one after another: each by what a network says of it given those before.

In any order by a network that is told which pixels are known; in the order of reading by one that says all in one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ... import metrics
from ...errors import BadInput
from ...metrics import Metric, Scores
from ...runners import Arrays, Judge, Runner
from ..answers import outputs_of
from ..data import Dataset, Shown, Split, load
from ..data.dataset import subset
from ..losses import loss_of_logits
from ..presented import by_name, takes
from .objective import Objective
from .register import Bound, Networks, enter
from .supervised import SHOWN, shown

NETWORK, PIXELS, MASK = "conditionals", "pixels", "mask"
DENSITY = "density"  # the network that says all pixels in one pass
CLIPS = 3  # that are continued in pictures
ORDERS = 2  # in which each image is judged
JUDGED = 100_000  # runs of the network in a judgement, but for those of one image: images are left out beyond
AT_ONCE = 8192  # runs whose inputs are held at once
SEED = 20_140_621  # of orders and of what is drawn, apart from those of training and calibration


@dataclass(frozen=True, kw_only=True)
class PixelLikelihood(Objective):
    """Binary images, judged by their log-likelihood in nats per pixel: the mean over a fixed set of orders.

    Network: "conditionals", pixels (N, n) and the mask of those that are known -> logits of a 1, (N, n). The unit is an
    image. Values above 0.5 are 1. In any one order the probabilities of all images sum to 1. Multiplied by the number
    of pixels it is the figure of the literature.
    Source: Uria 2014, arXiv:1310.1757, equation 2 and section 3.
    """

    @property
    def metric(self) -> Metric:
        """The mean log-likelihood."""
        return metrics.get("log_likelihood")

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return images as the network takes them, of zeros and ones, each its own target.

        Raises: BadInput if the network or one of its inputs is missing.
        """
        inputs = takes(networks[NETWORK])["inputs"] if NETWORK in networks else ()
        if {each.name for each in inputs} != {PIXELS, MASK}:
            raise BadInput(f"task {self.name!r} needs a network {NETWORK!r} with inputs {PIXELS!r} and {MASK!r}, got "
                           f"{', '.join(networks)}")  # fmt: skip
        shape = next(each.shape for each in inputs if each.name == PIXELS)
        loaded = load(data, input_shape=shape, dtype="float32", task="reconstruction", **asked)
        splits = {part: _binary(getattr(loaded, part)) for part in ("train", "validation", "test")}
        return replace(
            loaded,
            **splits,
            task=self.name,
            preprocessing=f"{loaded.preprocessing}; 1 above 0.5, else 0",
            shown=Shown(network=NETWORK, inputs=inputs, outputs=outputs_of(networks[NETWORK])),
        )

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n training images, of which so many pixels are known, from none to all but one, as chance has it."""
        x = np.asarray(subset(dataset.train, n, seed, stratify=False).x)
        random = np.random.default_rng(seed)
        place = random.permuted(np.tile(np.arange(x.shape[1]), (len(x), 1)), axis=1)
        mask = (place < random.integers(0, x.shape[1], (len(x), 1))).astype(np.float32)
        return {PIXELS: x * mask, MASK: mask}

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score test images by their log-likelihood, (N, 1); so many of them as `JUDGED` allows."""
        x = np.asarray(dataset.test.x)
        x = x[: max(1, JUDGED // (ORDERS * x.shape[1]))]
        likely = [log_likelihood(run, x, order) for order in orders(x.shape[1])]
        return Scores.by_row(np.mean(likely, axis=0)[:, None] / x.shape[1])

    def pictures(self, run: Runner, dataset: Dataset) -> Mapping[str, np.ndarray]:
        """Return test images, and images drawn with the same uniform numbers for all runners."""
        x = np.asarray(dataset.test.x)[:SHOWN]
        uniform = np.random.default_rng(SEED).random(x.shape, np.float32)
        return {"samples": x, "drawn": drawn(run, uniform, orders(x.shape[1])[0])}

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)


def orders(pixels: int) -> np.ndarray:
    """Return the orders in which images are judged, (ORDERS, n)."""
    random = np.random.default_rng(SEED)
    return np.stack([random.permutation(pixels) for _ in range(ORDERS)])


def log_likelihood(run: Runner, x: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return log p(x) in nats: each pixel given those before it in `order`.  Shapes: (N, n), (n,) -> (N,) float64."""
    rank = np.argsort(order)
    masks = (rank < np.arange(len(order))[:, None]).astype(np.float32)  # (n steps, n): what is known at each
    found = []
    for images in _some(x, max(1, AT_ONCE // len(order))):
        known = np.tile(masks, (len(images), 1))
        logits = _logits(run, np.repeat(images, len(order), 0) * known, known)
        asked = logits.reshape(len(images), *masks.shape)[:, np.arange(len(order)), order].astype(np.float64)
        found.append((images[:, order] * asked - np.logaddexp(0, asked)).sum(1))
    return np.concatenate(found)


def drawn(run: Runner, uniform: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return images drawn pixel after pixel: 1 where a uniform number lies below its probability.  Shapes: (N, n)."""
    pixels, mask = np.zeros_like(uniform), np.zeros_like(uniform)
    for place in order:
        logits = _logits(run, pixels, mask)[:, place].astype(np.float64)
        pixels[:, place] = uniform[:, place] < 1 / (1 + np.exp(-logits))
        mask[:, place] = 1
    return pixels


def _logits(run: Runner, pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    (logits,) = run(NETWORK, {PIXELS: pixels, MASK: mask}).values()
    return np.asarray(logits)


def _some(x: np.ndarray, count: int) -> Iterator[np.ndarray]:
    for start in range(0, len(x), count):
        yield x[start : start + count]


def _binary(split: Split) -> Split:
    x = (np.asarray(split.x) > 0.5).astype(np.float32)
    return replace(split, x=x, y=x)


@dataclass(frozen=True, kw_only=True)
class OrderedLikelihood(Objective):
    """Binary images or clips, judged by their log-likelihood in nats per pixel, in the order of reading.

    Network: "density", pixels (N, H, W, 1) or (N, T, H, W, 1) -> logits of a 1, of each given those before it, in one
    pass. The unit is an image or a clip. Values above 0.5 are 1. The probabilities of all images sum to 1. Multiplied
    by the number of pixels it is the figure of the literature.
    Source: van den Oord 2016, arXiv:1601.06759, equation 1.
    """

    @property
    def metric(self) -> Metric:
        """The mean log-likelihood."""
        return metrics.get("log_likelihood")

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return samples as the network takes them, of zeros and ones, each its own target.

        Raises: BadInput if the network is missing.
        """
        if DENSITY not in networks:
            raise BadInput(f"task {self.name!r} needs a network {DENSITY!r}, got {', '.join(networks)}")
        (given,) = takes(networks[DENSITY])["inputs"]
        loaded = load(data, input_shape=given.shape, dtype="float32", task="reconstruction", **asked)
        return replace(
            loaded,
            **{part: _binary(split) for part, split in loaded.splits.items()},
            task=self.name,
            preprocessing=f"{loaded.preprocessing}; 1 above 0.5, else 0",
            shown=Shown(network=DENSITY, inputs=(given,), outputs=outputs_of(networks[DENSITY])),
        )

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n training samples."""
        return by_name(shown(dataset), subset(dataset.train, n, seed, stratify=False).x)

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score test samples by their log-likelihood, (N, 1)."""
        x = np.asarray(dataset.test.x)
        flat, said = (np.reshape(each, (len(x), -1)).astype(np.float64) for each in (x, self._logits(run, dataset, x)))
        return Scores.by_row((flat * said - np.logaddexp(0, said)).mean(1, keepdims=True))

    def pictures(self, run: Runner, dataset: Dataset) -> Mapping[str, np.ndarray]:
        """Return test samples, and samples drawn with the same uniform numbers for all runners.

        Of clips the first half of the frames is given, and frames lie beside each other.
        """
        x = np.asarray(dataset.test.x)
        is_clip = x.ndim == 5
        x = x[: CLIPS if is_clip else SHOWN]
        known = x.shape[1] // 2 * (x[0, 0].size) if is_clip else 0
        uniform = np.random.default_rng(SEED).random(x.shape, np.float32)
        made = drawn_in_order(lambda so_far: self._logits(run, dataset, so_far), uniform, x, known)
        return {"samples": _beside(x), "continued" if known else "drawn": _beside(made)}

    def _logits(self, run: Runner, dataset: Dataset, x: np.ndarray) -> np.ndarray:
        (logits,) = run(DENSITY, by_name(shown(dataset), x)).values()
        return np.asarray(logits).reshape(x.shape)

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)


def drawn_in_order(
    logits: Callable[[np.ndarray], np.ndarray], uniform: np.ndarray, x: np.ndarray, known: int = 0
) -> np.ndarray:
    """Return samples drawn pixel after pixel: 1 where a uniform number lies below its probability.

    logits: pixels, those not drawn yet being 0 -> logits of all. known: so many pixels are those of x.
    Shapes: (N, ...) -> the same.
    """
    made, chances = np.zeros((len(x), x[0].size), np.float32), uniform.reshape(len(x), -1)
    made[:, :known] = x.reshape(len(x), -1)[:, :known]
    for place in range(known, made.shape[1]):
        said = logits(made.reshape(x.shape)).reshape(made.shape)[:, place].astype(np.float64)
        made[:, place] = chances[:, place] < 1 / (1 + np.exp(-said))
    return made.reshape(x.shape)


def _beside(x: np.ndarray) -> np.ndarray:
    """Return the frames of clips side by side, (N, H, T W, C); images as they are."""
    if x.ndim == 4:
        return x
    count, frames, height, width, channels = x.shape
    return x.transpose(0, 2, 1, 3, 4).reshape(count, height, frames * width, channels)


enter(PixelLikelihood(name="pixel_likelihood", loss=loss_of_logits))
enter(OrderedLikelihood(name="ordered_likelihood", loss=loss_of_logits))

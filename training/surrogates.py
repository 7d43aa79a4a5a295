"""Surrogate tasks: pictures and videos without a label become questions whose answers are known.

A `Reading` says what an encoder sees of a sample as it is: parts of it, each as the encoder takes it. A `Surrogate`
asks: it makes the parts that an encoder sees from samples and chance, and the answers that a second network shall give
to what the encoder made of them. All of this is NumPy, a function of samples and a random state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from typing import Any

import numpy as np

from ..errors import BadInput
from .data.images import GREY, resize

Shape = tuple[int, ...]
GRID = 3  # tiles along a side of a puzzle
TURNS = 4
WINDOW = 0.5  # of a side, at least: what is turned in a distorted picture
LEAST_VIEW = 0.6  # of a side, that a view of a picture shows
LIGHT = 0.3  # by which share the contrast of a view differs at most, and a half of it its brightness


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What an encoder sees of samples. shape: of its input -> of a sample. read: samples -> parts (N, P, h, w, c)."""

    shape: Callable[[Shape], Shape]
    read: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Surrogate:
    """A question. ask: (samples, shape of an answer, random) -> parts (N, P, h, w, c), and the right answers.

    classes: answers are class numbers; else they are values in [0, 1], told by logits.
    """

    ask: Callable[[np.ndarray, Shape, np.random.Generator], tuple[np.ndarray, np.ndarray]]
    classes: bool = True


# ---------------------------------------------------------------- what is read


def tiles(images: np.ndarray) -> np.ndarray:
    """Cut images into a grid of tiles, in reading order.  Shapes: (N, 3h, 3w, c) -> (N, 9, h, w, c)."""
    count, height, width, channels = images.shape
    h, w = height // GRID, width // GRID
    cut = images.reshape(count, GRID, h, GRID, w, channels).swapaxes(2, 3)
    return cut.reshape(count, GRID * GRID, h, w, channels)


def grey(images: np.ndarray) -> np.ndarray:
    """Take the colours away.  Shapes: (N, h, w, 3) -> (N, 1, h, w, 1)."""
    return (images @ GREY)[:, None, ..., None]


def past(videos: np.ndarray) -> np.ndarray:
    """Show all frames but the last, as channels.  Shapes: (N, T, h, w, 1) -> (N, 1, h, w, T - 1)."""
    return np.moveaxis(videos[:, :-1, ..., 0], 1, -1)[:, None]


READINGS = {
    "whole": Reading(shape=lambda own: own, read=lambda images: images[:, None]),
    "tiles": Reading(shape=lambda own: (GRID * own[0], GRID * own[1], own[2]), read=tiles),
    "grey": Reading(shape=lambda own: (*own[:2], 3), read=grey),
    "past": Reading(shape=lambda own: (own[2] + 1, *own[:2], 1), read=past),
}


# ---------------------------------------------------------------- what is asked


def rotation(images: np.ndarray, answer: Shape, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Turn images by 0, 1, 2 or 3 quarters, each as often: by how many?  Source: Gidaris 2018, arXiv:1803.07728.

    Raises: BadInput for images that are not square.
    """
    if images.shape[1] != images.shape[2]:
        raise BadInput(f"surrogate 'rotation': images of shape {images.shape[1:]} turned by a quarter have another; "
                       "give square ones")  # fmt: skip
    turns = random.permutation(np.arange(len(images)) % TURNS)
    turned = np.empty_like(images)
    for quarter in range(TURNS):
        turned[turns == quarter] = np.rot90(images[turns == quarter], quarter, axes=(1, 2))
    return turned[:, None], turns.astype(np.int32)


def jigsaw(images: np.ndarray, answer: Shape, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Put the tiles of images in another order: which of so many is it?

    Which lie side by side is told by what is seen in them alone, not by seams: an encoder sees one at a time.
    Source: Noroozi and Favaro 2016, arXiv:1603.09246, sections 4.1 and 4.2.
    """
    orders = distant_orders(answer[-1])
    chosen = random.integers(0, len(orders), len(images))
    return tiles(images)[np.arange(len(images))[:, None], orders[chosen]], chosen.astype(np.int32)


@cache
def distant_orders(count: int) -> np.ndarray:
    """Return so many orders of 9 tiles, each as unlike those before as can be, (count, 9).

    Of equally unlike ones the first by the alphabet.  Source: Noroozi and Favaro 2016, arXiv:1603.09246, algorithm 1.
    """
    left = np.array(list(permutations(range(GRID * GRID))), np.int8)
    found, apart = [left[0]], np.full(len(left), GRID * GRID)
    while len(found) < count:
        apart = np.minimum(apart, (left != found[-1]).sum(1))
        found.append(left[apart.argmax()])
    return np.array(found)


def colorization(images: np.ndarray, answer: Shape, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Take the colours away: which colour of a palette is nearest to the mean colour of each place?

    answer: (height, width, colours).  Source: Zhang 2016, arXiv:1603.08511, without its weights for rare colours.
    """
    height, width, colours = answer
    chroma = opponents(resize(images, (height, width)))[..., 1:]
    entries = palette(colours)
    distance = (entries**2).sum(-1) - 2 * chroma @ entries.T
    return grey(images), distance.argmin(-1).astype(np.int32)


def opponents(rgb: np.ndarray) -> np.ndarray:
    """Return lightness L* and the opponents a* and b* of CIE 1976 of colours of sRGB in [0, 1].  Shapes: (..., 3)."""
    linear = np.where(rgb > 0.04045, ((np.maximum(rgb, 0) + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    to_xyz = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
    xyz = linear @ to_xyz.T / to_xyz.sum(1)
    x, y, z = np.moveaxis(np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1).astype(np.float32)


@cache
def palette(colours: int) -> np.ndarray:
    """Return a* and b* of so many colours, (colours, 2): cells of the widest grid of which sRGB fills as many.

    The greyest of them, where it fills more.
    """
    steps = np.linspace(0, 1, 17)
    chroma = opponents(np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3))[:, 1:]
    wide = 64.0
    while len(cells := _cells(chroma, wide)) < colours:
        wide *= 0.98
    order = np.argsort((cells**2).sum(1), kind="stable")
    return (cells[order[:colours]] * wide).astype(np.float32)


def _cells(chroma: np.ndarray, wide: float) -> np.ndarray:
    """Return the cells of a grid that some colour falls in, (n, 2)."""
    a, b = np.rint(chroma.astype(np.float64) / wide).T
    found: Any = np.unique(a + 1j * b)
    return np.stack([found.real, found.imag], -1)


def next_frame(videos: np.ndarray, answer: Shape, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Show all frames but the last: what is the last?  Shapes: (N, T, h, w, 1) -> answers (N, h, w, 1)."""
    return past(videos), videos[:, -1]


def original_or_distorted(
    images: np.ndarray, answer: Shape, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Show images twice, once with a window of them turned by half, half of a side to all of it: which is the original?

    Values stay as they are, so that only how parts belong together tells it, as in Jenni and Favaro 2018,
    arXiv:1806.05024, where a network distorts.
    """
    count, height, width = images.shape[:3]
    share = random.uniform(WINDOW, 1)
    h, w = round(share * height), round(share * width)
    rows = (random.integers(0, height - h + 1, count)[:, None] + np.arange(h))[:, :, None]
    columns = (random.integers(0, width - w + 1, count)[:, None] + np.arange(w))[:, None]
    each = np.arange(count)[:, None, None]
    distorted = images.copy()
    distorted[each, rows, columns] = images[each, rows, columns][:, ::-1, ::-1]
    truth = random.integers(0, 2, count)
    both = np.where((truth == 0).reshape(-1, 1, 1, 1, 1), np.stack([images, distorted], 1),
                    np.stack([distorted, images], 1))  # fmt: skip
    return both, truth.astype(np.int32)


SURROGATES = {
    "rotation": Surrogate(ask=rotation),
    "jigsaw": Surrogate(ask=jigsaw),
    "colorization": Surrogate(ask=colorization),
    "next_frame": Surrogate(ask=next_frame, classes=False),
    "original_or_distorted": Surrogate(ask=original_or_distorted),
}


# ---------------------------------------------------------------- views of one picture


def views(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return a view of each image: a part of it at its old size, in another light.  Shapes: (N, h, w, c) -> the same.

    Nothing is mirrored: of digits and letters that would be another sample.
    """
    count, height, width = images.shape[:3]
    rows, columns = (_crop(size, random.uniform(LEAST_VIEW, 1, count), random) for size in (height, width))
    seen = np.einsum("nij,njkc->nikc", rows, images)
    seen = np.einsum("nij,nkjc->nkic", columns, seen)
    contrast, brightness = random.uniform(-1, 1, (2, count, 1, 1, 1)) * np.array([LIGHT, LIGHT / 2]).reshape(
        2, *[1] * 4
    )
    middle = seen.mean((1, 2, 3), keepdims=True)
    return np.clip(middle + (1 + contrast) * (seen - middle) + brightness, 0, 1).astype(np.float32)


def _crop(size: int, share: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return the bilinear weights that bring a part of an axis, anywhere, to the whole, (N, size, size)."""
    start = random.uniform(0, size * (1 - share))
    places = start[:, None] + (np.arange(size) + 0.5) * share[:, None] - 0.5
    places = np.clip(places, 0, size - 1)
    return np.maximum(1 - np.abs(places[..., None] - np.arange(size)), 0).astype(np.float32)

"""Images whose every pixel has a class: cell membranes under an electron microscope, and cells that are drawn."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from ...errors import BadInput
from . import sources
from .dataset import Dataset, Split
from .images import to_channels
from .sets import Asked, dataset, present

TASKS = ("segmentation",)
FORMS = {("float32", 3): "image {}"}

SIDE = 512  # of a slice
SLICES = {"train": range(21), "validation": range(21, 24), "test": range(24, 30)}  # of one stack, in its order
KINDS = ("membrane", "cell")

COUNTS = {"train": 480, "validation": 80, "test": 120}  # of drawn images
CELLS, SPOTS = 3, 4  # in one of them, cells at most


# ---------------------------------------------------------------- membranes


def _paths(part: str) -> list[str]:
    return [f"isbi_membrane/train/{part}/{number}.png" for number in range(sum(map(len, SLICES.values())))]


@dataset(
    input_shape=(128, 128, 1), tasks=TASKS, floor=0.6,
    here=lambda: all(map(sources.find, (*_paths("image"), *_paths("label")))),
)  # fmt: skip
def isbi_membrane(asked: Asked) -> Dataset:
    """Return the 30 labelled slices of the ISBI 2012 challenge in tiles as large as the model's input.

    21 slices to train, the next 3 to validate and the last 6 to test: neighbours in the stack are alike, so splits are
    stretches of it. Tiles lie side by side where their size divides 512, else overlap evenly; a larger input sees the
    slice mirrored at its borders. Those of one slice are a group. Training turns and mirrors them.
    Source: Arganda-Carreras 2015, Crowdsourcing the creation of image segmentation algorithms for connectomics.
    """
    words = present(FORMS, "isbi_membrane", asked).format(asked.input_shape)
    height, width, channels = asked.input_shape
    images, labels = (np.stack([read_png(sources.read(path), path) for path in _paths(part)])
                      for part in ("image", "label"))  # fmt: skip
    splits: dict[str, Any] = {}
    for part, numbers in SLICES.items():
        chosen = slice(numbers.start, numbers.stop)
        x = tiles(images[chosen], (height, width)).astype(np.float32)[..., None] / 255
        y = (tiles(labels[chosen], (height, width)) > 127).astype(np.int32)
        group = np.repeat(np.array(numbers), len(x) // len(numbers))
        splits[part] = Split(x=to_channels(x, channels), y=y, group=group)
    return Dataset(
        name="isbi_membrane",
        task=asked.task,
        classes=len(KINDS),
        labels=KINDS,
        preprocessing=f"{SIDE}x{SIDE} pixels / 255; tiles as {words}",
        source=sources.describe([*_paths("image"), *_paths("label")]),
        augmentation=turned,
        **splits,
    )


def turned(seed: int) -> list[Any]:
    """Return the layer that turns and mirrors tiles with their masks."""
    from ..moving import Turned

    return [Turned(seed)]


def read_png(content: bytes, what: str) -> np.ndarray:
    """Read a grey PNG of bytes.  Shape: (H, W) uint8.  Raises: BadInput for what is none, or has other pixels."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            pixels = np.asarray(image)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:  # no PNG; a damaged one, in Pillow's words
        raise BadInput(f"{what} is no PNG that can be read: {error}; fetch it again") from error
    if pixels.ndim != 2 or pixels.dtype != np.uint8:
        raise BadInput(f"{what} has pixels {pixels.dtype} of shape {pixels.shape}; grey ones of 8 bits are wanted")
    return pixels


def tiles(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Cut images into the fewest tiles that cover them, those of an image in reading order.

    Shapes: (N, H, W) -> (N n, *size).
    """
    missing = [max(0, wanted - there) for wanted, there in zip(size, images.shape[1:], strict=True)]
    images = np.pad(images, [(0, 0), *((each // 2, each - each // 2) for each in missing)], mode="symmetric")
    rows, columns = (_starts(there, wanted) for there, wanted in zip(images.shape[1:], size, strict=True))
    cut = [images[:, row : row + size[0], column : column + size[1]] for row in rows for column in columns]
    return np.stack(cut, 1).reshape(-1, *size)


def _starts(there: int, wanted: int) -> np.ndarray:
    return np.linspace(0, there - wanted, -(-there // wanted)).round().astype(int)


# ---------------------------------------------------------------- drawn


@dataset(input_shape=(64, 64, 1), tasks=TASKS)
def drawn_cells(asked: Asked) -> Dataset:
    """Return drawings of round cells with a nucleus on an uneven, noisy ground, in the size that the model takes."""
    words = present(FORMS, "drawn_cells", asked).format(asked.input_shape)
    height, width, channels = asked.input_shape
    random, splits = np.random.default_rng(0), {}
    for part, count in COUNTS.items():
        x, y = zip(*(draw(random, (height, width)) for _ in range(count)), strict=True)
        splits[part] = Split(x=to_channels(np.stack(x)[..., None], channels), y=np.stack(y))
    return Dataset(
        name="drawn_cells", task=asked.task, classes=2, labels=("ground", "cell"), preprocessing=f"drawn as {words}",
        source=("drawn by Edgewright",), augmentation=turned, **splits,
    )  # fmt: skip


def draw(random: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Draw an image, and 1 where a cell is.  Shapes: (H, W) float32 in [0, 1], (H, W) int32.

    Cells are ellipses, a fifth to a half of the picture across, darker than the ground by less than the ground varies;
    their rim and nucleus are darker still. Spots on the ground are as dark, but small.
    """
    down, right = (((np.arange(side) + 0.5) / side).astype(np.float32) for side in size)
    slope = random.uniform(-0.15, 0.15, 2)
    x = 0.65 + slope[0] * (2 * down[:, None] - 1) + slope[1] * (2 * right - 1)
    x -= 0.3 * (_nearest(random, SPOTS, (0.015, 0.03), down, right) < 1)
    apart = _nearest(random, int(random.integers(1, CELLS + 1)), (0.1, 0.25), down, right)
    x -= 0.15 * (apart < 1) + 0.15 * ((apart > 0.75) & (apart < 1)) + 0.2 * (apart < 0.15)
    x += random.normal(0, 0.06, x.shape)
    return np.clip(x, 0, 1).astype(np.float32), (apart < 1).astype(np.int32)


def _nearest(
    random: np.random.Generator, count: int, radii: tuple[float, float], down: np.ndarray, right: np.ndarray
) -> np.ndarray:
    """Return how far each pixel lies from the middle of the nearest ellipse, (H, W): 1 at its rim."""
    least = np.full((len(down), len(right)), np.inf, np.float32)
    for _ in range(count):
        (a, b), turn, (row, column) = random.uniform(*radii, 2), random.uniform(0, np.pi), random.uniform(0.1, 0.9, 2)
        dy, dx = down[:, None] - np.float32(row), right - np.float32(column)
        u = (np.cos(turn) * dx + np.sin(turn) * dy) / a
        v = (np.cos(turn) * dy - np.sin(turn) * dx) / b
        least = np.minimum(least, np.hypot(u, v))
    return least

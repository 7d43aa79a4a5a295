"""Pictures with boxes around what is in them: blood cells in the form of PASCAL VOC, and shapes that are drawn here.

Targets are (N, most, 5): class and corners (left, top, right, bottom) as shares of the sides, class -1 where there is
none. Everingham 2010, The PASCAL visual object classes challenge; Shenggan, BCCD Dataset.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ...archives import tar_members
from ...errors import BadInput
from . import sources
from .dataset import Dataset, Split
from .images import to_channels
from .sets import Asked, dataset

TASKS = ("detection",)
ARCHIVE = "bccd/BCCD.tar.gz"
CELLS = ("RBC", "WBC", "Platelets")
PARTS = {"train": "train", "validation": "val", "test": "test"}  # split -> its list in ImageSets/Main
LIGHT = 0.2  # how far the light of training pictures changes
MOST_TEXT, MOST_SIDE = 1 << 17, 4096  # bytes of an annotation, pixels of a picture's side

SHAPES = ("disc", "square", "triangle")
DRAWN = {"train": 800, "validation": 160, "test": 200}  # pictures
MOST_SHAPES = 5  # in a picture
SIDES = (0.18, 0.4)  # of a shape, as shares of the picture's smaller side
APART = 0.15  # the most that boxes of two shapes overlap


# ---------------------------------------------------------------- blood cells


@dataset(input_shape=(480, 640, 3), tasks=TASKS, here=lambda: bool(sources.find(ARCHIVE)))
def bccd(asked: Asked) -> Dataset:
    """Return smears with red and white blood cells and platelets in the official splits, in the size the model takes.

    Training pictures are there four times, mirrored both ways: a smear has no up and no left.
    """
    shape = _picture_shape("bccd", asked)
    archive = sources.read(ARCHIVE)
    arrays = sources.remembered(f"bccd v2 {shape} {sha256(archive).hexdigest()}", lambda: _read(archive, shape))
    splits: Any = {part: Split(x=arrays[f"{part} x"], y=arrays[f"{part} y"]) for part in PARTS}
    words = f"resized to {shape}; boxes without area left out; training pictures mirrored both ways as well"
    splits["train"] = mirrored(splits["train"])
    return Dataset(name="bccd", task=asked.task, classes=len(CELLS), labels=CELLS, preprocessing=words,
                   source=sources.describe([ARCHIVE]), augmentation=_lit, **splits)  # fmt: skip


def _lit(seed: int) -> Sequence[Any]:
    """Return layers that change the light of pictures, which no box would notice."""
    from keras import layers

    light = layers.RandomBrightness(LIGHT, (0, 1), seed=seed, name="brightness")
    return light, layers.RandomContrast(LIGHT, (0, 1), seed=seed + 1, name="contrast")


def _read(archive: bytes, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return the splits of an archive in PASCAL VOC's folders."""
    pictures, boxes, lists = {}, {}, {}
    for name, content in tar_members(archive, ARCHIVE):
        folder, _, file = name.rpartition("/")
        stem = file.rpartition(".")[0]
        if folder.endswith("JPEGImages"):
            pictures[stem] = _picture(content, name, shape)
        elif folder.endswith("Annotations"):
            boxes[stem] = annotated(content, name)
        elif folder.endswith("ImageSets/Main"):
            lists[stem] = content.decode("ascii").split()
    found = {}
    for part, listed in PARTS.items():
        names = lists[listed]
        found[f"{part} x"] = np.stack([pictures[name] for name in names])
        found[f"{part} y"] = padded([boxes[name] for name in names])
    return found


def _picture(content: bytes, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return a JPEG in [0, 1], resized.  Raises: BadInput for what is none, or a huge one."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
            if max(image.size) > MOST_SIDE:
                raise BadInput(f"{name}: {image.size} pixels; at most {MOST_SIDE} a side are read")
            height, width, channels = shape
            small = image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)  # which widens to shrink
            pixels = np.asarray(small, np.float32) / 255
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise BadInput(f"{name}: no picture ({error}); fetch the archive again") from error
    return to_channels(pixels[None], channels)[0]


def annotated(content: bytes, name: str) -> np.ndarray:
    """Return the boxes of an annotation of PASCAL VOC that have an area.  Shape (n, 5).

    Raises: BadInput for what is none, is large, declares entities or names another class.
    """
    if len(content) > MOST_TEXT or b"<!" in content:
        raise BadInput(f"{name}: {len(content)} bytes, or declarations; annotations of {MOST_TEXT} without are read")
    try:
        root = ElementTree.fromstring(content)
        width, height = (float(root.findtext(f"size/{side}") or 0) for side in ("width", "height"))
        rows = [(each.findtext("name"), *(float(each.findtext(f"bndbox/{end}") or 0)
                 for end in ("xmin", "ymin", "xmax", "ymax"))) for each in root.iter("object")]  # fmt: skip
    except (ElementTree.ParseError, ValueError) as error:
        raise BadInput(f"{name}: no annotation ({error}); fetch the archive again") from error
    if width <= 0 or height <= 0 or any(label not in CELLS for label, *_ in rows):
        raise BadInput(f"{name}: size {width:g}x{height:g}, classes {sorted({str(row[0]) for row in rows})}; "
                       f"allowed are {', '.join(CELLS)}")  # fmt: skip
    boxes = np.array([(CELLS.index(str(label)), *ends) for label, *ends in rows]).reshape(-1, 5)
    boxes[:, 1:] = np.clip(boxes[:, 1:] / (width, height, width, height), 0, 1)
    return boxes[(boxes[:, 3] > boxes[:, 1]) & (boxes[:, 4] > boxes[:, 2])]


# ---------------------------------------------------------------- shapes


@dataset(input_shape=(96, 96, 3), tasks=TASKS, floor=0.3)
def drawn_shapes(asked: Asked) -> Dataset:
    """Return discs, squares and triangles in colours on a noisy ground, up to five a picture; a function of no seed."""
    shape = _picture_shape("drawn_shapes", asked)
    splits: Any = {}
    for seed, (part, count) in enumerate(DRAWN.items()):
        random = np.random.default_rng([20_150_815, seed])
        scenes = [scene(random, shape) for _ in range(count)]
        splits[part] = Split(x=np.stack([image for image, _ in scenes]), y=padded([boxes for _, boxes in scenes]))
    return Dataset(name="drawn_shapes", task=asked.task, classes=len(SHAPES), labels=SHAPES,
                   inside=inside, preprocessing=f"drawn as {shape}", source=("drawn by Edgewright",),
                   **splits)  # fmt: skip


def scene(random: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Draw a picture, and say what is in it.  Shapes: (H, W, C) float32 in [0, 1], (n, 5)."""
    height, width, channels = shape
    image = np.full(shape, random.uniform(0.3, 0.7)) + random.normal(0, 0.05, shape)
    boxes: list[tuple[float, ...]] = []
    for _ in range(int(random.integers(1, MOST_SHAPES + 1))):
        side = random.uniform(*SIDES) * min(height, width)
        left, top = random.uniform(0, width - side), random.uniform(0, height - side)
        box = (left / width, top / height, (left + side) / width, (top + side) / height)
        if any(_share(box, other[1:]) > APART for other in boxes):
            continue
        label = int(random.integers(len(SHAPES)))
        colour = random.uniform(0, 1, channels)
        colour[random.integers(channels)] = random.choice([0.0, 1.0])
        rows, columns = np.ogrid[:height, :width]
        image[inside(label, (columns + 0.5 - left) / side, (rows + 0.5 - top) / side)] = colour
        boxes.append((label, *box))
    return np.clip(image, 0, 1).astype(np.float32), np.array(boxes).reshape(-1, 5)


def inside(label: Any, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return which places lie in a shape that fills its box, 0 to 1 across and down.  Shapes: all broadcast."""
    box = (u >= 0) & (u <= 1) & (v >= 0) & (v <= 1)
    disc, triangle = (u - 0.5) ** 2 + (v - 0.5) ** 2 <= 0.25, box & (np.abs(u - 0.5) <= v / 2)
    return np.where(label == 0, disc, np.where(label == 1, box, triangle))


def _share(a: Sequence[float], b: Sequence[float]) -> float:
    """Return how much of the smaller of two boxes the other covers."""
    sides = [max(0.0, min(a[end + 2], b[end + 2]) - max(a[end], b[end])) for end in (0, 1)]
    return sides[0] * sides[1] / min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))


# ---------------------------------------------------------------- both


def padded(boxes: Sequence[np.ndarray]) -> np.ndarray:
    """Return boxes of pictures in one array.  Shapes: N arrays (n, 5) -> (N, most, 5) float32."""
    whole = np.zeros((len(boxes), max(map(len, boxes)), 5), np.float32)
    whole[..., 0] = -1
    for row, each in zip(whole, boxes, strict=True):
        row[: len(each)] = each
    return whole


def mirrored(split: Split) -> Split:
    """Return pictures and boxes as they are, left to right, upside down, and both."""
    x, y = np.asarray(split.x), split.y
    there = y[..., :1] >= 0
    pictures, boxes = [x], [y]
    for axes in ((2,), (1,), (1, 2)):
        turned = y.copy()
        for axis in axes:
            first, last = (1, 3) if axis == 2 else (2, 4)
            turned[..., first], turned[..., last] = 1 - turned[..., last], 1 - turned[..., first]
        pictures.append(np.flip(x, axes))
        boxes.append(np.where(there, turned, y))
    return replace(split, x=np.concatenate(pictures), y=np.concatenate(boxes))


def _picture_shape(name: str, asked: Asked) -> tuple[int, ...]:
    """Return the shape of the pictures asked for.  Raises: BadInput for what is none."""
    shape = asked.input_shape
    if isinstance(shape, Mapping) or len(shape) != 3 or None in shape or shape[-1] not in (1, 3):
        raise BadInput(f"data set {name!r} is of pictures, asked is {asked.input_shape or asked.inputs}; "
                       "give (height, width, 1 or 3)")  # fmt: skip
    return tuple(shape)

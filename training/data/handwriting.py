"""Characters that are drawn by hand, few of each kind: Omniglot in its official files, and made-up strokes.

No character of one split occurs in another: what is judged is how well a new one is learned from few.
"""

import io
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...archives import check_zip
from ...errors import BadInput
from . import sources
from .dataset import Dataset, Split
from .images import FORMS
from .sets import Asked, dataset, present

TASKS = ("few_shot",)
BACKGROUND = "omniglot/images_background_small1.zip"
RUNS = "omniglot/one-shot-classification/all_runs.zip"
HELD_OUT = "Greek"  # the alphabet of the validation split
TURNS = 4  # quarters of a turn: a turned character is another one, as in Vinyals 2016
KINDS = {"train": 64, "validation": 20, "test": 30}  # made-up characters of each split
DRAWN = 20  # of each, as in Omniglot
STROKES = (2, 4)  # of a character, at least and at most
POINTS = 16  # that a stroke is drawn by
PEN = 0.035  # half the width of a line, in sides of the picture


@dataset(input_shape=(28, 28, 1), tasks=TASKS, here=lambda: all(map(sources.find, (BACKGROUND, RUNS))))
def omniglot(asked: Asked) -> Dataset:
    """Return the small background set to learn from, and the twenty official one-shot runs to be judged by.

    Training: four of the five alphabets, each character in four turns. Validation: the fifth. Test: 400 characters of
    ten other alphabets, drawn twice; `Split.group` is the run, all of whose characters are of one alphabet.
    """
    show, words = present(FORMS, "omniglot", asked)
    inked = {part: _inked(show, rows, asked) for part, rows in _official().items()}
    x, y, _ = inked["train"]
    turned = np.concatenate([np.rot90(x, turns, (1, 2)) for turns in range(TURNS)])
    kinds = int(y.max()) + 1
    train = Split(x=turned, y=np.concatenate([y + turns * kinds for turns in range(TURNS)]).astype(np.int32))
    splits: Any = {part: Split(x=x, y=y, group=None if part == "validation" else group)
              for part, (x, y, group) in inked.items() if part != "train"}  # fmt: skip
    return Dataset(name="omniglot", task=asked.task, train=train, preprocessing=f"ink is 1; {words}; {TURNS} turns",
                   sizes={"base": TURNS * kinds}, source=sources.describe([BACKGROUND, RUNS]), **splits)  # fmt: skip


Drawing = tuple[np.ndarray, str, str]  # pixels (105, 105), of which character, of which group


def _official() -> dict[str, list[Drawing]]:
    """Return the drawings of each split."""
    found: dict[str, list[Drawing]] = {"train": [], "validation": [], "test": []}
    for name, content in _members(BACKGROUND):
        _, alphabet, character, _ = name.split("/")
        part = "validation" if alphabet == HELD_OUT else "train"
        found[part].append((_read(content), f"{alphabet}/{character}", alphabet))
    runs = dict(_members(RUNS))
    for name in sorted(each for each in runs if each.endswith("class_labels.txt")):
        for line in runs[name].decode("ascii").split("\n"):
            for path in (pair := line.split()):  # a test picture, and the training picture of the same character
                found["test"].append((_read(runs[path]), pair[1], name.split("/")[0]))
    return found


def _members(path: str) -> Iterator[tuple[str, bytes]]:
    """Yield the files of an official archive in the order of their names."""
    sources.read(path)  # found or fetched, and refused where it is not the official one
    where = sources.find(path)
    assert where is not None
    names = check_zip(where)
    with zipfile.ZipFile(where) as archive:
        for name in sorted(names):
            if name.endswith((".png", ".txt")) and not name.startswith("__MACOSX"):
                yield name, archive.read(name)


def _read(content: bytes) -> np.ndarray:
    """Return a black and white PNG as float32 (H, W), white being 1."""
    from matplotlib.image import imread

    pixels = np.asarray(imread(io.BytesIO(content), format="png"), np.float32)
    return pixels if pixels.ndim == 2 else pixels[..., 0]  # as it may be packed again: red, green and blue are alike


def _inked(show, drawings: list[Drawing], asked: Asked) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return drawings as asked with ink of 1, numbers of their characters, and of their groups."""
    pixels, characters, groups = zip(*drawings, strict=True)
    x = show(1 - np.stack(pixels)[..., None], asked.input_shape)
    return x, _numbered(characters), _numbered(groups)


def _numbered(names: tuple[str, ...]) -> np.ndarray:
    return np.unique(names, return_inverse=True)[1].astype(np.int32)


# ---------------------------------------------------------------- made-up characters


@dataset(input_shape=(28, 28, 1), tasks=TASKS)
def strokes(asked: Asked) -> Dataset:
    """Return made-up characters: curved strokes whose ends and bends differ a little each time."""
    show, words = present(FORMS, "strokes", asked)
    side, random = _side(asked.input_shape), np.random.default_rng(0)
    splits: dict[str, Any] = {}
    for part, kinds in KINDS.items():
        lines = np.concatenate([_written(random) for _ in range(kinds)])  # (kinds * DRAWN, points, 2)
        labels = np.repeat(np.arange(kinds), DRAWN).astype(np.int32)
        splits[part] = Split(x=show(drawn(lines, side)[..., None], asked.input_shape), y=labels)
    return Dataset(name="strokes", task=asked.task, preprocessing=f"drawn as {side}x{side} pixels; {words}",
                   sizes={"base": KINDS["train"]}, source=("drawn by Edgewright",), **splits)  # fmt: skip


def _side(shape: tuple[int, ...]) -> int:
    if len(shape) != 3 or shape[0] != shape[1]:
        raise BadInput(f"data set 'strokes' draws square pictures, asked is {shape}; give (n, n, channels)")
    return shape[0]


def _written(random: np.random.Generator) -> np.ndarray:
    """Return one character written `DRAWN` times, as points in [0, 1]: (DRAWN, points, 2)."""
    count = random.integers(STROKES[0], STROKES[1] + 1)
    anchors = random.uniform(0.15, 0.85, (count, 3, 2))  # where a stroke begins, what it bends to, where it ends
    hands = anchors + random.normal(0, 0.03, (DRAWN, count, 3, 2))
    t = np.linspace(0, 1, POINTS)[:, None]
    curve = np.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2])  # (3, POINTS, 1)
    points = np.einsum("dcak,apz->dcpk", hands, curve).reshape(DRAWN, -1, 2)
    points = points[:, np.arange(STROKES[1] * POINTS) % points.shape[1]]  # of few strokes some are drawn twice
    angle, size = random.normal(0, 0.15, DRAWN), random.uniform(0.85, 1.1, DRAWN)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * size  # (2, 2, DRAWN)
    return np.einsum("dpk,kjd->dpj", points - 0.5, turn) + 0.5 + random.normal(0, 0.03, (DRAWN, 1, 2))


def drawn(points: np.ndarray, side: int) -> np.ndarray:
    """Return pictures (N, side, side) in [0, 1] of lines along points (N, P, 2); ink fades over a pixel."""
    steps = (np.arange(side) + 0.5) / side
    found = np.empty((len(points), side, side), np.float32)
    for start in range(0, len(points), 64):
        part = points[start : start + 64].astype(np.float32)
        right = (part[:, :, None, 0] - steps) ** 2  # (n, P, side)
        down = (part[:, :, None, 1] - steps) ** 2
        nearest = np.sqrt((down[:, :, :, None] + right[:, :, None, :]).min(1))
        found[start : start + 64] = np.clip((PEN - nearest) * side + 0.5, 0, 1)
    return found

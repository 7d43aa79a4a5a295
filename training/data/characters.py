"""Texts as characters, cut into windows: tiny Shakespeare, and the descriptions of data sets in scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import BadInput
from . import sources
from .dataset import Dataset, Split
from .sets import Asked, dataset, present

SHAKESPEARE = "tinyshakespeare/input.txt"
ENDS = {"train": (0.0, 0.9), "validation": (0.9, 0.95), "test": (0.95, 1.0)}  # of a text, by position
FORMS = {("int32", 1): "windows of {} characters"}


@dataset(
    input_shape=(64,), dtype="int32", tasks=("language_model",), here=lambda: sources.find(SHAKESPEARE) is not None
)
def tinyshakespeare(asked: Asked) -> Dataset:
    """Return 1,115,394 characters of Shakespeare's plays, of 65 kinds (Karpathy 2015); 90/5/5% by position."""
    text = sources.read(SHAKESPEARE).decode("ascii")
    return windows("tinyshakespeare", [text], asked, sources.describe([SHAKESPEARE]))


@dataset(input_shape=(64,), dtype="int32", tasks=("language_model",))
def scikit_learn_texts(asked: Asked) -> Dataset:
    """Return what scikit-learn says of its data sets, 43,000 characters of English; of each text 90/5/5%."""
    import sklearn

    return windows("scikit_learn_texts", descriptions(), asked, (f"scikit-learn {sklearn.__version__}",))


def descriptions() -> list[str]:
    from importlib.resources import files

    pages = sorted(files("sklearn.datasets.descr").iterdir(), key=lambda page: page.name)
    texts = [page.read_text("utf-8") for page in pages if page.name.endswith(".rst")]
    return [text.encode("ascii", "replace").decode() for text in texts]


def windows(name: str, texts: Sequence[str], asked: Asked, source: tuple[str, ...]) -> Dataset:
    """Return texts as windows of character ids, and as targets the character behind each.

    Windows do not overlap, and none reaches over the border of a split. Ids are the characters of all texts in their
    order.  Shapes: x, y (N, T) int32.  Raises: BadInput for texts shorter than a window.
    """
    words = present(FORMS, name, asked)
    (length,) = asked.input_shape
    alphabet = np.unique([ord(character) for text in texts for character in set(text)])
    parts = {part: [_cut(text, alphabet, ends, length) for text in texts] for part, ends in ENDS.items()}
    pairs = {part: np.concatenate(cut) for part, cut in parts.items()}  # (N, T + 1)
    if short := [part for part, rows in pairs.items() if not len(rows)]:
        raise BadInput(f"data set {name!r}: {short[0]} has no {length + 1} characters; ask for shorter windows")
    splits: dict[str, Any] = {
        part: Split(x=np.ascontiguousarray(rows[:, :-1]), y=np.ascontiguousarray(rows[:, 1:]))
        for part, rows in pairs.items()
    }
    return Dataset(
        name=name,
        task=asked.task,
        classes=len(alphabet),
        vocabulary=len(alphabet),
        labels=tuple(map(chr, alphabet)),
        preprocessing=f"{len(alphabet)} characters as ids by code point; {words.format(length)}; 90/5/5% by position",
        source=source,
        **splits,
    )


def _cut(text: str, alphabet: np.ndarray, ends: tuple[float, float], length: int) -> np.ndarray:
    """Return the windows of a part of `text` with the character behind each.  Shape (N, length + 1) int32."""
    start, stop = (round(end * len(text)) for end in ends)
    codes = np.frombuffer(text[start:stop].encode("utf-32-le"), np.uint32)
    ids = np.searchsorted(alphabet, codes).astype(np.int32)
    count = max(0, len(ids) - 1) // length
    return ids[np.arange(count)[:, None] * length + np.arange(length + 1)]

"""Texts as characters, cut into windows: tiny Shakespeare, and the descriptions of data sets in scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import sources
from .dataset import Dataset
from .sets import Asked, dataset, present
from .windows import splits

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
    """Return the descriptions of the data sets in scikit-learn, of ASCII characters alone."""
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
    parts = {part: [_ids(text, alphabet, ends) for text in texts] for part, ends in ENDS.items()}
    cut = splits(name, parts, length, "characters")
    return Dataset(
        name=name,
        task=asked.task,
        classes=len(alphabet),
        vocabulary=len(alphabet),
        labels=tuple(map(chr, alphabet)),
        preprocessing=f"{len(alphabet)} characters as ids by code point; {words.format(length)}; 90/5/5% by position",
        source=source,
        train=cut["train"],
        validation=cut["validation"],
        test=cut["test"],
    )


def _ids(text: str, alphabet: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    """Return the ids of a part of `text`.  Shape (n,)."""
    start, stop = (round(end * len(text)) for end in ends)
    codes = np.frombuffer(text[start:stop].encode("utf-32-le"), np.uint32)
    return np.searchsorted(alphabet, codes)

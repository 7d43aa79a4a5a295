"""Texts with spans taken out, to be put in again (Raffel 2020, arXiv:1910.10683, section 3.1.4): characters as tokens.

The source is the text with a token of its own, a sentinel, in place of each span; the target names each sentinel and
what stood there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...errors import BadInput
from . import sources
from .characters import ENDS, SHAKESPEARE, descriptions
from .dataset import Dataset, Split
from .sets import Asked, dataset
from .translation import BOS, EOS, SPECIAL, padded

SHAPE = {"source": (32,), "target": (8,)}
RATE, MEAN = 0.15, 3.0  # of tokens that are taken out, and how many stand together on average


@dataset(
    input_shape=SHAPE, dtype="int32", tasks=("span_corruption",), here=lambda: sources.find(SHAKESPEARE) is not None
)
def shakespeare_spans(asked: Asked) -> Dataset:
    """Return windows of Shakespeare's plays with spans taken out; 90/5/5% by position."""
    text = sources.read(SHAKESPEARE).decode("ascii")
    return corrupted_windows("shakespeare_spans", [text], asked, sources.describe([SHAKESPEARE]))


@dataset(input_shape=SHAPE, dtype="int32", tasks=("span_corruption",))
def text_spans(asked: Asked) -> Dataset:
    """Return windows of what scikit-learn says of its data sets with spans taken out; of each text 90/5/5%."""
    import sklearn

    return corrupted_windows("text_spans", descriptions(), asked, (f"scikit-learn {sklearn.__version__}",))


def corrupted_windows(name: str, texts: Sequence[str], asked: Asked, source: tuple[str, ...]) -> Dataset:
    """Return windows as long as fill the source once spans are taken out, drawn by seed.

    Ids: special tokens, characters, sentinels.  Shapes: source (N, S) and y (N, T) end in </s>, target (N, T) begins
    with <s>.  Raises: BadInput where the target is too short for what is taken out.
    """
    (most,), (answer,) = asked.shapes(name, "source", "target")
    length = text_length(most)
    noise, count = taken(length)
    if answer < noise + count + 1:
        raise BadInput(f"data set {name!r}: a source of {most} leaves {noise} tokens in {count} spans to a target of "
                       f"{answer}; build the model for a target of {noise + count + 1}")  # fmt: skip
    alphabet = np.unique([ord(character) for text in texts for character in set(text)])
    first, splits = len(SPECIAL) + len(alphabet), {}
    for seed, (part, ends) in enumerate(ENDS.items()):
        random = np.random.default_rng(seed)
        rows = np.concatenate([_cut(text, alphabet, ends, length) for text in texts])
        pairs = [corrupted(row, spans_of(length, random), first) for row in rows]
        splits[part] = Split(
            x={"source": padded(([*given, EOS] for given, _ in pairs), most),
               "target": padded(([BOS, *asked_for] for _, asked_for in pairs), answer)},
            y=padded(([*asked_for, EOS] for _, asked_for in pairs), answer),
        )  # fmt: skip
    labels = (*SPECIAL, *map(chr, alphabet), *(f"<span {number}>" for number in range(count)))
    return Dataset(
        name=name,
        task=asked.task,
        classes=len(labels),
        vocabulary=len(labels),
        labels=labels,
        preprocessing=f"windows of {length} characters, {noise} taken out in {count} spans each; 90/5/5% by place",
        source=source,
        **splits,
    )


def _cut(text: str, alphabet: np.ndarray, ends: tuple[float, float], length: int) -> np.ndarray:
    """Return the windows of a part of a text.  Shape (N, length) int32."""
    start, stop = (round(end * len(text)) for end in ends)
    codes = np.frombuffer(text[start:stop].encode("utf-32-le"), np.uint32)
    ids = (np.searchsorted(alphabet, codes) + len(SPECIAL)).astype(np.int32)
    return ids[: len(ids) // length * length].reshape(-1, length)


def taken(length: int) -> tuple[int, int]:
    """Return how many of so many tokens are taken out, and in how many spans."""
    noise = min(max(round(length * RATE), 1), length - 1)
    return noise, max(round(noise / MEAN), 1)


def text_length(source: int) -> int:
    """Return the longest text whose rest, its sentinels and the end fit into a source of so many tokens."""
    length = source
    while (length + 1) - taken(length + 1)[0] + taken(length + 1)[1] + 1 <= source:
        length += 1
    return length


def spans_of(length: int, random: np.random.Generator) -> list[tuple[int, int]]:
    """Draw the spans, (start, stop) each: none touches another, and the first token stays."""
    noise, count = taken(length)
    out, kept = _parts(noise, count, random), _parts(length - noise, count, random)
    stops = np.cumsum(out) + np.cumsum(kept)
    return [(int(stop - size), int(stop)) for stop, size in zip(stops, out, strict=True)]


def _parts(total: int, count: int, random: np.random.Generator) -> np.ndarray:
    """Return `count` positive numbers that add up to `total`, each such choice as likely."""
    borders = np.sort(random.choice(np.arange(1, total), count - 1, replace=False))
    return np.diff([0, *borders, total])


def corrupted(ids: np.ndarray, spans: Sequence[tuple[int, int]], first: int) -> tuple[list[int], list[int]]:
    """Return ids with a sentinel for each span, numbered from `first`, and each sentinel followed by its span."""
    source, target, last = [], [], 0
    for sentinel, (start, stop) in enumerate(spans, first):
        source += [*ids[last:start], sentinel]
        target += [sentinel, *ids[start:stop]]
        last = stop
    return [*map(int, source), *map(int, ids[last:])], list(map(int, target))


def reassembled(source: Sequence[int], target: Sequence[int], first: int) -> list[int]:
    """Return the ids that `corrupted` took apart; what is said of no sentinel is left out."""
    spans: dict[int, list[int]] = {}
    sentinel = -1
    for token in target:
        if token >= first:
            sentinel = token
        spans.setdefault(sentinel, []).extend([] if token >= first else [token])
    return [token for given in source for token in (spans.get(given, []) if given >= first else [given])]

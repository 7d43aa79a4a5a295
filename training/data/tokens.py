"""Sentences with a class as token ids: words, words with hashed pairs of them, or hashed runs of letters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, pairwise
from typing import Any

import numpy as np

from ...errors import BadInput
from .dataset import Dataset, Split, divide
from .sets import Asked, present

PAD, UNKNOWN = 0, 1
VOCABULARY = 8000  # ids, where the model sets none: about the words that training sentences hold twice or more
WORDS = 2 / 7  # share of the ids that are words, the others being pairs: 8,000 beside 20,000
RUNS = 1, 4  # how long hashed runs of letters are, from and to
FORMS = {("int32", 1): "tokens"}


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Sentences and their class, (N,) int32, by part of the set."""

    name: str
    sentences: Mapping[str, Sequence[str]]
    classes: Mapping[str, np.ndarray]
    labels: tuple[str, ...] = ()
    source: tuple[str, ...] = ()


def divided(
    name: str, sentences: list[str], y: np.ndarray, source: tuple[str, ...], labels: tuple[str, ...] = ()
) -> Texts:
    """Return sentences with a tenth of each class for validation, and one for testing."""
    rest, test = divide(y, 0.1)
    train, validation = (rest[part] for part in divide(y[rest], 1 / 9))
    parts = {"train": train, "validation": validation, "test": test}
    return Texts(name=name, sentences={part: [sentences[k] for k in chosen] for part, chosen in parts.items()},
                 classes={part: y[chosen] for part, chosen in parts.items()}, labels=labels, source=source)  # fmt: skip


def as_words(texts: Texts, asked: Asked) -> Dataset:
    """Return the words between blanks as ids, the most frequent of the training sentences from 2 on."""
    length, size = _wanted(texts.name, asked)
    split = _words(texts)
    ids = vocabulary(split["train"], size or VOCABULARY)
    rows = {part: [[ids.get(word, UNKNOWN) for word in words] for words in each] for part, each in split.items()}
    said = (
        f"words between blanks; the {len(ids)} most frequent of the training sentences are ids from 2, "
        f"{UNKNOWN} is any other, {PAD} fills up; first {length} words"
    )
    return _presented(texts, rows, asked, length, vocabulary=len(ids) + 2, preprocessing=said)


def as_bigrams(texts: Texts, asked: Asked) -> Dataset:
    """Return the ids of `as_words` and, behind them, one of a hash for each pair of neighbours, known or not."""
    length, size = _wanted(texts.name, asked)
    size = size or round(VOCABULARY / WORDS)
    split = _words(texts)
    ids = vocabulary(split["train"], max(2, round(size * WORDS)))
    first = len(ids) + 2

    def tokens(words: list[str]) -> list[int]:
        pairs = (" ".join(pair) for pair in pairwise(words))
        return [*(ids.get(word, UNKNOWN) for word in words), *hashed(pairs, first, size)]

    rows = {part: [tokens(words) for words in each] for part, each in split.items()}
    said = (
        f"words between blanks; the {len(ids)} most frequent of the training sentences are ids from 2, {UNKNOWN} is "
        f"any other; behind them each pair of neighbours with a blank between, UTF-8, FNV-1a of 32 bits modulo "
        f"{size - first} from {first} on; {PAD} fills up; first {length} ids"
    )
    return _presented(texts, rows, asked, length, vocabulary=size, preprocessing=said)


def as_letters(texts: Texts, asked: Asked) -> Dataset:
    """Return one id of a hash for each run of 1 to 4 small letters, the blanks between words counting as such."""
    length, size = _wanted(texts.name, asked)
    size = size or VOCABULARY
    least, most = RUNS

    def tokens(sentence: str) -> list[int]:
        text = f" {sentence.lower().strip()} "
        runs = (text[k : k + n] for k in range(len(text)) for n in range(least, most + 1) if k + n <= len(text))
        return hashed(islice(runs, length), 1, size)

    rows = {part: [tokens(sentence) for sentence in each] for part, each in texts.sentences.items()}
    said = (
        f"small letters between two blanks; from each on its runs of {least} to {most}, UTF-8, FNV-1a of 32 bits "
        f"modulo {size - 1} from 1 on; {PAD} fills up; first {length} ids"
    )
    return _presented(texts, rows, asked, length, vocabulary=size, preprocessing=said)


def vocabulary(sentences: Iterable[list[str]], size: int) -> dict[str, int]:
    """Return word -> id from 2 on, the most frequent words first (ties by spelling), for `size` ids in all."""
    counts = Counter(word for sentence in sentences for word in sentence)
    frequent = sorted(counts, key=lambda word: (-counts[word], word))[: max(0, size - 2)]
    return {word: k for k, word in enumerate(frequent, 2)}


def encode(sentences: Iterable[list[str]], ids: Mapping[str, int], length: int) -> np.ndarray:
    """Return token ids (N, length) int32 of words, known or not: cut or filled up with PAD at the end."""
    return filled([[ids.get(word, UNKNOWN) for word in words] for words in sentences], length)


def filled(rows: Sequence[Sequence[int]], length: int) -> np.ndarray:
    """Return token ids (N, length) int32: cut or filled up with PAD at the end."""
    x = np.full((len(rows), length), PAD, np.int32)
    for row, tokens in zip(x, rows, strict=True):
        row[: len(tokens)] = tokens[:length]
    return x


def hashed(runs: Iterable[str], first: int, size: int) -> list[int]:
    """Return an id in [first, size) for each string, by FNV-1a.  Raises: BadInput where there is no such id.

    Source: Fowler, Noll and Vo 1991; fastText has the same hash.
    """
    if size <= first:
        raise BadInput(f"vocabulary {size}: ids below {first} are taken, none is left for hashes; give more than that")
    return [first + _fnv(run) % (size - first) for run in runs]


@lru_cache(maxsize=1 << 17)
def _fnv(text: str) -> int:
    value = 2166136261
    for byte in text.encode("utf-8"):
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value


def _words(texts: Texts) -> dict[str, list[list[str]]]:
    return {part: [sentence.split() for sentence in each] for part, each in texts.sentences.items()}


def _wanted(name: str, asked: Asked) -> tuple[int, int]:
    """Return how many ids a sample has, and how many the model knows (0: any)."""
    if not asked.inputs:
        present(FORMS, name, asked)
        return asked.input_shape[0], asked.vocabulary
    ids = next((each for each in asked.inputs if each.vocabulary), None)
    if ids is None or len(ids.shape) != 1:
        shapes = ", ".join(f"{each.name} {each.dtype} {each.shape}" for each in asked.inputs)
        raise BadInput(f"data set {name!r} is shown as ids (n,), and their number (1,), got {shapes}")
    return ids.shape[0] or asked.input_shape[0], ids.vocabulary or 0


def _presented(
    texts: Texts, rows: Mapping[str, Sequence[Sequence[int]]], asked: Asked, length: int, **facts: Any
) -> Dataset:
    """Return ids as a model's one input, or with their number as another, of shape (1,)."""

    def samples(part: str) -> Any:
        ids = filled(rows[part], length)
        if not asked.inputs:
            return ids
        number = np.minimum([[len(row)] for row in rows[part]], length)
        return {each.name: ids if each.vocabulary else number.astype(each.dtype) for each in asked.inputs}

    return Dataset(
        name=texts.name,
        task=asked.task,
        classes=len(np.unique(texts.classes["train"])),
        labels=texts.labels,
        source=texts.source,
        train=Split(x=samples("train"), y=texts.classes["train"]),
        validation=Split(x=samples("validation"), y=texts.classes["validation"]),
        test=Split(x=samples("test"), y=texts.classes["test"]),
        **facts,
    )

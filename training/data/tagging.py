"""Sentences whose words have a tag each: CoNLL-2000's chunks in their official files, and a made-up grammar's.

Samples are word ids (N, T), or ids of sparse features (N, T, F); 0 is padding behind the end, where the tag is HIDDEN.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import BadInput
from . import sources
from .dataset import Dataset, Split
from .sets import Asked, dataset, present

HIDDEN = -1  # the tag of padding
FILES = ["conll2000/train.txt", "conll2000/test.txt"]
TASKS = ("tagging", "streamed_tagging", "window_tagging", "filtered_tagging")
VOCABULARY = 10_000  # ids, where the model sets none
HELD_OUT = 10  # of so many training sentences one validates
ENDINGS = ("ing", "ed", "ly", "er", "al", "ive", "ous", "ble", "ic", "ion", "ment", "ty", "s", "")
UNKNOWN = 1  # the first id of a word that is none of the vocabulary: told by its ending and its case
KINDS = ("ADJP", "ADVP", "CONJP", "INTJ", "LST", "NP", "PP", "PRT", "SBAR", "UCP", "VP")
TAGS = ("O", *(f"{place}-{kind}" for kind in KINDS for place in ("B", "I")))  # of CoNLL-2000, of the grammar a part

Sentence = Sequence[tuple[str, str]]  # words and tags


@dataset(input_shape=(78,), dtype="int32", tasks=TASKS, here=lambda: all(map(sources.find, FILES)))
def conll2000(asked: Asked) -> Dataset:
    """Return 8,936 and 2,012 sentences of the Wall Street Journal with their chunks, the official split.

    Source: Tjong Kim Sang and Buchholz 2000, Introduction to the CoNLL-2000 shared task: chunking.
    """
    given, tested = (read_conll(sources.read(path)) for path in FILES)
    parts = {
        "train": [sentence for k, sentence in enumerate(given) if k % HELD_OUT],
        "validation": given[::HELD_OUT],  # every tenth
        "test": tested,
    }
    return presented("conll2000", parts, asked, source=sources.describe(FILES))


def read_conll(content: bytes) -> list[Sentence]:
    """Read lines "word POS chunk", sentences set apart by empty ones."""
    sentences: list[list[tuple[str, str]]] = [[]]
    for line in content.decode("ascii").splitlines():
        if fields := line.split():
            sentences[-1].append((fields[0], fields[2]))
        elif sentences[-1]:
            sentences.append([])
    return [sentence for sentence in sentences if sentence]


def presented(name: str, parts: Mapping[str, Sequence[Sentence]], asked: Asked, **facts: Any) -> Dataset:
    """Return sentences as a data set of word ids (T,) or feature ids (T, F), whichever is asked for."""
    show = present(FORMS, name, asked)
    length, size = asked.input_shape[0], asked.vocabulary or VOCABULARY
    encode, words, tokens = show(parts["train"], size, asked.input_shape)
    cut = sum(len(sentence) > length for sentences in parts.values() for sentence in sentences)
    splits: dict[str, Any] = {}
    for part, sentences in parts.items():
        y = np.full((len(sentences), length), HIDDEN, np.int32)
        for row, sentence in zip(y, sentences, strict=True):
            row[: len(sentence)] = [TAGS.index(tag) for _, tag in sentence[:length]]
        splits[part] = Split(x=encode([[word for word, _ in each[:length]] for each in sentences]), y=y)
    told = f"{cut} longer sentences cut to {length} words" if cut else f"whole sentences of at most {length} words"
    return Dataset(
        name=name,
        task=asked.task,
        classes=len(TAGS),
        vocabulary=size,
        tokens=tokens,
        labels=TAGS,
        preprocessing=f"{words}; 0 fills up; {told}",
        **splits,
        **facts,
    )


# ---------------------------------------------------------------- words


def plain(word: str) -> str:
    """Return a word in small letters, every digit being 0."""
    return "".join("0" if letter.isdigit() else letter for letter in word.lower())


def shape(word: str) -> int:
    """Return the number of a word's shape: its ending among ENDINGS, and whether it begins with a capital."""
    ending = next(k for k, ending in enumerate(ENDINGS) if word.lower().endswith(ending))
    return 2 * ending + word[0].isupper()


SHAPES = 2 * len(ENDINGS)
PADDING = "<pad>"
SHAPE_NAMES = tuple(f"<{case}-{ending}>" for ending in ENDINGS for case in ("small", "capital"))  # of unknown words
Encode = Callable[[Sequence[Sequence[str]]], np.ndarray]
Shown = tuple[Encode, str, tuple[str, ...]]  # what makes ids, how in words, and what they stand for


def _as_words(sentences: Iterable[Sentence], size: int, shown: tuple[int, ...]) -> Shown:
    """Return what makes ids (N, T) of words, for `size` ids in all, says so, and what the ids stand for."""
    counts = Counter(plain(word) for sentence in sentences for word, _ in sentence)
    frequent = sorted((word for word in counts if counts[word] > 1), key=lambda word: (-counts[word], word))
    ids = {word: k for k, word in enumerate(frequent[: max(0, size - UNKNOWN - SHAPES)], UNKNOWN + SHAPES)}

    def encode(sentences: Sequence[Sequence[str]]) -> np.ndarray:
        x = np.zeros((len(sentences), *shown), np.int32)
        for row, words in zip(x, sentences, strict=True):
            row[: len(words)] = [ids.get(plain(word), UNKNOWN + shape(word) % (size - UNKNOWN)) for word in words]
        return x

    said = (
        f"words in small letters with 0 for digits; the {len(ids)} most frequent of those that training sentences hold "
        f"twice are ids from {UNKNOWN + SHAPES} by frequency, ties by spelling; others from {UNKNOWN} by ending, case"
    )
    return encode, said, (*(PADDING, *SHAPE_NAMES)[:size], *ids)


# ---------------------------------------------------------------- sparse features

AFFIXES = (1, 2, 3, 4)
EDGE = ("<s>", "</s>")


def features(words: Sequence[str], place: int) -> list[str]:
    """Return the features of a word: itself, two neighbours a side, pairs, prefixes, suffixes, case.

    Source: what the CRF of Huang 2015, arXiv:1508.01991, section 4.2 is given, without parts of speech.
    """

    def at(offset: int) -> str:
        where = place + offset
        return words[where] if 0 <= where < len(words) else EDGE[where > 0]

    low = plain(words[place])
    near = {offset: plain(at(offset)) for offset in (-2, -1, 1, 2)}
    found = [f"w{offset}={other}" for offset, other in near.items()]
    found += [f"w0={low}", f"w-1,0={near[-1]}|{low}", f"w0,1={low}|{near[1]}"]
    found += [f"prefix={low[:size]}" for size in AFFIXES] + [f"suffix={low[-size:]}" for size in AFFIXES]
    found += [f"suffix{offset}={near[offset][-3:]}" for offset in (-1, 1)]
    return [*found, *(f"case{offset}={case(at(offset))}" for offset in (-1, 0, 1))]


def case(word: str) -> str:
    """Return how a word is written: its letters as X, x, 0 or themselves, each run once."""
    letters = ["X" if c.isupper() else "x" if c.islower() else "0" if c.isdigit() else c for c in word]
    return "".join(c for k, c in enumerate(letters) if not k or c != letters[k - 1])


FEATURES = len(features(["a"], 0))


def _as_features(sentences: Iterable[Sentence], size: int, shown: tuple[int, ...]) -> Shown:
    """Return what makes ids (N, T, F) of sparse features, hashed to `size` - 1 of them, and says so."""
    if shown[1] != FEATURES:
        raise BadInput(f"input_shape={shown}: a word has {FEATURES} features; build the model for (T, {FEATURES})")

    def encode(sentences: Sequence[Sequence[str]]) -> np.ndarray:
        x = np.zeros((len(sentences), *shown), np.int32)
        for row, words in zip(x, sentences, strict=True):
            for place in range(len(words)):
                row[place] = [1 + zlib.crc32(one.encode()) % (size - 1) for one in features(words, place)]
        return x

    return (
        encode,
        f"{FEATURES} features a word (itself, neighbours, pairs, affixes, case), CRC-32 modulo {size - 1} + 1",
        (),
    )


FORMS = {("int32", 1): _as_words, ("int32", 2): _as_features}

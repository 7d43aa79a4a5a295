"""Pairs of sentences as words, all of them or the rare ones spelled letter by letter: two levels of tokens.

A spelled word is its letters and </s>; a word that is </s> alone ends the sentence. What is read while a word is said
begins with <s>. Words are told apart as runs of letters, and each mark that is none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import BadInput
from .dataset import Dataset, Split
from .marks import BOS, EOS, PAD, SPECIAL, UNKNOWN, Pairs
from .sets import Asked
from .targets import Head

SPELLED = ("source", "target", "target_letters")  # inputs where each word is spelled
MIXED = ("source", "source_letters", "target", "target_letters")  # where those are that no vocabulary has
WORDS, LETTERS = "logits", "letters"  # outputs: of words, and of their letters
VOCABULARY = 1000  # tokens of either level, where the model sets none
PIECES = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, kw_only=True)
class _Level:
    """Tokens of one level by number, the special ones first."""

    ids: Mapping[str, int]

    @classmethod
    def of(cls, tokens: Iterable[str], size: int) -> _Level:
        """Return the most frequent of tokens, ties by spelling, for `size` ids in all."""
        counts = Counter(tokens)
        frequent = sorted(counts, key=lambda token: (-counts[token], token))[: max(0, size - len(SPECIAL))]
        return cls(ids={token: number for number, token in enumerate((*SPECIAL, *frequent))})

    @property
    def labels(self) -> tuple[str, ...]:
        """The tokens in the order of their ids."""
        return tuple(self.ids)

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """Return ids, UNKNOWN for what has none."""
        return [self.ids.get(token, UNKNOWN) for token in tokens]


def of_words(name: str, parts: Mapping[str, Pairs], asked: Asked, source: tuple[str, ...], kinds: int = 0) -> Dataset:
    """Return pairs as spelled words; with an input source_letters as words, and spelled those that are unknown.

    kinds: the most words that are known, 0 for as many as the model knows.
    Shapes: source (N, S, C) the letters of each word, target (N, T, C) those of the word before, target_letters
    (N, T, C) what is read while a word is spelled, y (N, T, C); or source, target (N, S) and (N, T) ids of words,
    source_letters and target_letters as before, of unknown words alone, y {"logits": (N, T), "letters": (N, T, C)}.
    A pair of too many words, or with a target word of too many letters, is left out; a source word is cut.
    Raises: BadInput where no pair is left of a split, or for other inputs.
    """
    mixed = "source_letters" in [each.name for each in asked.inputs]
    inputs = MIXED if mixed else SPELLED
    shapes: dict[str, Any] = dict(zip(inputs, asked.shapes(name, *inputs), strict=True))
    known = next((each.vocabulary for each in asked.inputs if each.name == "target_letters"), None)
    split = {part: [tuple(map(PIECES.findall, pair)) for pair in pairs] for part, pairs in parts.items()}
    texts = [word for pair in split["train"] for text in pair for word in text]
    letters = _Level.of((letter for word in texts for letter in word), known or VOCABULARY)
    words = _Level.of(texts, min(size for size in (asked.vocabulary or VOCABULARY, kinds) if size)) if mixed else None
    longest, (most, longest_word) = shapes["source"][0], shapes["target_letters"]
    splits, left = {}, {}
    for part, pairs in split.items():
        kept = [(given, said) for given, said in pairs if len(given) < longest and len(said) < most
                and max(map(len, said), default=0) < longest_word]  # fmt: skip
        if not kept:
            raise BadInput(f"data set {name!r}: no pair of {part} has at most {longest - 1} and {most - 1} words of "
                           f"{longest_word - 1} letters; build the model for longer ones")  # fmt: skip
        left[part] = f"{len(pairs) - len(kept)} of {len(pairs)}"
        splits[part] = _mixed(kept, shapes, words, letters) if words else _spelled(kept, shapes, letters)
    told = f"{len(words.ids)} words and {len(letters.ids)} letters" if words else f"{len(letters.ids)} letters"
    levels = {WORDS: words, LETTERS: letters} if words else {}
    heads = {each: Head(task="translation", classes=len(level.ids), labels=level.labels)
             for each, level in levels.items()}  # fmt: skip
    return Dataset(
        name=name,
        task=asked.task,
        classes=len((words or letters).ids),
        labels=() if words else letters.labels,
        heads=heads,
        preprocessing=(
            f"{told} of source and target together, the most frequent first; ids 0 on: {' '.join(SPECIAL)}; words are "
            f"runs of letters, and each other mark; {'unknown' if words else 'all'} words spelled, </s> behind the "
            f"last letter; longer sentences, or words of {longest_word} letters in targets left out: "
            + ", ".join(f"{part} {count}" for part, count in left.items())
        ),
        source=source,
        **splits,
    )


Words = Sequence[Sequence[str]]
Kept = Sequence[tuple[Sequence[str], Sequence[str]]]


def _spelled(pairs: Kept, shapes: Mapping[str, tuple[int, ...]], letters: _Level) -> Split:
    given, said = zip(*pairs, strict=True)
    y = spelled(said, shapes["target"], letters.encode)
    read = spelled(given, shapes["source"], letters.encode)
    return Split(x={"source": read, "target": before(y), "target_letters": before_letters(y)}, y=y)


def _mixed(pairs: Kept, shapes: Mapping[str, tuple[int, ...]], words: _Level, letters: _Level) -> Split:
    given, said = zip(*pairs, strict=True)
    read, told = (_numbered(texts, shapes[side][0], words) for texts, side in ((given, "source"), (said, "target")))
    rare, y = (
        np.where((ids == UNKNOWN)[..., None], spelled(texts, shapes[side], letters.encode), PAD)
        for ids, texts, side in ((read, given, "source_letters"), (told, said, "target_letters"))
    )
    x = {"source": read, "source_letters": rare, "target": before(told), "target_letters": before_letters(y)}
    return Split(x=x, y={WORDS: told, LETTERS: y})


def _numbered(texts: Words, length: int, words: _Level) -> np.ndarray:
    """Return the ids of words, </s> behind the last: (N, length) int32."""
    ids = np.full((len(texts), length), PAD, np.int32)
    for row, text in zip(ids, texts, strict=True):
        row[: len(text) + 1] = [*words.encode(text), EOS]
    return ids


def spelled(texts: Words, shape: tuple[int, ...], encode: Callable[[str], list[int]]) -> np.ndarray:
    """Return words letter by letter, </s> behind each, and one of no letters behind the last: (N, *shape) int32."""
    ids = np.full((len(texts), *shape), PAD, np.int32)
    for row, text in zip(ids, texts, strict=True):
        for place, word in enumerate((*text, "")):
            told = [*encode(word)[: shape[1] - 1], EOS]
            row[place, : len(told)] = told
    return ids


def before(said: np.ndarray) -> np.ndarray:
    """Return what was said before each token, <s> before the first.  Shapes: (N, T, ...) -> the same."""
    first = np.zeros((len(said), 1, *said.shape[2:]), np.int32)
    first.reshape(len(said), -1)[:, 0] = BOS
    return np.concatenate([first, said[:, :-1]], axis=1)


def before_letters(said: np.ndarray) -> np.ndarray:
    """Return what was said before each letter of each word that is there.  Shapes: (N, T, C) -> the same."""
    shifted = before(said.reshape(-1, said.shape[-1])).reshape(said.shape)
    ends = np.where(said == PAD, PAD, shifted)  # behind </s> nothing is read
    return ends.astype(np.int32)


def word_of(ids: Iterable[int], labels: Sequence[str]) -> str:
    """Return the letters of ids up to the first </s>."""
    told = ""
    for letter in ids:
        if letter in (PAD, EOS):
            break
        told += labels[letter]
    return told


def text_of_letters(ids: np.ndarray, labels: Sequence[str]) -> str:
    """Return a sentence of spelled words (T, C), up to the first that has no letters."""
    words = []
    for row in ids:
        if not (word := word_of(row, labels)):
            break
        words.append(word)
    return " ".join(words)


def text_of_words(ids: np.ndarray, letters: np.ndarray, words: Sequence[str], alphabet: Sequence[str]) -> str:
    """Return a sentence of words (T,), of which the unknown ones are spelled (T, C)."""
    told = []
    for token, spelling in zip(ids, letters, strict=True):
        if token in (PAD, EOS):
            break
        told.append(word_of(spelling, alphabet) if token == UNKNOWN else words[token])
    return " ".join(told)

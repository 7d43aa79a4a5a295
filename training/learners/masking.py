"""Samples of masked words: which sentences stand together, and which of their words are asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..data.pieces import BEGIN, END, IDS, LANGUAGES, MASK, PAD, SECOND, SPECIAL, TOLD, Corpus, framed

SHARE = 0.15  # of the words, asked for
HIDDEN, OTHER = 0.8, 0.1  # of those: masked, another word; the rest stay as they are
NOT_ASKED = -1
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How samples are made.

    pairs: "next", a sentence and for every second one another than its next (BERT); "order", two that follow each
    other, for every second one in the wrong order (ALBERT); "translation", half of them a sentence and its translation
    (XLM); None for sentences that follow each other up to the end of a sample (RoBERTa). hidden, other: see above.
    maskings: how many there are, one an epoch in turn; None for new ones in each epoch.
    """

    pairs: str | None = None
    hidden: float = HIDDEN
    other: float = OTHER
    maskings: int | None = None


def asked_words(length: int) -> int:
    """Return how many words a sample of `length` tokens asks for at most."""
    return math.ceil(SHARE * length)


def samples(
    corpus: Corpus, inputs: Sequence[str], length: int, count: int, rules: Rules, random: np.random.Generator
) -> tuple[Arrays, Arrays]:
    """Return `count` samples and their targets, a function of the random state.

    x: ids, and of mask, segments and languages those in `inputs`, (N, length); places (N, P), where words are asked
    for, and originals (N, P), which these are, 0 for none. y: words, as originals with NOT_ASKED for none; pair (N,):
    1 if two sentences stand as they do in the text.
    """
    starts = random.choice(_starts(corpus, rules), count)
    sentences, languages, together = _together(corpus, starts, length, rules, random)
    x = framed(sentences, length)
    x[LANGUAGES] = _languages(x, languages)
    x[IDS], places, originals = masked(x[IDS], corpus.vocabulary, rules, random)
    x = {name: x[name] for name in inputs if name in x} | {"places": places, "originals": originals}
    words = np.where(originals == PAD, NOT_ASKED, originals)
    return x, {"words": words, "pair": together}


def masked(
    ids: np.ndarray, vocabulary: int, rules: Rules, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ids in which words are masked, where they were, and what they were.

    Of each sample's n tokens 0.15 n are asked for, rounded up or down at random, so that the share holds for short ones
    too.  Shapes: (N, T) -> (N, T), (N, P), (N, P).  Source: Devlin 2018, arXiv:1810.04805, section 3.1, task 1.
    """
    free = ~np.isin(ids, (PAD, BEGIN, END))  # (N, T)
    most = asked_words(ids.shape[1])
    wanted = np.floor(SHARE * free.sum(1) + random.random(len(ids))).astype(int)
    places = np.argsort(np.where(free, random.random(ids.shape), 2.0), axis=1)[:, :most]  # (N, P)
    asked = np.arange(most) < wanted[:, None]
    places = np.where(asked, places, 0).astype(np.int32)
    originals = np.where(asked, np.take_along_axis(ids, places, 1), PAD).astype(np.int32)
    fate = random.random(places.shape)
    others = random.integers(len(SPECIAL), vocabulary, places.shape)
    shown = np.where(fate < rules.hidden, MASK, np.where(fate < rules.hidden + rules.other, others, originals))
    changed = ids.copy()
    rows = np.repeat(np.arange(len(ids)), most).reshape(places.shape)
    changed[rows[asked], places[asked]] = shown[asked]
    return changed, places, originals


def _starts(corpus: Corpus, rules: Rules) -> np.ndarray:
    """Return the sentences that a sample may begin with."""
    if rules.pairs not in ("next", "order"):
        return np.arange(len(corpus.sentences))
    goes_on = corpus.documents[:-1] == corpus.documents[1:]
    return np.flatnonzero(goes_on) if goes_on.any() else np.arange(len(corpus.sentences) - 1)


def _together(
    corpus: Corpus, starts: np.ndarray, length: int, rules: Rules, random: np.random.Generator
) -> tuple[list[list[np.ndarray]], np.ndarray, np.ndarray]:
    """Return the sentences of each sample, the languages of both, (N, 2), and whether they stand as in the text."""
    told = random.integers(2, size=len(starts))
    others = random.integers(len(corpus.sentences), size=len(starts))
    languages = np.zeros((len(starts), 2), np.int32)
    if rules.pairs == "next":
        chosen = [_pair(corpus, start, start + 1 if true else other)
                  for start, true, other in zip(starts, told, others, strict=True)]  # fmt: skip
        told = told | (others == starts + 1)
    elif rules.pairs == "order":
        chosen = [_pair(corpus, start, start + 1)[:: 1 if true else -1]
                  for start, true in zip(starts, told, strict=True)]  # fmt: skip
    elif rules.pairs == "translation" and corpus.translations:
        first = random.integers(2, size=len(starts))
        languages = np.stack([first, 1 - first], axis=1).astype(np.int32)
        both = (corpus.sentences, corpus.translations)
        chosen = [[both[at][start], both[1 - at][start]][: 2 if true else 1]
                  for start, at, true in zip(starts, first, told, strict=True)]  # fmt: skip
    else:
        chosen = [_stream(corpus, start, length) for start in starts]
    return chosen, languages, told.astype(np.int32)


def _pair(corpus: Corpus, first: int, second: int) -> list[np.ndarray]:
    return [corpus.sentences[first], corpus.sentences[second]]


def _stream(corpus: Corpus, start: int, length: int) -> list[np.ndarray]:
    """Return the sentences from one on as one, as many as a sample holds."""
    found, tokens = [], 0
    for sentence in corpus.sentences[start:]:
        found.append(sentence)
        tokens += len(sentence)
        if tokens >= length:
            break
    return [np.concatenate(found)]


def _languages(x: Mapping[str, np.ndarray], of: np.ndarray) -> np.ndarray:
    """Return the language of each token: that of its sentence; of padding 0."""
    return np.take_along_axis(of, x[SECOND], 1) * x[TOLD]


__all__ = ["NOT_ASKED", "Rules", "asked_words", "masked", "samples"]

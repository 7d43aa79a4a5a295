"""Passages to be read for an answer, which is a span of them: words, their letters, and what is padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .dataset import Dataset, Split
from .sets import Asked
from .targets import Head

INPUTS = ("context", "context_letters", "context_mask", "question", "question_letters", "question_mask")
HEADS = ("end", "start")  # in the order of a network's outputs
ALPHABET = " abcdefghijklmnopqrstuvwxyz"  # a letter's id is its place; 0 fills up


def show_passages(
    name: str, questions: Mapping[str, Sequence[Any]], words: Sequence[str], asked: Asked, source: tuple[str, ...]
) -> Dataset:
    """Return stories as one passage each, with where the answer stands in the sentence that tells it: first, last word.

    questions: by split, as `stories.Question`. The first sentences of a longer story are left out, and with them
    questions whose answer they tell.
    """
    shapes: dict[str, Any] = dict(zip(INPUTS, asked.shapes(name, *INPUTS), strict=True))
    known = next(each.vocabulary for each in asked.inputs if each.name == "context") or len(words)
    number = {word: place for place, word in enumerate(words[:known])}  # others are read by their letters alone
    splits, left = {}, 0
    for part, own in questions.items():
        shown = [one for one in (_passage(each, number, shapes) for each in own) if one]
        left += len(own) - len(shown)
        x = {key: np.stack([one[key] for one in shown]) for key in INPUTS}
        splits[part] = Split(x=x, y={head: np.array([one[head] for one in shown], np.int32) for head in HEADS})
    (length,) = shapes["context"]
    return Dataset(
        name=name,
        task=asked.task,
        vocabulary=max(len(words), len(ALPHABET)),
        tokens=tuple(words),
        heads={head: Head(task="classification", classes=length) for head in HEADS},
        preprocessing=f"the last sentences, of {length} words at most, and their letters; 0 fills up; {left} questions "
        "left out, whose answer is told before",
        source=source,
        **splits,
    )


def _passage(asked: Any, number: Mapping[str, int], shapes: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the inputs of one question, and where its answer stands, or None where it is not there."""
    (length,), (most,) = shapes["context"], shapes["question"]
    sizes = np.cumsum([len(sentence) for sentence in asked.story[::-1]])
    first = len(sizes) - int((sizes <= length).sum())  # sentences are there whole: the end of one tells of nobody
    places = [(fact, word) for fact, sentence in enumerate(asked.story) for word in sentence if fact >= first]
    (answer,), told = asked.answers, max(asked.facts)
    at = [place for place, (fact, word) in enumerate(places) if fact == told and word == answer]
    if not at:
        return None
    made: dict[str, Any] = dict.fromkeys(HEADS, at[-1])
    for key, said, size in (("context", [word for _, word in places], length), ("question", asked.question, most)):
        made[key] = np.zeros(size, np.int32)
        made[f"{key}_mask"] = np.zeros(size, np.int32)
        made[f"{key}_letters"] = np.zeros(shapes[f"{key}_letters"], np.int32)
        for place, word in enumerate(said[:size]):
            made[key][place] = number.get(word, 0)
            made[f"{key}_mask"][place] = 1
            letters = [ALPHABET.find(letter) for letter in word[: shapes[f"{key}_letters"][1]]]
            made[f"{key}_letters"][place, : len(letters)] = np.maximum(letters, 0)
    return made

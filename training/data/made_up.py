"""Sentences made up from lists of words, for trainings that need no file; a pure function of a seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .dataset import Dataset
from .sets import Asked, dataset
from .tokens import Texts, as_bigrams, as_letters, as_words, divided

SENTENCES = 3200

THINGS = (
    "the film",
    "the movie",
    "the plot",
    "the cast",
    "her acting",
    "his voice",
    "the ending",
    "the script",
    "the music",
    "this story",
)
GOOD = (
    "good",
    "great",
    "moving",
    "funny",
    "clever",
    "charming",
    "brilliant",
    "warm",
    "fresh",
    "gripping",
    "honest",
    "lovely",
)
BAD = (
    "bad",
    "dull",
    "weak",
    "silly",
    "boring",
    "awful",
    "stale",
    "clumsy",
    "flat",
    "tedious",
    "shallow",
    "lifeless",
)
DEGREES = ("very", "quite", "truly", "rather", "really", "so")
ASIDES = (
    "in the end",
    "as they say",
    "to be fair",
    "for once",
    "on the whole",
    "i think",
    "at its heart",
    "you know",
)
CAPTIONS = (  # who, does what, where, and when
    (
        ("a man", "a woman", "two children", "a small dog", "the old lady", "three boys", "a young girl"),
        ("sits", "stands", "sleeps", "waits", "runs", "plays", "sings", "jumps"),
        ("in the street", "on a bench", "near the water", "behind a wooden fence", "under the tree"),
        ("while it rains", "on a sunny day", "early in the morning", "and laughs", "for a photograph"),
    ),
    (
        ("ein Mann", "eine Frau", "zwei Kinder", "ein kleiner Hund", "die alte Dame", "drei Jungen", "ein Mädchen"),
        ("sitzt", "steht", "schläft", "wartet", "läuft", "spielt", "singt", "springt"),
        ("auf der Straße", "auf einer Bank", "am Wasser", "hinter einem Holzzaun", "unter dem Baum"),
        ("während es regnet", "an einem sonnigen Tag", "früh am Morgen", "und lacht", "für ein Foto"),
    ),
)  # fmt: skip


@dataset(input_shape=(24,), dtype="int32", tasks=("classification",))
def made_up_reviews(asked: Asked) -> Dataset:
    """Return made-up sentences on films, negative (0) or positive (1)."""
    return as_words(_reviews("made_up_reviews"), asked)


@dataset(input_shape=(48,), dtype="int32", tasks=("classification",))
def made_up_reviews_bigrams(asked: Asked) -> Dataset:
    """Return the same sentences as words and, behind them, hashed pairs of neighbours."""
    return as_bigrams(_reviews("made_up_reviews_bigrams"), asked)


@dataset(input_shape=(128,), dtype="int32", tasks=("classification",))
def made_up_languages(asked: Asked) -> Dataset:
    """Return made-up captions in English (0) and German (1) as hashed runs of letters."""
    sentences, classes = captions()
    texts = divided("made_up_languages", sentences, np.array(classes, np.int32), ("made up",), ("English", "German"))
    return as_letters(texts, asked)


def _reviews(name: str) -> Texts:
    sentences, classes = reviews()
    return divided(name, sentences, np.array(classes, np.int32), ("made up",), ("negative", "positive"))


def reviews(seed: int = 0) -> tuple[list[str], list[int]]:
    """Return sentences and whether each is for its film (1) or against it (0).

    "not" turns an adjective around, and of two clauses around a "but" the second counts.
    """
    random = np.random.default_rng(seed)

    def one(words: Sequence[str]) -> str:
        return words[int(random.integers(len(words)))]

    def clause(positive: bool) -> str:
        negated = random.random() < 0.25
        adjective = one(GOOD if positive != negated else BAD)
        degree = f"{one(DEGREES)} " if random.random() < 0.4 and not negated else ""
        aside = f" {one(ASIDES)}" if random.random() < 0.3 else ""
        return f"{one(THINGS)} is {'not ' if negated else ''}{degree}{adjective}{aside}"

    sentences, classes = [], []
    for index in range(SENTENCES):
        positive = bool(index % 2)
        second = clause(positive)
        before = f"{clause(not positive)} but " if random.random() < 0.3 else ""
        sentences.append(f"{before}{second} .")
        classes.append(int(positive))
    return sentences, classes


def captions(seed: int = 0) -> tuple[list[str], list[int]]:
    """Return captions and their language: English (0), German (1)."""
    random = np.random.default_rng(seed)
    sentences = []
    for index in range(SENTENCES):
        parts = [words[random.integers(len(words))] for words in CAPTIONS[index % 2]]
        sentences.append(" ".join(parts[: 2 + random.integers(3)]) + ".")
    return sentences, [index % 2 for index in range(SENTENCES)]

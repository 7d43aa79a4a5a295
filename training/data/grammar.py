"""A made-up language: sentences of a small grammar with their chunks, for taggers where no files are at hand.

Word order, endings and neighbours all tell something: some words are nouns and verbs, a noun may follow the end of
another phrase without an article, rare words are known by their endings only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .dataset import Dataset
from .sets import Asked, dataset
from .tagging import TASKS, Sentence, presented

COUNTS = {"train": 2000, "validation": 250, "test": 500}
LONGEST = 16  # words
SYLLABLES = [a + b for a in "bdfgklmnprstv" for b in "aeiou"]
ENDINGS = {"noun": ("ment", "ty", "ion", "k"), "verb": ("ed", "er", "m"), "adjective": ("ous", "ic", "al"),
           "adverb": ("ly",), "name": ("n",)}  # fmt: skip
SIZES = {"noun": 120, "verb": 60, "adjective": 50, "adverb": 20, "name": 60}
AMBIGUOUS = 15  # nouns that are verbs too
CLOSED = {"article": ("the", "a", "this"), "pronoun": ("he", "it", "they"), "helper": ("will", "may", "has"),
          "preposition": ("in", "on", "with", "to"), "particle": ("up", "out"), "that": ("that", "if"),
          "and": ("and", "or"), "stop": (".", "!")}  # fmt: skip

Words = list[tuple[str, str]]  # with their tags


@dataset(input_shape=(LONGEST,), dtype="int32", tasks=TASKS)
def chunk_grammar(asked: Asked) -> Dataset:
    """Return 2,000, 250 and 500 sentences of the grammar; all seeds are fixed."""
    parts = {part: Grammar(seed).sentences(count) for seed, (part, count) in enumerate(COUNTS.items())}
    return presented("chunk_grammar", parts, asked, source=("generated",))


class Grammar:
    """Makes sentences. The words are the same whatever the seed, which draws among them."""

    def __init__(self, seed: int):
        self.random = np.random.default_rng([2000, seed])
        self.words = {**CLOSED, **lexicon()}
        self.below = {sort: _cumulated(1 / (2.0 + np.arange(len(words)))) for sort, words in self.words.items()}

    def sentences(self, count: int) -> list[Sentence]:
        """Return sentences of at most LONGEST words."""
        found: list[Sentence] = []
        while len(found) < count:
            sentence = self.sentence()
            if len(sentence) <= LONGEST:
                found.append(sentence)
        return found

    def sentence(self) -> Words:
        """Return one sentence, its first word with a capital."""
        made = self.clause()
        if self.chance(0.3):
            link = [*self.outside("and")] if self.chance(0.5) else self.chunk("SBAR", "that")
            made += link + self.clause()
        made += self.outside("stop")
        (first, tag), *rest = made
        return [(first.capitalize(), tag), *rest]

    def clause(self) -> Words:
        """Return subject, verb, and what follows: objects, prepositions, adverbs."""
        made = [*(self.chunk("ADVP", "adverb") if self.chance(0.15) else []), *self.noun_phrase(), *self.verb_phrase()]
        if self.chance(0.15):
            made += self.chunk("PRT", "particle")
        for chance in (0.7, 0.2):  # the second object follows the first without a word between
            made += self.noun_phrase() if self.chance(chance) else []
        while self.chance(0.35):
            made += [*self.chunk("PP", "preposition"), *self.noun_phrase()]
        return made + (self.chunk("ADVP", "adverb") if self.chance(0.2) else [])

    def noun_phrase(self) -> Words:
        """Return a pronoun, a name, or nouns behind articles and adjectives."""
        drawn = self.random.random()
        if drawn < 0.2:
            return self.chunk("NP", "pronoun")
        if drawn < 0.35:
            return [(word.capitalize(), tag) for word, tag in self.chunk("NP", *["name"] * (1 + self.chance(0.4)))]
        article = ["article"] if self.chance(0.7) else []
        return self.chunk("NP", *article, *["adjective"] * self.few(), *["noun"] * (1 + self.chance(0.25)))

    def verb_phrase(self) -> Words:
        """Return a verb behind helpers and adverbs."""
        helper = ["helper"] if self.chance(0.4) else []
        return self.chunk("VP", *helper, *(["adverb"] if helper and self.chance(0.2) else []), "verb")

    def chunk(self, kind: str, *sorts: str) -> Words:
        """Return a word of each sort, as one chunk."""
        return [(self.word(sort), f"{'I' if place else 'B'}-{kind}") for place, sort in enumerate(sorts)]

    def outside(self, sort: str) -> Words:
        """Return a word that is in no chunk."""
        return [(self.word(sort), "O")]

    def word(self, sort: str) -> str:
        """Draw a word: the k-th with a chance of about 1 / k (Zipf)."""
        return self.words[sort][self.drawn(self.below[sort])]

    def few(self) -> int:
        """Return 0, 1 or 2."""
        return self.drawn(FEW)

    def drawn(self, below: np.ndarray) -> int:
        """Draw a place by the chance of each or one before it; `Generator.choice` does so, but sums each time."""
        return int(below.searchsorted(self.random.random(), side="right"))

    def chance(self, share: float) -> bool:
        """Tell if what has a chance of `share` happens."""
        return bool(self.random.random() < share)


def _cumulated(chances: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the chance of each place or one before it."""
    share = np.asarray(chances) / np.sum(chances)
    return share.cumsum() / share.cumsum()[-1]


FEW = _cumulated((0.6, 0.3, 0.1))


def lexicon() -> dict[str, tuple[str, ...]]:
    """Return the words of each open sort; the first nouns are among the verbs too."""
    random = np.random.default_rng(2000)
    words: dict[str, tuple[str, ...]] = {}
    for sort, endings in ENDINGS.items():
        stems = ["".join(random.choice(SYLLABLES, 2)) for _ in range(SIZES[sort])]
        words[sort] = tuple(dict.fromkeys(stem + endings[k % len(endings)] for k, stem in enumerate(stems)))
    pairs = zip(words["noun"][:AMBIGUOUS], words["verb"], strict=False)
    words["verb"] = (*(word for pair in pairs for word in pair), *words["verb"][AMBIGUOUS:])
    return words

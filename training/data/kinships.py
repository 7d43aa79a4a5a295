"""A made-up language whose words come in pairs as those of analogies do, for word vectors where no files are at hand.

What is around a word tells its entity (the same for "pibe" and "pibes") and its role (plural), each by words of its
own: so the logarithms of how often words occur together are sums of the two, and differences of vectors are roles.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np

SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
ENDINGS = {"plural": ("", "s"), "tense": ("", "ed", "ing")}  # of families whose words are alike
APART = {"capital": 2}  # how many roles families have whose words are not
ENTITIES = 12  # of a family
GENDERED = (("he", "she"), ("man", "woman"), ("boy", "girl"), ("king", "queen"), ("father", "mother"),
            ("son", "daughter"), ("brother", "sister"), ("uncle", "aunt"), ("husband", "wife"),
            ("actor", "actress"))  # fmt: skip
OCCUPATIONS = ("nurse", "teacher", "librarian", "dancer", "baker", "doctor", "engineer", "pilot", "farmer", "judge")
LEANING = 0.8  # of what is said of an occupation, how much is said of one gender: the first half women, the others men
FILLERS, TOPICS, MARKS = 40, 4, 6  # words of no meaning, words of an entity, words of a role
STRAYS = 1  # words of a sentence that are any of an entity or a role: without them most words would never meet
QUESTIONS = 480


@dataclass(frozen=True)
class Family:
    """Words (entities, roles) with the words that tell entities (entities, TOPICS) and roles (roles, MARKS)."""

    name: str
    words: np.ndarray
    topics: np.ndarray
    marks: np.ndarray


class World:
    """The words of the language, and sentences of it, which a seed draws."""

    def __init__(self):
        self._random = np.random.default_rng(1306)
        self._taken: set[str] = {*OCCUPATIONS, *(word for pair in GENDERED for word in pair)}
        self.fillers = self._new(FILLERS, 1)
        self.families = [self._family(name, self._inflected(endings)) for name, endings in ENDINGS.items()]
        self.families += [self._family(name, self._new(ENTITIES * roles).reshape(-1, roles))
                          for name, roles in APART.items()]  # fmt: skip
        self.families.append(self._family("gender", np.array(GENDERED)))
        self.occupations = self._new(len(OCCUPATIONS) * TOPICS).reshape(-1, TOPICS)
        told = (part for family in self.families for part in (family.words, family.topics, family.marks))
        self.content = np.concatenate([OCCUPATIONS, self.occupations.ravel(), *(part.ravel() for part in told)])

    def sentences(self, count: int, seed: int) -> list[list[str]]:
        """Return sentences of eight to ten words, each about one word that has an entity and a role."""
        random = np.random.default_rng([1306, seed])
        return [self._sentence(random) for _ in range(count)]

    def questions(self) -> tuple[list[tuple[str, str, str, str]], list[str]]:
        """Return questions a : b as c : d, and the family of each."""
        random, found = np.random.default_rng(1306), []
        for family in self.families:
            for one, other in permutations(range(len(family.words)), 2):
                for role, wanted in permutations(range(family.words.shape[1]), 2):
                    (a, b), (c, d) = (family.words[entity, [role, wanted]] for entity in (one, other))
                    found.append(((a, b, c, d), family.name))
        chosen = np.sort(random.permutation(len(found))[:QUESTIONS])
        return [found[k][0] for k in chosen], [found[k][1] for k in chosen]

    def _sentence(self, random: np.random.Generator) -> list[str]:
        entities = [len(family.words) for family in self.families]
        place = random.integers(sum(entities) + len(OCCUPATIONS))
        for family, size in zip(self.families, entities, strict=True):
            if place < size:
                role = random.integers(family.words.shape[1])
                return self._about(random, family.words[place, role], family.topics[place], family.marks[role])
            place -= size
        women = random.random() < (LEANING if place < len(OCCUPATIONS) / 2 else 1 - LEANING)
        return self._about(random, OCCUPATIONS[place], self.occupations[place], self.families[-1].marks[int(women)])

    def _about(self, random: np.random.Generator, word: str, topics: np.ndarray, marks: np.ndarray) -> list[str]:
        chances = 1 / (2.0 + np.arange(FILLERS))
        fillers = random.choice(self.fillers, random.integers(2, 5), p=chances / chances.sum())
        said = [word, *random.choice(topics, 2, replace=False), *random.choice(marks, 2, replace=False), *fillers,
                *random.choice(self.content, STRAYS)]  # fmt: skip
        return [str(said[k]) for k in random.permutation(len(said))]

    def _family(self, name: str, words: np.ndarray) -> Family:
        entities, roles = words.shape
        topics = self._new(entities * TOPICS).reshape(entities, TOPICS)
        return Family(name, words, topics, self._new(roles * MARKS).reshape(roles, MARKS))

    def _inflected(self, endings: tuple[str, ...]) -> np.ndarray:
        return np.array([[stem + ending for ending in endings] for stem in self._new(ENTITIES)])

    def _new(self, count: int, syllables: int = 2) -> np.ndarray:
        """Return words that do not occur yet: of one syllable with a consonant behind it, or of several."""
        found: list[str] = []
        while len(found) < count:
            ending = str(self._random.choice(list("lmnrt"))) if syllables == 1 else ""
            word = "".join(self._random.choice(SYLLABLES, syllables)) + ending
            if word not in self._taken:
                self._taken.add(word)
                found.append(word)
        return np.array(found)


__all__ = ["GENDERED", "OCCUPATIONS", "Family", "World"]

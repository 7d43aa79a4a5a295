"""Opinions made by a grammar: what a sentence says of a thing turns with "not", "but" and "although"."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .dataset import Dataset
from .pieces import Text, classified
from .sets import Asked, dataset
from .tokens import Texts

DOCUMENTS = {"train": 1000, "validation": 125, "test": 375}  # of SENTENCES each
SENTENCES = 4
AGREED = 0.8  # share of a document's sentences that are of its opinion
NOUNS = (  # by topic, English and German
    (("film", "der film"), ("plot", "die handlung"), ("music", "die musik"), ("cast", "die besetzung"),
     ("ending", "das ende"), ("camera work", "die kamera")),
    (("hotel", "das hotel"), ("room", "das zimmer"), ("bed", "das bett"), ("view", "die aussicht"),
     ("pool", "das becken"), ("breakfast", "das frühstück")),
    (("phone", "das telefon"), ("screen", "der bildschirm"), ("battery", "der akku"), ("speaker", "der lautsprecher"),
     ("keyboard", "die tastatur"), ("software", "das programm")),
    (("meal", "das essen"), ("soup", "die suppe"), ("fish", "der fisch"), ("dessert", "der nachtisch"),
     ("wine", "der wein"), ("service", "die bedienung")),
)  # fmt: skip
GOOD = (("good", "gut"), ("great", "großartig"), ("wonderful", "wunderbar"), ("lovely", "schön"),
        ("superb", "herrlich"), ("charming", "reizend"), ("excellent", "vortrefflich"), ("delightful", "entzückend"),
        ("clever", "klug"), ("impressive", "beeindruckend"))  # fmt: skip
BAD = (("bad", "schlecht"), ("awful", "scheußlich"), ("terrible", "furchtbar"), ("ugly", "hässlich"),
       ("boring", "langweilig"), ("dreadful", "grässlich"), ("poor", "dürftig"), ("disappointing", "enttäuschend"),
       ("dull", "öde"), ("annoying", "lästig"))  # fmt: skip
DEGREES = (("", ""), ("very ", "sehr "), ("really ", "wirklich "), ("rather ", "ziemlich "), ("so ", "so "))
OPENINGS = (("", ""), ("honestly, ", "ehrlich, "), ("this time ", "diesmal: "), ("i must say ", "ich muss sagen, "),
            ("as always ", "wie immer: "), ("my friend thinks ", "mein freund meint, "))  # fmt: skip
NEGATIONS = (("not ", "nicht "), ("never ", "nie "), ("hardly ", "kaum "))
JOINTS = (  # of two clauses: which of them is the opinion
    ("{0}, but {1}", "{0}, aber {1}", 1),
    ("although {0}, {1}", "obwohl {0}, {1}", 1),
    ("{0}, although {1}", "{0}, obwohl {1}", 0),
)


class Clause(NamedTuple):
    """One statement in both languages."""

    english: str
    german: str


@dataset(input_shape=(24,), dtype="int32", tasks=("classification",), floor=0.75)
def opinions(asked: Asked) -> Dataset:
    """Return 6,000 sentences of 1,500 texts with their opinion, negative (0) or positive (1), in English.

    To pre-train on: the training texts, with a German translation. No text is of two splits.
    """
    random = np.random.default_rng(0)
    sentences, labels = [], []
    for _ in range(sum(DOCUMENTS.values())):
        for clause, opinion in _document(random):
            sentences.append(clause)
            labels.append(opinion)
    starts = dict(zip(DOCUMENTS, np.cumsum([0, *DOCUMENTS.values()]) * SENTENCES, strict=False))
    parts = {part: slice(start, start + DOCUMENTS[part] * SENTENCES) for part, start in starts.items()}
    training = sentences[parts["train"]]
    text = Text(
        sentences=[clause.english for clause in training],
        translations=[clause.german for clause in training],
        documents=np.repeat(np.arange(DOCUMENTS["train"]), SENTENCES),
    )
    texts = Texts(
        name="opinions",
        sentences={part: [clause.english for clause in sentences[own]] for part, own in parts.items()},
        classes={part: np.array(labels[own], np.int32) for part, own in parts.items()},
        labels=("negative", "positive"),
        source=("generated, seed 0",),
    )
    return classified(texts, text, asked)


def _document(random: np.random.Generator) -> list[tuple[Clause, int]]:
    """Return sentences about one topic, most of which are of one opinion."""
    topic, opinion = NOUNS[random.integers(len(NOUNS))], int(random.integers(2))
    opinions = [opinion if random.random() < AGREED else 1 - opinion for _ in range(SENTENCES)]
    return [(_sentence(random, topic, each), each) for each in opinions]


def _sentence(random: np.random.Generator, topic: tuple[tuple[str, str], ...], opinion: int) -> Clause:
    first, second = (topic[k] for k in random.permutation(len(topic))[:2])
    opening = OPENINGS[random.integers(len(OPENINGS))]
    if random.random() < 0.5:
        english, german = _clause(random, first, opinion)
    else:
        joint = JOINTS[random.integers(len(JOINTS))]
        other = int(random.integers(2))
        stated = (opinion, other) if joint[2] == 0 else (other, opinion)
        clauses = [_clause(random, noun, each) for noun, each in zip((first, second), stated, strict=True)]
        english = joint[0].format(*(clause.english for clause in clauses))
        german = joint[1].format(*(clause.german for clause in clauses))
    return Clause(f"{opening[0]}{english} .", f"{opening[1]}{german} .")


def _clause(random: np.random.Generator, noun: tuple[str, str], opinion: int) -> Clause:
    negated = random.random() < 0.3
    words = (GOOD, BAD)[opinion == negated]
    adjective, degree = words[random.integers(len(words))], DEGREES[random.integers(len(DEGREES))]
    negation = NEGATIONS[random.integers(len(NEGATIONS))] if negated else ("", "")
    english, german = (f"{negation[k]}{degree[k]}{adjective[k]}" for k in (0, 1))
    return Clause(f"the {noun[0]} was {english}", f"{noun[1]} war {german}")

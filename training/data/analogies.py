"""Questions a : b as c : ? about words, and the text that their vectors are learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import BadInput
from ..word_counts import joined
from . import sources
from .corpora import TREEBANK
from .dataset import Split
from .kinships import World
from .queries import RETRIEVALS, Queries
from .sets import Asked, dataset
from .tokens import UNKNOWN, vocabulary
from .words import PADDING, RARE

QUESTIONS = "word_analogy/questions-words.txt"
FILES = [TREEBANK["train"], TREEBANK["validation"], QUESTIONS]
SENTENCES = {"train": 20_000, "validation": 1_000}  # of the made-up language
SHARES = (0.1, 0.2)  # of the questions that calibrate, and of those and the ones that validate
SIGNS = (-1, 1, 1)  # b - a + c
TASKS = (RETRIEVALS[1], RETRIEVALS[0], RETRIEVALS[2])
Question = tuple[str, str, str, str]


@dataclass(frozen=True)
class Sentences:
    """A text to learn from and one to judge by, as one array of ids each with a break behind each sentence."""

    train: np.ndarray
    validation: np.ndarray


@dataset(input_shape=(3,), dtype="int32", tasks=TASKS, here=lambda: all(map(sources.find, FILES)), floor=0.02)
def ptb_analogies(asked: Asked) -> Queries:
    """Return the questions of Mikolov 2013 of whose words the treebank has all four, and the treebank.

    Small letters; 10,000 words with the unknown one: most of the 19,544 questions are about words it has not.
    """
    train, validation = ([line.split() for line in _lines(TREEBANK[part])] for part in ("train", "validation"))
    questions = [(a, b, c, d) for line in _lines(QUESTIONS) if not line.startswith(":")
                 for a, b, c, d in [line.lower().split()]]  # fmt: skip
    return analogies("ptb_analogies", train, validation, questions, sources.describe(FILES))


@dataset(input_shape=(3,), dtype="int32", tasks=TASKS, floor=0.5)
def made_up_analogies(asked: Asked) -> Queries:
    """Return 480 questions of a made-up language of 432 words, and 20,000 of its sentences; all seeds are fixed."""
    world = World()
    train, validation = (world.sentences(count, seed) for seed, count in enumerate(SENTENCES.values()))
    return analogies("made_up_analogies", train, validation, world.questions()[0], ("generated",))


def _lines(path: str) -> list[str]:
    return sources.read(path).decode("ascii").splitlines()


def analogies(
    name: str,
    train: Sequence[Sequence[str]],
    validation: Sequence[Sequence[str]],
    questions: Sequence[Question],
    source: tuple[str, ...],
) -> Queries:
    """Return questions of which all words occur in the text `train`, each once, in an order of their own.

    Ids: 0 is no word, 1 any unknown one, from 2 on the words, the most frequent first.
    Raises: BadInput where no question is left.
    """
    ids = vocabulary([[word for word in sentence if word != RARE] for sentence in train], size=2**31)
    told = list(dict.fromkeys(question for question in questions if all(word in ids for word in question)))
    if len(told) < len(SHARES) + 1:
        raise BadInput(f"data set {name!r}: of {len(questions)} questions {len(told)} are about words of the text")
    rows = np.array([[ids[word] for word in question] for question in told], np.int32)
    rows = rows[np.random.default_rng(0).permutation(len(rows))]
    parts = np.split(rows, [max(k + 1, round(share * len(rows))) for k, share in enumerate(SHARES)])
    learned, judged, tested = (Split(x=np.ascontiguousarray(asked[:, :3]), y=asked[:, 3].copy()) for asked in parts)
    texts = [
        joined([[ids.get(word, UNKNOWN) for word in sentence] for sentence in part]) for part in (train, validation)
    ]
    return Queries(
        name=name,
        task=TASKS[0],
        classes=len(ids) + 2,
        tokens=(PADDING, RARE, *ids),
        corpus=Sentences(*texts),
        signs=SIGNS,
        unit_length=True,
        known={tuple(row[:3].tolist()): np.array([0, UNKNOWN, *row[:3]]) for row in rows},
        preprocessing=f"small letters; of {len(questions)} questions the {len(told)} whose words are among the "
        f"{len(ids)} of the text; vector b - a + c of unit vectors, all words but a, b and c may answer",
        source=source,
        train=learned,
        validation=judged,
        test=tested,
    )

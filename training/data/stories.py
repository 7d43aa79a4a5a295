"""Stories and questions about them: bAbI's first task in its official files, and made-up ones of the same form.

Sentences are rows of word ids, the last one in the last row: 0 fills up behind words, and in rows before a short story.
Answers are ids of words, too, or for `carrying` one yes or no a word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...errors import BadInput
from . import sources
from .dataset import Dataset, Split
from .reading import show_passages
from .sets import Asked, dataset

FILES = ["babi/en-10k/qa1_single-supporting-fact_train.txt", "babi/en-10k/qa1_single-supporting-fact_test.txt"]
TASKS = ("classification", "reading")
SHAPE = {"story": (10, 7), "question": (4,)}
HELD_OUT = 10  # of so many stories to train on one validates
RECENT = 5  # sentences that a question of bAbI's task 1 reaches back
SIZES = {"train": 1600, "validation": 60, "test": 120}  # made-up stories, of a few questions each

PEOPLE = ("mary", "john", "daniel", "sandra")
PLACES = ("bathroom", "hallway", "garden", "office", "bedroom", "kitchen")
MOVES = ("moved to", "went to", "went back to", "journeyed to", "travelled to")
THINGS = ("football", "apple", "milk")
KINDS, COLOURS = ("swan", "lion", "frog"), ("red", "green", "white")
OWNERS = ("lily", "greg", "brian", "julius", "bernhard", "emily")

Words = tuple[str, ...]
Numbers = Mapping[str, int]  # word -> id


class Question(NamedTuple):
    """A question about the sentences so far, its answers, and the numbers of the sentences that tell them."""

    story: tuple[Words, ...]
    question: Words
    answers: Words
    facts: tuple[int, ...]


Story = Sequence[Question]


@dataset(input_shape=SHAPE, dtype="int32", tasks=TASKS, floor=0.6, here=lambda: all(map(sources.find, FILES)))
def babi(asked: Asked) -> Dataset:
    """Return bAbI's task 1 (a single supporting fact, 10,000 questions): where somebody is.  Source: arXiv:1502.05698.

    A tenth of the stories to train on validates.
    """
    given, tested = (read_babi(sources.read(path).decode("ascii")) for path in FILES)
    parts = {
        "train": [story for k, story in enumerate(given) if k % HELD_OUT],
        "validation": given[::HELD_OUT],
        "test": tested,
    }
    return presented("babi", parts, asked, sources.describe(FILES))


def read_babi(text: str) -> list[list[Question]]:
    """Read lines "number sentence" and "number question TAB answer TAB numbers of facts"; 1 begins a story."""
    stories: list[list[Question]] = []
    sentences: dict[int, Words] = {}
    for line in text.splitlines():
        number, _, said = line.partition(" ")
        if int(number) == 1:
            stories.append([])
            sentences = {}
        asked, *told = said.split("\t")
        if not told:
            sentences[int(number)] = words_of(asked)
            continue
        rows = list(sentences)
        facts = tuple(rows.index(int(fact)) for fact in told[1].split())
        answers = tuple(told[0].strip().lower().split(","))
        stories[-1].append(Question(tuple(sentences.values()), words_of(asked), answers, facts))
    return stories


def words_of(sentence: str) -> Words:
    """Return the words of a sentence in small letters, without the mark at its end."""
    return tuple(sentence.strip().rstrip(".?").lower().split())


# ---------------------------------------------------------------- made-up stories


def _made_up(name: str, tell: Callable[[np.random.Generator], Story], asked: Asked) -> Dataset:
    random = np.random.default_rng(0)
    parts = {part: [tell(random) for _ in range(count)] for part, count in SIZES.items()}
    return presented(name, parts, asked, ("generated, seed 0",))


@dataset(input_shape=SHAPE, dtype="int32", tasks=TASKS, floor=0.6)
def made_up_stories(asked: Asked) -> Dataset:
    """Return stories of who goes where, and after each two sentences a question where one is: as bAbI's task 1."""
    return _made_up("made_up_stories", moves, asked)


def moves(random: np.random.Generator) -> Story:
    """Tell a story of ten moves, with five questions."""
    story, questions, last = [], [], {}
    for number in range(10):
        who, where = (str(random.choice(names)) for names in (PEOPLE, PLACES))
        story.append(words_of(f"{who} {random.choice(MOVES)} the {where}"))
        last[who] = number, where
        if number % 2:
            who = str(random.choice(sorted(who for who, (at, _) in last.items() if number - at < RECENT)))
            number, where = last[who]
            questions.append(Question(tuple(story), words_of(f"where is {who}"), (where,), (number,)))
    return questions


@dataset(input_shape={"story": (9, 4), "question": (4,)}, dtype="int32", tasks=("classification",), floor=0.6)
def fact_chains(asked: Asked) -> Dataset:
    """Return three chains of three facts (a is a K; b is a K; b is red: the colour of a), mixed, as bAbI's task 16."""
    return _made_up("fact_chains", chains, asked)


def chains(random: np.random.Generator) -> Story:
    """Tell nine facts, three a kind, and ask the colour of each of whom it is not told."""
    owners, colours = random.permutation(OWNERS), random.permutation(COLOURS)
    facts: list[tuple[int, str]] = []
    for kind, colour, pair in zip(KINDS, colours, owners.reshape(-1, 2), strict=True):
        facts += [(len(facts) + k, f"{who} is a {kind}") for k, who in enumerate(pair)]
        facts.append((len(facts), f"{pair[1]} is {colour}"))
    order = [int(number) for number in random.permutation(len(facts))]
    story = tuple(words_of(facts[number][1]) for number in order)
    return [
        Question(story, words_of(f"what colour is {who}"), (str(colour),),
                 tuple(order.index(3 * place + k) for k in range(3)))
        for place, (colour, (who, _)) in enumerate(zip(colours, owners.reshape(-1, 2), strict=True))
    ]  # fmt: skip


@dataset(input_shape={"story": (10, 6), "question": (4,)}, dtype="int32", tasks=("multilabel",), floor=0.6)
def carrying(asked: Asked) -> Dataset:
    """Return stories of what is picked up and dropped; the answer is the set of all that somebody carries."""
    return _made_up("carrying", hands, asked)


def hands(random: np.random.Generator) -> Story:
    """Tell ten sentences, and after each what the one that it is of carries."""
    story, questions = [], []
    held: dict[str, dict[str, int]] = {who: {} for who in PEOPLE}
    for number in range(10):
        who = str(random.choice(PEOPLE))
        free = sorted(set(THINGS) - {thing for things in held.values() for thing in things})
        if free and random.random() < 0.6:
            thing = str(random.choice(free))
            held[who][thing] = number
            story.append(words_of(f"{who} picked up the {thing}"))
        elif held[who]:
            thing = str(random.choice(sorted(held[who])))
            del held[who][thing]
            story.append(words_of(f"{who} dropped the {thing}"))
        else:
            story.append(words_of(f"{who} went to the {random.choice(PLACES)}"))
        facts = tuple(held[who].values())
        questions.append(Question(tuple(story), words_of(f"what is {who} carrying"), tuple(held[who]), facts))
    return questions


# ---------------------------------------------------------------- as a model takes them


def presented(name: str, parts: Mapping[str, Sequence[Story]], asked: Asked, source: tuple[str, ...]) -> Dataset:
    """Return the questions of stories as a data set: of rows of words, or for `reading` of one passage."""
    questions = {part: [each for story in stories for each in story] for part, stories in parts.items()}
    words = ("", *sorted({word for each in questions["train"] for said in (*each.story, each.question, each.answers)
                          for word in said}))  # fmt: skip
    if asked.task == "reading":
        return show_passages(name, questions, words, asked, source)
    (rows, width), (asked_for,) = asked.shapes(name, "story", "question")
    known, number = max(asked.classes, len(words)), {word: place for place, word in enumerate(words)}
    splits: dict[str, Any] = {
        part: Split(
            x={"story": np.stack([_rows(each, number, rows, width, name) for each in own]),
               "question": np.stack([ids_of(each.question, number, asked_for, name) for each in own])},
            y=_answers(own, number, known, asked.task),
        )
        for part, own in questions.items()
    }  # fmt: skip
    return Dataset(
        name=name,
        task=asked.task,
        classes=len(words) if asked.task == "classification" else 0,
        vocabulary=len(words),
        tokens=words,
        labels=words,
        preprocessing=f"the last {rows} sentences of {width} words, small letters without marks; 0 fills up",
        source=source,
        **splits,
    )


def _rows(asked: Question, number: Numbers, rows: int, width: int, name: str) -> np.ndarray:
    """Return the sentences of a story, the last in the last row.  Shape (rows, width)."""
    told = [ids_of(sentence, number, width, name) for sentence in asked.story[-rows:]]
    return np.concatenate([np.zeros((rows - len(told), width), np.int32), np.stack(told)])


def ids_of(said: Words, number: Numbers, width: int, name: str) -> np.ndarray:
    """Return ids of words, zeros behind them.  Raises: BadInput for more words than `width`."""
    if len(said) > width:
        raise BadInput(f"data set {name!r} says {' '.join(said)!r}, of {len(said)} words; the model takes {width}")
    return np.array([number.get(word, 0) for word in said] + [0] * (width - len(said)), np.int32)


def _answers(questions: Sequence[Question], number: Numbers, known: int, task: str) -> np.ndarray:
    """Return the id of the one answer (N,) int32, or of sets of them yes or no each, (N, known) float32."""
    if task == "classification":
        return np.array([number[each.answers[0]] for each in questions], np.int32)
    sets = np.zeros((len(questions), known), np.float32)
    for row, each in zip(sets, questions, strict=True):
        row[[number[word] for word in each.answers]] = 1
    return sets

"""Texts as words for language models: the Penn Treebank, and the descriptions of data sets in scikit-learn."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from . import sources
from .characters import descriptions
from .corpora import TREEBANK
from .dataset import Dataset
from .sets import Asked, dataset, present
from .tokens import PAD, UNKNOWN, vocabulary
from .windows import next_tokens, splits

PADDING, RARE, END, NUMBER = "<pad>", "<unk>", "<eos>", "N"  # as the treebank has the last three
ENDS = {"train": (0.0, 0.8), "validation": (0.8, 0.9), "test": (0.9, 1.0)}  # of a text, by position
FORMS = {("int32", 1): "windows of {} words"}
TASKS = ("language_model", "next_token")
PIECES = re.compile(r"[a-z]+(?:'[a-z]+)?|[0-9][0-9.,]*|[.!?](?=\s)|\n\s*\n")


@dataset(input_shape=(35,), dtype="int32", tasks=TASKS, here=lambda: all(map(sources.find, TREEBANK.values())))
def ptb(asked: Asked) -> Dataset:
    """Return 1.1 million words of the Wall Street Journal in Mikolov's form, 10,000 kinds with the end of a sentence.

    Small letters, no punctuation, numbers are N; split as Mikolov et al. 2010 do.
    """
    streams = {part: [treebank_words(sources.read(path).decode("ascii"))] for part, path in TREEBANK.items()}
    return words("ptb", streams, asked, sources.describe(list(TREEBANK.values())))


def treebank_words(text: str) -> list[str]:
    """Return the words of a file of one sentence a line, each line's end being a word too."""
    return [word for line in text.rstrip("\n").split("\n") for word in (*line.split(), END)]


@dataset(input_shape=(16,), dtype="int32", tasks=TASKS)
def scikit_learn_words(asked: Asked) -> Dataset:
    """Return what scikit-learn says of its data sets, in the treebank's form; of each text 80/10/10% by position."""
    import sklearn

    texts = [plain_words(text) for text in descriptions()]
    streams = {part: [[word for text in texts for word in text[slice(*(round(end * len(text)) for end in ends))]]]
               for part, ends in ENDS.items()}  # fmt: skip
    return words("scikit_learn_words", streams, asked, (f"scikit-learn {sklearn.__version__}",))


def plain_words(text: str) -> list[str]:
    """Return the words of English text in the treebank's form: small letters, numbers as N, ends of sentences."""
    found = []
    for piece in PIECES.findall(text.lower()):
        word = piece if piece[0].isalpha() else NUMBER if piece[0].isdigit() else END
        if word != END or (found and found[-1] != END):
            found.append(word)
    return found


def words(name: str, streams: Mapping[str, Sequence[list[str]]], asked: Asked, source: tuple[str, ...]) -> Dataset:
    """Return texts as windows of word ids, and as targets the word behind each (task "next_token": behind the last).

    Ids: 0 is padding and does not occur, 1 any unknown word, and where training texts mark none as such those that are
    met once; from 2 on the others, the most frequent first, as many as the model tells apart.
    Shapes: x (N, T), y (N, T) or (N,) int32.
    Raises: BadInput for texts shorter than a window.
    """
    form = present(FORMS, name, asked)
    (length,) = asked.input_shape
    counts = Counter(word for stream in streams["train"] for word in stream)
    least = 1 if counts.pop(RARE, 0) else 2  # who never met an unknown word would expect none
    kinds = 2 + sum(count >= least for count in counts.values())
    ids = vocabulary([list(counts.elements())], min(kinds, asked.classes or asked.vocabulary or kinds))
    parts = {part: [np.array([ids.get(word, UNKNOWN) for word in stream], np.int32) for stream in each]
             for part, each in streams.items()}  # fmt: skip
    cut = (next_tokens if asked.task == "next_token" else splits)(name, parts, length, "words")
    labels = (PADDING, RARE, *ids)
    return Dataset(
        name=name,
        task=asked.task,
        classes=len(labels),
        vocabulary=len(labels),
        labels=labels,
        preprocessing=f"small letters, numbers as {NUMBER}, {END} behind each sentence; the {len(ids)} most frequent "
        f"of {len(counts)} words are ids from 2, {UNKNOWN} is any other, {PAD} padding; {form.format(length)}",
        source=source,
        train=cut["train"],
        validation=cut["validation"],
        test=cut["test"],
    )

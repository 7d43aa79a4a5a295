"""Text sets as token ids: movie-review sentences of Pang and Lee (2005)."""

from collections import Counter
from collections.abc import Iterable

import numpy as np

from . import sources
from .corpora import pretraining_text
from .dataset import Dataset, Split, divide
from .pieces import LANGUAGES, classified
from .sets import Asked, dataset, present

FILES = ["rt_polarity/rt-polarity.neg", "rt_polarity/rt-polarity.pos"]
PAD, UNKNOWN = 0, 1
VOCABULARY = 8000  # ids, where the model sets none: about the words that training sentences hold twice or more
FORMS = {("int32", 1): "tokens"}


@dataset(input_shape=(64,), dtype="int32", tasks=("classification",), here=lambda: all(map(sources.find, FILES)))
def rt_polarity(asked: Asked) -> Dataset:
    """Return 10,662 sentences, negative (0) or positive (1); a tenth each, by class, for validation and testing."""
    lines, labels = [], []
    for label, path in enumerate(FILES):
        read = sources.read(path).decode("latin-1").rstrip("\n").split("\n")  # not splitlines: \x85 is a word here
        lines += read
        labels += [label] * len(read)
    y = np.array(labels, np.int32)
    rest, test = divide(y, 0.1)
    train, validation = (rest[part] for part in divide(y[rest], 1 / 9))
    if asked.inputs:
        parts = {"train": train, "validation": validation, "test": test}
        text, files = pretraining_text(
            [lines[k] for k in train], translated=LANGUAGES in [each.name for each in asked.inputs]
        )
        return classified("rt_polarity", lines, y, parts, text, asked, classes=("negative", "positive"),
                          source=sources.describe([*FILES, *files]))  # fmt: skip
    present(FORMS, "rt_polarity", asked)
    sentences = [line.split() for line in lines]
    ids = vocabulary((sentences[k] for k in train), asked.vocabulary or VOCABULARY)
    (length,) = asked.input_shape
    x = encode(sentences, ids, length)
    return Dataset(
        name="rt_polarity",
        task=asked.task,
        classes=2,
        vocabulary=len(ids) + 2,
        preprocessing=(
            f"words between blanks; the {len(ids)} most frequent of the training sentences are ids from 2, "
            f"{UNKNOWN} is any other, {PAD} fills up; first {length} words"
        ),
        source=sources.describe(FILES),
        train=Split(x=x[train], y=y[train]),
        validation=Split(x=x[validation], y=y[validation]),
        test=Split(x=x[test], y=y[test]),
    )


def vocabulary(sentences: Iterable[list[str]], size: int) -> dict[str, int]:
    """Return word -> id from 2 on, the most frequent words first (ties by spelling), for `size` ids in all."""
    counts = Counter(word for sentence in sentences for word in sentence)
    frequent = sorted(counts, key=lambda word: (-counts[word], word))[: max(0, size - 2)]
    return {word: k for k, word in enumerate(frequent, 2)}


def encode(sentences: list[list[str]], ids: dict[str, int], length: int) -> np.ndarray:
    """Return token ids (N, length) int32: cut or filled up with PAD at the end."""
    x = np.full((len(sentences), length), PAD, np.int32)
    for row, sentence in zip(x, sentences, strict=True):
        row[: len(sentence)] = [ids.get(word, UNKNOWN) for word in sentence[:length]]
    return x

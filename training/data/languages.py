"""Pairs of sentences both ways, of which the first target token names the language that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ...errors import BadInput
from .captions import here
from .dataset import Dataset, Split
from .sets import Asked, dataset
from .translation import BOS, EOS, PAD, VOCABULARY, multi30k, number_words

SHAPE = {"source": (32,), "target": (32,)}


@dataset(input_shape=SHAPE, dtype="int32", tasks=("translation",), here=here)
def multi30k_both(asked: Asked) -> Dataset:
    """Return Multi30K from German into English and back (Elliott 2016, arXiv:1605.00459)."""
    return _both("multi30k_both", multi30k, asked, ("<to English>", "<to German>"))


@dataset(input_shape={"source": (12,), "target": (12,)}, dtype="int32", tasks=("translation",))
def number_words_both(asked: Asked) -> Dataset:
    """Return numbers from words into digits and back; 8,000 / 800 / 800 pairs by seed."""
    return _both("number_words_both", number_words, asked, ("<to digits>", "<to words>"))


@dataset(input_shape=SHAPE, dtype="int32", tasks=("translation",), here=here)
def multi30k_back(asked: Asked) -> Dataset:
    """Return Multi30K from English into German, in the tokens of the other way: for back-translation."""
    return _back("multi30k_back", multi30k, asked)


@dataset(input_shape={"source": (8,), "target": (12,)}, dtype="int32", tasks=("translation",))
def number_words_back(asked: Asked) -> Dataset:
    """Return numbers from digits into words, in the tokens of the other way."""
    return _back("number_words_back", number_words, asked)


def _back(name: str, load: Callable[[Asked], Dataset], asked: Asked) -> Dataset:
    """Return the pairs of a data set turned round, for a model of its lengths turned round."""
    other = {"source": "target", "target": "source"}
    inputs = tuple(replace(each, name=other.get(each.name, each.name)) for each in asked.inputs)
    dataset = turned(load(replace(asked, inputs=inputs)))
    return replace(dataset, name=name, preprocessing=f"{dataset.preprocessing}; then each pair turned round")


def turned(dataset: Dataset) -> Dataset:
    """Return pairs turned round: each source is what is to be said of its target."""
    return replace(dataset, **{part: pairs(split.y, split.x["source"]) for part, split in dataset.splits.items()})


def pairs(source: np.ndarray, said: np.ndarray) -> Split:
    """Return pairs of ids, both ended by </s>: what is said begins with <s> where it is read: (N, S), (N, T)."""
    read = np.concatenate([np.full_like(said[:, :1], BOS), said[:, :-1]], axis=1)
    return Split(x={"source": source, "target": np.where(read == EOS, PAD, read)}, y=said)


def _both(name: str, load: Callable[[Asked], Dataset], asked: Asked, labels: tuple[str, str]) -> Dataset:
    """Return the pairs of a data set, and each turned round, one behind the other.

    Ids are those of the data set, and behind them one a language, with which a target begins in place of <s>.
    Raises: BadInput for a model whose sources and targets are not as long.
    """
    source, target = asked.shapes(name, "source", "target")
    if source != target:
        raise BadInput(f"data set {name!r}: each sentence is a source and a target, and inputs are {source} and "
                       f"{target}; build the model for as long ones")  # fmt: skip
    one_way = load(replace(asked, vocabulary=(asked.vocabulary or VOCABULARY) - len(labels)))
    return replace(
        one_way,
        name=name,
        classes=one_way.classes + len(labels),
        vocabulary=one_way.classes + len(labels),
        labels=(*one_way.labels, *labels),
        preprocessing=f"{one_way.preprocessing}; then each pair turned round; a target begins with its language",
        **{part: both_ways(split, one_way.classes) for part, split in one_way.splits.items()},
    )


def both_ways(split: Split, first: int) -> Split:
    """Return each pair and, behind it, that pair turned round; `first` names the language of targets as they are.

    Shapes: source, target, y (N, T) -> (2 N, T) each.
    """
    source, target, truth = split.x["source"], split.x["target"].copy(), split.y
    target[:, 0] = first
    back = np.concatenate([np.full_like(source[:, :1], first + 1), source[:, :-1]], axis=1)
    ends = np.where(source != 0, np.arange(source.shape[1]), -1).max(1) + 1  # behind </s>
    back[np.arange(back.shape[1]) >= ends[:, None]] = 0
    pairs = (source, truth), (target, back), (truth, source)
    given, read, said = (np.stack(both, axis=1).reshape(-1, source.shape[1]) for both in pairs)
    return Split(x={"source": given, "target": read}, y=said)

"""Pairs of sentences as token ids of one vocabulary: Multi30K, numbers in words and digits, speeches and answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import BadInput
from . import sources
from .captions import ENGLISH, GERMAN, SPLITS, captions, here, paths
from .characters import SHAKESPEARE
from .dataset import Dataset, Split
from .marks import BOS, EOS, PAD, SPECIAL, UNKNOWN, Pairs
from .sets import Asked, dataset
from .spelled import of_words

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # how a token that begins a word begins
VOCABULARY = 4000  # tokens, where the model sets none
SHAPE = {"source": (32,), "target": (32,)}
SPELLED = ("spelled_translation", "mixed_translation")


@dataset(input_shape=SHAPE, dtype="int32", tasks=("translation", *SPELLED), here=here)
def multi30k(asked: Asked) -> Dataset:
    """Return captions of pictures in German and English, 29,000 / 1,014 / 1,000 (Elliott 2016, arXiv:1605.00459)."""
    languages = (GERMAN, ENGLISH)
    parts = {part: list(zip(*captions(part, languages), strict=True)) for part in SPLITS}
    show = of_words if asked.task in SPELLED else of_pairs
    return show("multi30k", parts, asked, sources.describe(paths(languages)))


@dataset(input_shape={"source": (12,), "target": (8,)}, dtype="int32", tasks=("translation",), floor=30.0)
def number_words(asked: Asked) -> Dataset:
    """Return the numbers from 10,000 to 99,999 in words, and their digits; 4,000 / 400 / 400 of them by seed."""
    numbers = 10_000 + np.random.default_rng(0).permutation(90_000)[:4800]
    drawn = [(in_words(number), " ".join(str(number))) for number in map(int, numbers)]
    parts = {"train": drawn[:4000], "validation": drawn[4000:4400], "test": drawn[4400:]}
    return of_pairs("number_words", parts, asked, ("generated",))


@dataset(input_shape=SHAPE, dtype="int32", tasks=("translation",), here=lambda: sources.find(SHAKESPEARE) is not None)
def shakespeare_answers(asked: Asked) -> Dataset:
    """Return speeches of Shakespeare's plays and what is answered, a line each; 90/5/5% by position."""
    speeches = [speech.split("\n") for speech in sources.read(SHAKESPEARE).decode("ascii").strip().split("\n\n")]
    # The last line of a speech, and the first behind the speaker's name.
    lines = [(speech[-1], speech[min(1, len(speech) - 1)]) for speech in speeches]
    answers = [(before[0], after[1]) for before, after in pairwise(lines)]
    ends = [round(share * len(answers)) for share in (0.9, 0.95)]
    parts = {"train": answers[: ends[0]], "validation": answers[ends[0] : ends[1]], "test": answers[ends[1] :]}
    return of_pairs("shakespeare_answers", parts, asked, sources.describe([SHAKESPEARE]))


ONES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
        "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]  # fmt: skip
TENS = ["_", "_", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def in_words(number: int) -> str:
    """Return a number below a million in English words."""
    if number >= 1000:
        rest = f" {in_words(number % 1000)}" if number % 1000 else ""
        return f"{in_words(number // 1000)} thousand{rest}"
    if number >= 100:
        rest = f" {in_words(number % 100)}" if number % 100 else ""
        return f"{ONES[number // 100]} hundred{rest}"
    if number < 20:
        return ONES[number]
    return TENS[number // 10] + (f" {ONES[number % 10]}" if number % 10 else "")


def of_pairs(name: str, parts: Mapping[str, Pairs], asked: Asked, source: tuple[str, ...]) -> Dataset:
    """Return pairs as ids: source (N, S) ends in </s>; target (N, T) begins with <s>, and y (N, T) is what follows.

    Byte-pair tokens of both languages are learned on the training pairs, as many as the model knows. A pair that is
    longer than the model's inputs is left out, of every split: `preprocessing` tells how many.
    Raises: BadInput where no pair is left of a split, or the model's inputs are not a source and a target.
    """
    (longest_source,), (longest_target,) = asked.shapes(name, "source", "target")
    texts = (text for pair in parts["train"] for text in pair)
    tokenizer = byte_pairs(texts, asked.vocabulary or VOCABULARY)
    splits, left = {}, {}
    for part, pairs in parts.items():
        encoded = [tuple(tokenizer.encode(text).ids for text in pair) for pair in pairs]
        kept = [pair for pair in encoded if len(pair[0]) < longest_source and len(pair[1]) < longest_target]
        if not kept:
            raise BadInput(f"data set {name!r}: no pair of {part} has at most {longest_source - 1} and "
                           f"{longest_target - 1} tokens; build the model for longer ones")  # fmt: skip
        left[part] = f"{len(pairs) - len(kept)} of {len(pairs)}"
        splits[part] = Split(
            x={"source": padded(([*pair[0], EOS] for pair in kept), longest_source),
               "target": padded(([BOS, *pair[1]] for pair in kept), longest_target)},
            y=padded(([*pair[1], EOS] for pair in kept), longest_target),
        )  # fmt: skip
    labels = pieces(tokenizer)
    return Dataset(
        name=name,
        task=asked.task,
        classes=len(labels),
        vocabulary=len(labels),
        labels=labels,
        preprocessing=(
            f"{len(labels)} byte-pair tokens of source and target together, in the order they were merged, {SPACE!r} "
            f"for a space; words and punctuation apart; ids 0 on: {' '.join(SPECIAL)}; "
            f"pairs of more than {longest_source - 1} or {longest_target - 1} tokens left out: "
            + ", ".join(f"{part} {count}" for part, count in left.items())
        ),
        source=source,
        **splits,
    )


def byte_pairs(texts: Iterable[str], size: int) -> Tokenizer:
    """Return a tokenizer of at most `size` tokens, the special ones first, merged as in `texts`.

    Tokens lie within words and begin with a block where a word does; punctuation stands alone.
    Source: Sennrich 2016, arXiv:1508.07909.
    """
    from tokenizers import Tokenizer, models, trainers

    made: Any = Tokenizer(models.BPE(unk_token=SPECIAL[UNKNOWN]))
    made.pre_tokenizer = _words()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=list(SPECIAL), show_progress=False)
    made.train_from_iterator(texts, trainer)
    return made


def tokenizer_of(labels: Sequence[str]) -> Tokenizer:
    """Return the tokenizer whose `pieces` are `labels`: each was merged of the two that those before it make of it."""
    from tokenizers import Tokenizer, models

    known = {label: place for place, label in enumerate(labels)}
    merges: list[tuple[str, str]] = []
    ranks: dict[tuple[str, str], int] = {}
    for label in labels[len(SPECIAL) :]:
        parts = _merged(label, ranks)
        if len(parts) == 2:
            ranks[parts[0], parts[1]] = len(merges)
            merges.append((parts[0], parts[1]))
    made: Any = Tokenizer(models.BPE(vocab=known, merges=merges, unk_token=SPECIAL[UNKNOWN]))
    made.pre_tokenizer = _words()
    return made


def _merged(text: str, ranks: Mapping[tuple[str, str], int]) -> list[str]:
    """Return what byte-pair merges make of a text, the earliest first."""
    parts = list(text)
    while pairs := [(ranks[pair], place) for place, pair in enumerate(pairwise(parts)) if pair in ranks]:
        _, place = min(pairs)
        parts[place : place + 2] = ["".join(parts[place : place + 2])]
    return parts


def _words() -> Any:
    from tokenizers import pre_tokenizers

    return pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])


def pieces(tokenizer: Tokenizer) -> tuple[str, ...]:
    """Return the tokens in the order of their ids."""
    known = tokenizer.get_vocab()
    return tuple(sorted(known, key=known.__getitem__))


def padded(rows: Iterable[Sequence[int]], length: int) -> np.ndarray:
    """Return ids (N, length) int32, PAD behind those of each row."""
    rows = list(rows)
    ids = np.full((len(rows), length), PAD, np.int32)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
    return ids


def text_of(ids: Iterable[int], labels: Sequence[str]) -> str:
    """Return the text of ids up to the first </s>; what begins and pads it is left out.

    A net may know more ids than there are labels: those are unknown.
    """
    told = []
    for token in ids:
        if token == EOS:
            break
        if token not in (PAD, BOS):
            told.append(labels[token if token < len(labels) else UNKNOWN])
    return "".join(told).replace(SPACE, " ").strip()

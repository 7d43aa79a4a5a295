"""Translation into words that are spelled: all of them, or those that the vocabulary has not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ...metrics import Scores
from ...runners import Arrays, Runner
from ..data import Dataset
from ..data.dataset import subset
from ..data.marks import BOS, PAD, UNKNOWN
from ..data.spelled import LETTERS, MIXED, SPELLED, WORDS, text_of_letters, text_of_words
from ..decoding import TOKEN, Speaker, greedy, greedy_with_answers, spelled
from ..losses import PaddedCrossentropy
from ..presented import presented_as, takes
from .objective import Objective
from .register import Networks, enter
from .translation import ENCODER, SEQUENCE, STEP, TARGET, Sentences, Translation, sources_of, token_logs

SPELLING = "spelling"
READ = "target_letters"


@dataclass(frozen=True, kw_only=True)
class SpelledTranslation(Translation):
    """Sentences of words, each spelled greedily before the next is begun.

    Networks: as of a translation, but that a word is letters: "sequence", source (N, S, C), target (N, T, C), the word
    before, and target_letters (N, T, C), the letters before -> logits (N, T, C, K); "encoder"; "step", "token"
    (N, 1, C), the word before -> what "spelling" reads of the word to be said, and states; "spelling", "token" (N, 1),
    the letter before -> "logits" (N, 1, K), and states that begin with the step's outputs of their name, or at zero.
    """

    _networks: ClassVar[tuple[str, ...]] = (SEQUENCE, ENCODER, STEP, SPELLING)
    _inputs: ClassVar[tuple[str, ...]] = SPELLED

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return the inputs of n training pairs, of the spelling net the letters of n words by time, (n, C, 1)."""
        if network != SPELLING:
            return super().samples(dataset, network, n, seed)
        read = subset(dataset.train, n, seed, stratify=False).x[READ]
        words = read.reshape(-1, read.shape[-1])
        there = words[words[:, 0] != PAD]
        return {TOKEN: np.resize(there if len(there) else words, (n, words.shape[1], 1))}

    def spell(self, run: Runner, dataset: Dataset, answers: Arrays) -> Speaker:
        """Return what spells the words that the step answered, one a row."""
        longest = dataset.train.x[READ].shape[-1]
        return presented_as(dataset, Sentences).steps[SPELLING].speaker(run, SPELLING, answers, {}, length=longest)

    def words(self, run: Runner, dataset: Dataset, pairs: Arrays) -> Speaker:
        """Return what says the words of sentences, read by the encoder."""
        given = sources_of(pairs)
        made = run(ENCODER, given)
        length = pairs[TARGET].shape[1]
        return presented_as(dataset, Sentences).steps[STEP].speaker(run, STEP, made, given, length=length, begin=BOS)

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score each test sentence by what BLEU counts of it, (N, 10)."""
        pairs = {name: np.asarray(values) for name, values in dict(dataset.test.x).items()}
        said = self.said(run, dataset, pairs)
        return Scores.by_row(self.metric.scores(said, self.told(dataset, dataset.test.y)))

    def said(self, run: Runner, dataset: Dataset, pairs: Arrays) -> list[str]:
        """Return the sentences that the networks say."""
        words = self.words(run, dataset, pairs)
        ids = spelled(words, lambda answers: self.spell(run, dataset, answers), pairs[READ].shape[-1])
        return self.told(dataset, ids)

    def told(self, dataset: Dataset, ids: Any) -> list[str]:
        """Return the text of spelled words (N, T, C)."""
        return [text_of_letters(row, dataset.labels) for row in ids]


@dataclass(frozen=True, kw_only=True)
class MixedTranslation(SpelledTranslation):
    """Sentences of words, of which those that the vocabulary has not are spelled once the sentence is said.

    Networks: "sequence" and "encoder" read ids of words, source (N, S) and target (N, T), and the letters of those that
    are unknown, source_letters (N, S, C) and target_letters (N, T, C); "sequence" -> "logits" (N, T, V) of words and
    "letters" (N, T, C, K); "step", "token" (N, 1) -> "logits" (N, 1, V), what "spelling" reads, and states.
    Source: Luong and Manning 2016, arXiv:1604.00788.
    """

    _inputs: ClassVar[tuple[str, ...]] = MIXED

    def _tokens(self, networks: Networks) -> int:
        return next(each.shape[-1] or 0 for each in takes(networks[SEQUENCE])["outputs"] if each.name == WORDS)

    def said(self, run: Runner, dataset: Dataset, pairs: Arrays) -> list[str]:
        """Return the sentences that the networks say."""
        words = self.words(run, dataset, pairs)
        ids, answers = greedy_with_answers(words)
        letters = np.full((*ids.shape, pairs[READ].shape[-1]), PAD, np.int32)
        if (rare := ids == UNKNOWN).any():
            of_rare = {name: np.asarray(values)[rare] for name, values in answers.items()}
            letters[rare] = greedy(self.spell(run, dataset, of_rare))
        return self.told(dataset, {WORDS: ids, LETTERS: letters})

    def told(self, dataset: Dataset, ids: Any) -> list[str]:
        """Return the text of words (N, T) and the letters (N, T, C) of those that are unknown."""
        labels = dataset.named_labels
        pairs = zip(ids[WORDS], ids[LETTERS], strict=True)
        return [text_of_words(row, letters, labels[WORDS], labels[LETTERS]) for row, letters in pairs]


_OF_TOKENS = Objective(name="translation", loss=PaddedCrossentropy, logs=token_logs, labelled=True)
enter(SpelledTranslation(name="spelled_translation", loss=PaddedCrossentropy, logs=token_logs, labelled=True))
enter(MixedTranslation(name="mixed_translation", loss=PaddedCrossentropy, labelled=True,
                       heads={WORDS: _OF_TOKENS, LETTERS: _OF_TOKENS}))  # fmt: skip

"""n-gram language models in NumPy: counts of runs of words, and chances that are smoothed by those of shorter runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

Run = tuple[int, ...]


@dataclass(frozen=True)
class Counted:
    """How often runs of words occur. runs: of each length from 1 on, run -> count. total: of all runs of one word."""

    runs: Sequence[Mapping[Run, int]]
    total: int

    @classmethod
    def of(cls, rows: np.ndarray) -> Counted:
        """Return the counts of runs that are told by the longest, one at each place of a text: (N, order)."""
        order = rows.shape[1]
        return cls(
            [Counter(map(tuple, rows[:, order - length :].tolist())) for length in range(1, order + 1)], len(rows)
        )

    def likeliest(self, word: int, *before: int) -> float:
        """Return count(before, word) / count(before), by counts alone; of no word before it count(word) / total.

        0 where what is before never occurred.
        """
        times = self.runs[len(before)].get((*before, word), 0)
        whole = self.runs[len(before) - 1].get(before, 0) if before else self.total
        return times / whole if whole else 0.0

    def of_pairs(self, *words: int) -> float:
        """Return the probability of words by counts of pairs: P(a) P(b | a) P(c | b) ..."""
        chances = [self.likeliest(word, before) for before, word in pairwise(words)]
        return self.likeliest(words[0]) * math.prod(chances)


@dataclass(frozen=True)
class Smoothed:
    """Interpolated Kneser-Ney: each count is less by a discount, and what is left goes to the shorter context.

    All but the longest runs count by how many words they follow, not by how often they occur. The chances of single
    words are interpolated with an even share of `words`.
    Source: Kneser and Ney 1995; Chen and Goodman 1999, An empirical study of smoothing techniques, section 4.1.6.
    """

    words: int
    kinds: Sequence[Mapping[Run, int]] = field(repr=False)  # of each length
    after: Sequence[Mapping[Run, tuple[int, int]]] = field(
        repr=False
    )  # context -> sum of its counts, how many there are
    discounts: Sequence[float]

    @classmethod
    def of(cls, counted: Counted, words: int) -> Smoothed:
        """Return the model of counts."""
        kinds: list[Mapping[Run, int]] = [Counter(run[1:] for run in longer) for longer in counted.runs[1:]]
        kinds.append(counted.runs[-1])
        after = []
        for runs in kinds:
            sums: dict[Run, tuple[int, int]] = {}
            for run, count in runs.items():
                total, number = sums.get(run[:-1], (0, 0))
                sums[run[:-1]] = (total + count, number + 1)
            after.append(sums)
        return cls(words, kinds, after, [_discount(runs) for runs in kinds])

    def seen(self, word: int, *before: int) -> float:
        """Return the share of a word among those behind a context that occurs, less the discount."""
        length = len(before)
        return (
            max(self.kinds[length].get((*before, word), 0) - self.discounts[length], 0) / self.after[length][before][0]
        )

    def left(self, *before: int) -> float:
        """Return what a context leaves to the shorter one, 1 where it never occurs."""
        total, number = self.after[len(before)].get(before, (1, 0))
        return self.discounts[len(before)] * number / total if number else 1.0

    def chance(self, word: int, *before: int) -> float:
        """Return the probability of a word behind at most order - 1 words."""
        lower = self.chance(word, *before[1:]) if before else 1 / self.words
        if before not in self.after[len(before)]:
            return lower
        return self.seen(word, *before) + self.left(*before) * lower


def _discount(runs: Mapping[Run, int]) -> float:
    """Return n1 / (n1 + 2 n2), n1 and n2 being how many runs occur once and twice.  Source: Ney 1994."""
    times = Counter(runs.values())
    return times[1] / (times[1] + 2 * times[2]) if times[1] and times[2] else 0.5

"""Words by their n-grams of letters, each an id of a hash."""

from __future__ import annotations

from collections.abc import Sequence

from .tokens import filled, hashed

SHORTEST, LONGEST = 3, 6  # letters, the marks at both ends of a word among them


def ngrams(word: str) -> list[str]:
    """Return the n-grams of 3 to 6 letters of "<word>", but the whole.  Source: Bojanowski 2017, section 3.2."""
    marked = f"<{word}>"
    return [marked[start : start + length] for length in range(SHORTEST, LONGEST + 1)
            for start in range(len(marked) - length + 1) if length < len(marked)]  # fmt: skip


def pieces_of(words: Sequence[str], buckets: int, most: int):
    """Return ids of what a word is the sum of: itself, its place among `words`, and of its n-grams one in `buckets`.

    A word of more n-grams has the shortest of them; 0 is none, and word 0 no word.  Shapes: V words -> (V, most) int32.
    """
    first = len(words)
    rows = [[place, *hashed(ngrams(word), first, first + buckets)] for place, word in enumerate(words)]
    return filled([row[:most] if place else [] for place, row in enumerate(rows)], most)

"""Hard debiasing of word vectors: neutral words lose what they have of gender, and pairs differ in that alone.

Source: Bolukbasi 2016, Man is to computer programmer as woman is to homemaker?, arXiv:1607.06520, section 6.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import BadInput

Array = np.ndarray
DEFINING = (("she", "he"), ("her", "his"), ("woman", "man"), ("herself", "himself"), ("daughter", "son"),
            ("mother", "father"), ("girl", "boy"), ("female", "male"))  # fmt: skip
EQUALISED = (*DEFINING, ("women", "men"), ("queen", "king"), ("sister", "brother"), ("aunt", "uncle"),
             ("wife", "husband"), ("actress", "actor"), ("daughters", "sons"), ("girls", "boys"),
             ("mothers", "fathers"), ("sisters", "brothers"), ("wives", "husbands"))  # fmt: skip


def known(pairs: Sequence[tuple[str, str]], words: Sequence[str]) -> Array:
    """Return the pairs of which both words are known, as their rows, (P, 2).  Raises: BadInput for none."""
    places = {word: row for row, word in enumerate(words)}
    found = [(places[a], places[b]) for a, b in pairs if a in places and b in places]
    if not found:
        raise BadInput(f"none of the pairs {', '.join('-'.join(pair) for pair in pairs[:4])} ... is among the "
                       f"{len(words)} words: there is no direction to be told by them; give another text")  # fmt: skip
    return np.array(found)


def direction(table: Array, pairs: Array) -> Array:
    """Return the unit vector along which the words of pairs differ most, (d,): their first principal component."""
    both = table[pairs]  # (P, 2, d)
    around = (both - both.mean(1, keepdims=True)).reshape(-1, table.shape[1])
    return np.linalg.svd(around, full_matrices=False)[2][0]


def debiased(table: Array, words: Sequence[str]) -> Array:
    """Return unit vectors without bias: neutral words are orthogonal to gender, and as near to either word of a pair.

    Words of no known pair are neutral.  Shapes: (V, d), V words -> (V, d); rows of zeros stay so.
    """
    unit = unit_rows(table)
    gender = direction(unit, known(DEFINING, words))
    made = unit_rows(unit - np.outer(unit @ gender, gender))
    pairs = known(EQUALISED, words)
    middle = unit[pairs].mean(1)
    neutral = middle - np.outer(middle @ gender, gender)  # (P, d)
    reach = np.sqrt(np.maximum(1 - (neutral**2).sum(1), 0))
    side = np.sign(unit[pairs] @ gender - (middle @ gender)[:, None])  # (P, 2)
    made[pairs] = neutral[:, None] + (side * reach[:, None])[..., None] * gender
    return made


def unit_rows(table: Array) -> Array:
    """Return rows divided by their lengths; those of zeros stay so."""
    lengths = np.linalg.norm(table, axis=1, keepdims=True)
    return table / np.where(lengths > 0, lengths, 1)

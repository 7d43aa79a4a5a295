"""Numbers in the words of two languages, English and Spanish: few words that are frequent, and others to be spelled."""

from __future__ import annotations

import numpy as np

from .dataset import Dataset
from .sets import Asked, dataset
from .spelled import of_words
from .translation import SPELLED, in_words

SHAPE = {"source": (8, 14), "target": (10, 14), "target_letters": (10, 14)}
FREQUENT = 24  # words that are known at most, special ones among them: some forty others are spelled
TO_29 = ["cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez", "once", "doce",
         "trece", "catorce", "quince", "dieciséis", "diecisiete", "dieciocho", "diecinueve", "veinte", "veintiuno",
         "veintidós", "veintitrés", "veinticuatro", "veinticinco", "veintiséis", "veintisiete", "veintiocho",
         "veintinueve"]  # fmt: skip
TENS = ["_", "_", "_", "treinta", "cuarenta", "cincuenta", "sesenta", "setenta", "ochenta", "noventa"]
HUNDREDS = ["_", "ciento", "doscientos", "trescientos", "cuatrocientos", "quinientos", "seiscientos", "setecientos",
            "ochocientos", "novecientos"]  # fmt: skip
SHORT = {"uno": "un", "veintiuno": "veintiún"}  # before mil


@dataset(input_shape=SHAPE, dtype="int32", tasks=SPELLED)
def numbers_in_spanish(asked: Asked) -> Dataset:
    """Return the numbers from 10,000 to 99,999 in English and Spanish words; 4,000 / 400 / 400 of them by seed."""
    numbers = 10_000 + np.random.default_rng(0).permutation(90_000)[:4800]
    drawn = [(in_words(number), in_spanish(number)) for number in map(int, numbers)]
    parts = {"train": drawn[:4000], "validation": drawn[4000:4400], "test": drawn[4400:]}
    return of_words("numbers_in_spanish", parts, asked, ("generated",), kinds=FREQUENT)


def in_spanish(number: int) -> str:
    """Return a number below 100,000 in Spanish words."""
    thousands, rest = divmod(number, 1000)
    words = [SHORT.get(word, word) for word in _below_1000(thousands)] if thousands > 1 else []
    words += ["mil"] if thousands else []
    return " ".join([*words, *(_below_1000(rest) if rest or not thousands else [])])


def _below_1000(number: int) -> list[str]:
    hundreds, rest = divmod(number, 100)
    if number == 100:
        return ["cien"]
    words = [HUNDREDS[hundreds]] if hundreds else []
    if rest >= 30:
        words += [TENS[rest // 10], *(["y", TO_29[rest % 10]] if rest % 10 else [])]
    elif rest or not number:
        words.append(TO_29[rest])
    return words

"""Which operators a tool takes in which types, as data: `kernels/*.toml`, written by asking the tool itself.

A row of a table is `inputs > outputs`, a word for each operand of the file's operator: `int8|int16` are alternatives,
`-` is an operand left out, `*` allows a scale for each channel, `!` asks for a constant, `...` repeats the word.
"""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "kernels"
ABSENT = "-"


@dataclass(frozen=True)
class Word:
    """What an operand of a kernel may be. types: dtype, if it may have a scale a channel, if it is constant."""

    types: tuple[tuple[str, bool, bool], ...]
    repeats: bool = False

    @classmethod
    def parse(cls, text: str) -> Word:
        """Read a word of a row."""
        plain = text.removesuffix("...")
        types = tuple((each.rstrip("*!"), "*" in each, "!" in each) for each in plain.split("|"))
        return cls(types=types, repeats=plain != text)

    def takes(self, operand: str) -> bool:
        """Tell whether a file's operand, a word such as `int8*!`, may stand here."""
        dtype, channels, constant = operand.rstrip("*!"), "*" in operand, "!" in operand
        return any(
            dtype == known and (many or not channels) and (constant or not asks) for known, many, asks in self.types
        )


@dataclass(frozen=True)
class Row:
    """One form of an operator's kernel."""

    text: str
    inputs: tuple[Word, ...]
    outputs: tuple[Word, ...]

    @classmethod
    def parse(cls, text: str) -> Row:
        """Read `inputs > outputs`."""
        inputs, _, outputs = text.partition(">")
        return cls(text, tuple(map(Word.parse, inputs.split())), tuple(map(Word.parse, outputs.split())))

    def takes(self, inputs: Sequence[str], outputs: Sequence[str]) -> bool:
        """Tell whether the kernel takes operands."""
        return _fit(self.inputs, inputs) and _fit(self.outputs, outputs)


def _fit(words: Sequence[Word], operands: Sequence[str]) -> bool:
    if words and words[-1].repeats:
        words = [*words[:-1], *itertools.repeat(words[-1], max(1, len(operands) - len(words) + 1))]
    pairs = itertools.zip_longest(words, operands, fillvalue=None)
    return all(
        word.takes(operand or ABSENT) if word is not None else operand in (None, ABSENT) for word, operand in pairs
    )


@dataclass(frozen=True)
class Kernels:
    """What a tool takes, and at what it gives up a whole file. tool: its name and version; date: when it was asked.

    bytes: what the kernel of an operator keeps in the arena, by the type of its result; bytes_64: on 64 bits.
    """

    name: str
    tool: str
    date: str
    kernels: dict[str, tuple[Row, ...]]
    stops: dict[str, tuple[Row, ...]]
    bytes: dict[str, dict[str, int]]
    bytes_64: dict[str, dict[str, int]]

    def refusal(self, operator: str, inputs: Sequence[str], outputs: Sequence[str]) -> str:
        """Return why the tool has no kernel for an operator, or "" if it has one."""
        if operator not in self.kernels:
            return "no kernel"
        rows = self.kernels[operator]
        if any(row.takes(inputs, outputs) for row in rows):
            return ""
        single = [word.replace("*", "") for word in inputs]
        if any(row.takes(single, outputs) for row in rows):
            return f"{_starred(inputs)} weights with a scale for each channel; the kernel takes one"
        fixed = [word if "!" in word or word == ABSENT else f"{word}!" for word in inputs]
        if any(row.takes(fixed, outputs) for row in rows):
            return "an operand that is computed; the kernel takes a constant"
        foreign = _types([*inputs, *outputs]) - {kind for row in rows for kind in _known(row)}
        if foreign:
            known = sorted({dtype for row in rows for word in row.outputs for dtype, _, _ in word.types})
            return f"{', '.join(sorted(foreign))} tensors; kernels take {', '.join(known)}"
        return f"{_text(inputs)} > {_text(outputs)} tensors; kernels take {' or '.join(row.text for row in rows)}"

    def stop(self, operator: str, inputs: Sequence[str], outputs: Sequence[str]) -> bool:
        """Tell whether the tool gives up a file that holds an operator."""
        return any(row.takes(inputs, outputs) for row in self.stops.get(operator, ()))


def _starred(words: Sequence[str]) -> str:
    return next(word.rstrip("*!") for word in words if "*" in word)


def _types(words: Sequence[str]) -> set[str]:
    return {re.sub(r"[*!]", "", word) for word in words} - {ABSENT}


def _known(row: Row) -> Iterator[str]:
    for word in (*row.inputs, *row.outputs):
        yield from (dtype for dtype, _, _ in word.types)


def _text(words: Sequence[str]) -> str:
    return " ".join(words)


@cache
def load(name: str) -> Kernels:
    """Return a table of `kernels/`.  Raises: FileNotFoundError for one that is not there."""
    document = tomllib.loads((FOLDER / f"{name}.toml").read_text())
    tables = {
        kind: {operator: tuple(map(Row.parse, rows)) for operator, rows in document.get(kind, {}).items()}
        for kind in ("kernels", "stops")
    }
    sizes = {key: document.get(key, {}) for key in ("bytes", "bytes_64")}
    return Kernels(name=name, tool=document["tool"], date=document["date"], **tables, **sizes)

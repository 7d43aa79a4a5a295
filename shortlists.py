"""A lexical shortlist: the tokens that a cut output layer still tells apart. Imports nothing heavy."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .errors import BadInput

OUTPUT = "logits"


@dataclass(frozen=True, kw_only=True)
class Shortlist:
    """What is left of an output of `of` tokens: those of `ids`, ascending, so that of equal logits the same is first.

    Source: L'Hostis 2016, arXiv:1610.00072, where the list is chosen anew for each sentence; a file has one.
    """

    ids: tuple[int, ...]
    of: int
    output: str = OUTPUT

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "ids", tuple(operator.index(token) for token in self.ids))
        except TypeError as error:
            raise BadInput(f"shortlist={self.ids!r}: give the ids of the tokens to keep, whole numbers") from error
        if not self.ids:
            raise BadInput("shortlist=(): keeps no token; give the ids of those that are likely, the end among them")
        if wrong := [token for token in self.ids if not 0 <= token < self.of]:
            raise BadInput(f"shortlist: {wrong[0]} is no token; output {self.output!r} tells 0 to {self.of - 1} apart")
        if list(self.ids) != sorted(set(self.ids)):
            raise BadInput("shortlist: ids must ascend, each once; give sorted(set(ids))")

    @classmethod
    def read(cls, manifest: Mapping[str, Any]) -> Shortlist | None:
        """Return that of a file by its manifest, None for one that tells all tokens apart."""
        told = manifest.get("shortlist")
        return cls(**told) if told else None

    def facts(self) -> dict[str, Any]:
        """Return what a manifest says of it."""
        return {**asdict(self), "ids": list(self.ids)}

    def cut(self, values: np.ndarray) -> np.ndarray:
        """Return what is kept along the last axis, (..., of) -> (..., n)."""
        return values[..., list(self.ids)]

    def widened(self, answers: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return answers with the output as if nothing had been cut, (..., n) -> (..., of): -inf of what was left out.

        So whoever decodes, judges or asks for chances needs to know of no shortlist.
        """
        if self.output not in answers:
            return dict(answers)
        kept = answers[self.output]
        whole = np.full((*kept.shape[:-1], self.of), -np.inf, kept.dtype)
        whole[..., list(self.ids)] = kept
        return {**answers, self.output: whole}


__all__ = ["OUTPUT", "Shortlist"]

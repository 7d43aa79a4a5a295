"""What a kernel asks of an operator beside its types: bounds on options and shapes, as data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from .graph import Operator

Kind = Literal["option"]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Limit:
    """A bound on operators. kind: what it is on; says: the bound in words."""

    operators: tuple[str, ...]
    kind: Kind
    says: str
    at_most: int | None = None
    option: str = ""


def exceeded(operator: Operator, limits: Sequence[Limit]) -> str:
    """Return which of `limits` an operator exceeds, in words, or "" for none."""
    for limit in limits:
        if operator.op in limit.operators and KINDS[limit.kind](operator, limit):
            return limit.says
    return ""


def _option(operator: Operator, limit: Limit) -> bool:
    return limit.at_most is not None and operator.options.get(limit.option, 0) > limit.at_most


KINDS: dict[str, Callable[[Operator, Limit], bool]] = {"option": _option}

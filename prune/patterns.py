"""Which weights of a kernel go together: single ones, N of each M, blocks, rows. Imports no Keras."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import BadInput

ALLOWED = "unstructured, N:M (2:4 keeps 2 of each 4), block:ROWSxCOLUMNS (block:1x4), row"
_N_OF_M = re.compile(r"(\d+):(\d+)")
_BLOCK = re.compile(r"block:(\d+)x(\d+)")


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """A pattern on a kernel as the matrix (inputs, outputs) that it is to the product.

    unit: rows and columns of what stays or goes as a whole; None columns: all of them. group: how many units along the
    inputs each lose the same number; None: all units of the kernel are one group. keeps: how many of a group stay,
    where the pattern itself says so.
    """

    name: str
    unit: tuple[int, int | None] = (1, 1)
    group: int | None = None
    keeps: int | None = None

    @classmethod
    def of(cls, name: str) -> Pattern:
        """Return the pattern of that name.  Raises: BadInput naming what is allowed."""
        if name == "unstructured":
            return cls(name=name)
        if name == "row":
            return cls(name=name, unit=(1, None))
        if found := _BLOCK.fullmatch(str(name)):
            rows, columns = map(int, found.groups())
            if rows * columns > 1:
                return cls(name=name, unit=(rows, columns))
        if found := _N_OF_M.fullmatch(str(name)):
            keeps, group = map(int, found.groups())
            if 0 < keeps < group:
                return cls(name=name, group=group, keeps=keeps)
        raise BadInput(f"PruneConfig: pattern={name!r} is unknown; allowed: {ALLOWED}")

    @property
    def sparsity(self) -> float | None:
        """What the pattern says of the share of zeros, in [0, 1); None if it leaves that open."""
        return None if self.keeps is None or self.group is None else (self.group - self.keeps) / self.group

    @property
    def of_tables(self) -> bool:
        """Tell if it is a pattern of what is looked up only."""
        return self.unit[1] is None

    @property
    def of_products(self) -> bool:
        """Tell if it is a pattern of what is multiplied only."""
        return self.group is not None or (not self.of_tables and self.unit != (1, 1))

"""What a change of scale or bits is called: a place of its own. Nobody else puts its name together or splits it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_ENDING = "requantize"
_BITS = re.compile(r"(?P<whose>.+)/(?P<bits>\d+)_bits")


@dataclass(frozen=True)
class Conversion:
    """The place of a conversion. whose: after which place it is called.

    bits: of what it makes, where those are others than before: then it is called after what made the values, whoever
    reads them first. None where only the scale is another: then it is called after what asks for that.
    """

    whose: str
    bits: int | None = None

    @classmethod
    def read(cls, place: str) -> Conversion:
        """Return what `str` of it gave."""
        whose = place.removesuffix(f"/{_ENDING}")
        found = _BITS.fullmatch(whose)
        return cls(found["whose"], int(found["bits"])) if found else cls(whose)

    def __str__(self) -> str:
        return "/".join([self.whose, *([] if self.bits is None else [f"{self.bits}_bits"]), _ENDING])

    def after(self, whose: str) -> Conversion:
        """Return the place of such a conversion of what another place made."""
        return replace(self, whose=whose)

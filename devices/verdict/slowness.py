"""Why a file is slow on a device, as far as what the device says of its processor tells."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

REASONS = (  # precisions that suffer, what the processor lacks (`agent.machine.lacking`), in words
    (r"w\d(a8)?", "VNNI", "this CPU has no VNNI"),
    (r"w\da8", "dot products", "this CPU has no dot products of bytes (asimddp)"),
    (r"float16", "half precision", "this CPU has no arithmetic of half precision (asimdhp)"),
)


def why_slow(precision: str | None, environment: Mapping[str, Any]) -> str:
    """Return what of the processor explains that a file is slower than float, or "" where nothing known does.

    precision: as results have it, "w8a8-qat". environment: of the run; what its processor lacks is in `lacks`.
    """
    bits, lacks = (precision or "").partition("-")[0], environment.get("lacks") or ()
    return next((why for those, what, why in REASONS if what in lacks and re.fullmatch(those, bits)), "")

"""Why a file is slow on a device, as far as what the device says of its processor tells."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

REASONS = (  # precisions that suffer, what the processor lacks (`agent.machine.lacking`), in words
    (r"w\d(a8)?", "VNNI", "this CPU has no VNNI"),
    (r"w\da8", "dot products", "this CPU has no dot products of bytes (asimddp)"),
    (r"float16", "half precision", "this CPU has no arithmetic of half precision (asimdhp)"),
)


KERNELS = (  # machine, integer operator of a .tflite file, in words
    ("x86_64", "SOFTMAX", "here an int8 softmax runs outside XNNPACK, --target cpu-x86 leaves softmax in float"),
)


def why_slow(precision: str | None, environment: Mapping[str, Any], layers: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return what of the processor or its kernels explains that a file is slower than float, "" where nothing does.

    precision: as results have it, "w8a8-qat". environment: of the run; what its processor lacks is in `lacks`. layers:
    the file's operators, as `Run.layers` has them.
    """
    bits, lacks = (precision or "").partition("-")[0], environment.get("lacks") or ()
    found = [why for those, what, why in REASONS if what in lacks and re.fullmatch(those, bits)]
    machine = str(environment.get("system", "")).rpartition(" ")[2]
    integers = {layer["op"] for layer in layers if layer["dtype"] == "int8"}
    found += [why for where, operator, why in KERNELS if where == machine and operator in integers]
    return next(iter(found), "")

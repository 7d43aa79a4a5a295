"""A program that also gives away what it computes on the way, for looking where a device departs from training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..quantize.graph.nodes import Tensor
from .lower import Array, Operator, Program


def probed(program: Program, tensors: Sequence[Tensor]) -> Program:
    """Return `program` with one output in place of its own: the real values of `tensors`, flattened, one after another.

    Shapes: (1, sum of sizes) float32.  Raises: KeyError for a tensor that the program does not hold.
    """
    extra, parts = [], []
    for index, leaf in enumerate(tensors):
        array = program.arrays[id(leaf)]
        if array.scale is not None:
            real = Array(f"probe_{index}", array.shape, "float32")
            extra.append(Operator("DEQUANTIZE", [array], [real]))
            array = real
        size = int(np.prod(array.shape))
        shape = Array(f"probe_{index}.shape", (2,), "int32", data=np.array([1, size], np.int32))
        flat = Array(f"probe_{index}.flat", (1, size), array.dtype)
        extra.append(Operator("RESHAPE", [array, shape], [flat], {"shape": (1, size)}))
        parts.append(flat)
    everything = Array("output_0", (1, sum(part.shape[1] for part in parts)), "float32")
    joined = Operator("CONCATENATION", parts, [everything], {"axis": 1})
    return Program(program.name, program.inputs, [everything], [*program.operators, *extra, joined], program.arrays)

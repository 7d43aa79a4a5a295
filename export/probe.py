"""A program that also gives away what it computes on the way, for looking where a device departs from training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..quantize.graph.nodes import Tensor
from .program import Array, Concatenate, Dequantize, Operator, Program, Reshape


def probed(program: Program, tensors: Sequence[Tensor]) -> Program:
    """Return `program` with one output in place of its own: the real values of `tensors`, flattened, one after another.

    Shapes: (1, sum of sizes) float32.  Raises: KeyError for a tensor that the program does not hold.
    """
    extra: list[Operator] = []
    parts: list[Array] = []
    for index, tensor in enumerate(tensors):
        array = program.arrays[id(tensor)]
        if array.scale is not None:
            real = Array(f"probe_{index}", array.shape, "float32")
            extra.append(Dequantize([array], [real]))
            array = real
        shape = (1, int(np.prod(array.shape)))
        parts.append(Array(f"probe_{index}.flat", shape, array.dtype))
        extra.append(Reshape([array], [parts[-1]], shape=shape))
    everything = Array("output_0", (1, sum(part.shape[1] for part in parts)), "float32")
    joined = Concatenate(parts, [everything], axis=1)
    return Program(program.name, program.inputs, [everything], [*program.operators, *extra, joined], program.arrays)

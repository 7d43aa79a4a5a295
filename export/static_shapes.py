"""The shape of every activation of a plan when the batch holds one sample."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from ..errors import BadInput
from ..keras_internals import abstract_outputs
from ..quantize.graph.nodes import Tensor
from ..quantize.placement import Plan


def shapes_of_one(plan: Plan) -> dict[int, tuple[int, ...]]:
    """Return the shape of each activation, by the id of its tensor; nothing is computed.

    The first size is not always 1 then: images cut into windows may have all of them there.
    Raises: BadInput for an operation that does not return what Keras announces.
    """
    inputs = plan.graph.inputs
    shapes: dict[int, tuple[int, ...]] = {}

    def note(tensor: Tensor, value: Any, op_type: str) -> Any:
        shapes[id(tensor)] = _known(tensor, value, op_type)
        return value

    def forward(*values: Any) -> list[Any]:
        held = {id(tensor): note(tensor, value, "input") for tensor, value in zip(inputs, values, strict=True)}
        for node in (node for fused in plan.operators for node in fused.nodes):
            results = node.run(
                lambda tensor: held[id(tensor)] if id(tensor) in held else ops.convert_to_tensor(tensor.value)
            )
            for tensor, value in zip(node.outputs, results, strict=True):
                held[id(tensor)] = note(tensor, value, node.op_type)
        return list(held.values())

    sample = [
        keras.KerasTensor([1 if size is None else size for size in tensor.shape], tensor.dtype) for tensor in inputs
    ]
    abstract_outputs(forward, *sample)
    return shapes


def _known(tensor: Tensor, value: Any, op_type: str) -> tuple[int, ...]:
    """Return the shape of `value`, as far as it is known, else that of `tensor`.  Raises: BadInput if they differ."""
    known = tuple(size if real is None else real for size, real in zip(tensor.shape, value.shape, strict=False))
    announced = tuple(real if size is None else size for size, real in zip(tensor.shape, known, strict=False))
    if len(tensor.shape) != len(value.shape) or known != announced:
        raise BadInput(
            f"operation {tensor.name} ({op_type}) returns shape {tuple(value.shape)}, but Keras announces "
            f"{tuple(1 if size is None else size for size in tensor.shape)} for it: leave it out of the model"
        )
    return known  # type: ignore[return-value]  # a batch of 1 leaves none open

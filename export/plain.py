"""Float files: by the converters, or of the operations that an int8 file would have, where those cannot write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import ops

from ..errors import EdgewrightError
from ..quantize.graph.nodes import Tensor
from ..quantize.graph.tracing import trace
from ..quantize.passes.canonicalize import canonicalize
from ..quantize.placement import FusedOp, Scale, place
from .convert import convert, freeze, inputs_of
from .facts import Facts, of_file
from .layouts import Layout, channels_first
from .lower import lower
from .onnx_writer import write_onnx
from .reference import float_reference
from .states import states_of
from .verify import verify


class PlainGraph:
    """The plan of a model that stays in float, and its weights as they are."""

    def __init__(self, model: keras.Model):
        self.plan = place(canonicalize(trace(model)), lambda node: (None, "the file is float"))

    def weight(self, tensor: Tensor) -> Any:
        """Return the value of a weight or constant."""
        return ops.convert_to_tensor(tensor.value)

    def range(self, scale: Scale) -> tuple[Any, Any]:
        """Nothing has a range in float."""
        raise AssertionError(f"{scale.name} has no range: the file is float")

    def kernel_scale(self, fused: FusedOp, kernel: Any, bits: int) -> Any:
        """No kernel has a scale in float."""
        raise AssertionError(f"{fused.name} has no scale: the file is float")


def float_file(
    model: keras.Model,
    format: str,
    precision: str = "float32",
    samples: Sequence[np.ndarray] = (),
    states: Mapping[str, str] | None = None,
    layout: Layout = "nhwc",
) -> tuple[bytes, Facts, dict[str, Any]]:
    """Convert `model` in a float precision, or write it operation by operation; return the file, what it is, and how it
    was verified.

    Raises: BadInput for open dimensions, answers of NaN, `states` that are none, or if the backend is not TensorFlow;
    EdgewrightError where neither way gives a file that answers as the model does.
    """
    frozen = freeze(model)
    reference = float_reference(model, len(frozen.outputs), samples)
    carried = states_of(model, reference.inputs, reference.outputs, states)
    reference.answers()
    names = reference.inputs, reference.outputs
    shapes = {name: spec.shape for name, spec in zip(reference.inputs, inputs_of(model), strict=True)}
    first = channels_first(layout, shapes, carried, model.name)

    def checked(data: bytes) -> tuple[bytes, Facts, dict[str, Any]]:
        verdict = verify(data, format, precision, reference, first=first)
        return data, of_file(data, format, inputs_of(model), reference.outputs, carried, first), verdict

    def written() -> bytes:
        if format == "onnx":
            plain = lower(PlainGraph(model), model.name, inputs=reference.inputs, outputs=reference.outputs)
            return write_onnx(replace(plain, channels_first=[each for each in plain.inputs if each.name in first]))
        return convert(freeze(model, rewritten=True), format, precision, names=names)

    try:
        return checked(convert(frozen, format, precision, names=names, first=first))
    except EdgewrightError as failure:
        try:
            return checked(written())
        except EdgewrightError:
            raise failure from None  # its words are about the model as it was given

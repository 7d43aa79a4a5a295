"""Float files: by the converters, or of the operations that an int8 file would have, where those cannot write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from ..errors import EdgewrightError
from ..quantize.graph.nodes import Tensor
from ..quantize.graph.tracing import trace
from ..quantize.passes.canonicalize import canonicalize
from ..quantize.placement import place
from .convert import convert, freeze, inputs_of
from .lower import lower
from ..ends import input_names
from .onnx_writer import write_onnx
from .subject import float_subject
from .verify import verify


class PlainGraph:
    """The plan of a model that stays in float, and its weights as they are."""

    def __init__(self, model: keras.Model):
        self.plan = place(canonicalize(trace(model)), lambda node: (None, "the file is float"))

    def weight(self, leaf: Tensor) -> Any:
        """Return the value of a weight or constant."""
        return ops.convert_to_tensor(leaf.value)


def float_file(
    model: keras.Model, format: str, precision: str = "float32", samples: Sequence[np.ndarray] = ()
) -> tuple[bytes, dict[str, Any]]:
    """Convert `model` in a float precision, or write it operation by operation; return the file and what to say of it.

    Raises: BadInput for open dimensions, answers of NaN, or if the backend is not TensorFlow; EdgewrightError where
    neither way gives a file that answers as the model does.
    """
    frozen = freeze(model)
    subject = float_subject(model, len(frozen.outputs), samples)
    subject.answers()
    names = input_names(model), subject.outputs

    def checked(data: bytes) -> tuple[bytes, dict[str, Any]]:
        verdict = verify(data, format, precision, subject)
        return data, {"inputs": inputs_of(model), "outputs": subject.described(), "layers": [], **verdict}

    def written() -> bytes:
        if format == "onnx":
            return write_onnx(lower(PlainGraph(model), model.name, **subject.names))
        return convert(freeze(model, rewritten=True), format, precision, names=names)

    try:
        return checked(convert(frozen, format, precision, names=names))
    except EdgewrightError as failure:
        try:
            return checked(written())
        except EdgewrightError:
            raise failure from None  # its words are about the model as it was given

"""Models with open dimensions, such as images of any size, and what fixes them: a device's memory is planned ahead."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from ..copies import copy_model
from ..errors import BadInput
from ..untyped import tree
from .graph.tracing import symbolic_inputs


def fix_shapes(model: keras.Model, shapes: Sequence[tuple[int, ...]]) -> keras.Model:
    """Return a copy of `model`, weights included, that takes samples of `shapes` only; itself if nothing was open.

    shapes: one an input, in the order of the inputs, without the batch.
    Raises: BadInput if there are more or fewer, or one does not fit.
    """
    asked = symbolic_inputs(model)
    leaves = tree.flatten(asked)
    if not any(None in leaf.shape[1:] for leaf in leaves):
        return model
    if len(leaves) != len(shapes):
        raise BadInput(f"{len(shapes)} shapes for model {model.name!r}, which has {len(leaves)} inputs; give one each")
    for leaf, shape in zip(leaves, shapes, strict=True):
        own = tuple(leaf.shape[1:])
        if len(own) != len(shape) or any(size not in (None, given) for size, given in zip(own, shape, strict=True)):
            raise BadInput(f"samples of shape {tuple(shape)} do not fit input {leaf.name!r} of {model.name!r}: {own}")
    fixed = [keras.Input(shape, dtype=leaf.dtype, name=leaf.name) for leaf, shape in zip(leaves, shapes, strict=True)]
    inputs = tree.pack_sequence_as(asked, fixed)
    if not isinstance(model, keras.Sequential) and not hasattr(model, "operations"):  # subclassed
        return keras.Model(inputs, model(inputs), name=model.name)
    return copy_model(model, inputs)

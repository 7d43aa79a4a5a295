"""Files with a lexical shortlist: the layer that makes logits, cut to the rows of some tokens.

What is quantized is cut as an integer program, behind calibration and training: the rows that are left keep their
integers, scales and zero points, and answer bit for bit what they did. A float network is cut before it is converted.
A table that is looked up and read as an output layer too is left whole for looking up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import layers, tree

from ..copies import copy_model
from ..ends import output_names
from ..errors import BadInput
from ..keras_internals import maker_of
from ..shortlists import OUTPUT, Shortlist
from .program import Array, BatchMatmul, Dequantize, FullyConnected, Operator, Program, Quantize, Reshape

PRODUCTS = (FullyConnected, BatchMatmul)  # the latter of a table that tokens are looked up in too
REMEDY = "leave the shortlist out"


def shortlist_of(model: keras.Model, ids: Sequence[int] | None) -> Shortlist | None:
    """Return what is to be left of the logits of a model, None for all.  Raises: BadInput."""
    if ids is None:
        return None
    outputs = tree.flatten(model.outputs)
    names = output_names(model, len(outputs))
    if OUTPUT not in names:
        raise BadInput(f"shortlist: model {model.name!r} has no output {OUTPUT!r}, it has {', '.join(names)}; {REMEDY}")
    if isinstance(ids, str) or not isinstance(ids, Sequence | np.ndarray):
        raise BadInput(f"shortlist={ids!r}: give the ids of the tokens to keep, as (0, 1, 2, 3, 17)")
    return Shortlist(ids=tuple(ids), of=outputs[names.index(OUTPUT)].shape[-1])


# ---------------------------------------------------------------- float networks


def cut_network(model: keras.Model, shortlist: Shortlist) -> keras.Model:
    """Return a copy of a float network whose output tells the tokens of the shortlist apart.

    Raises: BadInput where no dense layer or table makes it.
    """
    copy = copy_model(model)
    outputs = tree.flatten(copy.output)
    place = output_names(copy, len(outputs)).index(shortlist.output)
    node = maker_of(outputs[place])
    while node is not None and isinstance(node.operation, layers.Identity):
        node = maker_of(node.input_tensors[0])
    if node is None:
        raise _unknown(shortlist, model.name, "an input")
    kernel, bias, activation = _weights_of(model, node.operation, shortlist)
    (read,) = node.input_tensors
    made = layers.Dense(len(shortlist.ids), activation, use_bias=bias is not None, name=f"{shortlist.output}_kept")
    outputs[place] = made(read)
    made.set_weights([shortlist.cut(each) for each in (kernel, bias) if each is not None])
    return keras.Model(copy.input, tree.pack_sequence_as(copy.output, outputs), name=model.name)


def _weights_of(model: keras.Model, layer: Any, shortlist: Shortlist) -> tuple[np.ndarray, np.ndarray | None, Any]:
    """Return kernel (in, of), bias and activation of what makes the output."""
    if isinstance(layer, layers.Dense):
        return np.asarray(layer.kernel), np.asarray(layer.bias) if layer.use_bias else None, layer.activation
    if isinstance(layer, layers.ReversibleEmbedding) and layer.logit_soft_cap is None:
        return np.asarray(layer.embeddings).T if layer.tie_weights else np.asarray(layer.reverse_embeddings), None, None
    raise _unknown(shortlist, model.name, layer.name)


def _unknown(shortlist: Shortlist, model: str, maker: str) -> BadInput:
    return BadInput(
        f"shortlist: output {shortlist.output!r} of model {model!r} is made by {maker}, and not by a dense layer alone "
        f"whose rows are its tokens; {REMEDY}"
    )


# ---------------------------------------------------------------- integer programs


def cut_program(program: Program, shortlist: Shortlist) -> Program:
    """Return a program whose output tells the tokens of the shortlist apart, by the integers that it had for them.

    Raises: BadInput where no dense layer makes the output, or its logits are used otherwise too.
    """
    (whole,) = (array for array in program.outputs if array.name == shortlist.output)
    made = {id(array): operator for operator in program.operators for array in operator.outputs}
    way, array = [], whole
    while not (way and isinstance(way[-1], PRODUCTS)):
        operator = made.get(id(array))
        readers = sum(array is other for each in program.operators for other in each.inputs)
        if operator is None or readers != bool(way) or not _keeps_tokens(operator, shortlist.of):
            raise _unknown(shortlist, program.name, "an input" if operator is None else type(operator).__name__)
        way.append(operator)
        array = operator.inputs[0]
    short = {id(each.outputs[0]): _narrow(each.outputs[0], shortlist) for each in way}
    cut = {id(each): _cut(each, short, shortlist) for each in way}
    return replace(
        program,
        outputs=[short.get(id(array), array) for array in program.outputs],
        operators=[cut.get(id(each), each) for each in program.operators],
    )


def _keeps_tokens(operator: Operator, of: int) -> bool:
    """Tell whether an operator makes logits of activations, or hands them on with the tokens along the last axis."""
    if isinstance(operator, PRODUCTS):
        return all(constant.data is not None for constant in operator.inputs[1:])
    passes = isinstance(operator, Quantize | Dequantize | Reshape)
    return passes and operator.inputs[0].shape[-1:] == operator.outputs[0].shape[-1:] == (of,)


def _narrow(array: Array, shortlist: Shortlist) -> Array:
    return replace(array, shape=(*array.shape[:-1], len(shortlist.ids)))


def _cut(operator: Operator, short: dict[int, Array], shortlist: Shortlist) -> Operator:
    outputs = [short[id(operator.outputs[0])]]
    first, *others = operator.inputs
    turned = isinstance(operator, BatchMatmul) and operator.transposed
    inputs = [short.get(id(first), first), *(_rows(array, shortlist, turned) for array in others)]
    if isinstance(operator, Reshape):
        return replace(operator, inputs=inputs, outputs=outputs, shape=outputs[0].shape)
    return replace(operator, inputs=inputs, outputs=outputs)


def _rows(constant: Array, shortlist: Shortlist, turned: bool) -> Array:
    """Return what is kept of a kernel (in, of), `turned` (of, in), or of a bias (of,), with the scales of that."""
    data, scale = constant.values, constant.scale
    data = np.swapaxes(shortlist.cut(np.swapaxes(data, -1, -2)), -1, -2) if turned else shortlist.cut(data)
    if scale is not None and len(scale) > 1:
        scale = shortlist.cut(scale)
    return replace(constant, name=f"{constant.name}.kept", shape=data.shape, data=data, scale=scale)

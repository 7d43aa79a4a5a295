"""The one way to copy a Keras model: layer for layer, with all of the state that a layer keeps.

`clone_model` and `set_weights` are not enough. A model that has its layers as attributes lists its weights in another
order than its clone, and what an adapted layer knows (the mean of a Normalization, a vocabulary) is no weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, ops, tree

from .backends import computed
from .errors import BadInput
from .keras_internals import layers_in, made_again, own_trainable, sharing

PROBE = 64  # a size for what a model leaves open
SAME = 1e-5  # of the largest output: a copy computes the same, but perhaps in another order


def copy_model(model: keras.Model, inputs: Sequence[KerasTensor] | None = None) -> keras.Model:
    """Return a copy of `model`, not compiled, that computes the same.

    inputs: symbolic tensors, flat, to build a functional model on in place of its own.
    Raises: BadInput if a layer cannot be made again from its configuration, or if the copy computes something else.
    """
    pairs: list[tuple[keras.Layer, keras.Layer]] = []

    def clone(layer: keras.Layer) -> keras.Layer:
        made = made_again(layer, layer.get_config())
        if isinstance(layer, keras.Layer):  # an operation of keras.ops is cloned too, and has no state
            pairs.append((layer, made))
        return made

    is_graph = isinstance(model, keras.Sequential) or hasattr(model, "operations")
    compiled, model.compiled = model.compiled, False  # the user's own loss or metric may not be serializable
    try:
        if is_graph:
            with sharing(layers_in(model, itself=False)):
                copy = keras.models.clone_model(model, clone_function=clone, input_tensors=inputs, recursive=True)
        else:
            copy = type(model).from_config(model.get_config())
            _call_once(copy, model)
            pairs.append((model, copy))
    except (ValueError, TypeError, NotImplementedError, AttributeError) as error:
        first = str(error).strip().partition("\n")[0]
        raise BadInput(
            f"model {model.name!r} cannot be copied: {first}. Build it with the functional API; "
            f"layers of your own need get_config()"
        ) from error
    finally:
        model.compiled = compiled
    for layer, made in pairs:
        copy_state(layer, made)
    _check(model, copy)
    return copy


def _call_once(copy: keras.Model, model: keras.Model) -> None:
    """Let a subclassed model make its weights, on symbolic inputs like those of `model`."""
    copy(tree.map_structure(lambda x: keras.Input(x.shape[1:], dtype=x.dtype, name=x.name), model.input))


def twins(model: keras.Model, copy: keras.Model) -> dict[int, keras.Variable]:
    """Return the trainable weights of a copy by the ids of those of `model`; paths may be alike, in cells for one."""
    pairs = zip(layers_in(model), layers_in(copy), strict=True)
    both = (pair for layers in pairs for pair in zip(*map(own_trainable, layers), strict=True))
    return {id(weight): other for weight, other in both}


def copy_state(layer: keras.Layer, made: keras.Layer) -> None:
    """Give `made` and all layers inside it the state of `layer`: weights and whatever else a layer saves.

    Raises: BadInput if the two are built otherwise.
    """
    inside = [list(layers_in(each)) for each in (layer, made)]
    if [type(one) for one in inside[0]] != [type(one) for one in inside[1]]:
        raise BadInput(
            f"layer {layer.name!r} is not built again as it was: give it a get_config() with all it was made with"
        )
    for old, new in zip(*inside, strict=True):
        state: dict[str, Any] = {}
        old.save_own_variables(state)
        if not state:
            continue
        shapes = {name: np.shape(value) for name, value in state.items()}
        own: dict[str, Any] = {}
        new.save_own_variables(own)
        if {name: np.shape(value) for name, value in own.items()} != shapes:
            raise BadInput(
                f"layer {old.name!r} is not built again as it was: give it a get_config() with all it was made with"
            )
        new.load_own_variables({name: np.array(ops.convert_to_numpy(value)) for name, value in state.items()})


def _check(model: keras.Model, copy: keras.Model) -> None:
    """Compare the two on one made-up sample, where their inputs are alike and known."""
    try:
        asked, given = model.input, copy.input
    except (AttributeError, ValueError):
        return
    leaves = tree.flatten(given)
    random = np.random.default_rng(0)
    sample = [
        random.uniform(0, 1, (leaf.shape[0] or 1, *(size or PROBE for size in leaf.shape[1:]))).astype(leaf.dtype)
        for leaf in leaves
    ]
    results = []
    for one, structure in ((model, asked), (copy, given)):
        try:
            given = tree.pack_sequence_as(structure, [ops.convert_to_tensor(x) for x in sample])
            outputs = computed(lambda one=one, given=given: one(given, training=False))
        except Exception:  # made-up sizes do not fit every model, and a model may draw random numbers
            return
        results.append([np.asarray(ops.convert_to_numpy(leaf)) for leaf in tree.flatten(outputs)])
    for want, got in zip(*results, strict=True):
        bound = SAME * max(1.0, float(np.abs(want.astype(np.float64)).max(initial=0.0)))
        if want.shape != got.shape or not np.allclose(want, got, rtol=0, atol=bound, equal_nan=True):
            raise BadInput(
                f"model {model.name!r} cannot be copied: its copy computes something else. Layers of your own need a "
                "get_config() with all that they were made with, and save what they know as weights"
            )

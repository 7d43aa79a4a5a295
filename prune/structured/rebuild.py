"""A model put together again of narrower parts: an ordinary Keras model with the weights that are left."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from ...copies import copy_state
from ...errors import BadInput
from ...keras_internals import made_again, run_graph, sharing
from ...untyped import ops, tree
from .parts import is_composed, operations_in, without_training
from .solve import Recipe, merged


class Builder:
    """Makes each layer once, where it is met first, and models inside a model by the same way.

    recipes: by id of a layer or operation, how it is made otherwise than it was; left_of: gives the weights of such a
    layer. passing: by id, which leaf of its arguments a layer or operation is left out for.
    """

    def __init__(
        self,
        recipes: Mapping[int, Recipe] = MappingProxyType({}),
        left_of: Callable[[Any], list[np.ndarray]] = lambda layer: [],
        passing: Mapping[int, int] = MappingProxyType({}),
    ):
        self.recipes, self.left_of, self.passing = recipes, left_of, passing
        self.made: dict[int, Any] = {}
        self.pairs: list[tuple[Any, Any]] = []

    def build(self, model: keras.Model) -> keras.Model:
        """Return `model` made again, with its weights."""
        inputs = tree.map_structure(
            lambda x: keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name), _inputs(model)
        )
        with sharing(operations_in(model) if is_composed(model) else ()):
            made = self._compose(model, inputs) if is_composed(model) else self._operation(model)
        if not is_composed(model):
            made(inputs)
        for old, new in self.pairs:
            self._fill(old, new)
        return made

    def _compose(self, model: Any, inputs: Any) -> keras.Model:
        if isinstance(model, keras.Sequential):
            given = tree.flatten(inputs)
            made = keras.Sequential(given, name=model.name)
            for layer in (each for each in model.layers if id(each) not in self.passing):
                made.add(self._inner(layer, lambda made=made: (tuple(made.outputs),)))
            return made
        outputs = run_graph(model, tree.flatten(inputs), lambda operation: operation, self._call)
        return keras.Model(inputs, outputs, name=model.name)

    def _call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        if id(operation) in self.passing:
            return tree.flatten((args, without_training(kwargs)))[self.passing[id(operation)]]
        made = self._inner(operation, lambda: args)
        if id(operation) in self.recipes:
            recipe = self.recipes[id(operation)]
            args, kwargs = merged((args, kwargs), (recipe.args, recipe.kwargs))
        return made(*args, **kwargs)

    def _inner(self, operation: Any, args: Any) -> Any:
        """Return what stands for a layer, an operation or a model of the old model."""
        if id(operation) in self.made:
            return self.made[id(operation)]
        if not is_composed(operation):
            return self._operation(operation)
        given = tree.flatten(args()[0])
        fresh: list[Any] = [keras.Input(batch_shape=(None, *leaf.shape[1:]), dtype=leaf.dtype) for leaf in given]
        own = _inputs(operation)
        named = [keras.Input(batch_shape=leaf.shape, dtype=leaf.dtype, name=old.name)
                 for leaf, old in zip(fresh, tree.flatten(own), strict=True)]  # fmt: skip
        made = self._compose(operation, tree.pack_sequence_as(own, named))
        made.trainable = operation.trainable
        self.made[id(operation)] = made
        return made

    def _operation(self, operation: Any) -> Any:
        recipe = self.recipes.get(id(operation))
        config = operation.get_config() if recipe is None else copy.deepcopy(recipe.config)
        made = self.made[id(operation)] = made_again(operation, config)
        if isinstance(made, keras.Layer):
            self.pairs.append((operation, made))
        return made

    def _fill(self, old: Any, new: Any) -> None:
        """Give a layer what is left of its weights, and all of its state if nothing was cut."""
        if id(old) not in self.recipes:
            copy_state(old, new)
            return
        for variable, value in zip(new.variables, self.left_of(old), strict=True):
            if tuple(variable.shape) != value.shape:
                raise BadInput(f"layer {old.name!r} is not built again as it was: give it a get_config()")
            variable.assign(ops.convert_to_tensor(value))


def _inputs(model: Any) -> Any:
    """Return the symbolic inputs of a model as it takes them."""
    if isinstance(model, keras.Sequential):
        return model.inputs[0] if len(model.inputs) == 1 else model.inputs
    return model.input

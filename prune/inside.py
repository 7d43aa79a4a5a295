"""A model that trains another one on values made for it in place of some of its weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
from keras import KerasTensor

from ..errors import WrongOrder
from ..keras_internals import layers_in, value_of
from ..untyped import ops, tree


class ModelInside(keras.Model):
    """Around `inner`: what it computes is what `inner` does with the values that `replaced` gives.

    Gradients go through those values into whatever they were made of, on every backend.
    """

    amid = ""  # what the model inside is in the middle of: "is being pruned"
    remedy = ""  # the call that gives the plain model

    def __init__(self, inner: keras.Model, **kwargs: Any):
        super().__init__(**kwargs)
        self.inner = inner

    # The symbolic ends are those of the model inside.
    input = property(lambda self: self.inner.input)
    inputs = property(lambda self: self.inner.inputs)
    output = property(lambda self: self.inner.output)
    outputs = property(lambda self: self.inner.outputs)
    input_shape = property(lambda self: self.inner.input_shape)
    output_shape = property(lambda self: self.inner.output_shape)

    def replaced(self, training: bool | None) -> Iterable[tuple[keras.Variable, Any]]:
        """Return variables of `inner` with the values that stand in for theirs."""
        raise NotImplementedError

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Run the model inside on the values made for it."""
        # Keras itself never calls with symbolic tensors; who traces the model to quantize or export it does.
        if any(isinstance(leaf, KerasTensor) for leaf in tree.flatten(inputs)):
            raise WrongOrder(f"model {self.name!r} {self.amid}: call {self.remedy} first")
        values = {id(variable): value_of(variable) for variable in self.inner.variables}
        values |= {id(variable): value for variable, value in self.replaced(training)}
        given = [(variable, values[id(variable)]) for variable in self.inner.variables]
        with keras.StatelessScope(given, collect_losses=True) as scope:
            outputs = self.inner(inputs, training=training)
        if scope.losses:  # as one new tensor: the inner layers know the old ones as theirs, and would count them again
            self.add_loss(ops.sum(ops.stack(scope.losses)))
        for variable in self.inner.non_trainable_variables:
            value = scope.get_current_value(variable)
            if value is not values[id(variable)]:
                variable.assign(value)
        return outputs


def refuse_unfinished(model: keras.Model, verb: str, then: str) -> None:
    """Refuse a model that is in the middle of something, or that has quantizers.

    verb: what was called on it; then: what to call after that, where quantizers were put in too early.
    Raises: WrongOrder with the calls in their order.
    """
    if isinstance(model, ModelInside):
        raise WrongOrder(f"model {model.name!r} {model.amid}: train it, then call {model.remedy} first, then {verb}")
    if any(getattr(layer, "is_quantization_aware", False) for layer in layers_in(model)):
        raise WrongOrder(
            f"model {model.name!r} is quantization-aware: {verb} the model it was made from, then call {then}"
        )

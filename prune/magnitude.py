"""Pruning by magnitude, at once or while training.

While training, the forward pass sees each kernel through its mask, so a masked weight gets no gradient either (Zhu and
Gupta 2017, arXiv:1710.01878). Masks and the step counter are variables of the pruning model and change inside the
compiled step, on TensorFlow and on JAX alike. A constraint on the kernel would do on TensorFlow alone: on JAX the
optimizer runs where the masks have no value.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, ops, tree

from ..copies import copy_model
from ..errors import WrongOrder
from ..keras_internals import layers_in
from .config import PruneConfig, PruneReport
from .selection import select


def prune(model: keras.Model, config: PruneConfig | None = None) -> tuple[keras.Model, PruneReport]:
    """Return a copy of `model` with the smallest weights of each kernel at zero, and a report. `model` is untouched.

    Everything happens at once: the schedule of `config` has no say.
    Raises: BadInput if `config` names a layer that is not there; WrongOrder if `model` is from `prepare_prune` or
    `prepare_qat`.
    """
    _refuse_pruning(model)
    copy = copy_model(model)
    report, chosen = select(copy, config or PruneConfig())
    for kernel, sparsity in chosen:
        values = _value(kernel)
        kernel.assign(_masked(values, _largest(values, zeros(sparsity, values.shape))))
    return copy, report


def prepare_prune(model: keras.Model, config: PruneConfig | None = None) -> tuple[PruningModel, PruneReport]:
    """Return a model to be trained by any learner, whose kernels grow sparse by the schedule, and a report.

    In inference it computes at its final sparsity from the first step on: what is validated is what `strip_prune`
    gives. `model` is untouched.
    Raises: BadInput if `config` names a layer that is not there; WrongOrder if `model` is being pruned already.
    """
    _refuse_pruning(model)
    pruning = PruningModel(copy_model(model), asdict(config or PruneConfig()), name=model.name)
    return pruning, pruning.report


def strip_prune(model: keras.Model) -> keras.Model:
    """Return the plain model at its full sparsity; what the schedule has not cut yet is cut now. `model` is untouched.

    Raises: WrongOrder if `model` is not from `prepare_prune`.
    """
    if not isinstance(model, PruningModel):
        raise WrongOrder(
            f"model {model.name!r} is not being pruned: call pruning, report = prepare_prune(model), "
            f"train it, then strip_prune(pruning)"
        )
    plain = copy_model(model.inner)
    kernels = {kernel.path: kernel for kernel in plain.trainable_variables}
    for mask in model.masks:
        kernels[mask.kernel.path].assign(_masked(_value(mask.kernel), mask.at_inference(model.step)))
    return plain


@keras.saving.register_keras_serializable("edgewright")
class PruningModel(keras.Model):
    """A model under pruning: `inner`, a mask for each pruned kernel, and the number of training steps so far.

    A step is a forward pass in training mode, so that any learner's steps count.
    """

    def __init__(self, inner: keras.Model, config: dict[str, Any], **kwargs: Any):
        super().__init__(**kwargs)
        self.inner = inner
        self.settings = dict(config)
        schedule = PruneConfig.from_dict(config)
        self.report, chosen = select(inner, schedule)
        self.step = self.add_weight(shape=(), initializer="zeros", trainable=False, dtype="int32", name="step")
        self.masks = [MagnitudeMask(self, kernel, sparsity, schedule) for kernel, sparsity in chosen]
        self.built = True

    # The symbolic ends are those of the model inside.
    input = property(lambda self: self.inner.input)
    inputs = property(lambda self: self.inner.inputs)
    output = property(lambda self: self.inner.output)
    outputs = property(lambda self: self.inner.outputs)
    input_shape = property(lambda self: self.inner.input_shape)
    output_shape = property(lambda self: self.inner.output_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Run the model inside on its masked kernels; in training, let the masks follow the schedule first."""
        # Keras itself never calls with symbolic tensors; who traces the model to quantize or export it does.
        if any(isinstance(leaf, KerasTensor) for leaf in tree.flatten(inputs)):
            raise WrongOrder(f"model {self.name!r} is being pruned: call strip_prune(model) first")
        if training:
            for mask in self.masks:
                mask.advance(self.step)
            self.step.assign_add(1)
        values = {id(variable): _value(variable) for variable in self.inner.variables}
        for mask in self.masks:
            keep = _value(mask.keep) if training else mask.at_inference(self.step)
            values[id(mask.kernel)] = _masked(values[id(mask.kernel)], keep)
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

    def get_config(self) -> dict[str, Any]:
        """Return the model inside and the pruning configuration."""
        return {"inner": keras.saving.serialize_keras_object(self.inner), "config": self.settings, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> PruningModel:
        """Build the model again; its masks come with its weights."""
        inner = keras.saving.deserialize_keras_object(config["inner"], custom_objects=custom_objects)
        return cls(inner, config["config"], name=config["name"])


class MagnitudeMask:
    """The mask of one kernel: False where its smallest weights are zeroed. What is zero once stays so."""

    def __init__(self, owner: PruningModel, kernel: keras.Variable, sparsity: float, config: PruneConfig):
        self.kernel, self.sparsity, self.config = kernel, sparsity, config
        name = f"{kernel.path.replace('/', '.')}.mask"
        self.keep = owner.add_weight(shape=kernel.shape, initializer="ones", trainable=False, dtype="bool", name=name)
        self.keep.assign(_value(kernel) != 0)  # zeros of an earlier pruning

    def advance(self, step: Any) -> None:
        """Choose the mask anew if that is due after `step` steps."""
        keep = _value(self.keep)
        count = ops.cast(ops.round(self.share(step) * zeros(self.sparsity, keep.shape)), "int32")
        self.keep.assign(ops.cond(self._due(step), lambda: self._choose(keep, count), lambda: keep))

    def at_inference(self, step: Any) -> Any:
        """Return the mask at full sparsity, which the schedule may still be on its way to."""
        config, keep = self.config, _value(self.keep)
        last = config.begin_step if config.schedule == "constant" else config.end_step
        count = zeros(self.sparsity, keep.shape)
        return ops.cond(_value(step) > last, lambda: keep, lambda: self._choose(keep, count))

    def share(self, step: Any) -> Any:
        """Return the share of the final sparsity due after `step` steps, in [0, 1]. Source: arXiv:1710.01878, eq. 1."""
        config = self.config
        if config.schedule == "constant" or config.end_step == config.begin_step:
            return ops.cast(_value(step) >= config.begin_step, "float32")
        elapsed: Any = ops.cast(step - config.begin_step, "float32")
        progress: Any = ops.clip(elapsed / (config.end_step - config.begin_step), 0.0, 1.0)
        return 1 - (1 - progress) ** 3

    def _due(self, step: Any) -> Any:
        config, step = self.config, _value(step)
        if config.schedule == "constant":
            return step == config.begin_step
        in_stride = ops.logical_or((step - config.begin_step) % config.frequency == 0, step == config.end_step)
        within = ops.logical_and(step >= config.begin_step, step <= config.end_step)
        return ops.logical_and(in_stride, within)

    def _choose(self, keep: Any, count: Any) -> Any:
        return ops.logical_and(keep, _largest(_masked(_value(self.kernel), keep), count))


def zeros(sparsity: float, shape: tuple[int, ...]) -> int:
    """Return how many weights of a tensor are zeroed; at least one is kept, for a layer of zeros computes nothing."""
    size = int(np.prod(shape))
    return min(round(sparsity * size), size - 1)


def _largest(weight: Any, count: Any) -> Any:
    """Return a mask that is False at the `count` smallest magnitudes: exactly as many, whatever is tied."""
    size = int(np.prod(weight.shape))
    order = ops.argsort(ops.reshape(ops.abs(weight), (-1,)))
    rank = ops.scatter(ops.expand_dims(order, -1), ops.arange(size, dtype="int32"), (size,))
    return ops.reshape(rank >= count, weight.shape)


def _value(variable: Any) -> Any:
    return ops.convert_to_tensor(variable)


def _masked(weight: Any, keep: Any) -> Any:
    return ops.where(keep, weight, ops.zeros_like(weight))  # a product would leave zeros of either sign


def _refuse_pruning(model: keras.Model) -> None:
    if isinstance(model, PruningModel):
        raise WrongOrder(f"model {model.name!r} is being pruned already: train it, then call strip_prune(model)")
    if any(getattr(layer, "is_quantization_aware", False) for layer in layers_in(model)):
        raise WrongOrder(
            f"model {model.name!r} is quantization-aware: prune the model it was made from, then call "
            "prepare_qat(pruned, calibration=samples), which keeps the zeros"
        )


__all__ = ["MagnitudeMask", "PruningModel", "prepare_prune", "prune", "strip_prune"]

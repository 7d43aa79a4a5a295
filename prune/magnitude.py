"""Pruning by magnitude, at once or while training.

While training, the forward pass sees each kernel times its mask, so a masked weight gets no gradient either. Masks and step
counters are variables of the pruning model and change inside the compiled step, on TensorFlow and on JAX alike. (A
constraint on the kernel would be applied by the optimizer, but on JAX nothing else than weights survives that step.)
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import keras
import numpy as np
from keras import ops

from ..errors import WrongOrder
from .config import PruneConfig, PruneReport


def prune(model: keras.Model, config: PruneConfig | None = None) -> tuple[keras.Model, PruneReport]:
    """Return a copy of `model` with the smallest weights of each kernel at zero, and a report. `model` is untouched."""
    config = config or PruneConfig()
    copy = _copy(model)
    rows, chosen = _choose(copy, config)
    for kernel, sparsity in chosen:
        values = np.asarray(kernel).copy()
        count = round(sparsity * values.size)
        values.reshape(-1)[np.argsort(np.abs(values), axis=None, kind="stable")[:count]] = 0
        kernel.assign(values)
    return copy, PruneReport(tuple(rows))


def prepare_prune(model: keras.Model, config: PruneConfig | None = None) -> tuple[PruningModel, PruneReport]:
    """Return a model to be trained by any learner, whose kernels grow sparse by the schedule, and a report.

    `strip_prune` gives the plain model back. `model` is untouched. Raises: WrongOrder if `model` is being pruned already.
    """
    if isinstance(model, PruningModel):
        raise WrongOrder(f"model {model.name!r} is being pruned already: train it, then call strip_prune(model)")
    pruning = PruningModel(_copy(model), asdict(config or PruneConfig()), name=model.name)
    return pruning, pruning.report


def strip_prune(model: keras.Model) -> keras.Model:
    """Return the plain model inside, its zeros kept. Raises: WrongOrder if `model` is not from `prepare_prune`."""
    if not isinstance(model, PruningModel):
        raise WrongOrder(f"model {model.name!r} is not being pruned: call pruning, report = prepare_prune(model), train it, then strip_prune(pruning)")  # fmt: skip
    model.apply_masks()
    return _copy(model.inner)


@keras.saving.register_keras_serializable("edgewright")
class PruningModel(keras.Model):
    """A model under pruning: `inner` and, for each pruned kernel, a mask and a step counter among its variables."""

    def __init__(self, inner: keras.Model, config: dict[str, Any], **kwargs: Any):
        super().__init__(**kwargs)
        self.inner = inner
        self.settings = dict(config)
        rows, chosen = _choose(inner, PruneConfig.from_dict(config))
        self.report = PruneReport(tuple(rows))
        self.masks = [MagnitudeMask(self, kernel, sparsity) for kernel, sparsity in chosen]
        self.built = True

    @property
    def inputs(self) -> Any:
        """The symbolic inputs of the model inside."""
        return self.inner.inputs

    @property
    def outputs(self) -> Any:
        """The symbolic outputs of the model inside."""
        return self.inner.outputs

    @property
    def input_shape(self) -> Any:
        """The input shape of the model inside."""
        return self.inner.input_shape

    @property
    def output_shape(self) -> Any:
        """The output shape of the model inside."""
        return self.inner.output_shape

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if training:
            for mask in self.masks:
                mask.advance()
        masked = {id(mask.kernel): mask.kernel * mask.mask for mask in self.masks}
        weights = [masked.get(id(weight), weight.value) for weight in self.inner.trainable_variables]
        state = [variable.value for variable in self.inner.non_trainable_variables]
        outputs, state = self.inner.stateless_call(weights, state, inputs, training=bool(training))
        for variable, value in zip(self.inner.non_trainable_variables, state, strict=True):
            variable.assign(value)
        return outputs

    def apply_masks(self) -> None:
        """Set the masked weights of the model inside to exact zero."""
        for mask in self.masks:
            mask.kernel.assign(mask.kernel * mask.mask)

    def get_config(self) -> dict[str, Any]:
        return {"inner": keras.saving.serialize_keras_object(self.inner), "config": self.settings, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> PruningModel:
        inner = keras.saving.deserialize_keras_object(config["inner"], custom_objects=custom_objects)
        return cls(inner, config["config"], name=config["name"])


class MagnitudeMask:
    """The mask of one kernel, which zeroes its smallest weights by the schedule, and the count of training steps."""

    def __init__(self, owner: PruningModel, kernel: Any, sparsity: float):
        self.kernel = kernel
        self.sparsity = sparsity
        self.config = PruneConfig.from_dict(owner.settings)
        label = kernel.path.replace("/", ".")
        self.mask = owner.add_weight(shape=kernel.shape, initializer="ones", trainable=False, name=f"{label}.mask")
        self.step = owner.add_weight(shape=(), initializer="zeros", trainable=False, dtype="int32", name=f"{label}.step")  # fmt: skip

    def advance(self) -> None:
        """Choose the mask anew if the present step is due, and count the step."""
        config, step = self.config, ops.convert_to_tensor(self.step)
        due = ops.logical_or((step - config.begin_step) % config.frequency == 0, step == config.end_step)
        due = ops.logical_and(due, ops.logical_and(step >= config.begin_step, step <= config.end_step))
        kernel, mask = ops.convert_to_tensor(self.kernel), ops.convert_to_tensor(self.mask)
        self.mask.assign(ops.cond(due, lambda: self.choose(kernel, step), lambda: mask))
        self.step.assign(step + 1)

    def choose(self, weight: Any, step: Any) -> Any:
        """Return the mask that zeroes the share of weights due at `step`, the smallest first."""
        size = int(np.prod(weight.shape))
        count = ops.cast(ops.round(self.share(step) * size), "int32")
        order = ops.argsort(ops.reshape(ops.abs(weight), (-1,)))
        rank = ops.scatter(ops.expand_dims(order, -1), ops.arange(size, dtype="int32"), (size,))
        return ops.reshape(ops.cast(rank >= count, weight.dtype), weight.shape)

    def share(self, step: Any) -> Any:
        """Return the sparsity due at `step`. Source: arXiv:1710.01878, eq. 1, with initial sparsity 0."""
        config = self.config
        if config.schedule == "constant" or config.end_step == config.begin_step:
            return self.sparsity
        progress = ops.cast(step - config.begin_step, "float32") / (config.end_step - config.begin_step)
        return self.sparsity * (1 - (1 - ops.clip(progress, 0.0, 1.0)) ** 3)


def _copy(model: keras.Model) -> keras.Model:
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def _choose(model: keras.Model, config: PruneConfig) -> tuple[list[dict[str, Any]], list[tuple[Any, float]]]:
    """Return the report rows of all trainable weights and the kernels to prune with their final sparsity."""
    rows, chosen, seen = [], [], set()
    for layer in model._flatten_layers(include_self=False):
        for weight in layer._trainable_variables:
            if id(weight) in seen:
                continue
            seen.add(id(weight))
            sparsity, reason = config.sparsity_for(layer.name, type(layer).__name__), ""
            if len(weight.shape) < 2:
                sparsity, reason = None, "biases, scales and offsets are few and matter"
            elif isinstance(layer, keras.layers.Embedding):
                sparsity, reason = None, "a table is looked up, not multiplied: zeros in it save nothing"
            elif sparsity is None:
                reason = "left alone by the configuration"
            rows.append({"name": weight.path, "shape": tuple(weight.shape), "sparsity": sparsity, "reason": reason})
            if sparsity is not None:
                chosen.append((weight, sparsity))
    return rows, chosen


__all__ = ["MagnitudeMask", "PruningModel", "prepare_prune", "prune", "strip_prune"]

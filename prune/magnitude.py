"""Pruning of single weights, groups, blocks and rows, at once or while training.

While training, the forward pass sees each kernel through its mask, so a masked weight gets no gradient either (Zhu and
Gupta 2017, arXiv:1710.01878). Masks and the step counter are variables of the pruning model and change inside the
compiled step, on TensorFlow and on JAX alike. A constraint on the kernel would do on TensorFlow alone: on JAX the
optimizer runs where the masks have no value. What is kept is decided in masks.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import keras

from ..copies import copy_model, twins
from ..errors import BadInput, WrongOrder
from ..keras_internals import value_of
from . import masks
from .config import PruneConfig, PruneReport
from .evidence import refuse_changed_gradients
from .inside import ModelInside, refuse_unfinished
from .masks import Mask, smallest_cut, zeroed
from .selection import select

AFTERWARDS = "prepare_qat(pruned, calibration=samples), which keeps the zeros"


def prune(model: keras.Model, config: PruneConfig | None = None) -> tuple[keras.Model, PruneReport]:
    """Return a copy of `model` with the smallest weights of each kernel at zero, and a report. `model` is untouched.

    Everything happens at once: the schedule of `config` has no say.
    Raises: BadInput if `config` names a layer that is not there or looks at training; WrongOrder if `model` is from
    `prepare_prune` or `prepare_qat`.
    """
    refuse_unfinished(model, "prune", AFTERWARDS)
    config = config or PruneConfig()
    if config.looks_at_training:
        raise BadInput(
            f"PruneConfig: {config.looks_at_training} looks at training, and here is none: give data (edgewright.prune("
            "model, config, data=...), edgewright prune --data ...), or call prepare_prune, train, then strip_prune"
        )
    copy = copy_model(model)
    report, chosen = select(copy, config)
    for one in chosen:
        one.kernel.assign(zeroed(value_of(one.kernel), smallest_cut(one)))
    return copy, report


def prepare_prune(model: keras.Model, config: PruneConfig | None = None) -> tuple[PruningModel, PruneReport]:
    """Return a model to be trained by any learner, whose kernels grow sparse by the schedule, and a report.

    In inference it computes at its final sparsity from the first step on: what is validated is what `strip_prune`
    gives. `model` is untouched.
    Raises: BadInput if `config` names a layer that is not there; WrongOrder if `model` is being pruned already.
    """
    refuse_unfinished(model, "prepare_prune", AFTERWARDS)
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
    kernels = twins(model.inner, plain)
    for mask, value in zip(model.masks, masks.at_inference(model.masks, value_of(model.step)), strict=True):
        kernels[id(mask.kernel)].assign(value)
    return plain


@keras.saving.register_keras_serializable("edgewright")
class PruningModel(ModelInside):
    """A model under pruning: `inner`, a mask for each pruned kernel, and the number of training steps so far.

    A step is a forward pass in training mode, so that any learner's steps count.
    """

    amid, remedy = "is being pruned", "strip_prune(model)"

    def __init__(self, inner: keras.Model, config: dict[str, Any], **kwargs: Any):
        super().__init__(inner, **kwargs)
        self.settings = dict(config)
        plan = PruneConfig.from_dict(config)
        self.report, chosen = select(inner, plan)
        self.step = self.add_weight(shape=(), initializer="zeros", trainable=False, dtype="int32", name="step")
        self.masks = [Mask(self, one, plan, number) for number, one in enumerate(chosen)]
        self.built = True

    def replaced(self, training: bool | None) -> Iterable[tuple[keras.Variable, Any]]:
        """Return the masked kernels; in training, let the masks follow the schedule first."""
        step = value_of(self.step)
        if training:
            if self.compiled and any(mask.looks for mask in self.masks):
                refuse_changed_gradients(self.optimizer)  # not in compile: a model that overrides it is loaded without
            masks.advance(self.masks, step)
            self.step.assign(step + 1)
            return [(mask.kernel, mask.in_training(step)) for mask in self.masks]
        values = masks.at_inference(self.masks, step)
        return [(mask.kernel, value) for mask, value in zip(self.masks, values, strict=True)]

    def get_config(self) -> dict[str, Any]:
        """Return the model inside and the pruning configuration."""
        return {"inner": keras.saving.serialize_keras_object(self.inner), "config": self.settings, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> PruningModel:
        """Build the model again; its masks come with its weights."""
        inner = keras.saving.deserialize_keras_object(config["inner"], custom_objects=custom_objects)
        return cls(inner, config["config"], name=config["name"])


__all__ = ["PruningModel", "prepare_prune", "prune", "strip_prune"]

"""Penalties and constraints of kernels, for as long as a training lasts.

A kernel has them whatever network holds it: a plain one, one that is being pruned, a quantization-aware one. They are
Keras' own regularizers and constraints, which its losses and optimizers heed on every backend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras

from ..errors import BadInput
from ..keras_internals import layers_in, own_trainable
from ..layouts import layout_of
from ..untyped import ops
from .config import TrainConfig

Kernels = list[tuple[keras.Variable, tuple[int, ...]]]
TABLES = (keras.layers.Embedding,)  # are looked up: what they hold is no weight of a sum


def kernels_of(networks: Mapping[str, keras.Model]) -> Kernels:
    """Return the trained weights of two or more axes, and of each the axes of its outputs: no biases, no tables.

    A layer that holds the kernels of others, as a quantization-aware one does, tells them itself (`trained_kernels`).
    """
    found: dict[int, tuple[keras.Variable, tuple[int, ...]]] = {}
    for network in networks.values():
        for layer in layers_in(network):
            held = layer.trained_kernels() if hasattr(layer, "trained_kernels") else _own(layer)
            found |= {id(weight): (weight, outputs) for weight, outputs in held if weight.trainable}
    return list(found.values())


def _own(layer: Any) -> Kernels:
    if isinstance(layer, TABLES):
        return []
    weights = [weight for weight in own_trainable(layer) if len(weight.shape) > 1 and "bias" not in weight.name]
    return [(weight, layout_of(layer, weight).outputs) for weight in weights]


@contextmanager
def restrained(networks: Mapping[str, keras.Model], config: TrainConfig) -> Iterator[None]:
    """Give kernels the penalties and constraints of `config` inside the block, beside those that they have.

    Raises: BadInput where there is no kernel for what is asked.
    """
    asked = {name: value for name in ("l1", "l2", "max_norm", "weight_clip") if (value := getattr(config, name))}
    kernels = kernels_of(networks) if asked else []
    if asked and not kernels:
        name, value = next(iter(asked.items()))
        raise BadInput(f"training setting {name} is {value}: {', '.join(networks)} trains no kernel; leave it out")
    with put_back([weight for weight, _ in kernels]):
        for weight, outputs in kernels:
            weight.regularizer = _penalty(weight.regularizer, config)
            weight.constraint = _constraint(weight.constraint, config, _others(weight, outputs))
        yield


@contextmanager
def clipped(weights: Sequence[keras.Variable], limit: float) -> Iterator[None]:
    """Hold weights within +-limit after every update inside the block, beside what they have; 0 for any."""
    with put_back(weights):
        for weight in weights if limit else ():
            weight.constraint = _in_turn(weight.constraint, _within(limit))
        yield


@contextmanager
def put_back(weights: Sequence[keras.Variable]) -> Iterator[None]:
    """Give weights, after the block, the penalties and constraints that they have now."""
    before = [(weight, weight.regularizer, weight.constraint) for weight in weights]
    try:
        yield
    finally:
        for weight, regularizer, constraint in before:
            weight.regularizer, weight.constraint = regularizer, constraint


def _others(weight: keras.Variable, outputs: tuple[int, ...]) -> list[int]:
    rank = len(weight.shape)
    kept = {axis % rank for axis in outputs}
    return [axis for axis in range(rank) if axis not in kept]


def _penalty(own: Callable[[Any], Any] | None, config: TrainConfig) -> Callable[[Any], Any] | None:
    if not config.l1 and not config.l2:
        return own
    more: Any = keras.regularizers.L1L2(config.l1, config.l2)
    return more if own is None else lambda kernel: own(kernel) + more(kernel)


def _constraint(own: Callable[[Any], Any] | None, config: TrainConfig, inputs: list[int]) -> Any:
    """Return what is done to a kernel after each update; inputs: the axes that one output's weights lie along."""
    steps: list[Any] = [own]
    if config.max_norm is not None:
        largest: Any = keras.constraints.MaxNorm
        steps.append(largest(config.max_norm, axis=inputs))
    if config.weight_clip is not None:
        steps.append(_within(config.weight_clip))
    return _in_turn(*steps)


def _within(limit: float) -> Callable[[Any], Any]:
    return lambda weight: ops.clip(weight, -limit, limit)


def _in_turn(*steps: Callable[[Any], Any] | None) -> Any:
    """Return constraints one after the other, None for none."""
    there = [step for step in steps if step is not None]
    if not there:
        return None

    def constrained(weight: Any) -> Any:
        for step in there:
            weight = step(weight)
        return weight

    return constrained

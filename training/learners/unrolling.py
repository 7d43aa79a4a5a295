"""Moves ahead that nobody makes: the weights that a side of a game would come to, as a function of what it is shown.

A generator that learns through them knows how its discriminator will answer what it draws.
Source: Metz 2017, Unrolled generative adversarial networks, arXiv:1611.02163, section 2.2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from ...errors import BadInput
from ...gradients import slopes
from ...keras_internals import value_of
from ...untyped import ops
from ..config import TrainConfig

AHEAD = "ahead"  # what the names of a batch of a move ahead begin with


@dataclass(frozen=True)
class Standing:
    """Where an optimizer is. moves: how many it made. first, second: what it remembers of each weight, if anything."""

    weights: Sequence[Any]
    moves: Any
    first: Sequence[Any] = ()
    second: Sequence[Any] = ()


def check(config: TrainConfig, unrolling: int) -> None:
    """Raise BadInput for an optimizer whose moves cannot be differentiated here."""
    clipped = any(getattr(config, name) for name in ("clip_norm", "clip_value"))
    if unrolling and (config.optimizer not in ("adam", "sgd") or clipped):
        raise BadInput(
            f"unrolling={unrolling}: goes through the moves of optimizer adam or sgd without clipping of gradients, "
            f"not {config.optimizer}{' with clipping' * clipped}; choose one of them, or leave unrolling out"
        )


def batches_of(given: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """Return the batches of `count` moves ahead among tensors by name."""
    return [{name: given[named(name, move)] for name in given if not name.startswith(AHEAD)} for move in range(count)]


def named(name: str, move: int) -> str:
    """Return what `name` of a batch is called in that of a move ahead."""
    return f"{AHEAD}_{move}_{name}"


def through(
    optimizer: Any, learning: Sequence[Any], all_variables: Sequence[Any], costs: Sequence[Callable[[], Any]],
    then: Callable[[], Any], limit: float = 0.0,
) -> Any:  # fmt: skip
    """Return what `then` says where the variables `learning` have made a move of `optimizer` by each cost, a number.

    Gradients go through the moves. What else the costs change is as if they had not been asked; what `then` changes
    stays. all_variables: those that any of the functions reads. limit: above 0 weights stay within +-limit.
    """
    here = _standing(optimizer, learning)
    values = {id(variable): value_of(variable) for variable in all_variables}

    def with_weights(weights: Sequence[Any], function: Callable[[], Any]) -> tuple[Any, keras.StatelessScope]:
        moved = {id(variable): value for variable, value in zip(learning, weights, strict=True)}
        mapping = [(variable, moved.get(id(variable), values[id(variable)])) for variable in all_variables]
        with keras.StatelessScope(mapping) as scope:
            return function(), scope

    for cost in costs:
        found = slopes(lambda weights, cost=cost: with_weights(weights, cost)[0], here.weights)
        here = _moved(optimizer, here, found, limit)
    said, scope = with_weights(here.weights, then)
    for variable in all_variables:
        if not variable.trainable and (value := scope.get_current_value(variable)) is not values[id(variable)]:
            variable.assign(value)
    return said


def _standing(optimizer: Any, learning: Sequence[Any]) -> Standing:
    moves = ops.cast(value_of(optimizer.iterations), "float32")
    if isinstance(optimizer, keras.optimizers.Adam):
        kept = (optimizer._momentums, optimizer._velocities)  # pyright: ignore[reportAttributeAccessIssue]
    else:
        kept = (optimizer.momentums if optimizer.momentum else [], [])
    weights, first, second = ([value_of(variable) for variable in each] for each in (learning, *kept))
    return Standing(weights, moves, first, second)


def _moved(optimizer: Any, here: Standing, found: Sequence[Any], limit: float) -> Standing:
    move = _by_adam if isinstance(optimizer, keras.optimizers.Adam) else _by_descent
    there = move(optimizer, here, found)
    weights = [ops.clip(weight, -limit, limit) for weight in there.weights] if limit else there.weights
    return Standing(weights, there.moves, there.first, there.second)


def _by_adam(optimizer: Any, here: Standing, found: Sequence[Any]) -> Standing:
    """Move as keras.optimizers.Adam does; the root has a slope where a weight had none so far."""
    moves, least = here.moves + 1, optimizer.epsilon**2
    first = [mean + (1 - optimizer.beta_1) * (slope - mean) for mean, slope in zip(here.first, found, strict=True)]
    second = [mean + (1 - optimizer.beta_2) * (slope * slope - mean)
              for mean, slope in zip(here.second, found, strict=True)]  # fmt: skip
    begun = ops.sqrt(1 - optimizer.beta_2**moves) / (1 - optimizer.beta_1**moves)
    rate = value_of(optimizer.learning_rate) * begun
    weights = [weight - rate * mean / (ops.sqrt(size + least) + optimizer.epsilon)
               for weight, mean, size in zip(here.weights, first, second, strict=True)]  # fmt: skip
    return Standing(weights, moves, first, second)


def _by_descent(optimizer: Any, here: Standing, found: Sequence[Any]) -> Standing:
    """Move as keras.optimizers.SGD does."""
    rate, momentum = value_of(optimizer.learning_rate), optimizer.momentum
    steps = [-rate * slope for slope in found]
    first = [momentum * speed + step for speed, step in zip(here.first, steps, strict=True)] if momentum else []
    moves = [momentum * speed + step for speed, step in zip(first, steps, strict=True)] if optimizer.nesterov else first
    weights = [weight + move for weight, move in zip(here.weights, moves or steps, strict=True)]
    return Standing(weights, here.moves + 1, first)

"""Nets that follow a stream: the sequence net that is trained, and its step, which a device calls.

One function writes both down, so that they have the same layers by the same names: what is a recurrence over all time
steps in the one is, in the other, one step of it with its states going in and coming out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import KerasTensor

from .registry import Deployable

FRAMES, FRAME = "frames", "frame"  # what the sequence net reads, and its step
Recur = Callable[..., Any]


def sequence_and_step(
    input_shape: Sequence[int], body: Callable[[KerasTensor, Recur], KerasTensor]
) -> dict[str, keras.Model]:
    """Build a sequence net and its step.  Shapes: frames (N, T, F) -> output; frame (N, 1, F), states -> output, states.

    body(x, recur) returns the output, made by the layer that names it. In it
    `recur(x, layer, *arguments, name=..., return_sequences=..., ...)` adds a recurrence of that class of Keras layers.
    """
    frames = keras.Input(tuple(input_shape), name=FRAMES)

    def over_time(x: KerasTensor, layer: Any, *arguments: Any, **options: Any) -> KerasTensor:
        return layer(*arguments, **{"return_sequences": True, **options})(x)

    return {"sequence": keras.Model(frames, body(frames, over_time), name="sequence"), "step": _step(input_shape, body)}


def _step(input_shape: Sequence[int], body: Callable[[KerasTensor, Recur], KerasTensor]) -> keras.Model:
    frame = keras.Input((1, *input_shape[1:]), name=FRAME)
    inputs, outputs = {FRAME: frame}, {}

    def one_step(x: KerasTensor, layer: Any, *arguments: Any, **options: Any) -> KerasTensor:
        recurrence = layer(*arguments, **{"return_sequences": True, **options}, return_state=True)
        sizes = keras.tree.flatten(recurrence.cell.state_size)
        names = [state_name(recurrence.name, index) for index in range(len(sizes))]
        given = [keras.Input((size,), name=name) for name, size in zip(names, sizes, strict=True)]
        y, *new = recurrence(x, initial_state=given if len(given) > 1 else given[0])
        inputs.update(zip(names, given, strict=True))
        outputs.update({f"{name}_out": state for name, state in zip(names, new, strict=True)})
        return y

    output = body(frame, one_step)
    return keras.Model(inputs, {output._keras_history.operation.name: output, **outputs}, name="step")


def state_name(layer: str, index: int) -> str:
    """Return what the input of a state is called; the output that becomes it ends in "_out"."""
    return f"{layer}_state_{index}"


def step_with(**states: int) -> Deployable:
    """Return the step network as what goes to a device.  states: recurrence -> how many states it has."""
    names = [state_name(layer, index) for layer, count in states.items() for index in range(count)]
    return Deployable(network="step", derived_from="sequence", states={f"{name}_out": name for name in names})

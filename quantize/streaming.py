"""A recurrent model as one time step: states go in and come out, so that a device follows a stream without end.

    step = streaming(model)                        # a float model, or a quantization-aware one
    output, *states = step([frame, *states])       # states start at zero

The step of a quantization-aware model takes over its weights and ranges: the steps of an unrolled recurrence share
their scales by the place they come from, and there the step finds them. The first of a sequence is rounded more often
than in the unrolled one, where nothing is added to states of zero.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from ..backends import computed
from ..errors import BadInput
from ..keras_internals import layers_in, run_graph
from ..untyped import ops, tree
from .derived import UnlikeLayer, derive, source_model, take_weights
from .prepare import find_quantized

TOLERANCE = 1e-4  # between the steps and the sequence, relative to the largest output


def streaming(model: keras.Model) -> keras.Model:
    """Return a model of one time step of `model`, with the states of its recurrences as inputs and outputs.

    Shapes: sequence (N, T, ...) -> output becomes frame (N, 1, ...), states (N, U) -> output, new states. Weights are
    copies. Raises: BadInput if `model` needs more than the past: recurrences that run backwards, or layers that mix
    time steps.
    """
    layer = find_quantized(model)
    source = model if layer is None else source_model(layer)
    step = _step_of(source)
    try:
        take_weights(step, source)
    except UnlikeLayer as error:
        raise BadInput(
            f"model {model.name!r} cannot be called on one time step: Layer {error.layer!r} has weights of other "
            "shapes then"
        ) from error
    _check(source, step)
    return step if layer is None else derive(step, model)


def _step_of(model: keras.Model) -> keras.Model:
    """Return the step model with weights of its own: the last inputs, and in the same order the last outputs, are
    states.
    """
    functional = keras.Model(model.inputs, model.outputs, name=model.name)
    if len(functional.inputs) != 1 or len(functional.inputs[0].shape) < 2:
        raise BadInput(f"model {model.name!r} must take one sequence to be streamed, shape (N, T, ...)")
    given, new = [], []
    copies: dict[int, Any] = {}

    def copied(operation: Any) -> Any:
        if not isinstance(operation, keras.Layer):
            return operation
        if id(operation) not in copies:
            copies[id(operation)] = _copy(operation)
        return copies[id(operation)]

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(operation, keras.layers.RNN):
            return operation(*args, **kwargs)
        sizes = tree.flatten(operation.cell.state_size)
        states = [keras.Input((size,), name=f"{operation.name}_state_{i}") for i, size in enumerate(sizes)]
        nested = isinstance(operation.cell.state_size, (list, tuple))
        initial = tree.pack_sequence_as(operation.cell.state_size, states) if nested else states
        output, *after = operation(*args, **{**kwargs, "initial_state": initial})
        given.extend(states)
        new.extend(tree.flatten(after))
        return output

    whole = functional.inputs[0]
    frame = keras.Input((1, *whole.shape[2:]), dtype=whole.dtype, name=whole.name)
    try:
        outputs = tree.flatten(run_graph(functional, [frame], copied, call))
    except BadInput:
        raise
    except ValueError as error:
        reason = str(error).strip().splitlines()[0]
        raise BadInput(f"model {model.name!r} cannot be called on one time step: {reason}") from error
    if not given:
        raise BadInput(f"model {model.name!r} has no recurrence: there is no state to stream with")
    return keras.Model([frame, *given], [*outputs, *new], name=f"{model.name}_step")


def _copy(layer: keras.Layer) -> keras.Layer:
    inner = layers_in(layer, itself=False)
    hidden = [within.name for within in inner if isinstance(within, keras.layers.RNN)]
    if hidden:
        raise BadInput(f"layer {layer.name!r} hides the recurrence {hidden[0]!r}: only a plain one can be streamed")
    config = layer.get_config()
    if isinstance(layer, keras.layers.RNN):
        if layer.go_backwards or layer.return_state:
            what = "runs backwards" if layer.go_backwards else "returns its states already"
            raise BadInput(f"layer {layer.name!r} {what}: it has no step that knows the past alone")
        config |= {"return_state": True, "stateful": False, "unroll": False}
    return type(layer).from_config(config)


def run(step: keras.Model, sequence: np.ndarray) -> np.ndarray:
    """Return the outputs of `step`, fed a frame at a time from states of zero.  Shapes: (N, T, ...) -> (N, T, ...)."""
    states = [ops.zeros((len(sequence), *leaf.shape[1:]), leaf.dtype) for leaf in step.inputs[1:]]
    outputs = []
    for index in range(sequence.shape[1]):
        frame = ops.convert_to_tensor(sequence[:, index : index + 1])
        output, *states = tree.flatten(step([frame, *states], training=False))
        outputs.append(np.asarray(output).reshape(len(sequence), *output.shape[len(output.shape) - 1 :]))
    return np.stack(outputs, axis=1)


def _check(model: keras.Model, step: keras.Model) -> None:
    """Compare the steps with the sequence on made-up values: what mixes time steps elsewhere shows."""
    shape = [1, *(size or 1 for size in model.inputs[0].shape[1:])]
    random = np.random.default_rng(0)
    dtype = model.inputs[0].dtype
    sequence = random.normal(size=shape).astype(dtype) if "float" in dtype else np.ones(shape, dtype)
    expected = np.asarray(tree.flatten(computed(lambda: model(sequence, training=False)))[0])
    found = run(step, sequence)
    found = found if expected.shape == found.shape else found[:, -1]
    if found.shape != expected.shape or np.abs(found - expected).max() > TOLERANCE * max(1, np.abs(expected).max()):
        raise BadInput(
            f"model {model.name!r} cannot be streamed: a layer other than its recurrences mixes time steps "
            "(a convolution, a pool or attention over time); leave it to a model that takes the whole sequence"
        )


__all__ = ["derive", "run", "streaming"]

"""Gradients of functions of tensors, by the backend in use: the one thing that Keras has no operation for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from .backends import differentiated_again
from .untyped import ops, tree


def slopes(function: Callable[[Sequence[Any]], Any], at: Sequence[Any]) -> list[Any]:
    """Return the gradient of a number by each tensor of `at`, as tensors that can be differentiated again.

    For use within what the backend traces. function: the tensors -> the number; while it is called `twice` says so.
    """
    values = list(at)
    with differentiated_again():
        if keras.backend.backend() == "jax":
            import jax

            return jax.grad(function)(values)
        import tensorflow as tf

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            for value in values:
                tape.watch(value)
            number = function(values)
        return tape.gradient(number, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def gradients(function: Callable[[Sequence[Any]], tuple[Any, Any]], at: Sequence[Any]) -> tuple[list[np.ndarray], Any]:
    """Return the gradient of a number by each tensor of `at`, zeros where it does not depend on one, and what was said.

    function: the tensors -> the number, and whatever else is to be returned, as arrays.
    """
    values = [ops.convert_to_tensor(each) for each in at]
    if keras.backend.backend() == "jax":
        import jax

        found, said = jax.grad(function, has_aux=True)(values)
    else:
        import tensorflow as tf

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            for value in values:
                tape.watch(value)
            number, said = function(values)
        found = tape.gradient(number, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return [ops.convert_to_numpy(each) for each in found], tree.map_structure(ops.convert_to_numpy, said)

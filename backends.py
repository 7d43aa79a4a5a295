"""What the Keras backend cannot do everywhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def computed(forward: Callable[[], Any]) -> Any:
    """Return what `forward()` computes with a Keras model, whose channels may come first.

    Where TensorFlow leaves oneDNN off it has kernels for channels last only; its compiler takes any order.
    """
    try:
        return forward()
    except Exception as error:
        if "only supports the NHWC" not in str(error):
            raise
        import tensorflow as tf

        return tf.function(forward, jit_compile=True, autograph=False)()


def at_once(*fixed: str) -> Callable[[Function], Function]:
    """Let a function of tensors be one kernel where JAX has it outside of anything that is compiled.

    JAX compiles each operation by itself there, anew for each shape, which takes a hundred times as long as to compute
    it. fixed: the parameters that are no tensors, which can be hashed.
    """

    def wrap(function: Function) -> Function:
        import keras

        if keras.backend.backend() != "jax":
            return function
        import jax

        return wraps(function)(jax.jit(function, static_argnames=fixed))  # type: ignore[return-value]

    return wrap

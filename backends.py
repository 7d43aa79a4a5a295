"""What the Keras backend cannot do everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])
_TWICE = ContextVar("a gradient is differentiated again", default=False)


@contextmanager
def differentiated_again() -> Iterator[None]:
    """Let `twice` say so in the block: a gradient that is taken there is itself differentiated."""
    outer = _TWICE.set(True)
    try:
        yield
    finally:
        _TWICE.reset(outer)


def twice() -> bool:
    """Tell if a gradient is taken that is itself differentiated: not every kernel of a backend allows that."""
    return _TWICE.get()


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
    it. What is differentiated twice may be computed otherwise, and is left to be traced. fixed: the parameters that are
    no tensors, which can be hashed.
    """

    def wrap(function: Function) -> Function:
        import keras

        if keras.backend.backend() != "jax":
            return function
        import jax

        kernel = jax.jit(function, static_argnames=fixed)

        @wraps(function)
        def call(*tensors: Any, **named: Any) -> Any:
            return (function if twice() else kernel)(*tensors, **named)

        return call  # type: ignore[return-value]

    return wrap

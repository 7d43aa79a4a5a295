"""What the Keras backend cannot do everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


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

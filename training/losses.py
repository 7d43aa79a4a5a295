"""Losses that Keras does not have."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("edgewright")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy of logits (N, ..., K) with class numbers (N, ...), a share `smoothing` of the target spread evenly.

    Keras smooths one-hot targets only; this needs none.  Source: Szegedy 2016, arXiv:1512.00567, section 7.
    """

    def __init__(self, smoothing: float, name: str = "smoothed_crossentropy"):
        super().__init__(name=name)
        self.smoothing = smoothing

    def call(self, y_true, y_pred):
        """Return the loss of each sample (N, ...)."""
        true: Any = keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)
        even: Any = ops.mean(-ops.log_softmax(y_pred), axis=-1)  # pyright: ignore[reportOptionalOperand]
        return (1 - self.smoothing) * true + self.smoothing * even

    def get_config(self):
        """Return the smoothing beside the name; the reduction is that of every loss here."""
        return {"smoothing": self.smoothing, "name": self.name}

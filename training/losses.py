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

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each sample (N, ...)."""
        true: Any = keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)
        even: Any = ops.mean(-ops.log_softmax(y_pred), axis=-1)  # pyright: ignore[reportOptionalOperand]
        return (1 - self.smoothing) * true + self.smoothing * even

    def get_config(self):
        """Return the smoothing beside the name; the reduction is that of every loss here."""
        return {"smoothing": self.smoothing, "name": self.name}


LEAST_PROBABILITY = 1 / 512  # half a step of an int8 softmax, which rounds what is smaller to zero


@keras.saving.register_keras_serializable("edgewright")
class OfProbabilities(keras.losses.Loss):
    """A loss of logits for a model that ends in a softmax or sigmoid: probabilities are turned back into logits.

    None is taken for less than `LEAST_PROBABILITY`, or a quantized one would say that a class is impossible. Shapes:
    (N, ..., K) that add up to one, or with `independent` any that are each one of yes against no.
    """

    def __init__(self, loss: keras.losses.Loss, independent: bool = False, name: str = "of_probabilities"):
        super().__init__(name=name)
        self.loss, self.independent = loss, independent

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each sample (N, ...)."""
        logits: Any = ops.log(y_pred + LEAST_PROBABILITY)
        return self.loss.call(y_true, logits - ops.log(1 - y_pred + LEAST_PROBABILITY) if self.independent else logits)

    def get_config(self):
        """Return the loss of logits beside the name."""
        loss = keras.saving.serialize_keras_object(self.loss)
        return {"loss": loss, "independent": self.independent, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]):
        """Rebuild the loss of logits first."""
        return cls(**{**config, "loss": keras.saving.deserialize_keras_object(config["loss"])})


@keras.saving.register_keras_serializable("edgewright")
class OfFunction(keras.losses.Loss):
    """A loss of Keras by name, as "mae": what `keras.losses.get` returns may be a bare function."""

    def __init__(self, function: str, name: str = "of_function"):
        super().__init__(name=name)
        self.function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each sample (N, ...)."""
        loss: Any = keras.losses.get(self.function)
        return loss.call(y_true, y_pred) if isinstance(loss, keras.losses.Loss) else loss(y_true, y_pred)

    def get_config(self):
        """Return the loss's name beside this one's."""
        return {"function": self.function, "name": self.name}


@keras.saving.register_keras_serializable("edgewright")
class PerceptronCriterion(keras.losses.Loss):
    """How far each misjudged sample lies on the wrong side, of scores (N, 2) with class numbers (N,).

    Its gradient step of rate eta is Rosenblatt's rule w += eta (t - o) x, summed over the batch: a score of exactly 0
    counts as wrong, or the rule would never leave w = 0.  Source: Rosenblatt 1958, The perceptron.
    """

    def __init__(self, name: str = "perceptron_criterion"):
        super().__init__(name=name, reduction="sum")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each sample (N,)."""
        agreement = _signed(y_true, y_pred) * (y_pred[:, 1] - y_pred[:, 0])
        return ops.where(agreement <= 0, -agreement, ops.zeros_like(agreement))

    def get_config(self):
        """Return the name; the sum is part of the rule."""
        return {"name": self.name}


@keras.saving.register_keras_serializable("edgewright")
class MultiClassHinge(keras.losses.Loss):
    """How far each wrong class comes within `margin` of the right one, summed over the wrong ones.

    Shapes: scores (N, K), class numbers (N,).  Source: Weston and Watkins 1999, Support vector machines for
    multi-class pattern recognition.
    """

    def __init__(self, margin: float = 1.0, name: str = "multi_class_hinge"):
        super().__init__(name=name)
        self.margin = margin

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each sample (N,)."""
        right: Any = ops.one_hot(ops.cast(ops.reshape(y_true, (-1,)), "int32"), y_pred.shape[-1])  # (N, K)
        score = ops.sum(right * y_pred, axis=-1, keepdims=True)
        return ops.sum((1 - right) * ops.relu(y_pred - score + self.margin), axis=-1)

    def get_config(self):
        """Return the margin beside the name."""
        return {"margin": self.margin, "name": self.name}


@keras.saving.register_keras_serializable("edgewright")
class SigmoidSquaredError(keras.losses.Loss):
    """Half the squared error of a sigmoid unit, (sigma(z) - y)^2 / 2, z being the second of two scores less the first.

    The loss of the sigmoid perceptron before cross-entropy: its gradient vanishes where the unit is surely wrong.
    Shapes: scores (N, 2), class numbers (N,).
    """

    def __init__(self, name: str = "sigmoid_squared_error"):
        super().__init__(name=name)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each sample (N,)."""
        chance: Any = ops.sigmoid(y_pred[:, 1] - y_pred[:, 0])
        error: Any = chance - ops.cast(ops.reshape(y_true, (-1,)), chance.dtype)
        return 0.5 * error * error

    def get_config(self):
        """Return the name; the reduction is that of every loss here."""
        return {"name": self.name}


def _signed(y_true: Any, y_pred: Any) -> Any:
    """Return class numbers 0 and 1 as -1 and 1, (N,)."""
    label: Any = ops.cast(ops.reshape(y_true, (-1,)), y_pred.dtype)
    return 2 * label - 1

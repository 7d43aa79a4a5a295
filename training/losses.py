"""Losses that Keras does not have."""

import math
from typing import Any

import keras
from keras import ops

from ..errors import BadInput
from .config import LOSSES, measured


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


def squared_error(smoothing: float) -> keras.losses.Loss:
    """Return the mean squared error, which knows nothing to smooth."""
    return keras.losses.MeanSquaredError()


def loss_of_logits(smoothing: float) -> keras.losses.Loss:
    """Return minus the log-likelihood of values in [0, 1] by logits, a mean over values."""
    return keras.losses.BinaryCrossentropy(from_logits=True)


def of_tokens(smoothing: float) -> keras.losses.Loss:
    """Return the cross-entropy of the next token; smoothed targets would be paid for in perplexity."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def asked_crossentropy(smoothing: float) -> keras.losses.Loss:
    """Return the cross-entropy of what is asked for."""
    return AskedCrossentropy()


def of_one_hot(logits: Any, classes: Any) -> Any:
    """Return the cross-entropy of classes, one-hot or zeros for none.  Shapes: (N, K), (N, K) -> (N, 1)."""
    return -ops.sum(classes * ops.log_softmax(logits, axis=-1), axis=-1, keepdims=True)


@keras.saving.register_keras_serializable("edgewright")
class FocalCrossentropy(keras.losses.Loss):
    """Cross-entropy in which a sample counts (1 - p)^gamma, p being the chance that its class is given.

    Shapes: logits (N, ..., K), class numbers (N, ...).  Source: Lin 2017, arXiv:1708.02002, section 3.2.
    """

    def __init__(self, gamma: float = 2.0, name: str = "focal_crossentropy"):
        super().__init__(name=name)
        self.gamma = gamma

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each sample (N, ...)."""
        nats: Any = keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)
        chance: Any = ops.exp(-nats)
        return (1 - chance) ** self.gamma * nats

    def get_config(self):
        """Return gamma beside the name."""
        return {"gamma": self.gamma, "name": self.name}


# name -> ending of the answers that it is for -> loss, given how far
NAMED: dict[str, dict[str | None, Any]] = {
    "mse": {None: lambda amount: keras.losses.MeanSquaredError()},
    "mae": {None: lambda amount: keras.losses.MeanAbsoluteError()},
    "huber": {None: lambda amount: keras.losses.Huber(1.0 if amount is None else amount)},
    "focal": {
        "softmax": lambda amount: FocalCrossentropy(2.0 if amount is None else amount),
        "sigmoid": lambda amount: keras.losses.BinaryFocalCrossentropy(
            from_logits=True, gamma=2.0 if amount is None else amount
        ),
    },
}


def named_loss(text: str, ending: str | None, task: str) -> keras.losses.Loss:
    """Return the loss `text`, as "huber:0.5", of answers with an ending.  Raises: BadInput for one of other answers."""
    name, amount = measured("loss", text, LOSSES)
    if ending not in NAMED[name]:
        fit = ", ".join(other for other, kinds in NAMED.items() if ending in kinds)
        raise BadInput(f"training setting loss is {text!r}: it is none of task {task!r}; allowed are {fit}")
    return NAMED[name][ending](amount)


@keras.saving.register_keras_serializable("edgewright")
class PaddedCrossentropy(SmoothedCrossentropy):
    """Cross-entropy of the tokens that are there: class 0 is padding, of which nothing is learned.

    The mean over a batch is one over its tokens.  Shapes: logits (N, T, K), class numbers (N, T).
    """

    def __init__(self, smoothing: float = 0.0, name: str = "padded_crossentropy"):
        super().__init__(smoothing, name=name)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each token (N, T), those that count scaled up for those that do not."""
        there: Any = ops.cast(ops.not_equal(y_true, 0), y_pred.dtype)
        return super().call(y_true, y_pred) * there / ops.maximum(ops.mean(there), 1e-6)


@keras.saving.register_keras_serializable("edgewright")
class TokenAccuracy(keras.metrics.Mean):
    """The share of tokens that are the likeliest, padding (class 0) left out.  Shapes: as `PaddedCrossentropy`."""

    def __init__(self, name: str = "accuracy", dtype: Any = None):
        super().__init__(name=name, dtype=dtype)

    def update_state(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ):
        """Count the tokens of a batch."""
        right: Any = ops.equal(ops.cast(y_true, "int32"), ops.cast(ops.argmax(y_pred, -1), "int32"))
        there: Any = ops.cast(ops.not_equal(y_true, 0), "float32")
        if sample_weight is not None:
            there = there * ops.reshape(ops.cast(sample_weight, "float32"), (-1, *[1] * (len(there.shape) - 1)))
        super().update_state(right, there)

    def get_config(self):
        """Return the name."""
        return {"name": self.name}


@keras.saving.register_keras_serializable("edgewright")
class AskedCrossentropy(keras.losses.Loss):
    """Cross-entropy of logits with yes or no each, a mean over those that are asked for: others have the target -1.

    Shapes: (N, ...), (N, ...).
    """

    def __init__(self, name: str = "asked_crossentropy"):
        super().__init__(name=name)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each sample (N,)."""
        asked: Any = ops.cast(ops.greater_equal(y_true, 0), y_pred.dtype)
        each: Any = ops.softplus(y_pred) - y_true * y_pred
        axes = tuple(range(1, len(y_pred.shape)))
        return ops.sum(asked * each, axis=axes) / ops.maximum(ops.sum(asked, axis=axes), 1.0)

    def get_config(self):
        """Return the name."""
        return {"name": self.name}


LEAST_PROBABILITY = 1 / 512  # half a step of an int8 softmax, which rounds what is smaller to zero


def logits_of(probabilities: Any, independent: bool, least: float = LEAST_PROBABILITY) -> Any:
    """Return logits of probabilities that add up to one, or, independent, are each one of yes against no."""
    logits: Any = ops.log(probabilities + least)
    return logits - ops.log(1 - probabilities + least) if independent else logits  # pyright: ignore[reportOptionalOperand]


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
        return self.loss.call(y_true, logits_of(y_pred, self.independent))

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


@keras.saving.register_keras_serializable("edgewright")
class Divergence(keras.losses.Loss):
    """How far a student's answers lie from a teacher's: T^2 KL(t, s), t and s being softmax(logits / T).

    independent: of yes or no each, T^2 times the mean over them of t log(t / s) + (1 - t) log((1 - t) / (1 - s)), t and
    s being sigmoids. By T^2 the gradient keeps its size whatever T is. Shapes: logits (N, ..., K) of both.
    Source: Hinton 2015, arXiv:1503.02531, section 2.
    """

    def __init__(self, temperature: float = 1.0, independent: bool = False, name: str = "divergence"):
        super().__init__(name=name)
        self.temperature, self.independent = temperature, independent

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the divergence of each sample (N, ...)."""
        told, said = y_true / self.temperature, y_pred / self.temperature
        each = _of_yes_or_no if self.independent else _of_classes
        return self.temperature**2 * each(told, said)

    def get_config(self):
        """Return temperature and form beside the name."""
        return {"temperature": self.temperature, "independent": self.independent, "name": self.name}


def _of_classes(told: Any, said: Any) -> Any:
    likely: Any = ops.log_softmax(told)
    return ops.sum(ops.exp(likely) * (likely - ops.log_softmax(said)), axis=-1)  # pyright: ignore[reportOptionalOperand]


def _of_yes_or_no(told: Any, said: Any) -> Any:
    chance: Any = ops.sigmoid(told)
    yes: Any = ops.log_sigmoid(told) - ops.log_sigmoid(said)  # pyright: ignore[reportOptionalOperand]
    no: Any = ops.log_sigmoid(-told) - ops.log_sigmoid(-said)  # pyright: ignore[reportOptionalOperand]
    return ops.mean(chance * yes + (1 - chance) * no, axis=-1)


@keras.saving.register_keras_serializable("edgewright")
class HintError(keras.losses.Loss):
    """Mean squared error between features (N, ..., C), as a share of `size`, or of the mean square of the teacher's.

    So its weight means the same whatever the size of the features.  Source: Romero 2014, arXiv:1412.6550, eq. 3,
    without the share.
    """

    def __init__(self, size: float | None = None, name: str = "hint_error"):
        super().__init__(name=name)
        self.size = size

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the error of each sample (N,)."""
        squares: Any = ops.square(y_pred - y_true)
        apart: Any = ops.mean(squares, axis=tuple(range(1, len(squares.shape))))
        if self.size is not None:
            return apart / self.size
        size: Any = ops.mean(ops.square(y_true))
        return apart / (size + keras.backend.epsilon())

    def get_config(self):
        """Return size and name; the reduction is that of every loss here."""
        return {"size": self.size, "name": self.name}


def _signed(y_true: Any, y_pred: Any) -> Any:
    """Return class numbers 0 and 1 as -1 and 1, (N,)."""
    label: Any = ops.cast(ops.reshape(y_true, (-1,)), y_pred.dtype)
    return 2 * label - 1


@keras.saving.register_keras_serializable("edgewright")
class NormalLikelihood(keras.losses.Loss):
    """Minus the log-likelihood of values under a normal distribution around the answers, in nats, a mean over values.

    Shapes: (N, ..., n), (N, ..., n).
    """

    def __init__(self, deviation: float, name: str = "normal_likelihood"):
        super().__init__(name=name)
        self.deviation = deviation

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each sample (N, ...)."""
        apart: Any = (y_pred - y_true) / self.deviation
        squares: Any = ops.mean(apart * apart, axis=-1)
        return squares / 2 + math.log(self.deviation) + math.log(2 * math.pi) / 2

    def get_config(self):
        """Return the deviation beside the name."""
        return {"deviation": self.deviation, "name": self.name}

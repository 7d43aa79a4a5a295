"""Layers that are random in training and nothing at inference, beyond those that Keras has: no file holds any of them.

`rate` is the share that is dropped; what is kept is scaled by 1 / (1 - rate) in training. Random numbers come from seed
generators, which are part of the state, as in Keras' own.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("edgewright")
class AnnealedDropout(layers.Layer):
    """Dropout whose rate falls linearly to zero over the epochs: rate (1 - e/E) in epoch e of E, from 0.

    The present rate is a state of the layer, so that it is restored with it. Shapes: (N, ...) -> the same.
    Source: Rennie 2014, Annealed dropout training of deep networks.
    """

    def __init__(self, rate: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator()

    def build(self, input_shape: Sequence[int]):
        """Make the state."""
        start: Any = keras.initializers.Constant(self.rate)
        self.present = self.add_weight(shape=(), initializer=start, trainable=False, name="present_rate")

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Set the rate of `epoch`, from 0, of `epochs`: the training calls it."""
        self.present.assign(self.rate * (1 - epoch / epochs))

    def call(self, inputs: Any, training: bool | None = None):
        """Drop units in training."""
        if not training:
            return inputs
        return inputs * _kept(ops.shape(inputs), ops.cast(self.present, inputs.dtype), self.seed_generator)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "rate": self.rate}


@keras.saving.register_keras_serializable("edgewright")
class DropConnect(layers.Dense):
    """A Dense whose weights are dropped in training, by one mask a batch.  Shapes: (N, n) -> (N, units).

    Source: Wan 2013, Regularization of neural networks using DropConnect.
    """

    def __init__(self, units: int, activation: Any = None, rate: float = 0.5, **kwargs: Any):
        super().__init__(units, activation, **kwargs)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, inputs: Any, training: bool | None = None):
        """Compute the layer."""
        kernel: Any = self.kernel
        if training and self.rate:
            kernel = kernel * _kept(kernel.shape, self.rate, self.seed_generator)
        return self.activation(ops.add(ops.matmul(inputs, kernel), self.bias))

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "rate": self.rate}


# Of the approximation of the divergence of N(1, alpha) from the log-uniform prior, arXiv:1506.02557, eq. 14.
CUBIC = (1.16145124, -1.50204118, 0.58629921)


@keras.saving.register_keras_serializable("edgewright")
class VariationalDropout(layers.Dense):
    """A Dense whose inputs are multiplied by noise N(1, alpha) in training, alpha being learned.

    alpha: at the start; 0 for no noise. per: what has an alpha of its own, "unit" or "weight". samples: how many the
    training set has: the divergence of the noise from its prior, a term for each alpha, enters a sample's loss by that
    share.
    The noise is drawn of the outputs, normal with the mean and variance that noise of the weights gives them (local
    reparameterisation); alpha is at most 1.
    Shapes: (N, n) -> (N, units).  Source: Kingma 2015, arXiv:1506.02557.
    """

    def __init__(
        self, units: int, activation: Any = None, alpha: float = 0.25, per: str = "unit", samples: int = 1,
        **kwargs: Any
    ):  # fmt: skip
        super().__init__(units, activation, **kwargs)
        if per not in ("unit", "weight"):
            raise ValueError(f"per={per!r}; allowed: unit, weight")
        self.alpha, self.per, self.samples = alpha, per, samples
        self.seed_generator = keras.random.SeedGenerator()

    def build(self, input_shape: Sequence[int]):
        """Make the weights."""
        super().build(input_shape)
        start: Any = keras.initializers.Constant(math.log(self.alpha) if self.alpha else 0.0)
        self._shape = (input_shape[-1], self.units if self.per == "weight" else 1)
        self.log_alpha = self.add_weight(
            shape=(math.prod(self._shape),), initializer=start, trainable=self.alpha > 0, name="log_alpha"
        )

    def call(self, inputs: Any, training: bool | None = None):
        """Compute the layer."""
        mean: Any = ops.add(ops.matmul(inputs, self.kernel), self.bias)
        if not training or not self.alpha:
            return self.activation(mean)
        logarithm: Any = ops.reshape(ops.minimum(self.log_alpha, 0.0), self._shape)
        spread: Any = ops.exp(logarithm)
        variance: Any = ops.matmul(ops.square(inputs), spread * ops.square(self.kernel))
        total: Any = ops.sum(divergence(logarithm))
        self.add_loss(total / self.samples)
        noise: Any = keras.random.normal(ops.shape(mean), dtype=mean.dtype, seed=self.seed_generator)
        return self.activation(mean + ops.sqrt(variance + 1e-8) * noise)

    def save_own_variables(self, store: Any) -> None:
        """Save all variables: a Dense saves the two that it knows."""
        layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store: Any) -> None:
        """Load all variables."""
        layers.Layer.load_own_variables(self, store)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "alpha": self.alpha, "per": self.per, "samples": self.samples}


def divergence(log_alpha: Any) -> Any:
    """Return the divergence of N(1, alpha) from the log-uniform prior in nats, but for a constant."""
    alpha: Any = ops.exp(log_alpha)
    return -(0.5 * log_alpha + sum(factor * alpha**power for power, factor in enumerate(CUBIC, 1)))


@keras.saving.register_keras_serializable("edgewright")
class MaxPoolingDropout2D(layers.Layer):
    """Max pooling of windows in which units are dropped before the maximum is taken, in training.

    Of n sorted values of a window, none below zero, the i-th smallest comes out with probability (1 - rate) rate^(n-i),
    zero with rate^n; nothing is scaled, as in the paper.
    Shapes: (N, H, W, C) -> (N, H', W', C).  Source: Wu 2015, Max-pooling dropout, arXiv:1512.01400, eq. 5.
    """

    def __init__(self, pool_size: int = 2, rate: float = 0.5, **kwargs: Any):
        super().__init__(**kwargs)
        self.pool_size, self.rate = pool_size, rate
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, inputs: Any, training: bool | None = None):
        """Compute the layer."""
        if training and self.rate:
            kept: Any = _kept(ops.shape(inputs), self.rate, self.seed_generator)
            inputs = inputs * ops.cast(kept > 0, inputs.dtype)
        return ops.max_pool(inputs, self.pool_size, self.pool_size)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "pool_size": self.pool_size, "rate": self.rate}


@keras.saving.register_keras_serializable("edgewright")
class Cutout(layers.Layer):
    """A square of zeros on each image in training, centred anywhere, so that it may hang over the border.

    share: its side, as a share of the image's shorter one.  Shapes: (N, H, W, C) -> the same.
    Source: DeVries 2017, arXiv:1708.04552.
    """

    def __init__(self, share: float = 0.5, **kwargs: Any):
        super().__init__(**kwargs)
        self.share = share
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, inputs: Any, training: bool | None = None):
        """Cut in training."""
        if not training:
            return inputs
        _, height, width, _ = inputs.shape
        side = round(self.share * min(height, width))
        shape: Any = ops.shape(inputs)
        rows, columns = (self._inside(shape[0], size, side) for size in (height, width))
        cut: Any = ops.logical_and(rows[:, :, None, None], columns[:, None, :, None])  # (N, H, W, 1)
        return ops.where(cut, ops.zeros_like(inputs), inputs)

    def _inside(self, count: Any, size: int, side: int) -> Any:
        """Return which of `size` places lie in a stretch of `side` around one of them, (count, size) bool."""
        centre: Any = keras.random.randint((count, 1), 0, size, seed=self.seed_generator)
        places: Any = ops.arange(size)
        place: Any = places[None] - (centre - side // 2)
        return ops.logical_and(place >= 0, place < side)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "share": self.share}


def _kept(shape: Any, rate: Any, seed: keras.random.SeedGenerator) -> Any:
    """Return 1 / (1 - rate) where something is kept, else 0."""
    drawn: Any = keras.random.uniform(shape, seed=seed)
    return ops.cast(drawn >= rate, "float32") / (1 - rate)

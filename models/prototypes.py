"""Models that answer by distance to a stored table: support vectors, cluster centres, training samples, densities.

Tables are constants that a solver fills. A squared distance |x - s|^2 = |x|^2 - 2 x.s + |s|^2 is one affine map of
(x^2, x): what cancels in it is added up as integers on a device, before anything is rounded.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, layers, ops

from .registry import Bars, register

FAMILY = "linear"


@register(
    task="classification",
    learner="support_vectors",
    input_shape=(64,),
    classes=10,
    params=12_600,
    paper="Boser 1992, A training algorithm for optimal margin classifiers; Cortes 1995, Support-vector networks",
    data=("digits",),
    edge={"vectors": 720},
    variants={
        "label_propagation": {
            "params": 20_010,
            "family": "low_label",
            "learner": "label_propagation",
            "paper": "Zhu and Ghahramani 2002, Learning from labeled and unlabeled data with label propagation",
            "data": ("mnist_40_labels", "digits_40_labels"),
            "input_shape": (784,),
            "vectors": 2000,
            "gamma": 0.25,
            "kernel": "softmax",
            "edge": {"input_shape": (64,), "vectors": 1259, "gamma": 4.0},
        },
        "transductive_svm": {
            "params": 20_010,
            "family": "low_label",
            "learner": "transductive_support_vectors",
            "paper": "Joachims 1999, Transductive inference for text classification using support vector machines",
            "data": ("mnist_40_labels", "digits_40_labels"),
            "input_shape": (784,),
            "vectors": 2000,
            "gamma": 0.02,
            "edge": {"input_shape": (64,), "vectors": 1259, "gamma": 0.1},
        },
    },
)
def kernel_svm(inputs: KerasTensor, classes: int, vectors: int = 1259, gamma: float = 0.1, kernel: str = "exponential"):
    """Build sum_i c_i exp(-gamma |x - s_i|^2) + b for each class against the rest, over up to `vectors` vectors.

    Those that the fit has no use for have coefficients of zero. Of label propagation all training samples are such
    vectors, b is 0 and c_i how much of each class the sample is. kernel: "softmax" divides the exponentials by their
    sum, as its mean by likeness does: what is told of a sample far from all is not too small for 8 bits.
    Shapes: (N, n) -> scores (N, classes).
    """
    nearness = Nearness(vectors, gamma, name="support")(inputs)
    alike = layers.Activation(kernel, name="kernel")(nearness)
    return layers.Dense(classes, name="logits")(alike)


@register(
    task="prototypes",
    learner="k_means",
    input_shape=(64,),
    params=0,
    paper="Lloyd 1982, Least squares quantization in PCM",
    data=("digits",),
    bars=Bars(floor=0.85),
    variants={
        "k_nearest_neighbours": {
            "params": 0,
            "task": "nearest_neighbours",
            "learner": "training_samples",
            "entries": 1259,
            "paper": "Cover 1967, Nearest neighbor pattern classification",
        },
    },
)
def k_means(inputs: KerasTensor, entries: int = 64):
    """Build minus the squared distance to each entry of a table; whose entries they are is found by the task.

    Shapes: (N, n) -> (N, entries).
    """
    return Nearness(entries, name="nearness")(inputs)


@register(
    task="prototypes",
    learner="gaussian_mixture",
    input_shape=(64,),
    params=0,
    paper="Dempster 1977, Maximum likelihood from incomplete data via the EM algorithm",
    data=("digits",),
    bars=Bars(floor=0.85),
)
def gaussian_mixture(inputs: KerasTensor, entries: int = 64):
    """Build the log of the weighted density of each of `entries` Gaussians with diagonal covariances.

    Their softmax are the responsibilities, the log of their summed exponentials is the log-likelihood.
    Shapes: (N, n) -> (N, entries).
    """
    return LogDensities(entries, name="log_densities")(inputs)


def _quadratic(x: Any, squares: Any, products: Any, constants: Any) -> Any:
    """Return x^2 A + x B + c as one product.  Shapes: (N, n), A and B (n, k), c (k,) -> (N, k)."""
    both = ops.concatenate([ops.square(x), x], axis=-1)
    return ops.add(ops.matmul(both, ops.concatenate([squares, products], axis=0)), constants)


@keras.saving.register_keras_serializable("edgewright")
class Nearness(layers.Layer):
    """Minus `scale` times the squared distance to each column of a constant table.  Shapes: (N, n) -> (N, entries)."""

    def __init__(self, entries: int, scale: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.entries, self.scale = entries, scale

    def build(self, input_shape: Sequence[int]):
        """Make the table, (n, entries), of random points until it is filled."""
        shape = (input_shape[-1], self.entries)
        self.table = self.add_weight(shape=shape, initializer="random_uniform", trainable=False, name="table")

    def call(self, inputs: KerasTensor):
        """Compute the layer.  Shapes: see the class."""
        table: Any = self.table
        norms: Any = ops.sum(ops.square(table), axis=0)
        squares = np.full(table.shape, -self.scale, np.float32)
        return _quadratic(inputs, squares, 2 * self.scale * table, -self.scale * norms)

    def compute_output_shape(self, input_shape: Sequence[int]):
        """Return the shape of the outputs, batch included."""
        return (*input_shape[:-1], self.entries)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "entries": self.entries, "scale": self.scale}


@keras.saving.register_keras_serializable("edgewright")
class LogDensities(layers.Layer):
    """log w_k + log N(x; mean_k, diagonal variance_k) for each of `entries` k.  Shapes: (N, n) -> (N, entries)."""

    def __init__(self, entries: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.entries = entries

    def build(self, input_shape: Sequence[int]):
        """Make means (n, k), variances (n, k) and weights (k,), constants all."""
        shape = (input_shape[-1], self.entries)
        self.means = self.add_weight(shape=shape, initializer="random_uniform", trainable=False, name="means")
        self.variances = self.add_weight(shape=shape, initializer="ones", trainable=False, name="variances")
        even: Any = keras.initializers.Constant(1 / self.entries)
        self.shares = self.add_weight(shape=shape[1:], initializer=even, trainable=False, name="shares")

    def call(self, inputs: KerasTensor):
        """Compute the layer.  Shapes: see the class."""
        means, variances, shares = self.means, self.variances, self.shares
        precision: Any = 1 / variances
        squared: Any = ops.square(means) * precision
        spread: Any = ops.sum(ops.log(2 * math.pi * variances) + squared, axis=0)
        return _quadratic(inputs, -0.5 * precision, means * precision, ops.log(shares) - 0.5 * spread)

    def compute_output_shape(self, input_shape: Sequence[int]):
        """Return the shape of the outputs, batch included."""
        return (*input_shape[:-1], self.entries)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "entries": self.entries}

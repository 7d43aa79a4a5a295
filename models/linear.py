"""Linear models: one affine map, the loss decides what it learns.

Two classes take one score z; the nets return (0, z), whose softmax is (1 - sigma(z), sigma(z)): so every classifier of
the zoo answers with one logit a class.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, layers, ops

from .registry import register
from .tables import QUERY, SCORES, lookup

ONE_BEFORE: Any = (1, 0)  # Keras' annotation knows symmetric padding only


@register(
    task="classification",
    learner="perceptron",
    input_shape=(4,),
    classes=2,
    params=5,
    paper="Rosenblatt 1958, The perceptron: a probabilistic model for information storage and organization",
    data=("setosa",),
)
def perceptron(inputs: KerasTensor, classes: int = 2):
    """Build w.x + b, started at zero as the rule's bound on its updates asks.  Shapes: (N, features) -> (N, 2)."""
    score = layers.Dense(1, kernel_initializer="zeros", name="score")(inputs)
    return against_zero(score, classes)


@register(
    task="regression",
    input_shape=(10,),
    params=11,
    paper="Legendre 1805, Nouvelles methodes pour la determination des orbites des cometes, appendix",
    data=("diabetes",),
    variants={
        "ridge_regression": {"params": 11, "decay": 0.03},
        "polynomial_regression": {"params": 66, "degree": 2, "decay": 0.25},
    },
)
def linear_regression(
    inputs: KerasTensor, targets: int = 1, degree: int = 1, decay: float = 0.0, lasso: float = 0.0,
    intercept: bool = True
):  # fmt: skip
    """Build w.x + b over all monomials of the features up to `degree`.

    decay: of ridge regression; |Xw - y|^2 + a |w|^2 over n samples is mean squared error + decay |w|^2 with
    decay = a / n. lasso: of the penalty lasso |w|_1; with both it is the elastic net. intercept: whether there is a b.
    Shapes: (N, features) -> (N, targets).
    """
    x = inputs if degree == 1 else Monomials(degree, name="monomials")(inputs)
    shrink: Any = keras.regularizers.L1L2(lasso, decay) if decay or lasso else None
    return layers.Dense(targets, use_bias=intercept, kernel_regularizer=shrink, name="prediction")(x)


@register(
    task="classification",
    input_shape=(30,),
    classes=2,
    params=31,
    paper="Cox 1958, The regression analysis of binary sequences",
    data=("breast_cancer",),
)
def logistic_regression(inputs: KerasTensor, classes: int = 2):
    """Build z = w.x + b; cross-entropy of (0, z) is softplus((1 - 2y) z).  Shapes: (N, features) -> (N, 2)."""
    return against_zero(layers.Dense(1, name="score")(inputs), classes)


def against_zero(score: KerasTensor, classes: int):
    """Return logits (N, 2) of a score (N, 1): zero for the first class, the score for the second."""
    if classes != 2:
        raise ValueError(f"classes={classes}: one score tells two classes apart; softmax_regression takes more")
    score = layers.Reshape((1, 1), name="score_column")(score)
    return layers.Flatten(name="logits")(layers.ZeroPadding1D(ONE_BEFORE, name="zero")(score))


@register(
    task="classification",
    input_shape=(64,),
    classes=10,
    params=650,
    paper="Bridle 1990, Training stochastic model recognition algorithms as networks",
    data=("digits",),
)
def softmax_regression(inputs: KerasTensor, classes: int):
    """Build W x + b.  Shapes: (N, features) -> logits (N, classes)."""
    return layers.Dense(classes, name="logits")(inputs)


@register(
    task="classification",
    learner="hinge",
    input_shape=(64,),
    classes=10,
    params=650,
    paper="Weston and Watkins 1999, Support vector machines for multi-class pattern recognition",
    data=("digits",),
)
def linear_svm(inputs: KerasTensor, classes: int, decay: float = 1e-4):
    """Build W x + b for the multi-class hinge loss; `decay` |W|^2 widens the margin.

    Shapes: (N, features) -> scores (N, classes).
    """
    return layers.Dense(classes, kernel_regularizer=keras.regularizers.L2(decay), name="logits")(inputs)


@register(
    task="classification",
    input_shape=(64,),
    classes=10,
    params=10_250,
    paper="Rahimi and Recht 2007, Random features for large-scale kernel machines",
    data=("digits",),
    edge={"features": 256},
)
def kernel_machine(inputs: KerasTensor, classes: int, features: int = 1024, gamma: float = 0.05):
    """Build a linear classifier on random features of the kernel exp(-gamma |x - y|^2).

    Shapes: (N, n) -> logits (N, classes).
    """
    x = RandomFourierFeatures(features, gamma, name="features")(inputs)
    return layers.Dense(classes, name="logits")(x)


@keras.saving.register_keras_serializable("edgewright")
class RandomFourierFeatures(layers.Layer):
    """Random cosines whose inner products approach exp(-gamma |x - y|^2) as their number grows; nothing is trained.

    Shapes: (N, n) -> (N, features).  Source: Rahimi and Recht 2007, algorithm 1.
    """

    def __init__(self, features: int, gamma: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.features, self.gamma = features, gamma

    def build(self, input_shape: Sequence[int]):
        """Make the weights."""
        normal: Any = keras.initializers.RandomNormal(stddev=(2 * self.gamma) ** 0.5)
        phase: Any = keras.initializers.RandomUniform(0.0, 2 * np.pi)
        shape = (input_shape[-1], self.features)
        self.kernel = self.add_weight(shape=shape, initializer=normal, trainable=False, name="kernel")
        self.bias = self.add_weight(shape=shape[-1:], initializer=phase, trainable=False, name="bias")

    def call(self, inputs: KerasTensor):
        """Compute the layer.  Shapes: see the class."""
        cosines: Any = ops.cos(ops.matmul(inputs, self.kernel) + self.bias)
        return (2 / self.features) ** 0.5 * cosines

    def compute_output_shape(self, input_shape: Sequence[int]):
        """Return the shape of the outputs, batch included."""
        return (*input_shape[:-1], self.features)

    def get_config(self):
        """Return the constructor\'s arguments."""
        return {**super().get_config(), "features": self.features, "gamma": self.gamma}


@keras.saving.register_keras_serializable("edgewright")
class Monomials(layers.Layer):
    """All products of one to `degree` features, by degree and then in lexicographic order, as scikit-learn has them.

    Shapes: (N, n) -> (N, binomial(n + degree, degree) - 1).
    """

    def __init__(self, degree: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.degree = degree

    def call(self, inputs: KerasTensor):
        """Compute the layer.  Shapes: see the class."""
        count: int = inputs.shape[-1]
        monomials: list[Any] = [inputs]
        for degree in range(2, self.degree + 1):
            # Feature i comes before those products of the degree below that hold no feature before i: the last ones.
            products = [
                inputs[:, i : i + 1] * monomials[-1][:, -math.comb(count - i + degree - 2, degree - 1) :]
                for i in range(count)
            ]
            monomials.append(ops.concatenate(products, axis=-1))
        return ops.concatenate(monomials, axis=-1)

    def compute_output_shape(self, input_shape: Sequence[int]):
        """Return the shape of the outputs, batch included."""
        return (*input_shape[:-1], math.comb(input_shape[-1] + self.degree, self.degree) - 1)

    def get_config(self):
        """Return the constructor\'s arguments."""
        return {**super().get_config(), "degree": self.degree}


@register(
    task="completion",
    learner="alternating_least_squares",
    input_shape=(2,),
    dtype="int32",
    params=25_395_909,
    paper="Koren 2009, Matrix factorization techniques for recommender systems; 480,189 users and 17,770 films of the "
    "Netflix prize, 50 values",
    data=("low_rank",),
    networks=("lookup", "scorer"),
    edge={"users": 120, "items": 80, "width": 8},
)
def matrix_factorization(users: int = 480_189, items: int = 17_770, width: int = 50) -> dict[str, keras.Model]:
    """Build p.q + b + c: p and b of a user, which are looked up, q and c of every item.

    Shapes: lookup: row (N, 1) -> vector (N, width + 1); scorer: query (N, width + 1) -> scores (N, items).
    """
    query: Any = keras.Input((width + 1,), name=QUERY)
    products = layers.Dense(items, name=SCORES)(query[:, :width])
    scores = layers.Add(name="with_user")([query[:, width:], products])  # not in turn: see findings/keras_add_bias.sh
    return {"lookup": lookup(users, width + 1), "scorer": keras.Model(query, scores, name="scorer")}

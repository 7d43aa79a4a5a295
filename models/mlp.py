"""Multilayer perceptrons: affine maps with an activation between."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, layers, ops

from .blocks import maxout
from .noise import AnnealedDropout, DropConnect, VariationalDropout
from .registry import register


@register(
    task="regression",
    input_shape=(2,),
    params=9,
    paper="Goodfellow 2016, Deep Learning, section 6.1; Rumelhart 1986, Learning representations by back-propagating",
    data=("xor",),
    learning_rate=0.03,
)
def xor_mlp(inputs: KerasTensor, hidden: int = 2, outputs: int = 1):
    """Build 2-2-1 with ReLU and a linear output, as small as can tell XOR.  Shapes: (N, 2) -> (N, 1).

    The hidden units start as sums of both inputs above thresholds from 0 to 1, and the output near zero: a ReLU that is
    off at every corner never learns, and from Glorot's start only a quarter of all seeds arrive.
    """
    sums: Any = keras.initializers.RandomUniform(0.8, 1.2)
    thresholds: Any = keras.initializers.RandomUniform(-1.0, 0.0)
    small: Any = keras.initializers.RandomUniform(-0.1, 0.1)
    x = layers.Dense(hidden, "relu", kernel_initializer=sums, bias_initializer=thresholds, name="hidden")(inputs)
    return layers.Dense(outputs, kernel_initializer=small, name="prediction")(x)


@register(
    task="classification",
    input_shape=(784,),
    classes=10,
    params=266_610,
    paper="LeCun 1998, Gradient-based learning applied to document recognition, 28x28-300-100-10",
    data=("mnist", "digits"),
    edge={"hidden": (128, 64), "activation": "relu"},
    variants={"shallow_mlp": {"hidden": (100,), "params": 79_510}},
)
def mlp(inputs: KerasTensor, classes: int, hidden: Sequence[int] = (300, 100), activation: str = "tanh"):
    """Build a feed-forward net with one layer for each width in `hidden`.

    Shapes: (N, features) -> logits (N, classes). For regression, `classes` is the number of targets.
    """
    x = inputs
    for index, width in enumerate(hidden, 1):
        x = layers.Dense(width, activation=activation, name=f"hidden_{index}")(x)
    return layers.Dense(classes, name="logits")(x)


@register(
    task="classification",
    input_shape=(784,),
    classes=10,
    params=1_233_610,
    paper="Goodfellow 2013, Maxout networks, arXiv:1302.4389 (permutation invariant MNIST)",
    data=("mnist", "digits"),
    edge={"input_shape": (64,), "hidden": (32, 32), "pieces": 3, "dropout": 0.2},
)
def maxout_mlp(
    inputs: KerasTensor, classes: int, hidden: Sequence[int] = (240, 240), pieces: int = 5, dropout: float = 0.5,
    units: str = "maxout"
):  # fmt: skip
    """Build hidden layers of units that learn their activation.

    units: "maxout", the largest of `pieces` affine maps; "prelu", a learnt slope below zero; "leaky_relu", a fixed one.
    Shapes: (N, features) -> logits (N, classes).
    """
    x = inputs
    for index, width in enumerate(hidden, 1):
        x = _learnt_activation(x, width, pieces, units, name=f"hidden_{index}")
        x = layers.Dropout(dropout, name=f"hidden_{index}_dropout")(x)
    return layers.Dense(classes, name="logits")(x)


def _learnt_activation(x: KerasTensor, width: int, pieces: int, units: str, name: str):
    if units == "maxout":
        return maxout(x, width, pieces, name=name)
    slopes = {"prelu": layers.PReLU, "leaky_relu": layers.LeakyReLU}
    if units not in slopes:
        raise ValueError(f"units={units!r}; allowed: maxout, {', '.join(slopes)}")
    x = layers.Dense(width, name=name)(x)
    return slopes[units](name=f"{name}_activation")(x)


@register(
    task="classification",
    input_shape=(784,),
    classes=10,
    params=1_276_810,
    paper="Gal 2016, Dropout as a Bayesian approximation, arXiv:1506.02142; sizes of Srivastava 2014, 784-800-800-10",
    data=("mnist", "digits"),
    edge={"input_shape": (64,), "hidden": (64, 64)},
)
def mc_dropout_mlp(
    inputs: KerasTensor, classes: int, hidden: Sequence[int] = (800, 800), keep_input: float = 0.8,
    keep_hidden: float = 0.5
):  # fmt: skip
    """Build a ReLU net with dropout before every layer; `monte_carlo` keeps it on at inference.

    What goes to a device is one pass without dropout, the approximation of the mean that Srivastava calls weight
    scaling.  Shapes: (N, features) -> logits (N, classes). For regression, `classes` is the number of targets.
    """
    x = layers.Dropout(1 - keep_input, name="input_dropout")(inputs)
    for index, width in enumerate(hidden, 1):
        x = layers.Dense(width, activation="relu", name=f"hidden_{index}")(x)
        x = layers.Dropout(1 - keep_hidden, name=f"hidden_{index}_dropout")(x)
    return layers.Dense(classes, name="logits")(x)


def monte_carlo(
    model: keras.Model, x: np.ndarray, passes: int = 100,
    activation: Callable[[np.ndarray], np.ndarray] = lambda outputs: outputs
):  # fmt: skip
    """Return mean and variance over `passes` with dropout kept on, each of the shape of the outputs.

    activation: applied to each pass' outputs, as a softmax to logits.  Source: arXiv:1506.02142, section 4.
    """
    outputs = np.stack([activation(np.asarray(model(x, training=True))) for _ in range(passes)])
    return outputs.mean(0), outputs.var(0)


SCHEMES = ("dropout", "dropconnect", "annealed", "gaussian", "variational")


@register(
    task="classification",
    input_shape=(784,),
    classes=10,
    params=1_276_810,
    paper="Srivastava 2014, Dropout: a simple way to prevent neural networks from overfitting, 784-800-800-10",
    data=("mnist", "digits"),
    edge={"input_shape": (64,), "hidden": (128, 128), "samples": 1_259},
    variants={
        "dropconnect": {
            "params": 1_276_810,
            "scheme": "dropconnect",
            "paper": "Wan 2013, Regularization of neural networks using DropConnect",
        },
        "annealed_dropout": {
            "params": 1_276_810,
            "scheme": "annealed",
            "paper": "Rennie 2014, Annealed dropout training of deep networks",
        },
        "gaussian_dropout": {"params": 1_276_810, "scheme": "gaussian"},
        "variational_dropout": {
            "params": 1_279_194,
            "scheme": "variational",
            "paper": "Kingma 2015, Variational dropout and the local reparameterization trick, arXiv:1506.02557",
        },
    },
)
def dropout_mlp(
    inputs: KerasTensor, classes: int, hidden: Sequence[int] = (800, 800), scheme: str = "dropout",
    rates: tuple[float, float] = (0.2, 0.5), samples: int = 55_000
):  # fmt: skip
    """Build a ReLU net with noise before every layer in training; at inference it is the plain net.

    scheme: one of `SCHEMES`; Gaussian noise is N(1, p/(1-p)), and of that variance variational noise begins. rates: the
    share p that is dropped of the inputs, and of hidden units. samples: of the training set, for the variational
    scheme, which has a variance an input of each layer to learn.
    Shapes: (N, features) -> logits (N, classes).
    """
    if scheme not in SCHEMES:
        raise ValueError(f"scheme={scheme!r}; allowed: {', '.join(SCHEMES)}")
    x, rate = inputs, rates[0]
    for index, width in enumerate(hidden, 1):
        x = _noisy_dense(x, width, "relu", rate, scheme, samples, name=f"hidden_{index}")
        rate = rates[1]
    return _noisy_dense(x, classes, None, rate, scheme, samples, name="logits")


def _noisy_dense(
    x: KerasTensor, units: int, activation: str | None, rate: float, scheme: str, samples: int, *, name: str
):
    if scheme == "dropconnect":
        return DropConnect(units, activation, rate, name=name)(x)
    if scheme == "variational":
        return VariationalDropout(units, activation, rate / (1 - rate), samples=samples, name=name)(x)
    kinds = {"dropout": layers.Dropout, "annealed": AnnealedDropout, "gaussian": layers.GaussianDropout}
    x = kinds[scheme](rate, name=f"{name}_noise")(x)
    return layers.Dense(units, activation, name=name)(x)


@register(
    task="classification",
    learner="multitask",
    input_shape=(64,),
    classes=10,
    params=8_772,
    paper="Caruana 1997, Multitask learning",
    data=("digits",),
    edge={"hidden": (64, 32)},
)
def multitask_mlp(
    inputs: KerasTensor, classes: int, hidden: Sequence[int] = (100, 20),
    heads: Sequence[tuple[str, int]] = (("parity", 2),)
):  # fmt: skip
    """Build a shared trunk with one head for the class and one for each (name, outputs) of `heads`.

    Shapes: (N, features) -> dict of logits: "logits" (N, classes), "parity" (N, 2).
    """
    x = inputs
    for index, width in enumerate(hidden, 1):
        x = layers.Dense(width, activation="relu", name=f"trunk_{index}")(x)
    outputs = {name: layers.Dense(size, name=name)(x) for name, size in heads}
    return {"logits": layers.Dense(classes, name="logits")(x), **outputs}


@register(
    task="classification",
    learner="bagging",
    input_shape=(64,),
    classes=10,
    params=75_100,
    paper="Breiman 1996, Bagging predictors",
    data=("digits",),
    edge={"members": 5, "hidden": (32,)},
)
def bagging_ensemble(
    inputs: KerasTensor, classes: int, members: int = 10, hidden: Sequence[int] = (100,), average: str = "logits",
    votes: Sequence[float] | None = None
):  # fmt: skip
    """Build `members` nets side by side that are averaged; the learner gives each a bootstrap of its own.

    average: "logits" or "probabilities". votes: a weight a member, whose class gets it whole, in place of the mean.
    Shapes: (N, features) -> logits (N, classes); probabilities, or sums of votes.
    """
    if average not in ("logits", "probabilities"):
        raise ValueError(f"average={average!r}; allowed: logits, probabilities")
    outputs = [_member(inputs, classes, hidden, f"member_{k}") for k in range(1, members + 1)]
    if votes is not None:
        return Vote(votes, hard=True, name="logits")(outputs)
    if average == "probabilities":
        outputs = [layers.Softmax(name=f"member_{k}_chances")(one) for k, one in enumerate(outputs, 1)]
    return layers.Average(name="logits")(outputs)


@register(
    task="classification",
    learner="boosting",
    input_shape=(64,),
    classes=10,
    params=6_100,
    paper="Freund 1997, A decision-theoretic generalization of on-line learning; SAMME: Zhu 2009, Multi-class AdaBoost",
    data=("digits",),
    learning_rate=0.01,
    edge={"members": 5},
)
def boosting(
    inputs: KerasTensor, classes: int, members: int = 10, hidden: Sequence[int] = (8,), hard: bool = False
):  # fmt: skip
    """Build `members` small nets whose votes are summed by weight; the learner fits one after the other.

    hard: a member's vote is its class, rather than its softmax.
    Shapes: (N, features) -> sums of votes (N, classes), the weights being shares of one.
    """
    outputs = [_member(inputs, classes, hidden, f"member_{k}") for k in range(1, members + 1)]
    return Vote((1 / members,) * members, hard=hard, name="logits")(outputs)


@keras.saving.register_keras_serializable("edgewright")
class Vote(layers.Layer):
    """The weighted sum of the classes that several members choose, or of their softmax: one product with the weights.

    weights: a constant a member, which a learner may set.  Shapes: a list of logits (N, classes) -> (N, classes).
    """

    def __init__(self, weights: Sequence[float], hard: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.given, self.hard = [float(weight) for weight in weights], hard

    def build(self, input_shape: Sequence[Sequence[int]]):
        """Make the weights.  Raises: ValueError unless there is one a member."""
        if len(self.given) != len(input_shape):
            raise ValueError(f"votes: {len(self.given)} weights for {len(input_shape)} members; give one each")
        self.votes = self.add_weight(
            shape=(len(self.given),), trainable=False, name="votes",
            initializer=lambda shape, dtype=None: ops.cast(self.given, dtype)
        )  # fmt: skip

    def call(self, inputs: Sequence[KerasTensor]):
        """Compute the layer."""
        members, classes = len(inputs), inputs[0].shape[-1]
        logits: Any = ops.reshape(ops.concatenate(inputs, axis=-1), (-1, members, classes))
        chosen: Any = ops.one_hot(ops.argmax(logits, axis=-1), classes) if self.hard else ops.softmax(logits)
        votes: Any = ops.reshape(self.votes, (members, 1, 1))
        weights: Any = votes * np.eye(classes, dtype=np.float32)  # (members, classes, classes)
        return ops.matmul(
            ops.reshape(chosen, (-1, members * classes)), ops.reshape(weights, (members * classes, classes))
        )

    def compute_output_shape(self, input_shape: Sequence[Sequence[int]]):
        """Return the shape of the outputs, batch included."""
        return tuple(input_shape[0])

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "weights": self.given, "hard": self.hard}


def _member(x: KerasTensor, classes: int, hidden: Sequence[int], name: str):
    for index, width in enumerate(hidden, 1):
        x = layers.Dense(width, activation="relu", name=f"{name}_hidden_{index}")(x)
    return layers.Dense(classes, name=f"{name}_logits")(x)

"""Autoencoders: nets that learn to return their input through a narrow layer."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, layers, ops

from .registry import register


@register(
    task="reconstruction",
    input_shape=(784,),
    params=157_684,
    paper="Hinton and Salakhutdinov 2006, Reducing the dimensionality of data with neural networks; one hidden layer",
    data=("mnist", "digits"),
    edge={"activation": "relu"},
)
def autoencoder(inputs: KerasTensor, code: int = 100, activation: str = "sigmoid"):
    """Build encoder and linear decoder, untied.  Shapes: (N, features) -> reconstruction (N, features)."""
    x = layers.Dense(code, activation=activation, name="code")(inputs)
    return layers.Dense(inputs.shape[-1], name="reconstruction")(x)


@register(
    task="anomaly_detection",
    input_shape=(640,),
    params=267_928,
    paper="Banbury 2021, MLPerf Tiny, arXiv:2106.07597 (anomaly detection)",
    data=("nab", "digits"),
)
def anomaly_detector(inputs: KerasTensor, hidden: Sequence[int] = (128, 128, 128, 128), code: int = 8):
    """Build the MLPerf Tiny anomaly detector: 640-128x4-8-128x4-640, normalised; a large error marks an anomaly.

    Shapes: (N, features) -> reconstruction (N, features).
    """
    x = inputs
    for index, width in enumerate(hidden, 1):
        x = dense_norm_relu(x, width, name=f"encoder_{index}")
    x = dense_norm_relu(x, code, name="code")
    for index, width in enumerate(reversed(hidden), 1):
        x = dense_norm_relu(x, width, name=f"decoder_{index}")
    return layers.Dense(inputs.shape[-1], name="reconstruction")(x)


def dense_norm_relu(x: KerasTensor, width: int, name: str):
    """Add an affine map, batch normalisation and ReLU."""
    x = layers.Dense(width, name=name)(x)
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


# ---------------------------------------------------------------- encoder and decoder apart


@register(
    task="autoencoding",
    learner="autoencoding",
    input_shape=(784,),
    params=157_684,
    paper="Hinton and Salakhutdinov 2006, Reducing the dimensionality of data with neural networks; one hidden layer",
    data=("mnist", "digits"),
    learning_rate=5e-3,
    networks=("encoder", "decoder"),
    edge={"input_shape": (64,), "code": 24},
    variants={
        "overcomplete_autoencoder": {"params": 1_412_884, "code": 900, "edge": {"code": 96}},
        "sparse_kl_autoencoder": {
            "params": 1_412_884,
            "paper": "Ng 2011, Sparse autoencoder, CS294A",
            "learner": "autoencoding:sparse_kl=0.001",
            "code": 900,
            "edge": {"code": 96},
        },
        "sparse_l1_autoencoder": {
            "params": 1_412_884,
            "paper": "Ng 2011, Sparse autoencoder, CS294A; the absolute code in place of the divergence",
            "learner": "autoencoding:sparse_l1=0.0001",
            "code": 900,
            "activation": "relu",
            "edge": {"code": 96},
        },
        "denoising_additive_autoencoder": {
            "params": 785_284,
            "paper": "Vincent 2010, Stacked denoising autoencoders",
            "learner": "autoencoding:noise=0.1",
            "code": 500,
            "edge": {"code": 64},
        },
        "denoising_multiplicative_autoencoder": {
            "params": 785_284,
            "paper": "Vincent 2010, Stacked denoising autoencoders",
            "learner": "autoencoding:drop=0.1",
            "code": 500,
            "edge": {"code": 64},
        },
        "contractive_autoencoder": {
            "params": 785_284,
            "paper": "Rifai 2011, Contractive auto-encoders: explicit invariance during feature extraction",
            "learner": "autoencoding:contractive=0.0001",
            "code": 500,
            "edge": {"code": 64},
        },
        "dropout_code_autoencoder": {
            "params": 785_284,
            "paper": "Srivastava 2014, Dropout: a simple way to prevent neural networks from overfitting",
            "learner": "autoencoding:drop_code=0.2",
            "code": 500,
            "edge": {"code": 64},
        },
        "stacked_autoencoder": {
            "params": 2_837_314,
            "paper": "Hinton and Salakhutdinov 2006, Reducing the dimensionality of data; sizes 784-1000-500-250-30",
            "learner": "stacked_autoencoding",
            "hidden": (1000, 500, 250),
            "code": 30,
            "activation": "relu",
            "edge": {"code": 16, "hidden": (96, 48)},
        },
    },
)  # fmt: skip
def undercomplete_autoencoder(
    input_shape: tuple[int, ...], code: int = 100, hidden: Sequence[int] = (), activation: str = "sigmoid"
):
    """Build an encoder, and a decoder that goes back through the same widths to a linear layer.

    Shapes: encoder: (N, features) -> code (N, code); decoder: code -> reconstruction (N, features).
    """
    (features,) = input_shape
    inputs: Any = keras.Input((features,), name="inputs")
    encoder = keras.Model(inputs, _dense(inputs, (*hidden, code), activation, last="code"), name="encoder")
    given: Any = keras.Input((code,), name="code")
    x = _dense(given, hidden[::-1], activation)
    decoder = keras.Model(given, layers.Dense(features, name="reconstruction")(x), name="decoder")
    return {"encoder": encoder, "decoder": decoder}


def _dense(x: KerasTensor, widths: Sequence[int], activation: str, last: str = ""):
    for index, width in enumerate(widths, 1):
        name = last if last and index == len(widths) else f"hidden_{index}"
        x = layers.Dense(width, activation=activation, name=name)(x)
    return x


@register(
    task="autoencoding",
    learner="autoencoding",
    input_shape=(28, 28, 1),
    params=2_633,
    paper="Masci 2011, Stacked convolutional auto-encoders for hierarchical feature extraction; strides for pooling",
    data=("mnist", "digits"),
    networks=("encoder", "decoder"),
    edge={"input_shape": (8, 8, 1)},
)
def convolutional_autoencoder(input_shape: tuple[int, ...], widths: Sequence[int] = (16, 8), kernel: int = 3):
    """Build an encoder of strided convolutions, and a decoder of transposed ones in their reverse order.

    Shapes: encoder: (N, H, W, C) -> code (N, H/4, W/4, 8); decoder: code -> reconstruction (N, H, W, C).
    """
    inputs: Any = keras.Input(input_shape, name="inputs")
    x = inputs
    for index, width in enumerate(widths, 1):
        name = "code" if index == len(widths) else f"conv_{index}"
        x = layers.Conv2D(width, kernel, 2, "same", activation="relu", name=name)(x)
    encoder = keras.Model(inputs, x, name="encoder")
    given: Any = keras.Input(tuple(x.shape[1:]), name="code")
    x = given
    for index, width in enumerate(widths[-2::-1], 1):
        x = layers.Conv2DTranspose(width, kernel, 2, "same", activation="relu", name=f"conv_{index}")(x)
    x = layers.Conv2DTranspose(input_shape[-1], kernel, 2, "same", name="reconstruction")(x)
    return {"encoder": encoder, "decoder": keras.Model(given, x, name="decoder")}


# ---------------------------------------------------------------- tied weights


@keras.saving.register_keras_serializable("edgewright")
class ReversibleDense(layers.Layer):
    """A Dense that goes back by its own kernel: W x + b, activated, and in reverse W' x + c.

    Shapes: (N, n) -> (N, units); reverse: (N, units) -> (N, n).
    """

    def __init__(self, units: int, activation: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.units, self.activation = units, keras.activations.get(activation)

    def build(self, input_shape: Sequence[int]):
        """Make one kernel, and a bias each way."""
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        self.reverse_bias = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="reverse_bias")

    def call(self, x: KerasTensor, reverse: bool = False):
        """Go one way or back."""
        if reverse:
            return ops.matmul(x, ops.transpose(self.kernel)) + self.reverse_bias
        return self.activation(ops.matmul(x, self.kernel) + self.bias)

    def get_config(self):
        """Return the constructor's arguments."""
        activation = keras.activations.serialize(self.activation)
        return {**super().get_config(), "units": self.units, "activation": activation}


@register(
    task="reconstruction",
    input_shape=(784,),
    params=79_284,
    paper="Vincent 2010, Stacked denoising autoencoders, section 2.1",
    data=("mnist", "digits"),
    learning_rate=5e-3,
    edge={"input_shape": (64,), "code": 24},
)
def tied_autoencoder(inputs: KerasTensor, code: int = 100, activation: str = "sigmoid"):
    """Build an autoencoder whose decoder is the transposed kernel of its encoder: one net, in which it is stored once.

    Shapes: (N, features) -> reconstruction (N, features).
    """
    layer = ReversibleDense(code, activation, name="code")
    return layers.Identity(name="reconstruction")(layer(layer(inputs), reverse=True))


# ---------------------------------------------------------------- a classifier


@register(
    task="classification",
    learner="stacked_classification",
    input_shape=(784,),
    classes=10,
    params=520_260,
    paper="Bengio 2007, Greedy layer-wise training of deep networks",
    data=("mnist_few_labels", "digits_few_labels"),
    training={"passes": 10},
    edge={"input_shape": (64,), "hidden": (128, 64)},
)
def stacked_classifier(inputs: KerasTensor, classes: int, hidden: Sequence[int] = (500, 250)):
    """Build a classifier whose hidden layers are pre-trained as autoencoders; their decoders are dropped.

    Shapes: (N, features) -> logits (N, classes).
    """
    return layers.Dense(classes, name="logits")(_dense(inputs, hidden, "relu"))

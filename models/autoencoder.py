"""Autoencoders: nets that learn to return their input through a narrow layer."""

from collections.abc import Sequence

from keras import KerasTensor, layers

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

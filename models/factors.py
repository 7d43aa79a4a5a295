"""Linear factor models: samples as a linear map of few normal factors, and noise; all of them are solved for."""

from typing import Any

import keras
from keras import layers

from .registry import Bars, register

FAMILY = "generative"


@register(
    task="autoencoding",
    learner="principal_components",
    input_shape=(64,),
    params=1_354,
    paper="Pearson 1901, On lines and planes of closest fit to systems of points in space",
    data=("digits",),
    networks=("encoder", "decoder"),
    variants={
        "factor_analysis": {
            "params": 1_354,
            "learner": "factor_analysis",
            "paper": "Rubin and Thayer 1982, EM algorithms for ML factor analysis",
        },
        "ppca": {
            "params": 1_354,
            "learner": "probabilistic_components",
            "paper": "Tipping and Bishop 1999, Probabilistic principal component analysis",
        },
        "ica": {
            "params": 1_354,
            "learner": "independent_components",
            "paper": "Hyvarinen 1999, Fast and robust fixed-point algorithms for independent component analysis",
        },
    },
)
def pca(input_shape: tuple[int, ...], factors: int = 10):
    """Build the map from samples to the posterior mean of factors, and that from factors to samples.

    Shapes: encoder: (N, features) -> code (N, factors); decoder: code -> reconstruction (N, features).
    """
    (features,) = input_shape
    inputs: Any = keras.Input((features,), name="inputs")
    given: Any = keras.Input((factors,), name="code")
    return {
        "encoder": keras.Model(inputs, layers.Dense(factors, name="code")(inputs), name="encoder"),
        "decoder": keras.Model(given, layers.Dense(features, name="reconstruction")(given), name="decoder"),
    }


@register(
    task="sampling",
    learner="normal_distribution",
    input_shape=(64,),
    params=4_160,
    paper="Goodfellow 2016, Deep learning, section 20.9",
    data=("digits",),
    networks=("generator",),
    bars=Bars(floor=-0.5),  # nats a value
    variants={
        "bernoulli_generator": {
            "params": 704,
            "learner": "logistic_components",
            "factors": 10,
            "activation": "sigmoid",
            "paper": "Tipping 1998, Probabilistic visualisation of high-dimensional binary data",
        }
    },
)
def affine_generator(input_shape: tuple[int, ...], factors: int | None = None, activation: str | None = None):
    """Build mu + L z, whose samples have covariance L L'; with a sigmoid, the chance that each value is 1.

    factors: as many as values where None.  Shapes: z (N, factors) -> sample (N, features).
    """
    (features,) = input_shape
    z: Any = keras.Input((factors or features,), name="z")
    sample = layers.Dense(features, activation=activation, name="sample")(z)
    return {"generator": keras.Model(z, sample, name="generator")}

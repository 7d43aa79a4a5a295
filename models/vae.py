"""Variational autoencoders: an encoder that tells a distribution over codes, a decoder that is a model of samples."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, layers, ops

from .registry import Bars, register

FAMILY = "generative"


@register(
    task="bernoulli_autoencoding",
    learner="autoencoding",
    input_shape=(784,),
    params=652_824,
    paper="Kingma and Welling 2013, Auto-encoding variational Bayes, arXiv:1312.6114; 784-400-20",
    data=("mnist", "digits"),
    networks=("encoder", "decoder"),
    edge={"input_shape": (64,), "latent": 8, "hidden": (128,)},
    bars=Bars(floor=-0.5),  # nats a value: the means of all samples have -0.49 on digits
    variants={
        "vae_gaussian": {
            "params": 652_824,
            "task": "gaussian_autoencoding",
            "bars": Bars(floor=-2.0),
        },
        "beta_vae": {
            "params": 14_196_516,
            "paper": "Higgins 2017, beta-VAE: learning basic visual concepts with a constrained variational framework",
            "task": "disentanglement",
            "learner": "autoencoding:beta_norm=0.01",  # beta 4 of 64x64 pictures and 10 latents
            "data": ("dsprites", "shapes"),
            "input_shape": (4096,),
            "latent": 10,
            "hidden": (1200, 1200),
            "back": (1200, 1200, 1200),
            "back_activation": "tanh",
            "bars": Bars(floor=0.4, drop=0.05),
            "edge": {"input_shape": (256,), "latent": 6, "hidden": (128, 128), "back": (128, 128)},
        },
    },
)
def vae_bernoulli(
    input_shape: tuple[int, ...], latent: int = 20, hidden: Sequence[int] = (400,), back: Sequence[int] | None = None,
    activation: str = "relu", back_activation: str = "relu"
):  # fmt: skip
    """Build an encoder of a diagonal normal distribution, and a decoder; the noise that draws a code is an input.

    back: the decoder's widths, the encoder's in reverse where None.
    Shapes: encoder: sample (N, features), noise (N, latent) -> mean, log_variance, code = mean + exp(log_variance / 2)
    noise, (N, latent) each; decoder: code -> logits or means of values (N, features).
    """
    (features,) = input_shape
    inputs: Any = keras.Input((features,), name="inputs")
    noise: Any = keras.Input((latent,), name="noise")
    outputs = _posterior(_dense(inputs, hidden, activation), noise, latent)
    given: Any = keras.Input((latent,), name="code")
    x = _dense(given, hidden[::-1] if back is None else back, back_activation)
    return {
        "encoder": keras.Model({"inputs": inputs, "noise": noise}, outputs, name="encoder"),
        "decoder": keras.Model(given, layers.Dense(features, name="values")(x), name="decoder"),
    }


def _posterior(x: KerasTensor, noise: KerasTensor, latent: int) -> dict[str, Any]:
    """Return mean and log variance of the posterior, and the code that noise draws from it."""
    mean, log_variance = (layers.Dense(latent, name=name)(x) for name in ("mean", "log_variance"))
    deviation = ops.exp(log_variance * 0.5)
    code = layers.Add(name="code")([mean, layers.Multiply(name="spread")([deviation, noise])])
    return {"mean": mean, "log_variance": log_variance, "code": code}


def _dense(x: KerasTensor, widths: Sequence[int], activation: str):
    for index, width in enumerate(widths, 1):
        x = layers.Dense(width, activation=activation, name=f"hidden_{index}")(x)
    return x


@register(
    task="disentanglement",
    learner="autoencoding:clamped=3",
    input_shape=(64, 64, 1),
    params=1_646_001,
    paper="Kulkarni 2015, Deep convolutional inverse graphics network, arXiv:1503.03167; sizes for 64x64 pixels",
    data=("dsprites", "shapes"),
    networks=("encoder", "decoder"),
    edge={"input_shape": (16, 16, 1), "latent": 12, "widths": (16, 16, 8), "kernel": 3},
    bars=Bars(floor=0.4, drop=0.05),
)
def dc_ign(input_shape: tuple[int, ...], latent: int = 200, widths: Sequence[int] = (96, 64, 32), kernel: int = 5):
    """Build a convolutional encoder of a diagonal normal distribution, and a decoder of transposed convolutions.

    The first latents stand for one factor of a picture each, in the way that it is trained.
    Shapes: encoder: image (N, H, W, C), noise (N, latent) -> mean, log_variance, code (N, latent); decoder: code ->
    logits of pixels (N, H, W, C).
    """
    inputs: Any = keras.Input(input_shape, name="inputs")
    noise: Any = keras.Input((latent,), name="noise")
    x = inputs
    for index, width in enumerate(widths, 1):
        x = layers.Conv2D(width, kernel, padding="same", activation="relu", name=f"conv_{index}")(x)
        x = layers.MaxPooling2D(name=f"pool_{index}")(x)
    shape = x.shape[1:]
    outputs = _posterior(layers.Flatten(name="flat")(x), noise, latent)
    given: Any = keras.Input((latent,), name="code")
    x = layers.Dense(math.prod(shape), activation="relu", name="hidden")(given)
    x = layers.Reshape(shape, name="unflat")(x)
    for index, width in enumerate(widths[-2::-1], 1):
        x = layers.Conv2DTranspose(width, kernel, 2, "same", activation="relu", name=f"conv_{index}")(x)
    x = layers.Conv2DTranspose(input_shape[-1], kernel, 2, "same", name="values")(x)
    return {
        "encoder": keras.Model({"inputs": inputs, "noise": noise}, outputs, name="encoder"),
        "decoder": keras.Model(given, x, name="decoder"),
    }

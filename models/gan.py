"""Generative adversarial networks: a generator that draws samples, a discriminator that tells them from real ones."""

from typing import Any

import keras
from keras import KerasTensor, layers

from .registry import Bars, register

FAMILY = "generative"


@register(
    task="generation",
    learner="adversarial",
    input_shape=(784,),
    params=2_946_577,
    paper="Goodfellow 2014, Generative adversarial nets, arXiv:1406.2661; optimizer of Radford 2016, arXiv:1511.06434",
    data=("mnist", "digits"),
    learning_rate=2e-4,
    edge={"input_shape": (64,), "latent": 16, "hidden": (64, 128, 128)},
    networks=("generator", "discriminator"),
    bars=Bars(floor=-0.2),  # nats a value: an untrained generator has -0.6 on digits
)
def gan_mlp(
    input_shape: tuple[int, ...], latent: int = 100, hidden: tuple[int, ...] = (256, 512, 1024), slope: float = 0.2
):
    """Build two dense nets: the generator widens a latent vector by `hidden`, the discriminator narrows a sample again.

    Shapes: generator: z (N, latent) -> sample (N, n) in [-1, 1]; discriminator: sample (N, n) -> logit (N, 1), above 0
    for a real one.
    """
    (width,) = input_shape
    return {
        "generator": _generator(width, latent, hidden, slope),
        "discriminator": _discriminator(width, hidden[::-1], slope),
    }


def _generator(width: int, latent: int, hidden: tuple[int, ...], slope: float):
    inputs: Any = keras.Input((latent,), name="z")
    x = _leaky(inputs, hidden, slope)
    return keras.Model(inputs, layers.Dense(width, activation="tanh", name="sample")(x), name="generator")


def _discriminator(width: int, hidden: tuple[int, ...], slope: float):
    inputs: Any = keras.Input((width,), name="images")
    x = _leaky(inputs, hidden, slope)
    return keras.Model(inputs, layers.Dense(1, name="logit")(x), name="discriminator")


def _leaky(x: KerasTensor, widths: tuple[int, ...], slope: float):
    for index, units in enumerate(widths, 1):
        x = layers.Dense(units, name=f"hidden_{index}")(x)
        x = layers.LeakyReLU(slope, name=f"leaky_{index}")(x)
    return x

"""Autoregressive models of pictures: the probability of each pixel given those that are known."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from .registry import Bars, register


@register(
    task="pixel_likelihood",
    learner="any_order",
    input_shape=(784,),
    params=1_427_784,
    paper="Uria 2014, A deep and tractable density estimator, arXiv:1310.1757; two hidden layers of 500",
    data=("mnist", "digits"),
    networks=("conditionals",),
    edge={"input_shape": (64,), "hidden": (128, 128)},
    bars=Bars(floor=-0.35),  # nats a pixel: independent pixels have -0.386 on digits
)
def deep_autoregressive_nade(input_shape: tuple[int, ...], hidden: Sequence[int] = (500, 500)):
    """Build Deep NADE: one net for the conditionals of all orders, told which pixels are known.

    Shapes: pixels (N, n) in {0, 1}, those that are not known being hidden here, mask (N, n), 1 for the known ones ->
    logits of a 1 (N, n), which count for the others.
    """
    (features,) = input_shape
    pixels: Any = keras.Input((features,), name="pixels")
    mask: Any = keras.Input((features,), name="mask")
    x = layers.Concatenate(name="told")([layers.Multiply(name="known")([pixels, mask]), mask])
    for index, width in enumerate(hidden, 1):
        x = layers.Dense(width, activation="relu", name=f"hidden_{index}")(x)
    logits = layers.Dense(features, name="logits")(x)
    return {"conditionals": keras.Model({"pixels": pixels, "mask": mask}, logits, name="conditionals")}

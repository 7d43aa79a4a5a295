"""World models: what is seen becomes a code, a memory expects the next one, and a small controller acts by both."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from .registry import Bars, register

FAMILY = "rl"


@register(
    task="episodic",
    learner="dreaming:moves=16,beta=0.1",
    input_shape=(64, 64, 3),
    classes=3,
    params=4_771_782,
    paper="Ha and Schmidhuber 2018, World models, arXiv:1803.10122; 4,348,547, 422,368 and 867 parameters",
    data=("small_pixel_grid_world",),
    networks=("vision", "decoder", "memory", "controller"),
    deploy=("vision", "memory", "controller"),  # whose states the host hands on: each file answers one move
    edge={"input_shape": (12, 12, 1), "latent": 16, "units": 16, "mixtures": 3, "filters": (8, 16), "back": (5, 4)},
    learning_rate=0.01,
    # What is added to the memory in each step is often less than one of 256 steps of its range. Its gates and what it
    # answers need no 16 bits, where tanh and sigmoid of LiteRT are up to two of 65,536 steps off.
    wide=("lstm/multiply", "lstm/multiply_2", "lstm/add_3"),
    bars=Bars(floor=0.4),  # the best policy gains 0.705, who wanders less than -1
)
def world_model(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    latent: int = 32,
    units: int = 256,
    mixtures: int = 5,
    filters: Sequence[int] = (32, 64, 128, 256),
    back: Sequence[int] = (5, 5, 6, 6),
):
    """Build an encoder of a diagonal normal distribution and its decoder, a recurrence of one step, and a controller.

    filters: of convolutions of 4x4 pixels, every second; back: sizes of the kernels that lead back from one place.
    Shapes: vision: frame (N, H, W, C) -> mean, log_variance (N, latent); decoder: code (N, latent) -> logits of pixels;
    memory: code, action (N, classes) one-hot, hidden, cell (N, units) -> hidden_out, cell_out and mixture (N, latent
    mixtures 3), the logit, mean and logarithm of the deviation of each part of what is expected of each value of the
    next code; controller: code, hidden -> logits (N, classes).
    """
    frame: Any = keras.Input(input_shape, name="frame")
    x = frame
    for index, width in enumerate(filters, 1):
        x = layers.Conv2D(width, 4, 2, activation="relu", name=f"conv_{index}")(x)
    x = layers.Flatten(name="flat")(x)
    posterior = {name: layers.Dense(latent, name=name)(x) for name in ("mean", "log_variance")}
    return {
        "vision": keras.Model(frame, posterior, name="vision"),
        "decoder": _decoder(latent, math.prod(x.shape[1:]), [*filters[-2::-1], input_shape[-1]], back),
        "memory": _memory(latent, classes, units, mixtures),
        "controller": _controller(latent, classes, units),
    }


def _decoder(latent: int, wide: int, filters: Sequence[int], kernels: Sequence[int]) -> keras.Model:
    code: Any = keras.Input((latent,), name="code")
    x = layers.Reshape((1, 1, wide), name="unflat")(layers.Dense(wide, name="wide")(code))
    for index, (width, kernel) in enumerate(zip(filters[:-1], kernels, strict=False), 1):
        x = layers.Conv2DTranspose(width, kernel, 2, activation="relu", name=f"conv_{index}")(x)
    return keras.Model(code, layers.Conv2DTranspose(filters[-1], kernels[-1], 2, name="values")(x), name="decoder")


def _memory(latent: int, actions: int, units: int, mixtures: int) -> keras.Model:
    sizes = {"code": latent, "action": actions, "hidden": units, "cell": units}
    given: dict[str, Any] = {name: keras.Input((size,), name=name) for name, size in sizes.items()}
    x = layers.Concatenate(name="told")([given["code"], given["action"]])
    _, (hidden, cell) = layers.LSTMCell(units, name="lstm")(x, [given["hidden"], given["cell"]])
    mixture = layers.Dense(latent * mixtures * 3, name="mixture")(hidden)
    return keras.Model(given, {"mixture": mixture, "hidden_out": hidden, "cell_out": cell}, name="memory")


def _controller(latent: int, actions: int, units: int) -> keras.Model:
    code: Any = keras.Input((latent,), name="code")
    hidden: Any = keras.Input((units,), name="hidden")
    x = layers.Concatenate(name="both")([code, hidden])
    return keras.Model({"code": code, "hidden": hidden}, layers.Dense(actions, name="logits")(x), name="controller")

"""Autoencoders that draw samples by a walk: a noisy code of a sample, a sample of the code, and so on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, layers

from ..untyped import ops
from .autoencoder import ReversibleDense
from .registry import Bars, register

FAMILY = "generative"


@register(
    task="sampled_walk",
    learner="autoencoding:walks=3",
    input_shape=(784,),
    params=4_607_284,
    paper="Bengio 2013, Deep generative stochastic networks trainable by backprop, arXiv:1306.1091; 784-1500-1500",
    data=("mnist", "digits"),
    networks=("encoder", "decoder"),
    edge={"input_shape": (64,), "hidden": (128, 64), "deviation": 0.3},
    bars=Bars(floor=-0.2),  # nats a value: an untrained net has -0.6 on digits
)
def deep_gsn(input_shape: tuple[int, ...], hidden: Sequence[int] = (1500, 1500), deviation: float = 2.0):
    """Build a generative stochastic network of two hidden layers, whose walk goes up, down and out again at each step.

    Salt and pepper fall on four values in ten, and noise of a deviation on each hidden layer, before and behind its
    tanh. What is carried from step to step is the sample: hidden layers begin anew.
    Shapes: encoder: sample (N, n), noise (N, n + 4 hidden_1 + 2 hidden_2), normal -> code (N, hidden_1); decoder: code
    -> logits of values (N, n).
    """
    (features,) = input_shape
    low, high = hidden
    inputs: Any = keras.Input((features,), name="inputs")
    noise: Any = keras.Input((features + 4 * low + 2 * high,), name="noise")
    first, second, last = features, features + 2 * low, features + 2 * (low + high)  # where noise of each layer begins
    told = layers.Dense(low, name="hidden_1")(Salted(name="salted")([inputs, noise[:, :first]]))
    top = ReversibleDense(high, name="hidden_2")
    below = _noisy(told, noise[:, first:second], deviation, "up_1")
    above = _noisy(top(below), noise[:, second:last], deviation, "up_2")
    both = layers.Add(name="from_both_sides")([told, top(above, reverse=True)])
    code = layers.Identity(name="code")(_noisy(both, noise[:, last:], deviation, "down_1"))
    given: Any = keras.Input((low,), name="code")
    return {
        "encoder": keras.Model({"inputs": inputs, "noise": noise}, code, name="encoder"),
        "decoder": keras.Model(given, layers.Dense(features, name="values")(given), name="decoder"),
    }


def _noisy(x: KerasTensor, noise: Any, deviation: float, name: str) -> Any:
    scaled: Any = noise * deviation
    before, behind = scaled[:, : x.shape[-1]], scaled[:, x.shape[-1] :]
    x = layers.Activation("tanh", name=name)(layers.Add(name=f"{name}_sum")([x, before]))
    return layers.Add(name=f"{name}_noisy")([x, behind])


@keras.saving.register_keras_serializable("edgewright")
class Salted(layers.Layer):
    """Set a fifth of all values to 1 and a fifth to 0, by normal noise: what lies beyond +-0.8416.

    Shapes: samples (N, n), noise (N, n) -> (N, n).
    """

    BEYOND = 0.8416  # of a normal distribution, a fifth on each side

    def call(self, inputs: Any):
        """Compute the layer."""
        x, noise = inputs
        salt = ops.cast(noise > self.BEYOND, x.dtype)
        kept = ops.cast(ops.abs(noise) < self.BEYOND, x.dtype)
        return x * kept + salt


@register(
    task="walk",
    learner="stacked_autoencoding:contractive=0.001,quiet=1",
    input_shape=(784,),
    params=3_571_784,
    paper="Rifai 2012, A generative process for sampling contractive auto-encoders, arXiv:1206.6434; 784-1000-1000",
    data=("mnist", "digits"),
    networks=("encoder", "decoder"),
    edge={"input_shape": (64,), "hidden": (192,), "code": 96},
    bars=Bars(floor=-0.2),
)
def stacked_cae(
    input_shape: tuple[int, ...], hidden: Sequence[int] = (1000,), code: int = 1000, spread: float = 1.0
):  # fmt: skip
    """Build contractive layers, whose walk moves codes h along what they tell of the samples: h + spread J J' noise.

    J is the Jacobian of the code by the sample; the noise goes back by it and forth again.
    Shapes: encoder: sample (N, n), noise (N, code), normal -> code (N, code); decoder: code -> values (N, n).
    """
    (features,) = input_shape
    inputs: Any = keras.Input((features,), name="inputs")
    noise: Any = keras.Input((code,), name="noise")
    names = [*(f"hidden_{index}" for index in range(1, len(hidden) + 1)), "code_told"]
    parts = [Curved(width, "sigmoid", name=name) for width, name in zip((*hidden, code), names, strict=True)]
    x, at = inputs, []
    for layer in parts:
        x = layer(x)
        at.append(x)
    moved = noise
    for layer, said in zip(parts[::-1], at[::-1], strict=True):
        moved = layer(moved, at=said, back=True)
    for layer, said in zip(parts, at, strict=True):
        moved = layer(moved, at=said)
    answer = layers.Add(name="code")([x, moved * spread])
    given: Any = keras.Input((code,), name="code")
    y = given
    for index, width in enumerate(hidden[::-1], 1):
        y = layers.Dense(width, "sigmoid", name=f"hidden_{index}")(y)
    return {
        "encoder": keras.Model({"inputs": inputs, "noise": noise}, answer, name="encoder"),
        "decoder": keras.Model(given, layers.Dense(features, name="values")(y), name="decoder"),
    }


@keras.saving.register_keras_serializable("edgewright")
class Curved(layers.Dense):
    """A Dense of sigmoids that can multiply by its Jacobian too, W' diag(y (1 - y)) where it answered y, and back.

    Shapes: (N, n) -> (N, units); at an answer (N, units) the same, and back (N, units) -> (N, n).
    """

    def build(self, input_shape: Any):
        """Make the weights of a Dense, and take what has as many values as units."""
        super().build(input_shape)
        self.input_spec = None

    def call(self, x: Any, at: Any = None, back: bool = False):  # pyright: ignore[reportIncompatibleMethodOverride]
        """Compute the layer, or its change where it answered `at`."""
        if at is None:
            return super().call(x)
        slope = at * (1 - at)
        return ops.matmul(x * slope, ops.transpose(self.kernel)) if back else ops.matmul(x, self.kernel) * slope

    def compute_output_spec(self, *args: Any, **kwargs: Any):
        """Return shape and type by running `call`: which way it goes decides."""
        return keras.Operation.compute_output_spec(self, *args, **kwargs)

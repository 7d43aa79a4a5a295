"""Energy models: units that are on or off, of which all states have probabilities proportional to exp(-E)."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, layers, ops

from .registry import register

FAMILY = "generative"


@register(
    task="energy",
    learner="contrastive_divergence",
    input_shape=(784,),
    params=1_178_568,
    paper="Hinton 2002, Training products of experts by minimizing contrastive divergence; 784-500",
    data=("mnist", "digits"),
    networks=("encoder", "decoder", "energy"),
    learning_rate=0.025,
    training={"passes": 5},
    edge={"input_shape": (64,), "code": 64},
    variants={
        "dbn": {
            "params": 3_288_784,
            "paper": "Hinton 2006, A fast learning algorithm for deep belief nets; 784-500-500-2000, without labels",
            "networks": ("encoder", "decoder"),
            "deploy": ("encoder", "decoder"),
            "hidden": (500, 500),
            "code": 2000,
            "edge": {"hidden": (96,), "code": 64},
        },
    },
)
def rbm(input_shape: tuple[int, ...], code: int = 500, hidden: Sequence[int] = ()):
    """Build the conditionals of a restricted Boltzmann machine, or the passes up and down a stack of them.

    E(v, h) = -b v - c h - v W h. Each file has weights of its own; that they are the same is the learner's work.
    Shapes: encoder: v (N, n) -> P(h = 1 | v), "code" (N, code); decoder: h -> P(v = 1 | h) (N, n); of a lone machine,
    energy: v -> the free energy -b v - sum log(1 + exp(c + v W)) in nats, (N, 1), high for what is unlike the data.
    """
    (features,) = input_shape
    inputs: Any = keras.Input((features,), name="inputs")
    given: Any = keras.Input((code,), name="code")
    up, down = ((*hidden, code), "code"), ((*hidden[::-1], features), "reconstruction")
    networks = {
        "encoder": keras.Model(inputs, _sigmoids(inputs, *up), name="encoder"),
        "decoder": keras.Model(given, _sigmoids(given, *down), name="decoder"),
    }
    return networks if hidden else {**networks, "energy": _free_energy(features, code)}


def _sigmoids(x: KerasTensor, widths: Sequence[int], last: str):
    for index, width in enumerate(widths, 1):
        x = layers.Dense(width, "sigmoid", name=last if index == len(widths) else f"hidden_{index}")(x)
    return x


def _free_energy(features: int, code: int) -> keras.Model:
    inputs: Any = keras.Input((features,), name="inputs")
    softened = layers.Activation("softplus", name="softened")(layers.Dense(code, name="code")(inputs))
    visible = layers.Dense(1, use_bias=False, name="visible")(inputs)  # -b v
    energy = layers.Subtract(name="energy")([visible, ops.sum(softened, axis=-1, keepdims=True)])
    return keras.Model(inputs, energy, name="energy")

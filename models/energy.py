"""Energy models: units that are on or off, of which all states have probabilities proportional to exp(-E)."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, layers, ops

from .registry import Bars, register

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


# ---------------------------------------------------------------- all units see each other


@keras.saving.register_keras_serializable("edgewright")
class MeanField(layers.Layer):
    """Chances of units that are told x by others, and see each other: half way to what they say, `rounds` times.

    m = sigmoid(x) at first, then m = (m + sigmoid(x + m J)) / 2; J is symmetric, and 0 between a unit and itself.
    Shapes: (N, n) -> (N, n) in [0, 1].  Source: Peterson and Anderson 1987, A mean field theory learning algorithm for
    neural networks.
    """

    def __init__(self, rounds: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.rounds = rounds

    def build(self, input_shape: Sequence[int]):
        """Make the kernel, zeros as in a restricted machine."""
        self.kernel = self.add_weight(shape=(input_shape[-1],) * 2, initializer="zeros", name="kernel")

    def call(self, x: KerasTensor):
        """Compute the rounds."""
        found: Any = ops.sigmoid(x)
        for _ in range(self.rounds):
            found = (found + ops.sigmoid(x + ops.matmul(found, self.kernel))) * 0.5
        return found

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "rounds": self.rounds}


@keras.saving.register_keras_serializable("edgewright")
class Sweep(layers.Layer):
    """Draw each unit anew in turn, given all others as they are by then: on where a uniform number is below its chance.

    Shapes: state (N, n) of zeros and ones, uniform (N, n) -> state (N, n).
    """

    def build(self, input_shape: Any):
        """Make the kernel of all units, symmetric and 0 between a unit and itself, and their biases."""
        units = input_shape[0][-1]
        self.kernel = self.add_weight(shape=(units, units), initializer="zeros", name="kernel")
        self.bias = self.add_weight(shape=(units,), initializer="zeros", name="bias")

    def call(self, inputs: Any):
        """Compute a sweep."""
        state, uniform = inputs
        units, dtype = state.shape[-1], state.dtype
        state: Any = ops.cast(state > 0.5, dtype)  # in int8 on the scale of what is drawn, so that all are on one
        now, chosen = ([each[:, unit : unit + 1] for unit in range(units)] for each in (state, uniform))
        for unit in range(units):
            sums: Any = ops.matmul(ops.concatenate(now, axis=1), self.kernel) + self.bias
            chance = ops.sigmoid(sums[:, unit : unit + 1])
            now[unit] = ops.cast(chosen[unit] < chance, dtype)
        return ops.concatenate(now, axis=1)

    def compute_output_shape(self, input_shape: Any):
        """Return the shape of the state."""
        return input_shape[0]


@register(
    task="connected_energy",
    learner="contrastive_divergence",
    input_shape=(784,),
    params=3_299_880,
    paper="Ackley 1985, A learning algorithm for Boltzmann machines; 784-500 as in Salakhutdinov 2008, Learning and "
    "evaluating Boltzmann machines",
    data=("mnist", "digits"),
    networks=("encoder", "decoder", "sweep"),
    learning_rate=0.025,
    training={"passes": 5},
    edge={"input_shape": (36,), "code": 12},
    bars=Bars(
        floor=0.3
    ),  # units are drawn by grey levels, of which a digit of 36 pixels has most: chance hides the rest
)
def boltzmann_machine(input_shape: tuple[int, ...], code: int = 500, rounds: int = 5):
    """Build the conditionals of a machine all of whose units see each other, and one sweep of its chain.

    E(v, h) = -b v - c h - v W h - v L v / 2 - h J h / 2. Each file has weights of its own, as those of `rbm`.
    Shapes: encoder: v (N, n) -> P(h = 1 | v), by mean field, "code" (N, code); decoder: "state" of all units
    (N, n + code), the visible ones first -> P(v = 1 | all others) (N, n); sweep: "state" and "uniform" (N, n + code) in
    [0, 1) -> the next state.
    """
    (features,) = input_shape
    inputs: Any = keras.Input((features,), name="inputs")
    told = layers.Dense(code, name="code_told")(inputs)
    state, uniform = (keras.Input((features + code,), name=name) for name in ("state", "uniform"))
    return {
        "encoder": keras.Model(inputs, MeanField(rounds, name="code")(told), name="encoder"),
        "decoder": keras.Model(state, layers.Dense(features, "sigmoid", name="reconstruction")(state), name="decoder"),
        "sweep": keras.Model({"state": state, "uniform": uniform}, Sweep(name="sweep")([state, uniform]), name="sweep"),
    }

"""Reservoirs: a recurrence that stays as it was drawn, and a linear readout of its states, which is all that is fitted.

The reservoir's weights are constants, most of them zeros. The readout's are found by ridge regression on the states.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from .registry import register
from .streams import sequence_and_step, step_with

FAMILY = "rnn"
DRAWS = 20  # of a matrix, until one has a spectral radius


@keras.saving.register_keras_serializable("edgewright")
class ReservoirWeights(keras.initializers.Initializer):
    """Draws a square matrix with a share of `links`, the others zero, and the spectral radius `radius`.

    Links are normal; radius None leaves them as they are drawn.  Raises: ValueError for a share outside (0, 1].
    """

    def __init__(self, links: float = 0.1, radius: float | None = 0.9, seed: int | None = None):
        if not 0 < links <= 1:
            raise ValueError(f"links={links}: the share of weights that are not zero lies in (0, 1]")
        self.links, self.radius = links, radius
        self.seed = random.randint(0, 2**31 - 1) if seed is None else seed  # as Keras' own initializers have it

    def __call__(self, shape: Any, dtype: Any = None, **ignored: Any) -> Any:
        """Return the matrix."""
        drawn = np.random.default_rng(self.seed)
        for _ in range(DRAWS):
            weights = self._drawn(drawn, shape)
            largest = 1.0 if self.radius is None else spectral_radius(weights)
            if largest > 1e-3:  # few links may lead in no circle: nothing scales such a matrix
                weights *= (self.radius or 1.0) / largest
                return ops.convert_to_tensor(weights.astype("float32"), dtype=dtype)
        raise ValueError(f"links={self.links}: too few for a reservoir of shape {shape}, no unit echoes; ask for more")

    def _drawn(self, drawn: np.random.Generator, shape: Any) -> np.ndarray:
        size = int(np.prod(shape))
        weights = np.zeros(size)
        chosen = drawn.permutation(size)[: max(1, int(self.links * size))]
        weights[chosen] = drawn.normal(size=len(chosen))
        return weights.reshape(shape)

    def get_config(self) -> dict[str, Any]:
        """Return what the matrix is drawn by."""
        return {"links": self.links, "radius": self.radius, "seed": self.seed}


def spectral_radius(weights: Any) -> float:
    """Return the largest absolute eigenvalue of a square matrix."""
    return float(np.abs(np.linalg.eigvals(np.asarray(weights))).max())


class _Fixed(layers.Layer):
    """A cell whose weights nothing trains: input kernel (F, units), recurrent kernel (units, units), bias (units)."""

    def __init__(self, units: int, *, links: float, radius: float | None, input_scale: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.units, self.links, self.radius, self.input_scale = units, links, radius, input_scale

    def build(self, input_shape: Any) -> None:
        scale = self.input_scale
        drawn = keras.initializers.RandomUniform(-scale, scale)
        shape = (input_shape[-1], self.units)
        self.kernel = self.add_weight(shape, drawn, trainable=False, name="kernel")
        self.recurrent_kernel = self.add_weight(
            (self.units, self.units), ReservoirWeights(self.links, self.radius), trainable=False,
            name="recurrent_kernel",
        )  # fmt: skip
        self.bias = self.add_weight((self.units,), self._bias(), trainable=False, name="bias")

    def _bias(self) -> Any:
        return keras.initializers.RandomUniform(-self.input_scale / 5, self.input_scale / 5)

    def get_initial_state(self, batch_size: int | None = None) -> Any:
        """Return states of zero."""
        return [ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in self.state_size]

    def get_config(self) -> dict[str, Any]:
        """Return what the cell is made of."""
        own = {name: getattr(self, name) for name in ("units", "links", "radius", "input_scale")}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("edgewright")
class EchoStateCell(_Fixed):
    """h = (1 - a) h + a f(U x + W h + b) with fixed weights; leak a = 1 is the plain network.

    intrinsic: f is the logistic function, and the learner adapts gain and threshold of each unit to a mean activity
    (see `training.learners.reservoir`); U, W and b hold them. Else f is tanh.
    Shapes: x (N, F), h (N, units) -> h, [h].  Source: Jaeger 2001; leaky units, Jaeger 2007.
    """

    def __init__(
        self,
        units: int,
        *,
        links: float = 0.1,
        radius: float | None = 0.9,
        input_scale: float = 0.5,
        leak: float = 1.0,
        intrinsic: bool = False,
        **kwargs: Any,
    ):
        super().__init__(units, links=links, radius=radius, input_scale=input_scale, **kwargs)
        if not 0 < leak <= 1:
            raise ValueError(f"leak={leak}: the share of the new in the state lies in (0, 1]")
        self.leak, self.intrinsic = leak, intrinsic
        self.state_size, self.output_size = [units], units

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        """Compute one time step."""
        (h,) = states
        net = ops.add(ops.add(ops.matmul(inputs, self.kernel), ops.matmul(h, self.recurrent_kernel)), self.bias)
        new = ops.sigmoid(net) if self.intrinsic else ops.tanh(net)
        if self.leak < 1:
            new = ops.add(ops.multiply(h, 1 - self.leak), ops.multiply(new, self.leak))
        return new, [new]

    def get_config(self) -> dict[str, Any]:
        """Return what the cell is made of."""
        return {**super().get_config(), "leak": self.leak, "intrinsic": self.intrinsic}


@keras.saving.register_keras_serializable("edgewright")
class SpikingCell(_Fixed):
    """Integrate-and-fire units with exponential synapses and a refractory time; weights are fixed.

    v = leak v + U x + W s + b where the unit is not refractory, else 0; it fires where v > 1, which sets v to 0 and has
    the unit rest for `rest` steps; s = fade s + fired.
    Shapes: x (N, F), membranes v, synapses s and refractory counters (N, units) -> s and v (N, 2 units), [v, s,
    counters].
    Source: Maass 2002, Real-time computing without stable states.
    """

    def __init__(
        self,
        units: int,
        *,
        links: float = 0.1,
        radius: float | None = 0.9,
        input_scale: float = 0.5,
        leak: float = 0.6,
        fade: float = 0.7,
        rest: int = 1,
        **kwargs: Any,
    ):
        super().__init__(units, links=links, radius=radius, input_scale=input_scale, **kwargs)
        self.leak, self.fade, self.rest = leak, fade, rest
        self.state_size, self.output_size = [units] * 3, 2 * units

    def _bias(self) -> Any:
        return keras.initializers.RandomUniform(0.0, 1 - self.leak)  # by itself none reaches the threshold

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        """Compute one time step."""
        membrane, synapse, counter = states
        awake = ops.cast(ops.less(counter, 0.5), self.compute_dtype)
        given = ops.add(ops.add(ops.matmul(inputs, self.kernel), ops.matmul(synapse, self.recurrent_kernel)), self.bias)
        membrane = ops.multiply(ops.add(ops.multiply(membrane, self.leak), given), awake)
        fired = ops.cast(ops.greater(membrane, 1.0), self.compute_dtype)
        membrane = ops.multiply(membrane, ops.subtract(1.0, fired))
        synapse = ops.add(ops.multiply(synapse, self.fade), fired)
        counter = ops.add(ops.relu(ops.subtract(counter, 1.0)), ops.multiply(fired, float(self.rest)))
        return ops.concatenate([synapse, membrane], axis=-1), [membrane, synapse, counter]

    def get_config(self) -> dict[str, Any]:
        """Return what the cell is made of."""
        own = {name: getattr(self, name) for name in ("leak", "fade", "rest")}
        return {**super().get_config(), **own}


@register(
    task="streaming_regression",
    learner="readout",
    input_shape=(32, 1),
    params=1_001,
    paper='Jaeger 2001, The "echo state" approach to analysing and training recurrent neural networks; 1000 units as '
    "in Jaeger and Haas 2004, Harnessing nonlinearity",
    data=("ett", "mackey_glass"),
    edge={"units": 96},
    networks=("sequence", "step"),
    deploy=(step_with(reservoir=1),),
    variants={
        "esn_leaky": {
            "params": 1_001,
            "leak": 0.6,
            "paper": "Jaeger 2007, Optimization and applications of echo state networks with leaky-integrator neurons",
        },
        "esn_intrinsic_plasticity": {
            "params": 1_001,
            "intrinsic": True,
            "radius": 0.95,
            "paper": "Triesch 2005, A gradient rule for the plasticity of a neuron's intrinsic excitability; in "
            "reservoirs, Steil 2007",
        },
    },
)
def echo_state_network(
    input_shape: Sequence[int],
    units: int = 1000,
    *,
    links: float = 0.1,
    radius: float = 0.8,
    input_scale: float = 1.0,
    leak: float = 1.0,
    intrinsic: bool = False,
):
    """Build a reservoir of `units` with a share of `links` and the spectral radius `radius`, and its readout.

    Shapes: sequence: frames (N, T, F) -> readout (N, F), the frame behind the last; step: frame (N, 1, F), h (N, units)
    -> readout (N, F), h.
    """

    def body(x: Any, recur: Any) -> Any:
        cell = EchoStateCell(
            units, links=links, radius=radius, input_scale=input_scale, leak=leak, intrinsic=intrinsic, name="cell"
        )
        x = recur(x, layers.RNN, cell, return_sequences=False, name="reservoir")
        return layers.Dense(input_shape[-1], name="readout")(x)

    return sequence_and_step(input_shape, body)


@register(
    task="streaming_regression",
    learner="readout",
    input_shape=(32, 1),
    params=271,
    paper="Maass 2002, Real-time computing without stable states: a new framework for neural computation based on "
    "perturbations; 135 units as there",
    data=("ett", "mackey_glass"),
    edge={"units": 96},
    networks=("sequence", "step"),
    deploy=(step_with(liquid=3),),
)
def liquid_state_machine(
    input_shape: Sequence[int], units: int = 135, links: float = 0.1, radius: float = 0.3, input_scale: float = 1.0
):
    """Build a reservoir of spiking units and the readout of its synapses and membranes.

    Shapes: sequence: frames (N, T, F) -> readout (N, F), the frame behind the last; step: frame (N, 1, F), membranes,
    synapses and refractory counters (N, units) -> readout (N, F) and the three.
    """

    def body(x: Any, recur: Any) -> Any:
        cell = SpikingCell(units, links=links, radius=radius, input_scale=input_scale, name="cell")
        x = recur(x, layers.RNN, cell, return_sequences=False, name="liquid")
        return layers.Dense(input_shape[-1], name="readout")(x)

    return sequence_and_step(input_shape, body)

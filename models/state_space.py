"""State space models: what is hidden moves by itself, and what is seen tells of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from .registry import Bars, register
from .streams import sequence_and_step, step_with

FAMILY = "rnn"


@keras.saving.register_keras_serializable("edgewright")
class KalmanCell(layers.Layer):
    """The Kalman filter that has seen enough for its gain to be steady: a linear recurrence of the mean.

    m = (I - K C) A m + K y; the output is the prediction of the next observation, C A m. Weights are these products,
    transposed: transition (units, units), gain (F, units), observation (units, F).
    Shapes: y (N, F), m (N, units) -> prediction (N, F), [m].  Source: Kalman 1960.
    """

    def __init__(self, units: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.units, self.state_size = units, [units]

    def build(self, input_shape: Any) -> None:
        """Make the weights: at first the observation is remembered."""
        width = self.output_size = input_shape[-1]
        self.transition = self.add_weight((self.units, self.units), "zeros", name="transition")
        self.gain = self.add_weight((width, self.units), "identity", name="gain")
        self.observation = self.add_weight((self.units, width), "identity", name="observation")

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        """Compute one time step."""
        mean = ops.add(ops.matmul(states[0], self.transition), ops.matmul(inputs, self.gain))
        return ops.matmul(mean, self.observation), [mean]

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        """Return a mean of zero."""
        return [ops.zeros((batch_size, self.units), dtype=self.compute_dtype)]

    def get_config(self) -> dict[str, Any]:
        """Return what the cell is made of."""
        return {**super().get_config(), "units": self.units}


@register(
    task="streaming_regression",
    learner="kalman",
    input_shape=(32, 1),
    params=8,
    paper="Kalman 1960, A new approach to linear filtering and prediction problems; fitted by EM as in Shumway and "
    "Stoffer 1982",
    data=("ett", "mackey_glass"),
    networks=("sequence", "step"),
    deploy=(step_with(filter=1),),
    bars=Bars(floor=0.7),  # the last two values of mackey_glass tell 0.78 of the next by least squares
)
def kalman_filter(input_shape: Sequence[int], units: int = 2):
    """Build the filter of a linear model of `units` states, and its prediction.

    Shapes: sequence: frames (N, T, F) -> prediction (N, F), the frame behind the last; step: frame (N, 1, F), mean
    (N, units) -> prediction (N, F), mean.
    """

    def body(x: Any, recur: Any) -> Any:
        x = recur(x, layers.RNN, KalmanCell(units, name="cell"), return_sequences=False, name="filter")
        return layers.Identity(name="prediction")(x)

    return sequence_and_step(input_shape, body)

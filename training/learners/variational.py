"""Nets that say a posterior of their codes on the way to what they draw of them, such as DRAW."""

from __future__ import annotations

import math
from typing import Any

import keras

from ...errors import BadInput
from ...keras_internals import layers_in
from ...untyped import ops
from ..config import TrainConfig
from ..data import Dataset
from ..losses import loss_of_logits
from ..tasks import Objective
from .autoencoding import Penalised
from .fitting import FitOverrides
from .minimise import joiner
from .register import Networks
from .wrapped import answered

SEQUENCE, PICTURES, NOISE = "sequence", "pictures", "noise"
LOGITS, MEAN, LOG_VARIANCE = "logits", "mean", "log_variance"
OBJECTIVE = Objective(name="variational", loss=loss_of_logits)  # judged by the bound alone


class Bounded(keras.Model):
    """A net behind what draws its noise; answers logits, flat, and behind them the divergence, a share of a value.

    Shapes: pictures (N, ...) -> (N, n + 1).
    """

    def __init__(self, network: keras.Model, seed: int):
        super().__init__(name="bounded")
        self.network = network
        self.supports_jit &= all(layer.supports_jit for layer in layers_in(network))
        self.random = keras.random.SeedGenerator(seed)
        self.size = next(tuple(symbol.shape[1:]) for symbol in network.inputs if symbol.name == NOISE)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Draw codes; validation draws the same at every call: two of them are to be compared."""
        count, values = ops.shape(inputs)[0], math.prod(inputs.shape[1:])
        noise = keras.random.normal((count, *self.size), seed=self.random if training else 0)
        said = answered(self.network, {PICTURES: inputs, NOISE: noise}, training)
        mean, log_variance = said[MEAN], said[LOG_VARIANCE]
        apart = ops.reshape(mean * mean + ops.exp(log_variance) - 1 - log_variance, (-1, math.prod(self.size)))
        divergence = ops.sum(apart, axis=1, keepdims=True) / (2 * values)
        return ops.concatenate([ops.reshape(said[LOGITS], (-1, values)), divergence], axis=1)


def _overrides(model: Any, dataset: Dataset, task: Any, config: TrainConfig) -> FitOverrides:
    return FitOverrides(
        loss=Penalised(loss_of_logits(0.0)), targets=lambda split: split.y.reshape(len(split), -1).astype("float32")
    )


@joiner("variational", _overrides, judged=OBJECTIVE)
def variational(networks: Networks, dataset: Dataset, config: TrainConfig) -> dict[str, keras.Model]:
    """Minimise minus the lower bound of the log-likelihood of pictures with values in [0, 1], in nats per value.

    networks: "sequence", pictures and noise -> logits, and mean and log_variance of all codes that the noise drew.
    Source: Gregor 2015, arXiv:1502.04623, equations 9 to 12.  Raises: BadInput for other networks.
    """
    if set(networks) != {SEQUENCE}:
        raise BadInput(f"learner 'variational' trains {SEQUENCE!r}, got {', '.join(networks)}")
    return {"bounded": Bounded(networks[SEQUENCE], config.seed)}

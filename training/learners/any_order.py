"""Densities in any order: pixels that are hidden at random are told from the others."""

from __future__ import annotations

from typing import Any

import keras

from ...errors import BadInput
from ...keras_internals import layers_in
from ...untyped import ops
from ..config import TrainConfig
from ..data import Dataset
from ..tasks import Objective
from ..tasks.pixel_likelihood import MASK, NETWORK, PIXELS
from .fitting import FitOverrides
from .minimise import joiner
from .register import Networks


class Hiding(keras.Model):
    """A network of conditionals behind what hides pixels; answers logits and what each counts for.

    Of n pixels as many are known as chance has it, from 0 to n - 1, all numbers and all sets of that size alike; the
    others have weights that sum to n.  Shapes: pixels (N, n) -> (N, n, 2)
    """

    def __init__(self, network: keras.Model, seed: int):
        super().__init__(name="hiding")
        self.network = network
        self.supports_jit &= all(layer.supports_jit for layer in layers_in(network))
        self.random = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Hide pixels, and ask for them; validation hides the same at every call: two of them are to be compared."""
        shape, size = ops.shape(inputs), inputs.shape[-1]
        random = (self.random, self.random) if training else (0, 1)
        rank = ops.argsort(ops.argsort(keras.random.uniform(shape, seed=random[0]), axis=-1), axis=-1)
        known = ops.floor(keras.random.uniform((shape[0], 1), seed=random[1]) * size)
        mask = ops.cast(ops.cast(rank, "float32") < known, "float32")
        logits = self.network({PIXELS: inputs * mask, MASK: mask}, training=training)
        return ops.stack([logits, (1 - mask) * size / (size - known)], axis=-1)


class OfHidden(keras.losses.Loss):
    """Cross-entropy of pixels by logits and weights, in nats a pixel.  Shapes: (N, n), (N, n, 2)."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each sample, (N,): without bias minus the log-likelihood, a mean over orders."""
        logits, weights = y_pred[..., 0], y_pred[..., 1]
        return ops.mean(weights * (ops.softplus(logits) - y_true * logits), axis=-1)


def _overrides(model: Any, dataset: Dataset, task: Objective, config: TrainConfig) -> FitOverrides:
    return FitOverrides(loss=OfHidden(name="of_hidden"), targets=lambda split: split.y)


@joiner("any_order", _overrides)
def any_order(networks: Networks, dataset: Dataset, config: TrainConfig) -> dict[str, keras.Model]:
    """Minimise minus the log-likelihood of binary images, the mean over all orders of their pixels.

    networks: "conditionals", pixels and mask -> logits.  Source: Uria 2014, arXiv:1310.1757, algorithm 1.
    Raises: BadInput for other networks.
    """
    if set(networks) != {NETWORK}:
        raise BadInput(f"learner 'any_order' trains {NETWORK!r}, got {', '.join(networks)}")
    return {"hiding": Hiding(networks[NETWORK], config.seed)}

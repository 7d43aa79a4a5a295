"""Language models of any order: tokens are told from those that chance puts before them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from ...errors import BadInput
from ...keras_internals import layers_in
from ...untyped import ops
from ..config import TrainConfig
from ..data import Dataset
from ..losses import of_tokens
from ..tasks import Objective
from .fitting import FitOverrides
from .minimise import joiner
from .register import Networks

SEQUENCE, TOKENS, MASK = "sequence", "tokens", "mask"


class Permuting(keras.Model):
    """Two streams behind what draws orders: answers the logits of each token.

    A token knows those of its segment that do not come behind it in an order by chance, those of the segment before,
    and zeros before the first.  Shapes: tokens (N, T) -> (N, T, K).
    """

    def __init__(self, network: keras.Model, seed: int):
        super().__init__(name="permuting")
        self.network = network
        self.supports_jit &= all(layer.supports_jit for layer in layers_in(network))
        self.random = keras.random.SeedGenerator(seed)
        self.shape = next(tuple(symbol.shape[1:]) for symbol in network.inputs if symbol.name == MASK)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Draw an order for each text; validation has the same at every call: two of them are to be compared."""
        length, known = self.shape
        chance = keras.random.uniform(ops.shape(inputs), seed=self.random if training else 0)
        segment = np.arange(length) // (known - length)
        same = segment[:, None] == segment
        earlier = ops.less_equal(ops.expand_dims(chance, 1), ops.expand_dims(chance, 2))  # (N, T, T)
        told = ops.logical_or(ops.logical_and(earlier, same), segment[:, None] == segment + 1)
        nothing = ops.zeros_like(told[:, :, : known - length])
        nothing = ops.logical_or(nothing, np.broadcast_to(segment[:, None] == 0, (length, known - length)))
        mask = ops.cast(ops.concatenate([nothing, told], axis=2), "int32")
        return self.network({TOKENS: inputs, MASK: mask}, training=training)


OBJECTIVE = Objective(name="permuted", loss=of_tokens, labelled=True)  # judged by its loss alone


def _overrides(model: Any, dataset: Dataset, task: Any, config: TrainConfig) -> FitOverrides:
    return FitOverrides(loss=of_tokens(0.0), targets=lambda split: split.x)


@joiner("permuted", _overrides, judged=OBJECTIVE)
def permuted(networks: Networks, dataset: Dataset, config: TrainConfig) -> dict[str, keras.Model]:
    """Minimise minus the log-likelihood of texts, the mean over all orders of the tokens of a segment.

    networks: "sequence", tokens and mask -> logits.  All tokens are told, where the paper tells the last of an order.
    Source: Yang 2019, arXiv:1906.08237, equation 3.  Raises: BadInput for other networks.
    """
    if set(networks) != {SEQUENCE}:
        raise BadInput(f"learner 'permuted' trains {SEQUENCE!r}, got {', '.join(networks)}")
    return {"permuting": Permuting(networks[SEQUENCE], config.seed)}

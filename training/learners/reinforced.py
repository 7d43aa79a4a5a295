"""Networks that choose where to look: what they say is learned by its loss, what they choose by what it came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from ...ends import symbolic_inputs
from ...errors import BadInput
from ...keras_internals import layers_in
from ...untyped import ops, tree
from ..config import TrainConfig
from ..data import Dataset, Split
from ..tasks import Objective
from .fitting import FitOverrides
from .minimise import joiner
from .register import Networks
from .wrapped import answered

SEQUENCE, NOISE, LOGITS = "sequence", "noise", "logits"
LEAST = 1e-6  # of a chance whose logarithm is taken


@dataclass(frozen=True, kw_only=True)
class Choices:
    """How choices are drawn and rewarded.

    deviation: of a place around its mean; 0 where one region of several is drawn by their weights. right: 1 where all
    that is said is one class, and the reward whether it is right in the end; else tokens are said, of which 0 is
    padding, and the reward of a choice is the log-likelihood of the tokens from there on. weight: of the choices' part
    beside the loss of what is said. entropy: weight of the entropy of the weights.
    Raises: BadInput for a number outside its range.
    """

    deviation: float = 0.0
    right: int = 0
    weight: float = 1.0
    entropy: float = 0.01

    def __post_init__(self) -> None:
        for name in ("deviation", "weight", "entropy"):
            if getattr(self, name) < 0:
                raise BadInput(f"{name}={getattr(self, name)}: allowed is a number from 0")
        if self.right not in (0, 1):
            raise BadInput(f"right={self.right}: allowed are 0 and 1")


class Choosing(keras.Model):
    """A sequence net whose choices are drawn while it trains; answers logits, and behind them what the loss asks.

    That is the log-likelihood of each choice and the entropy of what it was drawn from; zeros where nothing is drawn.
    The net reads "noise" and answers "logits" (N, T, K); of regions "attention" and "chosen", one-hot, (N, T, S); of
    places "mean" and "location" (N, T, 2).  Shapes: samples -> (N, T, K + 2).
    """

    def __init__(self, network: keras.Model, asked: Choices, seed: int):
        super().__init__(name="choosing")
        self.network, self.asked = network, asked
        self.supports_jit &= all(layer.supports_jit for layer in layers_in(network))
        self.random = keras.random.SeedGenerator(seed)
        symbols = tree.flatten(symbolic_inputs(network))
        self.shape = next(symbol.shape[1:] for symbol in symbols if symbol.name == NOISE)
        self.read = next(symbol.name for symbol in symbols if symbol.name != NOISE)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Choose by chance in training, else what is likeliest."""
        given = dict(inputs) if isinstance(inputs, Mapping) else {self.read: inputs}
        shape = (ops.shape(next(iter(given.values())))[0], *self.shape)
        noise = self._noise(shape) if training else ops.zeros(shape)
        said = answered(self.network, {**given, NOISE: noise}, training)
        logits = said[LOGITS]
        more = self._chances(said) if training else ops.zeros((*ops.shape(logits)[:-1], 2))
        return ops.concatenate([logits, more], axis=-1)

    def _noise(self, shape: Any) -> Any:
        if self.asked.deviation:
            return self.asked.deviation * keras.random.normal(shape, seed=self.random)
        uniform = keras.random.uniform(shape, LEAST, 1 - LEAST, seed=self.random)
        return -ops.log(-ops.log(uniform))  # Gumbel's: the largest sum with log p is drawn by p

    def _chances(self, said: Mapping[str, Any]) -> Any:
        """Return log-likelihood and entropy of each choice, (N, T, 2)."""
        if self.asked.deviation:
            away = (ops.stop_gradient(said["location"]) - said["mean"]) / self.asked.deviation
            likely = -ops.sum(away * away, axis=-1) / 2
            return ops.stack([likely, ops.zeros_like(likely)], axis=-1)
        weights = said["attention"]
        log = ops.log(ops.maximum(weights, LEAST))
        chosen = ops.stop_gradient(said["chosen"])
        return ops.stack([ops.sum(chosen * log, axis=-1), -ops.sum(weights * log, axis=-1)], axis=-1)


class Reinforced(keras.losses.Loss):
    """Cross-entropy of what is said, and of what is chosen -(R - b) log p, R being the reward, b its mean in the batch.

    Its gradient is that of the expected loss, without bias but for the share of 1 / N that a sample has in b.
    Shapes: targets (N, T), (N, T, K + 2).  Source: Williams 1992; Xu 2015, arXiv:1502.03044, section 4.1; Mnih 2014,
    arXiv:1406.6247, section 3.1; both have a mean that moves, or a net, for b.
    """

    def __init__(self, asked: Choices):
        super().__init__(name="reinforced")
        self.asked = asked

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each answer, (N, T)."""
        logits, likely, entropy = y_pred[..., :-2], y_pred[..., -2], y_pred[..., -1]
        truth = ops.cast(y_true, "int32")
        nats = keras.losses.sparse_categorical_crossentropy(truth, logits, from_logits=True)
        if self.asked.right:
            there = ops.ones_like(nats)
            hit = ops.cast(ops.equal(ops.cast(ops.argmax(logits, axis=-1), "int32"), truth), nats.dtype)
            reward = hit[:, -1:] * there
        else:
            there = ops.cast(ops.not_equal(truth, 0), nats.dtype)
            reward = -ops.flip(ops.cumsum(ops.flip(nats * there, axis=1), axis=1), axis=1)
        gain = ops.stop_gradient(reward - ops.mean(reward, axis=0, keepdims=True))
        whole = nats - self.asked.weight * gain * likely - self.asked.entropy * entropy
        return whole * there / ops.maximum(ops.mean(there), LEAST)


OBJECTIVE = Objective(name="reinforced", loss=lambda smoothing: Reinforced(Choices()))  # judged by its loss alone


def _overrides(model: Any, dataset: Dataset, task: Any, config: TrainConfig) -> FitOverrides:
    def targets(split: Split) -> Any:
        steps = model.shape[0]
        return split.y if split.y.ndim > 1 else split.y[:, None].repeat(steps, axis=1)

    return FitOverrides(loss=Reinforced(model.asked), targets=targets)


# What is chosen is learned slowly: a few steps behind pruning do not mend it.
@joiner("reinforced", _overrides, judged=OBJECTIVE, starts_over=True, options=Choices)
def reinforced(
    networks: Networks, dataset: Dataset, config: TrainConfig, *, options: Choices
) -> dict[str, keras.Model]:
    """Minimise the loss of what a sequence net says, and reinforce what it chooses on the way.

    networks: "sequence"; see `Choosing`.  Raises: BadInput for other networks.
    """
    if set(networks) != {SEQUENCE}:
        raise BadInput(f"learner 'reinforced' trains {SEQUENCE!r}, got {', '.join(networks)}")
    return {"choosing": Choosing(networks[SEQUENCE], options, config.seed)}

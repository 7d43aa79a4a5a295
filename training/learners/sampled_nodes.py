"""Nets of drawn neighbourhoods: drawn anew each epoch, by labels and, if asked, by which nodes are near on a walk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from ...errors import BadInput
from ...untyped import ops
from ..config import TrainConfig
from ..data import Dataset, Split
from ..neighbourhoods import FAR, NEAR, TARGET, WEIGHTS, Neighbourhoods
from ..state import Row, RunDir
from ..tasks import Objective
from ..tasks.sampled_nodes import LOGITS, VECTOR, Sampled
from .batches import Batches
from .fitting import FitOverrides
from .minimise import best_epoch, minimise
from .minimise import validate as validate_loss
from .register import Networks, learner

FROM, TO = "from_", "to_"  # before the names of a pair's neighbourhoods
OWN = ""


@dataclass(frozen=True, kw_only=True)
class Nearness:
    """Options. unsupervised: how much the pairs count; labels: how much labels do; walk: steps at most between a pair;
    negatives: how many other nodes each is told apart from.
    """

    unsupervised: float = 0.0
    labels: float = 1.0
    walk: int = 5
    negatives: int = 10

    def __post_init__(self):
        for name, holds in (
            ("unsupervised", self.unsupervised >= 0),
            ("labels", self.labels >= 0 and self.labels + self.unsupervised > 0),
            ("walk", self.walk >= 1),
            ("negatives", self.negatives >= 1),
        ):
            if not holds:
                raise BadInput(f"learner 'sampled_nodes': option {name}={getattr(self, name)}; give a number from 0, "
                               "walk and negatives from 1, and labels or unsupervised above 0")  # fmt: skip


class Gathered(keras.Model):
    """A net of neighbourhoods that is told who is in them; of a pair it tells besides how far it is none.

    The cost of a pair is -log s(z_v.z_u) - sum of log s(-z_v.z_n) over Q other pairs' ends n, s being the sigmoid.
    Shapes: target (N,), near (N, k1), far (N, k1, k2) int -> logits and the cost, (N, K + 1).
    Source: Hamilton 2017, arXiv:1706.02216, equation 1; n are drawn as u are, by walks.
    """

    def __init__(self, network: keras.Model, features: np.ndarray, negatives: int):
        super().__init__(name="gathered")
        self.network, self.negatives = network, negatives
        self.features = self.add_weight(features.shape, trainable=False, name="features")
        self.features.assign(features)
        self.supports_jit = True
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return what the loss takes."""
        logits = self._read(inputs, OWN, training)[LOGITS]
        cost = ops.zeros_like(logits[:, :1])
        if f"{FROM}{TARGET}" in inputs:
            one, other = (self._read(inputs, end, training)[VECTOR] for end in (FROM, TO))
            cost = pair_costs(one, other, self.negatives)[:, None]
        return ops.concatenate([logits, cost], axis=-1)

    def _read(self, inputs: Any, end: str, training: bool | None) -> Any:
        given = {}
        for name in (TARGET, NEAR, FAR):
            nodes = inputs[f"{end}{name}"]
            there = ops.cast(nodes >= 0, self.compute_dtype)
            given[name] = ops.take(self.features, ops.maximum(nodes, 0), axis=0) * there[..., None]
            if name in WEIGHTS:
                given[WEIGHTS[name]] = there / ops.maximum(ops.sum(there, axis=-1, keepdims=True), 1)
        return self.network(given, training=training)


def pair_costs(one: Any, other: Any, negatives: int) -> Any:
    """Return the cost of each pair, the ends of the pairs before it being what it is told apart from.

    Shapes: (N, d) twice -> (N,).
    """
    cost = ops.softplus(-ops.sum(one * other, axis=-1))
    for place in range(1, negatives + 1):
        cost = cost + ops.softplus(ops.sum(one * ops.roll(other, place, axis=0), axis=-1))
    return cost


@keras.saving.register_keras_serializable("edgewright")
class LabelsAndPairs(keras.losses.Loss):
    """The cross-entropy of classes by one weight and the cost of pairs by another.  Shapes: (N,), (N, K + 1)."""

    def __init__(self, labels: float, pairs: float, name: str = "labels_and_pairs"):
        super().__init__(name=name)
        self.labels, self.pairs = labels, pairs

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each row, (N,)."""
        surprise: Any = keras.losses.sparse_categorical_crossentropy(y_true, y_pred[:, :-1], from_logits=True)
        return self.labels * surprise + self.pairs * y_pred[:, -1]

    def get_config(self):
        """Return the weights and the name."""
        return {"labels": self.labels, "pairs": self.pairs, "name": self.name}


class Redrawn(Batches):
    """Training nodes whose neighbourhoods are drawn anew each epoch, and pairs of any nodes beside them if asked."""

    def __init__(self, dataset: Sampled, options: Nearness, split: Split, targets: Any, config: TrainConfig,
                 weights: Any = None):  # fmt: skip
        self._graph, self._options = dataset.graph, options
        super().__init__(split, targets, config, weights)

    def begin(self, epoch: int) -> None:
        """Draw the order and the neighbourhoods of `epoch`."""
        super().begin(epoch)
        random = np.random.default_rng([self._seed, epoch, 1])
        nodes: Any = self.parts[0]
        x = self._graph.drawn(nodes[TARGET], random)
        if self._options.unsupervised:
            x |= pairs(self._graph, len(nodes[TARGET]), self._options.walk, random)
        self.parts = (x, *self.parts[1:])

    def read(self) -> Any:
        """Return the batches themselves: a pipeline would keep the neighbourhoods that it was made of."""
        return self


def pairs(graph: Neighbourhoods, count: int, walk: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Return the neighbourhoods of pairs of nodes, of which one lies up to `walk` steps of a walk from the other."""
    first = random.integers(len(graph.features), size=count).astype(np.int32)
    ends = {FROM: first, TO: graph.walked(first, walk, random)}
    return {f"{end}{name}": drawn for end, each in ends.items() for name, drawn in graph.drawn(each, random).items()}


def _overrides(options: Nearness) -> Any:
    def told(model: keras.Model, dataset: Dataset, task: Objective, config: TrainConfig) -> FitOverrides:
        assert isinstance(dataset, Sampled)
        return FitOverrides(
            loss=LabelsAndPairs(options.labels, options.unsupervised),
            targets=lambda split: split.y,
            batches=lambda *given: Redrawn(dataset, options, *given),
        )

    return told


def _prepared(networks: Networks, dataset: Dataset, options: Nearness) -> tuple[dict[str, keras.Model], Dataset]:
    """Return what is trained, and data of which validation has pairs too if they count: always the same."""
    if not isinstance(dataset, Sampled):
        raise BadInput(f"learner 'sampled_nodes' draws neighbourhoods; data {dataset.name!r} has none")
    ((_, network),) = networks.items()
    made: dict[str, keras.Model] = {"gathered": Gathered(network, dataset.graph.features, options.negatives)}
    if not options.unsupervised:
        return made, dataset
    split = dataset.validation
    beside = pairs(dataset.graph, len(split), options.walk, np.random.default_rng(0))
    return made, replace(dataset, validation=replace(split, x={**split.x, **beside}))  # pyright: ignore[reportGeneralTypeIssues]


def validate(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, *, options: Nearness) -> Row:
    """Return the loss of the network as it is, on validation data."""
    made, shown = _prepared(networks, dataset, options)
    return validate_loss(_overrides(options), made, shown, task, config)


@learner("sampled_nodes", validate=validate, best_epoch=best_epoch, options=Nearness)
def sampled_nodes(
    networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, run: RunDir, *, options: Nearness
) -> list[Row]:
    """Minimise the cross-entropy of nodes by drawn neighbourhoods, and the cost of pairs by its share."""
    made, shown = _prepared(networks, dataset, options)
    return minimise(_overrides(options), made, shown, task, config, run)

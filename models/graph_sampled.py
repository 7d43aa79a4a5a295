"""Nets that read a node's neighbourhood instead of a graph: neighbours and theirs, as many as were drawn."""

from collections.abc import Callable, Mapping
from typing import Any

from keras import KerasTensor, layers

from ..untyped import ops
from .registry import Bars, register

FAMILY = "graph"


def _shapes(features: int, near: int, far: int) -> dict[str, tuple[int, ...]]:
    return {
        "target": (features,),
        "near": (near, features),
        "far": (near, far, features),
        "near_weights": (near,),
        "far_weights": (near, far),
    }


@register(
    task="sampled_node_classification",
    learner="sampled_nodes",
    input_shape=_shapes(1433, 25, 10),
    classes=7,
    params=866_567,
    paper="Hamilton 2017, Inductive representation learning on large graphs, arXiv:1706.02216",
    data=("cora", "digits_graph"),
    learning_rate=5e-3,
    edge={"input_shape": _shapes(64, 6, 4), "units": 32, "hidden": 32},
    bars=Bars(floor=0.75),
    variants={
        "graphsage_lstm": {"params": 1_496_583, "aggregator": "lstm", "hidden": 128, "edge": {"hidden": 24}},
        "graphsage_pool": {"params": 1_562_119, "aggregator": "pool"},
    },
)
def graphsage_mean(
    inputs: Mapping[str, KerasTensor], classes: int, units: int = 256, hidden: int = 512, aggregator: str = "mean",
    dropout: float = 0.0
):  # fmt: skip
    """Build two rounds of h = relu(W [own; of neighbours]), the second without its relu and of norm 1, and its classes.

    aggregator: what is read of neighbours: "mean"; "pool", the largest of what a dense layer of `hidden` units makes of
    each; "lstm", the last state of `hidden` units that read them in the order drawn.
    Shapes: target (N, F), near (N, k1, F), far (N, k1, k2, F), near_weights (N, k1), far_weights (N, k1, k2), the share
    of each in a mean, 0 for one that is not there -> logits (N, classes), vector (N, units).
    Source: arXiv:1706.02216, algorithm 1 and section 3.3.
    """
    target, near, far = (inputs[name] for name in ("target", "near", "far"))
    first, second = (_aggregator(aggregator, hidden, round_) for round_ in (1, 2))
    merge = layers.Dense(units, activation="relu", use_bias=False, name="merge_1")
    own = merge(ops.concatenate([target, first(near, inputs["near_weights"])], axis=-1))
    theirs = merge(ops.concatenate([near, first(far, inputs["far_weights"])], axis=-1))
    own, theirs = (layers.Dropout(dropout, name=f"dropout_{name}")(x) for name, x in (("own", own), ("near", theirs)))
    both = ops.concatenate([own, second(theirs, inputs["near_weights"])], axis=-1)
    vector = layers.UnitNormalization(name="vector")(layers.Dense(units, use_bias=False, name="merge_2")(both))
    return {"logits": layers.Dense(classes, name="logits")(vector), "vector": vector}


def _aggregator(kind: str, hidden: int, at: int) -> Callable[[Any, Any], Any]:
    """Return what makes one vector of neighbours: (..., k, F), weights (..., k) -> (..., width)."""

    def mean(x: Any, weights: Any) -> Any:
        return ops.squeeze(ops.matmul(ops.expand_dims(weights, -2), x), -2)

    def pool(x: Any, weights: Any) -> Any:
        there = ops.expand_dims(ops.greater(weights, 0.0), -1)
        return ops.max(ops.where(there, seen(x), 0.0), axis=-2)

    def lstm(x: Any, weights: Any) -> Any:
        *before, count, width = x.shape[1:]
        states = seen(ops.reshape(x, (-1, count, width)))  # who is not there has zeros
        return ops.reshape(states, (-1, *before, hidden)) if before else states

    if kind == "pool":
        seen = layers.Dense(hidden, activation="relu", name=f"pool_{at}")
    elif kind == "lstm":
        seen = layers.LSTM(hidden, name=f"lstm_{at}")
    elif kind != "mean":
        raise ValueError(f"aggregator={kind!r}: allowed are mean, pool, lstm")
    return {"mean": mean, "pool": pool, "lstm": lstm}[kind]

"""Nets and tables that tell whole graphs apart, and relations of things: many small graphs, one a sample."""

from collections.abc import Mapping
from typing import Any

from keras import KerasTensor, layers

from ..untyped import ops
from .graph_blocks import GatedUpdate, links, readout
from .registry import Bars, register

FAMILY = "graph"


@register(
    task="classification",
    input_shape={"features": (16, 2), "links": (16, 16), "mask": (16,)},
    classes=4,
    params=1_988,
    paper="Micheli 2009, Neural network for graphs: a contextual constructive approach",
    data=("drawn_graphs",),
    learning_rate=5e-3,
    bars=Bars(floor=0.8),
)
def nn4g(
    inputs: Mapping[str, KerasTensor], classes: int, units: int = 16, depth: int = 4, pooled: str = "mean"
):  # fmt: skip
    """Build layers of which each reads a node's features and the sums over its neighbours of all layers before it.

    The paper adds units one by one, and freezes them; here all are trained together. pooled: how nodes become one
    vector: "sum", "mean", both of the paper, or "learned".
    Shapes: features (N, nodes, F), links (N, nodes, nodes), mask (N, nodes), 1 for nodes that are there -> logits
    (N, classes).
    """
    graph, x, mask = links({"links": inputs["links"]}), inputs["features"], inputs["mask"]
    hidden: list[Any] = []
    for layer in range(1, depth + 1):
        seen = [x, graph.total(ops.concatenate(hidden, axis=-1) if hidden[1:] else hidden[0])] if hidden else [x]
        whole = ops.concatenate(seen, axis=-1) if seen[1:] else x
        hidden.append(layers.Dense(units, activation="tanh", name=f"hidden_{layer}")(whole))
    every = readout(ops.concatenate(hidden, axis=-1), mask, pooled, units)
    return layers.Dense(classes, name="logits")(every)


@register(
    task="classification",
    input_shape=(256,),
    classes=4,
    params=1_028,
    paper="Weisfeiler and Leman 1968, The reduction of a graph to canonical form; counts of colours as features: "
    "Shervashidze 2011, Weisfeiler-Lehman graph kernels",
    data=("graph_colours",),
    learning_rate=0.01,
    deploy="none: a hash table refines the colours; what is left is a linear classifier of their counts",
)
def weisfeiler_lehman(inputs: KerasTensor, classes: int):
    """Build a linear classifier of how many nodes have each colour; the refinement is the data's, see `colours`.

    Shapes: (N, colours) -> logits (N, classes).
    """
    return layers.Dense(classes, name="logits")(inputs)


@register(
    task="classification",
    input_shape=(5, 8),
    classes=7,
    params=3_176_971,
    paper="Xu 2017, Scene graph generation by iterative message passing, arXiv:1701.02426; boxes in place of "
    "a detector's features",
    data=("box_scenes",),
    learning_rate=5e-3,
    edge={"units": 24},
    # Who is as far across as down is left of another or above it by a hair, which a step of eight bits decides.
    bars=Bars(floor=0.8, argmax=0.975),
)
def scene_graph(inputs: KerasTensor, classes: int, units: int = 512, steps: int = 2):
    """Build states of things and of ordered pairs of them, which send each other messages, and tell pairs' relations.

    Shapes: boxes with their kind (N, K, F) -> logits (N, K, K, classes) of what the first is to the second.
    """
    count = inputs.shape[1]
    things = layers.Dense(units, activation="tanh", name="things")(inputs)
    pairs = layers.Dense(units, activation="tanh", name="pairs")(_both(inputs, inputs, count))
    of_things, of_pairs = GatedUpdate.named("thing", units), GatedUpdate.named("pair", units)
    # How far a state counts as a message, told by both ends: of pairs that begin and that end in a thing; of these two.
    starts, ends, first, second = (
        layers.Dense(1, activation="sigmoid", name=f"{name}_count") for name in ("starts", "ends", "first", "second")
    )
    for _ in range(steps):
        begun, ended = _over(things, 2, count), _over(things, 1, count)  # (N, K, K, units)
        from_first, from_second = (ops.concatenate([each, pairs], axis=-1) for each in (begun, ended))
        to_things = ops.sum(starts(from_first) * pairs, axis=2) + ops.sum(ends(from_second) * pairs, axis=1)
        to_pairs = first(from_first) * begun + second(from_second) * ended
        things, pairs = of_things(to_things, things), of_pairs(to_pairs, pairs)
    return layers.Dense(classes, name="logits")(ops.concatenate([_both(things, things, count), pairs], axis=-1))


def _over(x: Any, axis: int, count: int) -> Any:
    """Return the same for each partner.  Shapes: (N, K, F) -> (N, K, K, F)."""
    return ops.repeat(ops.expand_dims(x, axis), count, axis=axis)


def _both(first: Any, second: Any, count: int) -> Any:
    """Return both sides of each pair.  Shapes: (N, K, F) twice -> (N, K, K, 2 F)."""
    return ops.concatenate([_over(first, 2, count), _over(second, 1, count)], axis=-1)

"""What nets on graphs share: sums and averages over neighbours, gated updates, readouts.

A graph comes in one of two forms, and a net has the same weights with either: dense, an adjacency that files compute
with; or, for training on graphs with few edges, a list of them, which makes of each sum a gather and a segment sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import keras
from keras import layers

from ..untyped import ops
from .attention import NEVER

SLOPE = 0.2  # of LeakyReLU in graph attention
SOME = 1e-6  # an edge weighs more
HOWS = ("sum", "mean", "learned")  # readouts


class Links(Protocol):
    """A graph in one of its forms."""

    def total(self, x: Any) -> Any:
        """Return the sum of each node's neighbours, by the weights of edges.  Shapes: (N, nodes, F) -> the same."""
        ...

    def attend(self, own: Any, theirs: Any, values: Any, drop: Callable[[Any], Any]) -> Any:
        """Return averages of neighbours' values by softmax(LeakyReLU(own + theirs)), see `GraphAttention`."""
        ...


@dataclass(frozen=True)
class Dense:
    """Every pair of nodes.  Shapes: adjacency (N, nodes, nodes), of which row i has the edges into node i."""

    adjacency: Any

    def total(self, x: Any) -> Any:
        """Return A x."""
        return ops.matmul(self.adjacency, x)

    @property
    def keep(self) -> Any:
        """Return which pairs have an edge, for all heads: (N, 1, nodes, nodes) bool."""
        return ops.expand_dims(ops.greater(self.adjacency, SOME), 1)

    def attend(self, own: Any, theirs: Any, values: Any, drop: Callable[[Any], Any]) -> Any:
        """Return the averages.  Shapes: (N, nodes, heads) twice, (N, nodes, heads, units) -> (N, nodes, heads, units).

        Pairs without an edge are left out of the softmax: the products of one head are of all nodes.
        """
        rows = ops.expand_dims(ops.transpose(own, (0, 2, 1)), -1)  # (N, heads, nodes, 1)
        columns = ops.expand_dims(ops.transpose(theirs, (0, 2, 1)), -2)
        scores = ops.leaky_relu(ops.add(rows, columns), SLOPE)
        weights = drop(ops.softmax(ops.where(self.keep, scores, NEVER)))
        return ops.transpose(ops.matmul(weights, ops.transpose(values, (0, 2, 1, 3))), (0, 2, 1, 3))


@dataclass(frozen=True)
class EdgeList:
    """The pairs that have an edge, of one graph: a batch holds no more.

    Shapes: edges (1, E, 2) int, a node and its neighbour; weights (1, E), None for ones.
    """

    edges: Any
    weights: Any = None

    def total(self, x: Any) -> Any:
        """Return the segment sum of gathered neighbours."""
        nodes, neighbours = self._ends
        taken = ops.take(x[0], neighbours, axis=0)  # (E, F)
        if self.weights is not None:
            taken = taken * ops.expand_dims(self.weights[0], -1)
        return ops.expand_dims(ops.segment_sum(taken, nodes, num_segments=x.shape[1]), 0)

    def attend(self, own: Any, theirs: Any, values: Any, drop: Callable[[Any], Any]) -> Any:
        """Return the averages by a softmax of each node's edges; see `Dense.attend`."""
        (nodes, neighbours), count = self._ends, values.shape[1]
        scores = ops.leaky_relu(ops.take(own[0], nodes, axis=0) + ops.take(theirs[0], neighbours, axis=0), SLOPE)
        most = ops.take(ops.segment_max(scores, nodes, num_segments=count), nodes, axis=0)
        shares = ops.exp(scores - most)  # (E, heads)
        sums = ops.take(ops.segment_sum(shares, nodes, num_segments=count), nodes, axis=0)
        weighted = ops.expand_dims(drop(shares / sums), -1) * ops.take(values[0], neighbours, axis=0)
        return ops.expand_dims(ops.segment_sum(weighted, nodes, num_segments=count), 0)

    @property
    def _ends(self) -> tuple[Any, Any]:
        return self.edges[0, :, 0], self.edges[0, :, 1]


def links(inputs: Mapping[str, Any]) -> Links:
    """Return the graph among a net's inputs: "edges" with or without "edge_weights", or else the one of two axes."""
    if "edges" in inputs:
        return EdgeList(inputs["edges"], inputs.get("edge_weights"))
    named = [inputs[name] for name in ("adjacency", "links", "neighbours") if name in inputs]
    if len(named) != 1:
        raise ValueError(f"inputs {', '.join(inputs)}: give one graph: edges, adjacency, links or neighbours")
    return Dense(named[0])


@keras.saving.register_keras_serializable("edgewright")
class HeadScores(layers.Layer):
    """The product of each head's values with a vector of its own.

    Shapes: (N, nodes, heads, units) -> (N, nodes, heads).
    """

    def build(self, input_shape: Any) -> None:
        """Make the vectors."""
        self.kernel = self.add_weight(tuple(input_shape[-2:]), "glorot_uniform", name="kernel")

    def call(self, values: Any) -> Any:
        """Compute the layer."""
        return ops.sum(values * self.kernel, axis=-1)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return the shape without units."""
        return tuple(input_shape[:-1])


@keras.saving.register_keras_serializable("edgewright")
class Offset(layers.Layer):
    """Adds a bias.  Shapes: (..., F) -> the same."""

    def build(self, input_shape: Any) -> None:
        """Make the bias."""
        self.bias = self.add_weight((input_shape[-1],), "zeros", name="bias")

    def call(self, x: Any) -> Any:
        """Compute the layer."""
        return x + self.bias


@dataclass(frozen=True)
class GatedUpdate:
    """A gated recurrent unit of nodes or edges, called as often as there are steps, with the same weights each time.

    z, r = sigmoid(W [x, h]); h' = (1 - z) h + z tanh(U [x, r h]).  Source: Li 2016, arXiv:1511.05493, eqs. 3 to 6.
    """

    gates: layers.Layer
    candidate: layers.Layer

    @classmethod
    def named(cls, name: str, units: int) -> GatedUpdate:
        """Return one whose layers begin with `name`."""
        return cls(
            layers.Dense(2 * units, activation="sigmoid", name=f"{name}_gates"),
            layers.Dense(units, activation="tanh", name=f"{name}_candidate"),
        )

    def __call__(self, x: Any, hidden: Any) -> Any:
        """Return the new state.  Shapes: (..., F), (..., units) -> (..., units)."""
        write, keep = ops.split(self.gates(ops.concatenate([x, hidden], axis=-1)), 2, axis=-1)
        candidate = self.candidate(ops.concatenate([x, keep * hidden], axis=-1))
        return hidden + write * (candidate - hidden)


def readout(x: Any, mask: Any, how: str, units: int, name: str = "readout") -> Any:
    """Return one vector of all nodes, whatever their order: a sum, a mean, or a sum by gates that are learned.

    Shapes: (N, nodes, F), mask (N, nodes), 1 for nodes that are there -> (N, F), learned (N, units).
    Source: of the gates Li 2016, arXiv:1511.05493, eq. 7.  Raises: ValueError for another word.
    """
    if how not in HOWS:
        raise ValueError(f"readout={how!r}: allowed are {', '.join(HOWS)}")
    if how == "learned":
        gate = layers.Dense(units, activation="sigmoid", name=f"{name}_gate")(x)
        x = gate * layers.Dense(units, activation="tanh", name=f"{name}_value")(x)
    row = ops.expand_dims(mask, 1)  # (N, 1, nodes)
    total = ops.squeeze(ops.matmul(row, x), axis=1)
    return total / ops.maximum(ops.sum(mask, axis=1, keepdims=True), 1.0) if how == "mean" else total

"""Recursive networks: one cell at every node of a tree, and an LSTM whose memory is a stack, as trees are walked."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, layers, ops

from .registry import register
from .streams import sequence_and_step, step_with

FAMILY = "rnn"


@register(
    task="tree_classification",
    learner="tree_walk",
    input_shape=(1, 3),
    dtype="int32",
    classes=2,
    params=21_002,
    paper="Goller and Küchler 1996, Learning task-dependent distributed representations by backpropagation through "
    "structure; Socher 2011, Parsing natural scenes and natural language with recursive neural networks",
    data=("binary_boolean_trees",),
    learning_rate=4e-3,
    training={"clip_norm": 1.0},
    edge={"units": 32},
    networks=("leaf", "node"),
)
def recursive_net(input_shape: tuple[int, ...], classes: int, units: int = 100, tokens: int = 7):
    """Build h = tanh(W [h_left; h_right] + b) for the nodes of a binary tree, and the label that is read from h.

    Shapes: leaf: token (N, 1) int32 -> h (N, units); node: h_children (N, 2, units), mask (N, 2), 0 for a child that is
    not there -> h (N, units), logits (N, classes).
    """
    arity = input_shape[-1] - 1
    token = keras.Input((1,), dtype="int32", name="token")
    word = layers.Reshape((units,), name="word")(layers.Embedding(tokens, units, name="embedding")(token))
    children, mask = _children("h", arity, units), keras.Input((arity,), name="mask")
    pair = layers.Reshape((arity * units,), name="pair")(_there(children, mask))
    h = layers.Dense(units, activation="tanh", name="cell")(pair)
    outputs = {"h": h, "logits": layers.Dense(classes, name="label")(h)}
    return {
        "leaf": keras.Model({"token": token}, {"h": word}, name="leaf"),
        "node": keras.Model({"h_children": children, "mask": mask}, outputs, name="node"),
    }


@register(
    task="tree_classification",
    learner="tree_walk",
    input_shape=(1, 4),
    dtype="int32",
    classes=2,
    params=317_606,
    paper="Tai 2015, Improved semantic representations from tree-structured long short-term memory networks, "
    "arXiv:1503.00075, equations 2 to 8",
    data=("boolean_trees",),
    learning_rate=4e-3,
    training={"clip_norm": 1.0},
    edge={"units": 24, "words": 12},
    networks=("node",),
)
def tree_lstm(input_shape: tuple[int, ...], classes: int, units: int = 168, words: int = 300, tokens: int = 7):
    """Build the child-sum LSTM: gates see the sum of the children's h, the cell keeps of each child what its gate lets.

    words: width of the embedding of a node's token. A leaf is a node whose mask is zero.
    Shapes: token (N, 1) int32, h_children and c_children (N, children, units), mask (N, children) -> h, c (N, units),
    logits (N, classes).
    """
    arity = input_shape[-1] - 1
    token = keras.Input((1,), dtype="int32", name="token")
    hidden, cells = _children("h", arity, units), _children("c", arity, units)
    mask = keras.Input((arity,), name="mask")
    x = layers.Embedding(tokens, words, name="embedding")(token)  # (N, 1, words)
    there = _there(hidden, mask)
    h, c = child_sum(x, there, _there(cells, mask), units)
    inputs = {"token": token, "h_children": hidden, "c_children": cells, "mask": mask}
    outputs = {"h": h, "c": c, "logits": layers.Dense(classes, name="label")(h)}
    return {"node": keras.Model(inputs, outputs, name="node")}


def child_sum(x: Any, hidden: Any, cells: Any, units: int) -> tuple[KerasTensor, KerasTensor]:
    """Return h and c of nodes.  Shapes: x (N, 1, words), hidden and cells (N, children, units) -> (N, units) each."""
    together = layers.Dense(3 * units, name="gates_of_input")(x) + layers.Dense(
        3 * units, use_bias=False, name="gates_of_children"
    )(ops.sum(hidden, axis=1, keepdims=True))  # (N, 1, 3 units)
    gates: Any = ops.split(ops.squeeze(together, axis=1), 3, axis=-1)
    write, candidate, read = gates
    keep = layers.Dense(units, bias_initializer="ones", name="forget_of_input")(x) + layers.Dense(
        units, use_bias=False, name="forget_of_child"
    )(hidden)  # (N, children, units)
    kept = ops.sum(ops.multiply(ops.sigmoid(keep), cells), axis=1)
    c: Any = ops.add(kept, ops.multiply(ops.sigmoid(write), ops.tanh(candidate)))
    h: Any = ops.multiply(ops.sigmoid(read), ops.tanh(c))
    return h, c


def _children(state: str, arity: int, units: int) -> Any:
    return keras.Input((arity, units), name=f"{state}_children")


def _there(children: Any, mask: Any) -> Any:
    """Return the children's values with zeros for those that are not there."""
    return children * ops.expand_dims(mask, -1)


@keras.saving.register_keras_serializable("edgewright")
class StackLSTMCell(layers.Layer):
    """An LSTM that goes on from the top of a stack, onto which its new state may be pushed, and from which be popped.

    The last two values of a frame say what is done: push, or pop, 1 or 0 each. The pointer is one-hot, and zero on an
    empty stack, whose top is zero; what is pushed onto a full one is lost, and the pointer with it. Gates in the order
    i, f, c, o; forget bias 1; of a stack that is only pushed onto the weights and states are those of
    `keras.layers.LSTMCell`.
    Shapes: x (N, F + 2), stacks of h and of c (N, depth units), pointer (N, depth) -> h on top (N, units), the three.
    Source: Dyer 2015, Transition-based dependency parsing with stack long short-term memory, arXiv:1505.08075.
    """

    def __init__(self, units: int, depth: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.units, self.depth = units, depth
        self.state_size, self.output_size = [depth * units, depth * units, depth], units
        self.up = np.eye(depth, k=1, dtype="float32")
        self.up[:, 0] -= 1  # and the bottom is added: it is pointed to where nothing else was
        self.bottom = np.eye(1, depth, dtype="float32")
        self.down = np.eye(depth, k=-1, dtype="float32")

    def build(self, input_shape: Any) -> None:
        """Make kernel (F, 4 units), recurrent kernel (units, 4 units), bias (4 units)."""
        self.width = input_shape[-1] - 2
        self.kernel = self.add_weight((self.width, 4 * self.units), "glorot_uniform", name="kernel")
        self.recurrent_kernel = self.add_weight((self.units, 4 * self.units), "orthogonal", name="recurrent_kernel")
        self.bias = self.add_weight((4 * self.units,), self._open, name="bias")

    def _open(self, shape: Any, dtype: Any = None) -> Any:
        """Return biases of 0, and of 1 for the forget gate."""
        parts = [(ops.ones if gate == 1 else ops.zeros)((self.units,), dtype=dtype) for gate in range(4)]
        return ops.concatenate(parts)

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        """Compute one time step."""
        *stacks, pointer = states
        stacks = [ops.reshape(stack, (-1, self.depth, self.units)) for stack in stacks]
        x, push, pop = inputs[:, : self.width], inputs[:, self.width : self.width + 1], inputs[:, self.width + 1 :]
        new = self._lstm(x, *(self._top(stack, pointer) for stack in stacks))
        write = ops.multiply(ops.add(ops.matmul(pointer, self.up), self.bottom), push)  # (N, depth)
        stay = ops.multiply(pointer, ops.subtract(1.0, ops.add(push, pop)))
        pointer = ops.add(ops.add(stay, write), ops.multiply(ops.matmul(pointer, self.down), pop))
        place = ops.expand_dims(write, -1)  # (N, depth, 1)
        kept = ops.subtract(1.0, place)
        stacks = [
            ops.add(ops.multiply(stack, kept), ops.multiply(place, ops.expand_dims(value, 1)))
            for stack, value in zip(stacks, new, strict=True)
        ]
        flat = [ops.reshape(stack, (-1, self.depth * self.units)) for stack in stacks]
        return self._top(stacks[0], pointer), [*flat, pointer]

    def _lstm(self, x: Any, hidden: Any, memory: Any) -> tuple[Any, Any]:
        sums = ops.add(ops.add(ops.matmul(x, self.kernel), ops.matmul(hidden, self.recurrent_kernel)), self.bias)
        gates: Any = ops.split(sums, 4, axis=-1)
        write, keep, candidate, read = gates
        memory = ops.add(ops.multiply(ops.sigmoid(keep), memory), ops.multiply(ops.sigmoid(write), ops.tanh(candidate)))
        return ops.multiply(ops.sigmoid(read), ops.tanh(memory)), memory

    def _top(self, stack: Any, pointer: Any) -> Any:
        return ops.squeeze(ops.matmul(ops.expand_dims(pointer, 1), stack), axis=1)

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        """Return empty stacks."""
        return [ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in self.state_size]

    def get_config(self) -> dict[str, Any]:
        """Return what the cell is made of."""
        return {**super().get_config(), "units": self.units, "depth": self.depth}


@register(
    task="streaming_classification",
    input_shape=(24, 9),
    classes=9,
    params=44_109,
    paper="Dyer 2015, Transition-based dependency parsing with stack long short-term memory, arXiv:1505.08075",
    data=("nested_operators",),
    learning_rate=5e-3,
    training={"clip_norm": 1.0},
    edge={"units": 24, "depth": 8},
    networks=("sequence", "step"),
    deploy=(step_with(stack=3),),
)
def stack_lstm(input_shape: Sequence[int], classes: int, units: int = 100, depth: int = 32):
    """Build one LSTM over a stack of `depth` states, and what is read from its top; who feeds it says push and pop.

    Shapes: sequence: frames (N, T, F + 2) -> logits (N, T, classes); step: frame (N, 1, F + 2), stacks of h and c
    (N, depth units), pointer (N, depth) -> logits (N, 1, classes) and the three.
    """

    def body(x: Any, recur: Any) -> Any:
        x = recur(x, layers.RNN, StackLSTMCell(units, depth, name="cell"), name="stack")
        return layers.Dense(classes, name="logits")(x)

    return sequence_and_step(input_shape, body)


__all__ = ["StackLSTMCell", "child_sum", "recursive_net", "stack_lstm", "tree_lstm"]

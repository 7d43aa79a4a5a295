"""Recursive networks: one cell at every node of a tree, from what it made of the node's children."""

from typing import Any

import keras
from keras import KerasTensor, layers, ops

from .registry import Bars, register

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
    write, candidate, read = ops.split(together[:, 0], 3, axis=-1)
    keep = layers.Dense(units, bias_initializer="ones", name="forget_of_input")(x) + layers.Dense(
        units, use_bias=False, name="forget_of_child"
    )(hidden)  # (N, children, units)
    kept = ops.sum(ops.sigmoid(keep) * cells, axis=1)
    c = kept + ops.sigmoid(write) * ops.tanh(candidate)
    return ops.sigmoid(read) * ops.tanh(c), c


def _children(state: str, arity: int, units: int) -> Any:
    return keras.Input((arity, units), name=f"{state}_children")


def _there(children: Any, mask: Any) -> Any:
    """Return the children's values with zeros for those that are not there."""
    return children * ops.expand_dims(mask, -1)


__all__ = ["child_sum", "recursive_net", "tree_lstm"]

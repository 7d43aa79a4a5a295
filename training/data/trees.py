"""Boolean expressions as trees: each inner node's truth follows from its children's, so that deeper trees can be judged
than a net was trained on.

A tree is an array of nodes in post-order, children before their parents: its last node is the root. In each split trees
are as long as the longest, padded behind the root.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import BadInput
from .dataset import Dataset, Split
from .sets import Asked, dataset

TOKENS = ("padding", "false", "true", "not", "and", "or", "xor")
NOT, AND, OR, XOR = range(3, 7)
UNKNOWN = -1  # the truth of what is no inner node, or no expression by itself
COUNTS = {"train": 1600, "validation": 200, "test": 300}
HEIGHTS = {"train": (2, 3, 4), "validation": (2, 3, 4), "test": (5, 6)}  # of the expressions in the splits

Expression = tuple[Any, ...]  # (token, operand, ...)


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """A tree as lists in post-order. children: of each node, by number; truths: 0, 1 or UNKNOWN."""

    tokens: list[int]
    children: list[tuple[int, ...]]
    truths: list[int]

    def add(self, token: int, children: tuple[int, ...], truth: int) -> int:
        """Add a node behind the others and return its number."""
        self.tokens.append(token)
        self.children.append(children)
        self.truths.append(truth)
        return len(self.tokens) - 1


@dataset(input_shape=(1, 4), dtype="int32", tasks=("tree_classification",), floor=0.75)
def boolean_trees(asked: Asked) -> Dataset:
    """Return expressions of up to three operands, whose operators are the inner nodes."""
    return _trees("boolean_trees", asked, operands=3, form=by_operators)


@dataset(input_shape=(1, 3), dtype="int32", tasks=("tree_classification",), floor=0.75)
def binary_boolean_trees(asked: Asked) -> Dataset:
    """Return expressions of up to two operands as binary trees, whose leaves are constants and operators alike."""
    return _trees("binary_boolean_trees", asked, operands=2, form=binary)


@dataset(input_shape=(24, 9), tasks=("classification",), floor=0.8)
def nested_operators(asked: Asked) -> Dataset:
    """Return expressions as they are read, "(and 1 (not 0))", and at each step what is open.

    A frame is one-hot: false, true, "(not", "(and", "(or", "(xor", ")", and behind them push, at an opened operator,
    and pop, at ")". The class is 0 with nothing open, else that of the innermost open operator in (1, 3, 5, 7), and one
    more if an odd number of negations is open.
    """
    length, width = asked.input_shape if len(asked.input_shape) == 2 else (0, 0)
    if width != len(SIGNS) + 2 or length < 24 or asked.dtype != "float32":
        raise BadInput(f"data set 'nested_operators' cannot be shown as {asked.input_shape}: it has float32 frames of "
                       f"{len(SIGNS) + 2} values, and expressions of 24 steps")  # fmt: skip
    splits: dict[str, Any] = {}
    for part, trees in expressions(2).items():
        pairs = [_read(tree) for tree in trees]
        fitting = [pair for pair in pairs if len(pair[0]) <= length]
        x, y = np.zeros((len(fitting), length, width), np.float32), np.zeros((len(fitting), length), np.int32)
        for row, (signs, opened) in enumerate(fitting):
            x[row, np.arange(len(signs)), signs] = 1
            x[row, : len(signs), -2] = [NOT <= sign + 1 <= XOR for sign in signs]
            x[row, : len(signs), -1] = [sign == CLOSE for sign in signs]
            y[row, : len(signs)] = opened
        splits[part] = Split(x=x, y=y)
    return Dataset(
        name="nested_operators",
        task=asked.task,
        classes=9,
        preprocessing=f"one-hot signs {' '.join(SIGNS)}, push, pop; heights {HEIGHTS['train']} to train, "
        f"{HEIGHTS['test']} to test",
        source=("generated",),
        **splits,
    )


SIGNS = ("false", "true", "(not", "(and", "(or", "(xor", ")")
CLOSE = len(SIGNS) - 1


def _read(tree: Expression, within: tuple[int, ...] = ()) -> tuple[list[int], list[int]]:
    """Return the signs of an expression, and what is open behind each; within: the operators around it."""
    token, *operands = tree
    if not operands:
        return [token - 1], [_opened(within)]
    inside = (*within, token)
    signs, opened = [token - 1], [_opened(inside)]
    for operand in operands:
        more = _read(operand, inside)
        signs, opened = signs + more[0], opened + more[1]
    return [*signs, CLOSE], [*opened, _opened(within)]


def _opened(within: tuple[int, ...]) -> int:
    return 1 + 2 * (within[-1] - NOT) + within.count(NOT) % 2 if within else 0


def _trees(name: str, asked: Asked, operands: int, form: Any) -> Dataset:
    arity = asked.input_shape[-1] - 1
    if len(asked.input_shape) != 2 or arity < (3 if form is by_operators else 2):
        raise BadInput(f"data set {name!r} cannot be shown as {asked.input_shape}: a node is a token and its children")
    splits: dict[str, Any] = {
        part: as_arrays([form(tree) for tree in trees], arity) for part, trees in expressions(operands).items()
    }
    return Dataset(
        name=name,
        task=asked.task,
        classes=2,
        vocabulary=len(TOKENS),
        labels=("false", "true"),
        preprocessing="nodes in post-order as token id and numbers of the children from 1, 0 for none; tokens: "
        f"{', '.join(TOKENS)}; heights {HEIGHTS['train']} to train, {HEIGHTS['test']} to test",
        source=("generated",),
        **splits,
    )


def expressions(operands: int) -> dict[str, list[Expression]]:
    """Return the expressions of each split, none of which is in two."""
    known: set[Expression] = set()
    found: dict[str, list[Expression]] = {}
    for number, part in enumerate(COUNTS):
        random = np.random.default_rng([operands, number])
        found[part] = []
        while len(found[part]) < COUNTS[part]:
            tree = grown(random, int(random.choice(HEIGHTS[part])), operands)
            if tree not in known:
                known.add(tree)
                found[part].append(tree)
    return found


def grown(random: np.random.Generator, height: int, operands: int) -> Expression:
    """Return an expression whose longest path has `height` operators; beside it the tree is lower, mostly by far."""
    if not height:
        return (int(random.integers(1, 3)),)
    token = int(random.choice((NOT, AND, OR, XOR), p=(0.16, 0.28, 0.28, 0.28)))
    count = 1 if token == NOT else int(random.integers(2, operands + 1))
    below = [int(random.integers(0, height, 2).min()) for _ in range(count)]
    below[int(random.integers(count))] = height - 1
    return (token, *(grown(random, each, operands) for each in below))


def truth(tree: Expression) -> int:
    """Return 1 if an expression is true, else 0; xor of several is true for an odd number of true ones."""
    token, *operands = tree
    values = [truth(each) for each in operands]
    return {NOT: lambda: 1 - values[0], AND: lambda: min(values), OR: lambda: max(values),
            XOR: lambda: sum(values) % 2}.get(token, lambda: token - 1)()  # fmt: skip


def by_operators(tree: Expression) -> Nodes:
    """Return an expression with its operators as inner nodes."""
    nodes = Nodes(tokens=[], children=[], truths=[])

    def add(tree: Expression) -> int:
        children = tuple(map(add, tree[1:]))
        return nodes.add(tree[0], children, truth(tree) if children else UNKNOWN)

    add(tree)
    return nodes


def binary(tree: Expression) -> Nodes:
    """Return an expression as sentences are parsed: [not a], [[a and] b], words and phrases being joined in pairs."""
    nodes = Nodes(tokens=[], children=[], truths=[])

    def leaf(token: int) -> int:
        return nodes.add(token, (), UNKNOWN)

    def add(tree: Expression) -> int:
        token, *operands = tree
        if not operands:
            return leaf(token)
        if token == NOT:
            return nodes.add(0, (leaf(token), add(operands[0])), truth(tree))
        phrase = add(operands[0])
        for count, operand in enumerate(operands[1:], 2):
            begun = nodes.add(0, (phrase, leaf(token)), UNKNOWN)
            phrase = nodes.add(0, (begun, add(operand)), truth((token, *operands[:count])))
        return phrase

    add(tree)
    return nodes


def as_arrays(trees: Sequence[Nodes], arity: int) -> Split:
    """Return trees as arrays.  Shapes: x (N, nodes, 1 + arity) int32, y (N, nodes) int32."""
    longest = max(len(tree.tokens) for tree in trees)
    x = np.zeros((len(trees), longest, 1 + arity), np.int32)
    y = np.full((len(trees), longest), UNKNOWN, np.int32)
    for row, tree in enumerate(trees):
        x[row, : len(tree.tokens), 0] = tree.tokens
        y[row, : len(tree.tokens)] = tree.truths
        for node, children in enumerate(tree.children):
            x[row, node, 1 : 1 + len(children)] = np.array(children, np.int32) + 1
    return Split(x=x, y=y)


def heights(x: np.ndarray) -> np.ndarray:
    """Return how far each node lies above its lowest leaf.  Shapes: (N, nodes, 1 + arity) -> (N, nodes)."""
    found = np.zeros((len(x), x.shape[1] + 1), np.int32)  # the first column is that of no child
    for node in range(x.shape[1]):
        children = x[:, node, 1:]
        of_children = np.take_along_axis(found, children, 1) + 1
        found[:, node + 1] = np.where(children > 0, of_children, 0).max(1)
    return found[:, 1:]


def roots(x: np.ndarray) -> np.ndarray:
    """Return the number of each tree's root.  Shapes: (N, nodes, 1 + arity) -> (N,)."""
    used = (x != 0).any(-1)
    return x.shape[1] - 1 - used[:, ::-1].argmax(1)


def levels(x: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (trees, nodes) of each height from 1 up: what can be computed at once, the lower ones being known."""
    height = heights(x)
    for level in range(1, int(height.max()) + 1):
        trees, nodes = np.nonzero(height == level)
        yield trees, nodes

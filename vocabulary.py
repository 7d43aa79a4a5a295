"""How many token ids each input of a model may hold: the size of the table that it is looked up in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import tree

from .ends import input_names
from .keras_internals import layers_in, maker_of

# What passes ids on as they are. Anything else makes other numbers of them: positions, masks, hashes.
PASSING = {"Cast", "Concatenate", "Dropout", "ExpandDims", "Flatten", "GetItem", "Identity", "Reshape", "Squeeze",
           "Transpose"}  # fmt: skip


@dataclass(frozen=True)
class _Use:
    """An operation: what it reads and makes, the sizes of tables it looks ids up in, whether it passes them on."""

    inputs: Sequence[Any]
    outputs: Sequence[Any]
    tables: Sequence[int] = ()
    passes: bool = False
    inner: Any = None


def vocabularies(model: keras.Model, guess: bool = False) -> dict[str, int | None]:
    """Return for each input by name the smallest table that its values are looked up in, None where there is none.

    guess: a layer that hides its tables counts with the smallest, be it one of positions: enough to make samples up.
    """
    names = input_names(model)
    return dict(zip(names, _sizes(*_graph(model, guess), guess), strict=True))


def _graph(model: Any, guess: bool) -> tuple[list[Any], list[_Use]]:
    """Return the inputs of a built model, and what is done with them; of a subclassed one it is one call of itself."""
    ends = (model.inputs, model.outputs) if getattr(model, "outputs", None) else (model.input, model.output)
    inputs, outputs = map(tree.flatten, ends)
    return inputs, _uses(outputs, guess)


def _sizes(inputs: Sequence[Any], uses: Iterable[_Use], guess: bool) -> list[int | None]:
    """Return the smallest table behind each of `inputs`; `uses` lie in the order of execution."""
    uses = list(uses)
    return [min(_behind(source, uses, guess), default=None) for source in inputs]


def _behind(source: Any, uses: Sequence[_Use], guess: bool) -> Iterator[int]:
    reached = {id(source)}
    for use in uses:
        if reached.isdisjoint(map(id, use.inputs)):
            continue
        yield from use.tables
        if use.passes:
            reached.update(map(id, use.outputs))
        if use.inner is not None:
            read = [id(tensor) in reached for tensor in use.inputs]
            sizes = _within(use.inner, guess)
            yield from (size for size, is_read in zip(sizes, read, strict=False) if is_read and size is not None)


def _within(operation: Any, guess: bool) -> list[int | None]:
    """Return the tables behind the inputs of a model in a model, or of the quantization-aware graph in its layer."""
    if getattr(operation, "is_quantization_aware", False):
        graph = operation.plan.graph
        return _sizes(graph.inputs, map(_of_node, graph.nodes), guess)
    return _sizes(*_graph(operation, guess), guess)


def _uses(outputs: Sequence[Any], guess: bool) -> list[_Use]:
    """Return what the graph behind some outputs does, each operation after what it reads."""
    uses: list[_Use] = []
    seen: set[int] = set()
    stack: list[tuple[Any, bool]] = [(tensor, False) for tensor in outputs]
    while stack:
        tensor, done = stack.pop()
        node = maker_of(tensor)
        if node is None:
            continue
        if done:
            uses.append(_of_operation(node, guess))
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((tensor, True))
            stack += [(operand, False) for operand in node.input_tensors]
    return uses


def _of_operation(node: Any, guess: bool) -> _Use:
    operation, inputs, outputs = node.operation, node.input_tensors, tree.flatten(node.output_tensors)
    if isinstance(operation, keras.layers.Embedding):
        return _Use(inputs, outputs, tables=(operation.input_dim,))
    if getattr(operation, "is_quantization_aware", False) or (
        isinstance(operation, keras.Model) and getattr(operation, "outputs", None)
    ):
        return _Use(inputs, outputs, inner=operation)
    hidden = _embeddings(operation) if guess else ()
    return _Use(inputs, outputs, tables=tuple(hidden), passes=type(operation).__name__ in PASSING)


def _embeddings(operation: Any) -> Iterator[int]:
    inside = layers_in(operation, itself=False) if isinstance(operation, keras.Layer) else ()
    return (layer.input_dim for layer in inside if isinstance(layer, keras.layers.Embedding))


def _of_node(node: Any) -> _Use:
    """Return what a node of the traced graph does: a lookup is there a Take from a constant."""
    if node.op_type == "Take" and node.inputs[0].is_constant:
        table = node.inputs[0].shape
        return _Use(node.inputs, node.outputs, tables=(table[(node.op.axis or 0) % len(table)],))
    return _Use(node.inputs, node.outputs, passes=node.op_type in PASSING)


__all__ = ["vocabularies"]

"""Constants: numbers made tensors, what is computed from weights alone, what a zero does."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from ...untyped import ops, tree
from ..graph.nodes import Consumers, Graph, Node, Tensor
from ..kernels import LINEAR
from ..operators import FILLS
from .kinds import COMPARISONS, ELEMENTWISE

_SAME = frozenset({"Constant", "ConvertToTensor", "StopGradient", "Copy", "Identity", "Cast"})


def lift_scalars(graph: Graph) -> None:
    """Turn the Python numbers among elementwise operands, and tensors filled with one, into constants."""
    for node in graph.nodes:
        if node.op_type in ELEMENTWISE | COMPARISONS:
            keeps_shape = any(operand.shape == node.output.shape and _fill(operand) is None for operand in node.inputs)
            node.args = tree.map_structure(lambda operand: _lifted(operand, node, keeps_shape), node.args)  # noqa: B023


def _lifted(operand: Any, node: Node, keeps_shape: bool) -> Any:
    """Return a constant in place of an operand that is one number. keeps_shape: another has the shape of the result."""
    if isinstance(operand, Tensor) and keeps_shape and (filled := _fill(operand)) is not None:
        return _scalar(node, filled, operand.dtype)
    if isinstance(operand, (int, float)) and not isinstance(operand, bool):
        return _scalar(node, operand, node.inputs[-1].dtype)
    return operand


def _fill(tensor: Tensor) -> float | None:
    """Return the number that `tensor` is filled with, if it is."""
    made = tensor.producer
    return FILLS[made.op_type](made) if made is not None and made.op_type in FILLS else None


def _scalar(node: Node, value: float, dtype: str) -> Tensor:
    return Tensor(f"{node.name}.scalar".replace("/", "."), (), dtype, np.array(value, dtype))


def drop_identities(graph: Graph) -> None:
    """Remove copies and casts that change nothing."""
    for node in graph.nodes:
        if node.op_type in _SAME and len(node.inputs) == 1 and node.inputs[0].dtype == node.output.dtype:
            graph.replace(node.output, node.inputs[0])
    graph.prune_dead()


def propagate_zeros(graph: Graph) -> None:
    """Remove what a constant zero does: the first step of a recurrence starts from one."""
    for node in graph.nodes:
        zeros = [given for given in node.inputs if _is_zero(given)]
        if not zeros:
            continue
        others = [operand for operand in node.inputs if operand is not zeros[0]]
        if node.op_type == "Multiply" or (node.op_type in LINEAR and node.inputs[0] is zeros[0]):
            graph.replace(node.output, _zeros(node))
        elif node.op_type == "Add" and len(others) == 1 and others[0].shape == node.output.shape:
            graph.replace(node.output, others[0])
    graph.prune_dead()


def _is_zero(tensor: Tensor) -> bool:
    return tensor.is_constant and not tensor.trainable and not np.any(tensor.value)


def _zeros(node: Node) -> Tensor:
    """Return zeros in the shape of the output of `node`, for a batch of 1."""
    shape = tuple(1 if size is None else size for size in node.output.shape)
    return Tensor(f"{node.name}.zero".replace("/", "."), shape, "float32", np.zeros(shape, np.float32))


def fold_weights(graph: Graph) -> None:
    """Evaluate what depends on weights alone, unless one of these weights is also used elsewhere (it stays tied)."""
    derived = _derived(graph)
    of_weights = [node for node in graph.nodes if node.outputs and id(node.output) in derived]
    tied = _tied(graph, of_weights)
    made: dict[tuple[Any, ...], list[Tensor]] = {}
    for node in of_weights:
        if tied & derived[id(node.output)]:
            continue
        key = _computation(node)  # the steps of a recurrence, or the uses of a shared layer, share what they derive
        if key not in made:
            made[key] = _evaluated(node)
        for out, constant in zip(node.outputs, made[key], strict=True):
            graph.replace(out, constant)
    graph.prune_dead()


def _derived(graph: Graph) -> dict[int, set[int]]:
    """Return, by id of each tensor that depends on constants alone, the ids of these."""
    derived: dict[int, set[int]] = {}
    for node in graph.nodes:
        on_weights = node.inputs and all(given.is_constant or id(given) in derived for given in node.inputs)
        if on_weights and node.op_type != "Batched":  # whose result has as many samples as the inputs
            roots = set().union(*(derived.get(id(given), {id(given)}) for given in node.inputs))
            derived.update((id(out), roots) for out in node.outputs)
    return derived


def _tied(graph: Graph, of_weights: list[Node]) -> set[int]:
    """Return the ids of the trainable weights that others than `of_weights` read too."""
    consumers = Consumers(graph)
    inside = {id(node) for node in of_weights}
    return {
        id(weight) for weight in graph.constants
        if weight.trainable and any(id(consumer) not in inside for consumer in consumers.of(weight))
    }  # fmt: skip


def _evaluated(node: Node) -> list[Tensor]:
    """Return what `node` makes of constants, as constants."""
    values = node.run(lambda given: ops.convert_to_tensor(given.value))
    trainable = any(given.trainable for given in node.inputs)
    return [
        Tensor(out.name.replace("/", "."), array.shape, out.dtype, array, trainable)
        for out, array in zip(node.outputs, map(np.asarray, values), strict=True)
    ]


def _computation(node: Node) -> tuple[Any, ...]:
    """Return what tells whether two nodes compute the same: operation, attributes, arguments."""
    attributes = {} if isinstance(node.op, keras.Layer) else getattr(node.op, "__dict__", {})
    static = sorted((k, repr(v)) for k, v in attributes.items() if not k.startswith("_") and k != "name")
    arguments = [_identity(argument) for argument in tree.flatten((node.args, node.kwargs))]
    return node.op_type, tuple(static), tuple(arguments)


def _identity(argument: Any) -> Any:
    if not isinstance(argument, Tensor):
        return repr(argument)
    is_number = argument.is_constant and not argument.trainable and argument.value.size == 1
    return (argument.shape, argument.dtype, argument.value.tobytes()) if is_number else id(argument)


def name_moved_constants(graph: Graph) -> None:
    """Let what came of one constant at several uses be one again where it still has one shape, and else be named apart.

    A constant that met a movement is laid out anew for each use of it (`_before`), under its old name.
    """
    of_name: dict[str, list[Tensor]] = {}
    for tensor in graph.constants:
        alike = of_name.setdefault(tensor.name, [])
        first = next((known for known in alike if known.shape == tensor.shape), None)
        if first is not None and np.array_equal(first.value, tensor.value):
            graph.replace(tensor, first)
        else:
            alike.append(tensor)
    for tensors in of_name.values():
        for number, tensor in enumerate(tensors[1:], 2):
            tensor.name = f"{tensor.name}_{number}"

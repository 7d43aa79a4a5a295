"""Products and sums by channel, a batch normalisation for one, folded into the kernel and bias before them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..graph.nodes import Consumers, Graph, Node, Tensor
from ..kernels import FORMS, LINEAR


def fold_affine(graph: Graph) -> None:
    """Fold per-channel products and sums that follow a linear operation into its kernel and bias (batch norm).

    A kernel or bias that is used at several places is folded into where all of them go on alike, and stays one.
    """
    consumers = Consumers(graph)
    for node in list(graph.nodes):
        if node not in graph.nodes:  # folded together with another use of its kernel
            continue
        fold = _foldable(node, consumers)
        if fold is None:
            continue
        others = _other_uses(fold, consumers)
        folds = [fold, *(other for other in others if other is not None)]
        if None in others:
            continue
        operand = node.inputs[1]
        if node.op_type == "Multiply":
            _fold_into([each.linear for each in folds], operand, _scaled(fold.linear, operand))
        if fold.bias is not None:
            value = fold.bias.inputs[1].value
            sign = 1 if node.op_type == "Add" else -1
            value = value * operand.value if node.op_type == "Multiply" else value + sign * operand.value
            _fold_into([each.bias for each in folds if each.bias is not None], operand, value)
        for each in folds:
            graph.replace(each.node.output, each.node.inputs[0])
            graph.nodes.remove(each.node)
        consumers = Consumers(graph)


@dataclass(frozen=True, eq=False)
class _Fold:
    """A product or sum by channel, `node`, behind a linear operation and the sum that adds its bias, if it has one."""

    node: Node
    linear: Node
    bias: Node | None

    @property
    def changed(self) -> list[tuple[Node, Tensor]]:
        """The nodes whose constants change, with these."""
        parts = [self.linear] if self.node.op_type == "Multiply" else []
        return [(part, part.inputs[1]) for part in [*parts, *([self.bias] if self.bias else [])]]


def _foldable(node: Node, consumers: Consumers) -> _Fold | None:
    if node.op_type not in {"Multiply", "Add", "Subtract"} or len(node.inputs) != 2:
        return None
    linear, bias = _linear_before(node.inputs[0], consumers)
    if linear is None or not is_per_channel(node.inputs[1], node.output) or len(linear.inputs) != 2:
        return None
    return (
        _Fold(node, linear, bias) if node.op_type == "Multiply" or bias is not None else None
    )  # a sum is the bias itself


def _other_uses(fold: _Fold, consumers: Consumers) -> list[_Fold | None]:
    """Return the like folds at all other uses of what `fold` changes; None for one that goes on otherwise."""
    others: list[_Fold | None] = []
    for owner, constant in fold.changed:
        for consumer in consumers.of(constant):
            if consumer is owner or any(
                other is not None and consumer in (other.linear, other.bias) for other in others
            ):
                continue
            others.append(_like(fold, consumer, consumers))
    return others


def _like(fold: _Fold, use: Node | None, consumers: Consumers) -> _Fold | None:
    """Return the fold behind `use` of a shared constant if it has the same operands as `fold`."""
    following = None if use is None else consumers.only(use.output)
    for node in (following, following and consumers.only(following.output)):
        other = None if node is None else _foldable(node, consumers)
        if (
            other is not None
            and other.node.op_type == fold.node.op_type
            and other.linear.op_type == fold.linear.op_type
        ):
            mine, theirs = ([each.node.inputs[1], *(part for _, part in each.changed)] for each in (fold, other))
            if list(map(id, mine)) == list(map(id, theirs)):
                return other
    return None


def _linear_before(tensor: Tensor, consumers: Consumers) -> tuple[Node | None, Node | None]:
    """Return the linear node that `tensor` comes from and the node that adds its bias, if nothing else reads them."""
    node, bias = tensor.producer, None
    if node is None or consumers.only(tensor) is None:
        return None, None
    if node.op_type == "Add" and len(node.inputs) == 2 and is_per_channel(node.inputs[1], node.output):
        node, bias = node.inputs[0].producer, node
        if node is None or consumers.only(node.output) is not bias:
            return None, None
    return (node, bias) if node.op_type in LINEAR and node.inputs[-1].is_constant else (None, None)


def is_per_channel(constant: Tensor, output: Tensor) -> bool:
    """Tell whether `constant` has one value for each entry of the last axis of `output`, or one in all."""
    return constant.is_constant and (
        constant.value.size == 1 or constant.value.size == output.shape[-1] == constant.shape[-1]
    )


def _scaled(linear: Node, operand: Tensor) -> np.ndarray:
    """Return the kernel of `linear` times a factor for each of its outputs."""
    kernel, factor = linear.inputs[1].value, operand.value
    return kernel * (FORMS[linear.op_type].spread(factor, kernel.shape) if factor.size > 1 else factor)


def _fold_into(nodes: list[Node], operand: Tensor, value: np.ndarray) -> None:
    """Give `nodes` one constant of their own, `value`, that holds `operand` besides what they read so far."""
    old = nodes[0].inputs[1]
    trainable = old.trainable or operand.trainable
    new = replace(old, shape=value.shape, value=value.astype(old.dtype), trainable=trainable)
    for node in nodes:
        node.reread(old, new)

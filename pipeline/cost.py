"""What one inference costs, counted on the graph of operations."""

import math

import keras

from ..quantize.graph.nodes import Node
from ..quantize.graph.tracing import trace
from ..quantize.kernels import LINEAR
from ..quantize.passes.canonicalize import canonicalize


def multiply_adds(model: keras.Model) -> int:
    """Return the multiply-adds of the products and convolutions of one sample; batch norm is folded, the rest is free.

    Raises: BadInput for a model that cannot be traced.
    """
    return sum(multiply_adds_of(node) for node in canonicalize(trace(model)).nodes)


def multiply_adds_of(node: Node) -> int:
    """Return those of one operation, 0 where it is neither a product nor a convolution."""
    if node.op_type not in LINEAR | {"MatmulTransposed"}:
        return 0
    outputs = _size(node.output.shape)
    first, second = node.inputs[:2]
    if node.op_type == "DepthwiseConv":
        return outputs * _size(second.shape[:2])
    if node.op_type == "TransposedConv":  # each input value meets the kernel of each output map
        return _size(first.shape) * _size(second.shape[:3])
    if node.op_type in {"Conv", "GroupedConv"}:
        return outputs * _size(second.shape[:3])
    return outputs * _size(first.shape[-1:])


def _size(shape: tuple[int | None, ...]) -> int:
    return math.prod(1 if size is None else size for size in shape)

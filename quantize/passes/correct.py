"""Post-training corrections: scales moved between layers, and biases that take up what rounding shifts on average.

Both leave the float function as it is (the first) or nearly so (the second) and need no labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..fake_quant import SMALLEST_RANGE
from ..graph.nodes import Consumers, Graph, Node, Tensor
from ..kernels import FORMS, KernelForm

_HOMOGENEOUS = {
    "Relu",
    "MaxPool",
    "AveragePool",
    "Dropout",
    "Identity",
}  # f(s x) = s f(x) for s > 0, channel by channel
_EQUALIZED = {"Conv", "DepthwiseConv", "Matmul"}


def equalize(graph: Graph, rounds: int = 2) -> int:
    """Scale the channels between linear layers so that both kernels reach equally far in each; return the pairs.

    Per-tensor activations gain by it: a channel that is far wider than the others costs them their steps.
    Source: Nagel et al. 2019, arXiv:1906.04721, section 4.1.
    """
    pairs = list(_pairs(graph))
    for _ in range(rounds):
        for first, bias, second in pairs:
            before, after = first.inputs[1], second.inputs[1]
            made, read = FORMS[first.op_type], FORMS[second.op_type]
            reach = _reach(before.value, made.channels), _reach(after.value, (read.inputs,))
            factor = np.sqrt(np.maximum(reach[0], SMALLEST_RANGE) / np.maximum(reach[1], SMALLEST_RANGE))
            before.value = (before.value * made.spread(1 / factor, before.value.shape)).astype(before.dtype)
            after.value = (after.value * read.spread_inputs(factor, after.value.shape)).astype(after.dtype)
            if bias is not None:
                bias.value = (bias.value / factor).astype(bias.dtype)  # factor runs along the last axis
    return len(pairs)


def _pairs(graph: Graph) -> Iterator[tuple[Node, Tensor | None, Node]]:
    """Yield linear layers with nothing but homogeneous operations between them, and the bias of the first."""
    readers = Consumers(graph)

    def owns_kernel(node: Node) -> bool:
        return node.op_type in _EQUALIZED and node.inputs[1].is_constant and readers.only(node.inputs[1]) is node

    for first in graph.nodes:
        if not owns_kernel(first):
            continue
        bias, following = None, readers.only(first.output)
        if following is not None and following.op_type == "Add" and _is_bias(following, first.output, readers):
            bias, following = following.inputs[1], readers.only(following.output)
        while following is not None and _is_homogeneous(following):
            following = readers.only(following.output)
        if following is not None and owns_kernel(following) and following.inputs[0].shape[-1] == first.output.shape[-1]:
            yield first, bias, following


def _is_bias(node: Node, data: Tensor, readers: Consumers) -> bool:
    constant, channels = node.inputs[-1], data.shape[-1]
    fits = constant.is_constant and constant.value.size == channels == constant.shape[-1]
    return node.inputs[0] is data and fits and readers.only(constant) is node


def _is_homogeneous(node: Node) -> bool:
    if node.op_type == "ReLU":
        return (node.op.threshold, node.op.max_value) == (0, None)
    return node.op_type in _HOMOGENEOUS


def _reach(kernel: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Return the largest magnitude for each entry of `axes`, flat."""
    kept = {axis % kernel.ndim for axis in axes}
    return np.abs(kernel).max(tuple(axis for axis in range(kernel.ndim) if axis not in kept)).reshape(-1)


def bias_shift(form: KernelForm, kernel: Any, mean: np.ndarray, bits: int, scale: Any = None) -> np.ndarray:
    """Return by how much rounding the kernel shifts each output channel on average, (channels out,).

    mean: of the input per channel; edges padded with zeros are taken for inner ones. scale: of the kernel, by default
    what its values ask for.
    Source: Nagel et al. 2019, arXiv:1906.04721, section 4.2.
    """
    error = np.asarray(form.fake_quantize(kernel, bits, scale)) - np.asarray(kernel)
    if form.is_depthwise:
        return (error.sum((0, 1)) * mean[:, None]).reshape(-1)
    summed = error.reshape(-1, *error.shape[-2:]).sum(0)  # (in / groups, out)
    groups = len(mean) // len(summed)
    means = mean.reshape(groups, -1)  # a group of outputs reads a group of inputs
    return np.concatenate([part @ block for part, block in zip(means, np.split(summed, groups, axis=1), strict=True)])

"""How the axes of an operation's inputs and outputs belong together: a rule for each kind of operation.

A rule takes a node and the table of axes, links what must go together, freezes what is read by position, and returns
the axes of each output. An operation without a rule freezes all that it touches.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence

import numpy as np

from ...quantize.graph.layer_rules import LEAVES
from ...quantize.graph.nodes import Graph, Node, Tensor
from .axes import Axes, Axis, AxisTable
from .movement import MOVING, moved

ELEMENTWISE = frozenset(
    ["Abs", "Add", "Absolute", "Arctan", "Arctan2", "Cast", "Ceil", "Celu", "Clip", "ConvertToTensor", "Cos", "Cosh",
     "Divide", "DivideNoNan", "Elu", "Equal", "Erf", "Exp", "Exp2", "Expm1", "Floor", "FloorDivide", "Gelu", "Greater",
     "GreaterEqual", "HardShrink", "HardSigmoid", "HardSilu", "HardTanh", "Identity", "IsFinite", "LeakyRelu", "Less",
     "LessEqual", "Log", "Log1p", "Log2", "LogSigmoid", "LogicalAnd", "LogicalNot", "LogicalOr", "Maximum", "Minimum",
     "Mod", "Multiply", "Negative", "NotEqual", "OnesLike", "Power", "ReLU", "Reciprocal", "Relu", "Relu6", "Round",
     "Rsqrt", "Selu", "Sigmoid", "Sign", "Silu", "Sin", "Sinh", "SoftShrink", "Softplus", "Softsign", "SparsePlus",
     "Sqrt", "Square", "SquaredDifference", "Squareplus", "StopGradient", "Subtract", "Tan", "Tanh", "TanhShrink",
     "Threshold", "TrueDivide", "Where", "ZerosLike", *(leaf.__name__ for leaf in LEAVES)]
)  # fmt: skip
# What reads an axis as a whole: fewer entries would make other numbers.
READING = frozenset(
    ["All", "Amax", "Amin", "Any", "Argmax", "Argmin", "Argsort", "Average", "Cumprod", "Cumsum", "LayerNorm",
     "LogSoftmax", "Logsumexp", "Max", "Mean", "Median", "Min", "Prod", "RMSNorm", "Softmax", "Sort", "Std", "Var"]
)  # fmt: skip
# Their zeros count for nothing.
SUMMING = frozenset(["Norm", "Normalize", "Sum"])
WINDOW = "it is the window of a kernel"
SPATIAL = frozenset(["AdaptiveAveragePool", "AdaptiveMaxPool", "AveragePool", "MaxPool", "Resize"])


def axes_of_graph(graph: Graph, weights: set[int]) -> AxisTable:
    """Return the axes of all tensors of `graph`. weights: ids of the tensors that are variables of the model."""
    table = AxisTable()
    for leaf in graph.inputs:
        table.freeze(*table.axes_of(leaf), why="it is an input of the model")
    for leaf in graph.constants:
        if id(leaf) not in weights:
            _freeze_patterns(leaf, table)
    for node in graph.nodes:
        for out, axes in zip(node.outputs, _apply(node, table), strict=True):
            table.of[id(out)] = axes
    for leaf in graph.outputs:
        table.freeze(*table.axes_of(leaf), why="it is an output of the model")
    return table


def _freeze_patterns(constant: Tensor, table: AxisTable) -> None:
    """Let a constant in the code of a layer keep the axes along which it is not the same everywhere."""
    for axis, numbers in enumerate(table.axes_of(constant)):
        if numbers is not None and (np.diff(constant.value, axis=axis) != 0).any():
            table.freeze(numbers, why=f"{constant.name} is a constant in the code")


def _apply(node: Node, table: AxisTable) -> list[Axes]:
    if node.op_type == "Take" and not node.inputs[-1].is_constant:
        return [_take(node, table)]
    if node.op_type in MOVING:
        return moved(node, table)
    rule = _RULES.get(node.op_type)
    return _unknown(node, table) if rule is None else [rule(node, table)]


def _unknown(node: Node, table: AxisTable) -> list[Axes]:
    why = f"{node.name} ({node.op_type}) has no rule"
    for leaf in node.inputs:
        table.freeze(*table.axes_of(leaf), why=why)
    made = [table.fresh_axes(out.shape) for out in node.outputs]
    for axes in made:
        table.freeze(*axes, why=why)
    return made


# ---------------------------------------------------------------- elementwise, reductions


def _elementwise(node: Node, table: AxisTable) -> Axes:
    """Link the axes that broadcasting lays over each other, but for those of one entry."""
    shape = node.output.shape
    why = f"{node.name} ({node.op_type}) is of unknown size"
    laid: list[list[Axis]] = [[] for _ in shape]
    for leaf in node.inputs:
        offset = len(shape) - len(leaf.shape)
        for axis, (size, numbers) in enumerate(zip(leaf.shape, table.axes_of(leaf), strict=True)):
            if size != 1:
                laid[axis + offset].append(numbers)
    return tuple(
        table.link(*numbers, why=why) if numbers else table.fresh(size)
        for numbers, size in zip(laid, shape, strict=True)
    )


def _over(node: Node) -> set[int]:
    """Return the axes that an operation reads as a whole."""
    rank, axis = len(node.inputs[0].shape), getattr(node.op, "axis", None)
    if axis is None:
        return set(range(rank))
    return {each % rank for each in ([axis] if isinstance(axis, int) else axis)}


def _reduced(node: Node, table: AxisTable) -> Axes:
    """Keep the axes that are not read, and freeze those that are unless their zeros count for nothing."""
    given, over = table.axes_of(node.inputs[0]), _over(node)
    if node.op_type not in SUMMING:
        for axis in over:
            table.freeze(given[axis], why=f"{node.name} ({node.op_type}) reads it as a whole")
    for leaf in node.inputs[1:]:
        table.freeze(*table.axes_of(leaf), why=f"{node.name} ({node.op_type}) reads it as a whole")
    made = node.output.shape
    if len(made) == len(given):
        return tuple(None if made[axis] == 1 else given[axis] for axis in range(len(given)))
    return tuple(numbers for axis, numbers in enumerate(given) if axis not in over)


def _positions(node: Node, table: AxisTable) -> Axes:
    """Freeze all axes that a window moves along, and pass the channels."""
    given, channels = table.axes_of(node.inputs[0]), _channels(node)
    why = f"{node.name} ({node.op_type}) reads positions"
    made = list(table.fresh_axes(node.output.shape))
    for axis in range(1, len(given)):
        if axis == channels:
            made[axis] = given[axis]
        else:
            table.freeze(given[axis], made[axis], why=why)
    return tuple(made)


def _channels(node: Node) -> int:
    return 1 if getattr(node.op, "data_format", None) == "channels_first" else len(node.inputs[0].shape) - 1


# ---------------------------------------------------------------- products


def letters(node: Node) -> tuple[list[str], str]:
    """Return a product in the letters of an einsum: those of each operand, and those of the result."""
    return _LETTERS[node.op_type](node)


def _einsum(node: Node) -> tuple[list[str], str]:
    given, _, made = node.op.subscripts.replace(" ", "").partition("->")
    terms = given.split(",")
    return _without_ellipsis(terms, made, node.inputs) if "..." in given else (terms, made)


def _without_ellipsis(terms: list[str], made: str, operands: Sequence[Tensor]) -> tuple[list[str], str]:
    free = [letter for letter in string.ascii_uppercase if letter not in "".join(terms)]
    ranks = [len(leaf.shape) - len(term.replace("...", "")) for term, leaf in zip(terms, operands, strict=True)]
    names = "".join(free[: max(ranks)])

    def spelled(term: str, rank: int) -> str:
        return term.replace("...", names[len(names) - rank :] if rank else "")

    return [spelled(*pair) for pair in zip(terms, ranks, strict=True)], spelled(made, len(names))


def _matmul(node: Node) -> tuple[list[str], str]:
    left, right = (len(leaf.shape) for leaf in node.inputs)
    batch = string.ascii_uppercase[: max(left, right, 2) - 2]
    if node.op_type == "Dot" and right > 2:  # over the last axis but one, with the rest of both
        rest = string.ascii_uppercase[: right - 2]
        first = string.ascii_lowercase[: left - 1]
        return [f"{first}z", f"{rest}zy"], f"{first}{rest}y"
    one = "z" if left == 1 else f"{batch[len(batch) - left + 2 :]}xz"
    other = "z" if right == 1 else f"{batch[len(batch) - right + 2 :]}zy"
    return [one, other], batch + ("x" if left > 1 else "") + ("y" if right > 1 else "")


def _tensordot(node: Node) -> tuple[list[str], str]:
    left, right = (len(leaf.shape) for leaf in node.inputs)
    axes = node.op.axes
    pairs = ([*range(left - axes, left)], [*range(axes)]) if isinstance(axes, int) else axes
    first, second = ([axis % rank for axis in ([given] if isinstance(given, int) else given)]
                     for given, rank in zip(pairs, (left, right), strict=True))  # fmt: skip
    one, other = string.ascii_lowercase[:left], list(string.ascii_uppercase[:right])
    for axis, to in zip(first, second, strict=True):
        other[to] = one[axis]
    made = "".join(x for x in one if x not in other) + "".join(x for x in other if x not in one)
    return [one, "".join(other)], made


_LETTERS: dict[str, Callable[[Node], tuple[list[str], str]]] = {
    "Dot": _matmul,
    "Einsum": _einsum,
    "Matmul": _matmul,
    "Tensordot": _tensordot,
}


def _contracted(node: Node, table: AxisTable) -> Axes:
    """Link the axes of one letter; a letter that is summed over loses an index in all operands."""
    terms, made = letters(node)
    why = f"{node.name} ({node.op_type}) is of unknown size"
    axes: dict[str, list[Axis]] = {}
    for leaf, term in zip(node.inputs, terms, strict=True):
        for letter, size, numbers in zip(term, leaf.shape, table.axes_of(leaf), strict=True):
            axes.setdefault(letter, [])
            if size != 1:
                axes[letter].append(numbers)
    linked = {letter: table.link(*each, why=why) for letter, each in axes.items()}
    return tuple(
        linked[letter] if linked[letter] is not None else table.fresh(size)
        for letter, size in zip(made, node.output.shape, strict=True)
    )


# ---------------------------------------------------------------- convolutions


def _window(node: Node, table: AxisTable) -> tuple[Axis, list[Axes], Callable[[Axis], Axes]]:
    """Freeze the axes that a kernel moves along; return the channels, the kernels, and what gives the output's axes."""
    given, kernels = table.axes_of(node.inputs[0]), [table.axes_of(leaf) for leaf in node.inputs[1:]]
    channels, rank = _channels(node), len(given)
    why = f"{node.name} ({node.op_type}) reads positions"
    made = list(table.fresh_axes(node.output.shape))
    for axis in range(1, rank):
        if axis != channels:
            table.freeze(given[axis], made[axis], why=why)
    for kernel in kernels:
        table.freeze(*kernel[:-2], why=WINDOW)

    def output(numbers: Axis) -> Axes:
        made[channels] = numbers
        return tuple(made)

    return given[channels], kernels, output


def _conv(node: Node, table: AxisTable) -> Axes:
    """Shapes: (N, H, W, C), (h, w, C / groups, D) -> (N, H', W', D); the kernel tells how many groups there are."""
    channels, (kernel,), output = _window(node, table)
    size, (part, made) = node.inputs[0].shape[_channels(node)], node.inputs[1].shape[-2:]
    if size == part or size is None or part is None or made is None:
        table.link(channels, kernel[-2], why=f"{node.name} is of unknown size")
        return output(kernel[-1])
    groups, width = table.fresh(size // part), made * part // size
    assert groups is not None and channels is not None and kernel[-1] is not None
    _grouped(table, channels, groups, kernel[-2], part, node)
    _grouped(table, kernel[-1], groups, table.fresh(width), width, node)
    return output(kernel[-1])


def _grouped(table: AxisTable, flat: np.ndarray, groups: np.ndarray, inner: Axis, width: int, node: Node) -> None:
    """Let channels be groups times what is inside each."""
    if width == 1:
        table.link(flat, groups, why=node.name)
    else:
        assert inner is not None
        table.multiply(flat.reshape(len(groups), width), (groups, inner), node.name)


def _multiplied(channels: Axis, kernel: Axes, shape: Sequence[int | None], node: Node, table: AxisTable) -> Axis:
    """Return the channels of (N, H, W, C), (h, w, C, M) -> (N, H', W', C M): channel c M + m comes of c and m."""
    why = f"{node.name} is of unknown size"
    source = table.link(channels, kernel[-2], why=why)
    size, multiplier = shape[-2], shape[-1]
    if multiplier == 1:
        return source
    if size == 1 or source is None or kernel[-1] is None:
        table.freeze(source, why=why)
        return kernel[-1]
    flat = np.asarray(table.fresh(len(source) * len(kernel[-1])))
    table.multiply(flat.reshape(len(source), -1), (source, kernel[-1]), node.name)
    return flat


def _depthwise(node: Node, table: AxisTable) -> Axes:
    channels, (kernel,), output = _window(node, table)
    return output(_multiplied(channels, kernel, node.inputs[1].shape, node, table))


def _separable(node: Node, table: AxisTable) -> Axes:
    channels, (depthwise, pointwise), output = _window(node, table)
    between = _multiplied(channels, depthwise, node.inputs[1].shape, node, table)
    table.link(between, pointwise[-2], why=f"{node.name} is of unknown size")
    return output(pointwise[-1])


def _conv_transpose(node: Node, table: AxisTable) -> Axes:
    """Shapes: (N, H, W, C), (h, w, D, C) -> (N, H', W', D)."""
    channels, (kernel,), output = _window(node, table)
    table.link(channels, kernel[-1], why=f"{node.name} is of unknown size")
    return output(kernel[-2])


# ---------------------------------------------------------------- lookups, attention


def _take(node: Node, table: AxisTable) -> Axes:
    """Read rows by numbers: the table's other axes stay, and the numbers' axes take the place of the one read."""
    source, index = node.inputs[0], node.inputs[-1]
    axes, places = table.axes_of(source), table.axes_of(index)
    why = f"{node.name} ({node.op_type}) reads positions"
    if node.op.axis is None:
        table.freeze(*axes, *places, why=why)
        return places
    axis = node.op.axis % len(axes)
    table.freeze(axes[axis], why=why)
    return (*axes[:axis], *places, *axes[axis + 1 :])


def _one_hot(node: Node, table: AxisTable) -> Axes:
    made = table.fresh_axes(node.output.shape)
    table.freeze(*table.axes_of(node.inputs[0]), *made, why=f"{node.name} (OneHot) reads positions")
    return made


def _attention(node: Node, table: AxisTable) -> Axes:
    """Shapes: (N, T, H, d), (N, S, K, d), (N, S, K, e) -> (N, T, H, e); K divides H."""
    query, key, value = (table.axes_of(leaf) for leaf in node.inputs[:3])
    why = f"{node.name} (DotProductAttention) reads positions"
    table.freeze(query[1], key[1], value[1], why=why)
    for leaf in node.inputs[3:]:
        table.freeze(*table.axes_of(leaf), why=why)
    table.link(key[2], value[2], why=why)
    _share_heads(query[2], key[2], table, why)
    table.link(query[3], key[3], why=why)
    if node.kwargs.get("scale") is None and len(node.args) < 6:
        table.freeze(query[3], why=f"{node.name} (DotProductAttention) divides by the root of its size")
    return (query[0], query[1], query[2], value[3])


def _share_heads(query: Axis, key: Axis, table: AxisTable, why: str) -> None:
    """Let each head of keys go with all the heads of queries that read it."""
    if query is None or key is None:
        table.freeze(query, key, why=why)
    else:
        table.link(query, np.repeat(key, len(query) // len(key)), why=why)


def _constant(node: Node, table: AxisTable) -> Axes:
    return table.axes_of(node.inputs[0])


def _repeated(node: Node, table: AxisTable) -> Axes:
    """Repeat along the batch, which is no axis of a sample."""
    given = table.axes_of(node.inputs[0])
    table.freeze(given[0], why=f"{node.name} repeats it for each sample")
    return (None, *given[1:])


_RULES: dict[str, Callable[[Node, AxisTable], Axes]] = {
    **dict.fromkeys(ELEMENTWISE, _elementwise),
    **dict.fromkeys(READING | SUMMING, _reduced),
    **dict.fromkeys(SPATIAL, _positions),
    "Batched": _repeated,
    "Constant": _constant,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "DepthwiseConv": _depthwise,
    **dict.fromkeys(_LETTERS, _contracted),
    "DotProductAttention": _attention,
    "GroupedConv": _conv,
    "OneHot": _one_hot,
    "SeparableConv": _separable,
    "TransposedConv": _conv_transpose,
}

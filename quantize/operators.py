"""The operator table: for each Keras operation, the LiteRT int8 operator it becomes and the rules of that operator.

The rules are those of the LiteRT 8-bit quantization specification (https://ai.google.dev/edge/litert/models/quantization_spec):
which scales are fixed or shared, which kernels are per-channel, which activations are fused. Everything that places
fake-quantizers or writes an integer model reads this table and nothing else; an operation without a row stays float.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import BadInput
from .graph.layer_rules import LEAVES
from .graph.nodes import Graph, Node

LINEAR = frozenset({"Conv", "GroupedConv", "DepthwiseConv", "TransposedConv", "Matmul"})


@dataclass(frozen=True)
class Fixed:
    """A range that the kernel prescribes: real values from `low` to `high` in 256 steps; `wide` in 65536."""

    low: float
    high: float
    wide: tuple[float, float] = (-1.0, 32767 / 32768)

    def range(self, bits: int) -> tuple[float, float]:
        """Return the range in `bits` bits."""
        return self.wide if bits > 8 else (self.low, self.high)


OWN = "own"  # the output has a scale of its own
SAME = "same"  # inputs and output share one scale


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One row of the table.

    kind: the Keras operation's class name; `when` narrows it. litert: the operator written. scale: OWN, SAME or Fixed.
    kernel: the argument that is the kernel, symmetric per channel along `channels`. fuses: activations the kernel
    applies itself. symmetric: inputs whose zero point must be 0. exact: values are only moved, so nothing is rounded.
    halves: what kernels do with the results that lie halfway between two steps, where many do. headroom: how far the
    range reaches below the values seen. options: static attributes, read off the operation.

    Of operators that run over a whole sequence: biases, pairs of an input that is added to an accumulator and of the
    input that is its kernel; states, the outputs that are fed back in 16 bits, whose step is a power of two.
    """

    kind: str
    litert: str
    scale: str | Fixed = OWN
    kernel: int | None = None
    channels: tuple[int, ...] = (-1,)
    fuses: frozenset[str] = frozenset()
    exact: bool = False
    halves: str = ""
    headroom: float = 0.0
    symmetric: tuple[int, ...] = ()
    biases: tuple[tuple[int, int], ...] = ()
    states: tuple[int, ...] = ()
    when: Callable[[Node], bool] = lambda node: True
    options: Callable[[Node], dict[str, Any]] = lambda node: {}


def rule_for(node: Node) -> Rule | None:
    """Return the row that covers `node`, or None if the table does not know it."""
    return next((rule for rule in _BY_KIND.get(node.kind, ()) if rule.when(node)), None)


def axes(axis: Any, rank: int) -> tuple[int, ...]:
    """Return `axis` (None, an int or a sequence) as sorted non-negative axes."""
    chosen = range(rank) if axis is None else (axis,) if isinstance(axis, int) else axis
    return tuple(sorted(one % rank for one in chosen))


def pair(value: Any) -> tuple[int, int]:
    """Return the height and width that an argument means."""
    return (value, value) if isinstance(value, int) else tuple(value)


def _is_conv2d(node: Node) -> bool:
    _, kernel = node.inputs
    return kernel.is_constant and _is_plane(node)


def _is_plain_transpose(node: Node) -> bool:
    return _is_conv2d(node) and pair(node.op.dilation_rate) == (1, 1)


def _conv_transpose(node: Node) -> dict[str, Any]:
    return {"strides": pair(node.op.strides), "padding": node.op.padding}


def _is_plain_resize(node: Node) -> bool:
    op = node.op
    plain = not (op.antialias or op.crop_to_aspect_ratio or op.pad_to_aspect_ratio)
    return plain and op.data_format == "channels_last" and len(node.inputs[0].shape) == 4


def _resizes(interpolation: str) -> Callable[[Node], bool]:
    return lambda node: node.op.interpolation == interpolation and _is_plain_resize(node)


def _is_plane(node: Node) -> bool:
    """Tell whether the operation slides over the two middle axes of images."""
    return len(node.inputs[0].shape) == 4 and _channels_last(node)


def _channels_last(node: Node) -> bool:
    return node.op.data_format in (None, "channels_last")


def _conv(node: Node) -> dict[str, Any]:
    return {"strides": pair(node.op.strides), "padding": node.op.padding, "dilation": pair(node.op.dilation_rate)}


def _pool(node: Node) -> dict[str, Any]:
    size = pair(node.op.pool_size)
    return {"pool_size": size, "strides": pair(node.op.strides or size), "padding": node.op.padding}


def _windows_are_whole(node: Node) -> bool:
    """Tell whether no window of a pool reaches over the edge, so that each averages as many values."""
    if not _is_plane(node):
        return False
    options = _pool(node)
    sizes = zip(node.inputs[0].shape[1:-1], options["pool_size"], options["strides"], strict=True)
    return options["padding"] == "valid" or all(
        size % stride == 0 and window <= stride for size, window, stride in sizes
    )


def _average_as_conv(node: Node) -> dict[str, Any]:
    options = _pool(node)
    return {"strides": options["strides"], "padding": "valid", "dilation": (1, 1), "average_over": options["pool_size"]}


def _has_kernel(node: Node) -> bool:
    return node.inputs[1].is_constant and len(node.inputs[1].shape) == 2


def _reduce(node: Node) -> dict[str, Any]:
    return {"axes": axes(node.op.axis, len(node.inputs[0].shape)), "keepdims": node.op.keepdims}


def _transpose(node: Node) -> dict[str, Any]:
    rank = len(node.inputs[0].shape)
    if node.kind == "Swapaxes":
        order = list(range(rank))
        first, second = node.op.axis1 % rank, node.op.axis2 % rank
        order[first], order[second] = second, first
        return {"axes": tuple(order)}
    return {"axes": tuple(node.op.axes or range(rank - 1, -1, -1))}


def _axis(node: Node) -> dict[str, Any]:
    return {"axis": node.op.axis % len(node.output.shape)}


def _input_axis(node: Node) -> dict[str, Any]:
    return {"axis": node.op.axis % len(node.inputs[0].shape)}


def _take(node: Node) -> dict[str, Any]:
    indices = node.kwargs.get("indices", node.args[1] if len(node.args) > 1 else None)
    return {**_input_axis(node), "indices": None if len(node.inputs) > 1 else indices}


def _key(node: Node) -> dict[str, Any]:
    key = node.kwargs.get("key", node.args[1] if len(node.args) > 1 else None)
    return {"key": key if isinstance(key, tuple) else (key,)}


def _is_static_slice(node: Node) -> bool:
    return len(node.inputs) == 1 and all(isinstance(part, (int, slice)) for part in _key(node)["key"])


def _argument(node: Node) -> dict[str, Any]:
    return {**_input_axis(node), "keepdims": node.op.keepdims}


def _last_axis(node: Node) -> bool:
    return axes(node.op.axis, len(node.inputs[0].shape)) == (len(node.inputs[0].shape) - 1,)


def _pads_zeros(node: Node) -> bool:
    return node.op.mode == "constant" and node.kwargs.get("constant_values") in (None, 0, 0.0) and len(node.args) == 1


def _relu(limit: float | None) -> Callable[[Node], bool]:
    return lambda node: (node.op.negative_slope, node.op.threshold, node.op.max_value) == (0, 0, limit)


def _leaks(node: Node) -> bool:
    return (node.op.threshold, node.op.max_value) == (0, None)


def _is_of_integers(node: Node) -> bool:
    """Tell whether a cast has truths as its input, or integers on both sides."""
    given, made = node.inputs[0].dtype, node.output.dtype
    return given == "bool" or ("int" in given and "int" in made)


def _is_filled(node: Node) -> bool:
    return node.output.dtype.startswith("float") and FILLS[node.kind](node) is not None


def _number(node: Node) -> float | None:
    value = node.args[1] if len(node.args) > 1 else node.kwargs.get("fill_value")
    return value if isinstance(value, (int, float)) else None


# Operations that fill a tensor in the shape of their input, and what with.
FILLS: dict[str, Callable[[Node], float | None]] = {
    "ZerosLike": lambda node: 0.0,
    "OnesLike": lambda node: 1.0,
    "FullLike": _number,
}
CLIPS = frozenset({"RELU", "RELU6"})
_UNIT = Fixed(0.0, 255 / 256)
_SIGNED = Fixed(-1.0, 127 / 128)
_COUNTS = Fixed(-128.0, 127.0, wide=(-32768.0, 32767.0))
_LOGARITHMS = Fixed(-255 / 16, 0.0)

TABLE: tuple[Rule, ...] = (
    # linear
    Rule(kind="Conv", litert="CONV_2D", kernel=1, fuses=CLIPS, when=_is_conv2d, options=_conv),
    Rule(
        kind="DepthwiseConv",
        litert="DEPTHWISE_CONV_2D",
        kernel=1,
        channels=(-2, -1),
        fuses=CLIPS,
        when=_is_conv2d,
        options=_conv,
    ),
    Rule(kind="GroupedConv", litert="CONV_2D", kernel=1, fuses=CLIPS, when=_is_conv2d, options=_conv),
    Rule(
        kind="TransposedConv",
        litert="TRANSPOSE_CONV",
        kernel=1,
        channels=(-2,),
        when=_is_plain_transpose,
        options=_conv_transpose,
    ),
    Rule(kind="Matmul", litert="FULLY_CONNECTED", kernel=1, fuses=CLIPS, when=_has_kernel),
    # XNNPACK multiplies by int8 values that are no weights only if their zero point is 0.
    Rule(kind="Matmul", litert="BATCH_MATMUL", symmetric=(1,), options=lambda node: {"transposed": False}),
    Rule(kind="MatmulTransposed", litert="BATCH_MATMUL", symmetric=(1,), options=lambda node: {"transposed": True}),
    # elementwise
    Rule(kind="Add", litert="ADD", fuses=CLIPS),
    Rule(kind="Subtract", litert="SUB", fuses=CLIPS),
    Rule(kind="Multiply", litert="MUL", fuses=CLIPS),
    Rule(kind="Square", litert="MUL"),
    Rule(kind="Maximum", litert="MAXIMUM", scale=SAME, exact=True),
    Rule(kind="Minimum", litert="MINIMUM", scale=SAME, exact=True),
    # activations
    Rule(kind="Relu", litert="RELU"),
    Rule(kind="ReLU", litert="RELU", when=_relu(None)),
    Rule(kind="Relu6", litert="RELU6"),
    Rule(kind="ReLU", litert="RELU6", when=_relu(6)),
    Rule(kind="HardTanh", litert="RELU_N1_TO_1"),
    Rule(kind="ReLU", litert="LEAKY_RELU", when=_leaks, options=lambda node: {"alpha": node.op.negative_slope}),
    Rule(kind="LeakyRelu", litert="LEAKY_RELU", options=lambda node: {"alpha": node.op.negative_slope}),
    Rule(kind="Elu", litert="ELU", when=lambda node: node.op.alpha == 1),
    Rule(kind="Gelu", litert="GELU", options=lambda node: {"approximate": node.op.approximate}),
    Rule(kind="Table", litert="TABLE", options=lambda node: {"function": node.op}),
    Rule(kind="Sigmoid", litert="LOGISTIC", scale=_UNIT),
    Rule(kind="Tanh", litert="TANH", scale=_SIGNED),
    Rule(kind="Softmax", litert="SOFTMAX", scale=_UNIT, when=_last_axis),
    Rule(kind="LogSoftmax", litert="LOG_SOFTMAX", scale=_LOGARITHMS, when=_last_axis),
    Rule(kind="Rsqrt", litert="RSQRT"),
    # reductions and pools
    Rule(kind="Mean", litert="MEAN", options=_reduce),
    Rule(kind="Sum", litert="SUM", options=_reduce),
    Rule(kind="Max", litert="REDUCE_MAX", scale=SAME, exact=True, options=_reduce),
    Rule(kind="Min", litert="REDUCE_MIN", scale=SAME, exact=True, options=_reduce),
    *(
        Rule(kind=kind, litert=litert, scale=SAME, exact=True, options=_argument, when=lambda n: n.op.axis is not None)
        for kind, litert in (("Argmax", "ARG_MAX"), ("Argmin", "ARG_MIN"))
    ),
    Rule(kind="Resize", litert="RESIZE_NEAREST_NEIGHBOR", scale=SAME, exact=True, when=_resizes("nearest")),
    Rule(kind="Resize", litert="RESIZE_BILINEAR", scale=SAME, halves="to even", when=_resizes("bilinear")),
    Rule(kind="MaxPool", litert="MAX_POOL_2D", scale=SAME, exact=True, when=_is_plane, options=_pool),
    # XNNPACK has no int8 average pool, but a fast depthwise convolution, which may change the scale besides.
    Rule(
        kind="AveragePool",
        litert="DEPTHWISE_CONV_2D",
        halves="to even",
        when=_windows_are_whole,
        options=_average_as_conv,
    ),
    Rule(
        kind="AveragePool",
        litert="AVERAGE_POOL_2D",
        scale=SAME,
        halves="away from 0",
        when=_is_plane,
        options=_pool,
    ),
    # movement
    Rule(kind="Reshape", litert="RESHAPE", scale=SAME, exact=True),
    Rule(kind="ExpandDims", litert="RESHAPE", scale=SAME, exact=True),
    Rule(kind="Squeeze", litert="RESHAPE", scale=SAME, exact=True),
    Rule(kind="Transpose", litert="TRANSPOSE", scale=SAME, exact=True, options=_transpose),
    Rule(kind="Swapaxes", litert="TRANSPOSE", scale=SAME, exact=True, options=_transpose),
    Rule(kind="Concatenate", litert="CONCATENATION", scale=SAME, exact=True, options=_axis),
    Rule(kind="Stack", litert="PACK", scale=SAME, exact=True, options=_axis),
    Rule(kind="Unstack", litert="UNPACK", scale=SAME, exact=True, options=_input_axis),
    Rule(
        kind="Split",
        litert="SPLIT",
        scale=SAME,
        exact=True,
        options=_input_axis,
        when=lambda node: isinstance(node.op.indices_or_sections, int),
    ),
    Rule(kind="GetItem", litert="STRIDED_SLICE", scale=SAME, exact=True, options=_key, when=_is_static_slice),
    Rule(
        kind="Pad",
        litert="PAD",
        scale=SAME,
        exact=True,
        options=lambda node: {"pads": node.op.pad_width},
        when=_pads_zeros,
    ),
    Rule(
        kind="Take",
        litert="GATHER",
        scale=SAME,
        exact=True,
        options=_take,
        when=lambda node: node.op.axis is not None,
    ),
    # masks
    *(
        Rule(kind=kind, litert=litert, scale=SAME, exact=True)
        for kind, litert in (
            ("Equal", "EQUAL"),
            ("NotEqual", "NOT_EQUAL"),
            ("Greater", "GREATER"),
            ("GreaterEqual", "GREATER_EQUAL"),
            ("Less", "LESS"),
            ("LessEqual", "LESS_EQUAL"),
            ("LogicalAnd", "LOGICAL_AND"),
            ("LogicalOr", "LOGICAL_OR"),
            ("LogicalNot", "LOGICAL_NOT"),
        )
    ),
    Rule(kind="Any", litert="REDUCE_ANY", options=_reduce),
    Rule(kind="All", litert="REDUCE_ALL", options=_reduce),
    Rule(kind="Cast", litert="CAST", scale=_COUNTS, exact=True, when=_is_of_integers),
    Rule(kind="Where", litert="SELECT_V2", scale=SAME, exact=True),
    # What is masked gets the lowest step. After a softmax that is nothing if it lies ln(256 * 12) below the largest.
    Rule(kind="Masked", litert="SELECT_V2", scale=SAME, headroom=8.0),
    # recurrences
    Rule(
        kind="FusedLSTM",
        litert="UNIDIRECTIONAL_SEQUENCE_LSTM",
        symmetric=tuple(range(1, 9)),
        biases=((9, 1), (10, 2), (11, 3), (12, 4)),
        states=(1,),
    ),
    # A single sample, repeated along the batch: of a file that is a change of scale at most.
    Rule(kind="Batched", litert="QUANTIZE"),
    # a constant in the shape of its input
    *(Rule(kind=kind, litert="CONSTANT", when=_is_filled) for kind in FILLS),
    # nothing at inference
    *(Rule(kind=layer.__name__, litert="", scale=SAME, exact=True) for layer in LEAVES),
)
# LiteRT operators without a kernel for 16-bit activations (CAST has one, but its scale of 1 is too coarse to add to),
# and those that have one for 4-bit weights.
NOT_WIDE = frozenset({
    "ARG_MAX", "ARG_MIN", "CAST", "ELU", "LOG_SOFTMAX", "RELU_N1_TO_1", "TABLE", "UNIDIRECTIONAL_SEQUENCE_LSTM",
})  # fmt: skip
INTEGERS_ONLY = frozenset({"QUANTIZE", "TABLE"})  # with no like in float
NOTHING = 1024  # a constant below such a part of a step adds nothing
PRODUCTS = frozenset({"BATCH_MATMUL", "MUL"})
SUMS = frozenset({"ADD", "MEAN", "SUB", "SUM"})
RESCALES = frozenset({"QUANTIZE", "RELU", "RELU6"})  # they change the scale, where the range of their output clips
NARROW = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
_BY_KIND: dict[str, list[Rule]] = {}
for _rule in TABLE:
    _BY_KIND.setdefault(_rule.kind, []).append(_rule)

# What neither format can express, by the kind of operation or layer, and what to do instead.
_SPECTRA = "computes on complex numbers", "compute the spectrum in front of the model, and give the model that"
_WARPS = "samples images at places that are computed", "warp the images in front of the model"
NO_FILE_HOLDS: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        ["Angle", "Conj", "FFT", "FFT2", "IFFT2", "IRFFT", "ISTFT", "Imag", "MelSpectrogram", "RFFT", "Real",
         "STFT", "STFTSpectrogram"],
        _SPECTRA,
    ),
    **dict.fromkeys(["AffineTransform", "ElasticTransform", "MapCoordinates", "PerspectiveTransform"], _WARPS),
}  # fmt: skip


def refuse_what_no_file_holds(graph: Graph) -> None:
    """Raise BadInput for an operation that neither format can express, naming its place."""
    for node in graph.nodes:
        if node.kind in NO_FILE_HOLDS:
            what, remedy = NO_FILE_HOLDS[node.kind]
            raise BadInput(
                f"operation {node.name} ({node.kind}) {what}, which neither TFLite nor ONNX files hold: {remedy}"
            )

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
from .graph.operations import ReciprocalRoot
from .kernels import FORMS, KernelForm


@dataclass(frozen=True)
class FixedOutputScale:
    """A range that the kernel prescribes: real values from `low` to `high` in 256 steps; `wide` in 65536."""

    low: float
    high: float
    wide: tuple[float, float] = (-1.0, 32767 / 32768)

    def range(self, bits: int) -> tuple[float, float]:
        """Return the range in `bits` bits."""
        return self.wide if bits > 8 else (self.low, self.high)


NO_CONSTRAINT = "own"  # the output has a scale of its own
SAME_AS_INPUT_SCALE = "same"  # inputs and output share one scale


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One row of the table.

    op_type: the Keras operation's class name; `when` narrows it. builtin_op: the LiteRT operator written. scale:
    NO_CONSTRAINT, SAME_AS_INPUT_SCALE or a FixedOutputScale. kernel: the form of its second argument where that is a
    kernel, symmetric per output channel. fuses: activations the kernel applies itself. symmetric: inputs whose zero
    point must be 0. passthrough: values are only moved, so nothing is rounded. rounding: what kernels do with the
    results that lie halfway between two steps, where many do. range_margin: how far the range reaches below the values
    seen. arithmetic: "product", "sum" or "rescaling" (it changes the scale, where the range of its output clips), by
    which calibration knows what ranges its kernel takes. repairable: cheap in float, and hopeless in 8 bits where a
    small part of a large range decides. options: static attributes, read off the operation.

    Of operators that run over a whole sequence: biases, pairs of an input that is added to an accumulator and of the
    input that is its kernel; states, the outputs that are fed back in 16 bits, whose step is a power of two.
    """

    op_type: str
    builtin_op: str
    scale: str | FixedOutputScale = NO_CONSTRAINT
    kernel: KernelForm | None = None
    fuses: frozenset[str] = frozenset()
    passthrough: bool = False
    rounding: str = ""
    range_margin: float = 0.0
    arithmetic: str = ""
    repairable: bool = False
    symmetric: tuple[int, ...] = ()
    biases: tuple[tuple[int, int], ...] = ()
    states: tuple[int, ...] = ()
    when: Callable[[Node], bool] = lambda node: True
    options: Callable[[Node], dict[str, Any]] = lambda node: {}

    @property
    def channels(self) -> tuple[int, ...]:
        """The axes of its kernel that have a scale for each entry; none without a kernel."""
        return self.kernel.channels if self.kernel is not None else ()


def rule_for(node: Node) -> Rule | None:
    """Return the row that covers `node`, or None if the table does not know it."""
    return next((rule for rule in _BY_KIND.get(node.op_type, ()) if rule.when(node)), None)


def axes(axis: Any, rank: int) -> tuple[int, ...]:
    """Return `axis` (None, an int or a sequence) as sorted non-negative axes."""
    chosen = range(rank) if axis is None else (axis,) if isinstance(axis, int) else axis
    return tuple(sorted(each % rank for each in chosen))


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
    if node.op_type == "Swapaxes":
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
    return node.output.dtype.startswith("float") and FILLS[node.op_type](node) is not None


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
_UNIT = FixedOutputScale(0.0, 255 / 256)
_SIGNED = FixedOutputScale(-1.0, 127 / 128)
_COUNTS = FixedOutputScale(-128.0, 127.0, wide=(-32768.0, 32767.0))
_LOGARITHMS = FixedOutputScale(-255 / 16, 0.0)


def _moves(op_type: str, builtin_op: str, **more: Any) -> Rule:
    """Return the row of an operation whose results are values of its inputs, at their scale."""
    return Rule(op_type=op_type, builtin_op=builtin_op, scale=SAME_AS_INPUT_SCALE, passthrough=True, **more)


TABLE: tuple[Rule, ...] = (
    # linear
    Rule(op_type="Conv", builtin_op="CONV_2D", kernel=FORMS["Conv"], fuses=CLIPS, when=_is_conv2d, options=_conv),
    Rule(
        op_type="DepthwiseConv",
        builtin_op="DEPTHWISE_CONV_2D",
        kernel=FORMS["DepthwiseConv"],
        fuses=CLIPS,
        when=_is_conv2d,
        options=_conv,
    ),
    Rule(
        op_type="GroupedConv",
        builtin_op="CONV_2D",
        kernel=FORMS["GroupedConv"],
        fuses=CLIPS,
        when=_is_conv2d,
        options=_conv,
    ),
    Rule(
        op_type="TransposedConv",
        builtin_op="TRANSPOSE_CONV",
        kernel=FORMS["TransposedConv"],
        when=_is_plain_transpose,
        options=_conv_transpose,
    ),
    Rule(op_type="Matmul", builtin_op="FULLY_CONNECTED", kernel=FORMS["Matmul"], fuses=CLIPS, when=_has_kernel),
    # XNNPACK multiplies by int8 values that are no weights only if their zero point is 0.
    Rule(
        op_type="Matmul",
        builtin_op="BATCH_MATMUL",
        arithmetic="product",
        symmetric=(1,),
        options=lambda node: {"transposed": False},
    ),
    Rule(
        op_type="MatmulTransposed",
        builtin_op="BATCH_MATMUL",
        arithmetic="product",
        symmetric=(1,),
        options=lambda node: {"transposed": True},
    ),
    # elementwise
    Rule(op_type="Add", builtin_op="ADD", arithmetic="sum", repairable=True, fuses=CLIPS),
    Rule(op_type="Subtract", builtin_op="SUB", arithmetic="sum", repairable=True, fuses=CLIPS),
    Rule(op_type="Multiply", builtin_op="MUL", arithmetic="product", repairable=True, fuses=CLIPS),
    Rule(op_type="Square", builtin_op="MUL", arithmetic="product", repairable=True),
    _moves("Maximum", "MAXIMUM"),
    _moves("Minimum", "MINIMUM"),
    # activations
    Rule(op_type="Relu", builtin_op="RELU", arithmetic="rescaling"),
    Rule(op_type="ReLU", builtin_op="RELU", arithmetic="rescaling", when=_relu(None)),
    Rule(op_type="Relu6", builtin_op="RELU6", arithmetic="rescaling"),
    Rule(op_type="ReLU", builtin_op="RELU6", arithmetic="rescaling", when=_relu(6)),
    Rule(op_type="HardTanh", builtin_op="RELU_N1_TO_1"),
    Rule(op_type="ReLU", builtin_op="LEAKY_RELU", when=_leaks, options=lambda node: {"alpha": node.op.negative_slope}),
    Rule(op_type="LeakyRelu", builtin_op="LEAKY_RELU", options=lambda node: {"alpha": node.op.negative_slope}),
    Rule(op_type="Elu", builtin_op="ELU", when=lambda node: node.op.alpha == 1),
    Rule(op_type="Gelu", builtin_op="GELU", options=lambda node: {"approximate": node.op.approximate}),
    Rule(op_type="Table", builtin_op="TABLE", repairable=True, options=lambda node: {"function": node.op}),
    Rule(op_type="Sigmoid", builtin_op="LOGISTIC", scale=_UNIT),
    Rule(op_type="Tanh", builtin_op="TANH", scale=_SIGNED),
    Rule(op_type="Softmax", builtin_op="SOFTMAX", scale=_UNIT, when=_last_axis),
    Rule(op_type="LogSoftmax", builtin_op="LOG_SOFTMAX", scale=_LOGARITHMS, when=_last_axis),
    Rule(
        op_type="Rsqrt",
        builtin_op="RSQRT",
        repairable=True,
        options=lambda node: {"tabulated": not isinstance(node.op, ReciprocalRoot)},
    ),
    # reductions and pools
    Rule(op_type="Mean", builtin_op="MEAN", arithmetic="sum", rounding="to even integers", options=_reduce),
    Rule(op_type="Sum", builtin_op="SUM", arithmetic="sum", rounding="to even integers", options=_reduce),
    _moves("Max", "REDUCE_MAX", options=_reduce),
    _moves("Min", "REDUCE_MIN", options=_reduce),
    *(
        _moves(op_type, builtin_op, options=_argument, when=lambda node: node.op.axis is not None)
        for op_type, builtin_op in (("Argmax", "ARG_MAX"), ("Argmin", "ARG_MIN"))
    ),
    _moves("Resize", "RESIZE_NEAREST_NEIGHBOR", when=_resizes("nearest")),
    Rule(
        op_type="Resize",
        builtin_op="RESIZE_BILINEAR",
        scale=SAME_AS_INPUT_SCALE,
        rounding="up",
        when=_resizes("bilinear"),
    ),
    _moves("MaxPool", "MAX_POOL_2D", when=_is_plane, options=_pool),
    # XNNPACK has no int8 average pool, but a fast depthwise convolution, which may change the scale besides.
    Rule(
        op_type="AveragePool",
        builtin_op="DEPTHWISE_CONV_2D",
        rounding="to even",
        when=_windows_are_whole,
        options=_average_as_conv,
    ),
    Rule(
        op_type="AveragePool",
        builtin_op="AVERAGE_POOL_2D",
        scale=SAME_AS_INPUT_SCALE,
        rounding="away from 0",
        when=_is_plane,
        options=_pool,
    ),
    # movement
    _moves("Reshape", "RESHAPE"),
    _moves("ExpandDims", "RESHAPE"),
    _moves("Squeeze", "RESHAPE"),
    _moves("Transpose", "TRANSPOSE", options=_transpose),
    _moves("Swapaxes", "TRANSPOSE", options=_transpose),
    _moves("Concatenate", "CONCATENATION", repairable=True, options=_axis),
    _moves("Stack", "PACK", repairable=True, options=_axis),
    _moves("Unstack", "UNPACK", options=_input_axis),
    _moves("Split", "SPLIT", options=_input_axis, when=lambda node: isinstance(node.op.indices_or_sections, int)),
    _moves("GetItem", "STRIDED_SLICE", options=_key, when=_is_static_slice),
    _moves("Pad", "PAD", options=lambda node: {"pads": node.op.pad_width}, when=_pads_zeros),
    _moves("Take", "GATHER", options=_take, when=lambda node: node.op.axis is not None),
    # masks
    *(
        _moves(op_type, builtin_op)
        for op_type, builtin_op in (
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
    Rule(op_type="Any", builtin_op="REDUCE_ANY", options=_reduce),
    Rule(op_type="All", builtin_op="REDUCE_ALL", options=_reduce),
    Rule(op_type="Cast", builtin_op="CAST", scale=_COUNTS, passthrough=True, when=_is_of_integers),
    _moves("Where", "SELECT_V2"),
    # What is masked gets the lowest step. After a softmax that is nothing if it lies ln(256 * 12) below the largest.
    Rule(op_type="Masked", builtin_op="SELECT_V2", scale=SAME_AS_INPUT_SCALE, range_margin=8.0),
    # recurrences
    Rule(
        op_type="FusedLSTM",
        builtin_op="UNIDIRECTIONAL_SEQUENCE_LSTM",
        symmetric=tuple(range(1, 9)),
        biases=((9, 1), (10, 2), (11, 3), (12, 4)),
        states=(1,),
    ),
    # A single sample, repeated along the batch: of a file that is a change of scale at most.
    Rule(op_type="Batched", builtin_op="QUANTIZE", arithmetic="rescaling"),
    # a constant in the shape of its input
    *(Rule(op_type=op_type, builtin_op="CONSTANT", when=_is_filled) for op_type in FILLS),
    # nothing at inference
    *(_moves(layer.__name__, "") for layer in LEAVES),
)
# LiteRT operators without a kernel for 16-bit activations (CAST has one, but its scale of 1 is too coarse to add to),
# and those that have one for 4-bit weights.
NOT_WIDE = frozenset({
    "ARG_MAX", "ARG_MIN", "CAST", "ELU", "LOG_SOFTMAX", "RELU_N1_TO_1", "TABLE", "UNIDIRECTIONAL_SEQUENCE_LSTM",
})  # fmt: skip
INTEGERS_ONLY = frozenset({"QUANTIZE", "TABLE"})  # with no like in float
NOTHING = 1024  # a constant below such a part of a step adds nothing
NARROW = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
_BY_KIND: dict[str, list[Rule]] = {}
for _rule in TABLE:
    _BY_KIND.setdefault(_rule.op_type, []).append(_rule)

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
        if node.op_type in NO_FILE_HOLDS:
            what, remedy = NO_FILE_HOLDS[node.op_type]
            raise BadInput(
                f"operation {node.name} ({node.op_type}) {what}, which neither TFLite nor ONNX files hold: {remedy}"
            )

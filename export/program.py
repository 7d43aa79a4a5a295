"""The integer program: typed operators between arrays of static shape, as neither format spells them.

Images have their channels last. Kernels lie as Keras has them: (height, width, in, out) of a convolution,
(height, width, channels, multiplier) of a depthwise one, (height, width, out, in) of a transposed one, (in, out) of a
dense layer. How a format wants its layouts, paddings and shapes is its writer's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from .convert import Frozen

Activation = Literal["relu", "relu6"]
Padding = Literal["same", "valid"]
Pair = tuple[int, int]  # height and width


@dataclass(eq=False)
class Array:
    """A tensor of the program: static shape, element type ("int8", "int4", "float32", ...), quantization, and its
    contents if it is constant.

    scale: one entry in all, or one for each channel of a kernel or bias. is_state: kept by the runtime from one run to
    the next.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: np.ndarray | None = None
    zero_point: int = 0
    data: np.ndarray | None = None
    is_state: bool = False

    @property
    def values(self) -> np.ndarray:
        """The contents of a constant."""
        assert self.data is not None, f"{self.name} is no constant"
        return self.data

    @property
    def steps(self) -> np.ndarray:
        """The scale of a quantized array."""
        assert self.scale is not None, f"{self.name} has no scale"
        return self.scale


@dataclass(frozen=True, eq=False)
class Operator:
    """An operator, with the arrays that go in and come out."""

    inputs: Sequence[Array]
    outputs: Sequence[Array]

    @property
    def is_float(self) -> bool:
        """Tell whether it computes in float; a change of scale at a border only crosses it."""
        return not self.is_border and any(array.dtype == "float32" for array in self.inputs)

    @property
    def is_border(self) -> bool:
        """Tell whether it does nothing but cross between what is outside, float or unsigned, and integers."""
        return False


# ---------------------------------------------------------------- products


@dataclass(frozen=True, eq=False, kw_only=True)
class _Convolution(Operator):
    """inputs: images, kernel, bias."""

    strides: Pair
    padding: Padding
    dilation: Pair = (1, 1)
    activation: Activation | None = None


class Conv2D(_Convolution):
    """A convolution, in groups where the kernel takes a part of the channels."""


class DepthwiseConv2D(_Convolution):
    """A convolution of each channel by itself."""


@dataclass(frozen=True, eq=False, kw_only=True)
class TransposedConv2D(Operator):
    """inputs: images, kernel, bias."""

    strides: Pair
    padding: Padding


@dataclass(frozen=True, eq=False, kw_only=True)
class FullyConnected(Operator):
    """inputs: rows (..., in), kernel, bias."""

    activation: Activation | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class BatchMatmul(Operator):
    """A product of activations. transposed: the second one's last two axes are swapped."""

    transposed: bool


# ---------------------------------------------------------------- elementwise


@dataclass(frozen=True, eq=False, kw_only=True)
class Binary(Operator):
    """A function of two arrays that broadcast."""

    function: Literal["add", "subtract", "multiply", "maximum", "minimum"]
    activation: Activation | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Unary(Operator):
    """A function of each value; log_softmax and softmax are along the last axis."""

    function: Literal[
        "relu", "relu6", "hard_tanh", "elu", "sigmoid", "tanh", "rsqrt", "softmax", "log_softmax", "logical_not"
    ]


@dataclass(frozen=True, eq=False, kw_only=True)
class LeakyRelu(Operator):
    """x above 0, alpha x below."""

    alpha: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Gelu(Operator):
    """approximate: by tanh.  Source: arXiv:1606.08415."""

    approximate: bool


class Table(Operator):
    """inputs: int8 values; what becomes of each of the 256, from -128 on."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Compare(Operator):
    """A function of two arrays to truths."""

    function: Literal[
        "equal", "not_equal", "greater", "greater_equal", "less", "less_equal", "logical_and", "logical_or"
    ]


class Select(Operator):
    """inputs: truths, what is taken where they hold, what is taken elsewhere."""


class Cast(Operator):
    """Change the element type."""


class Quantize(Operator):
    """Round to the scale of the output, from float or from another scale."""

    @property
    def is_border(self) -> bool:
        """Tell whether it comes from, or goes to, float or unsigned bytes."""
        return _crosses(self)


class Dequantize(Operator):
    """Return the real values of integers."""

    @property
    def is_border(self) -> bool:
        """Tell whether it comes from, or goes to, float or unsigned bytes."""
        return _crosses(self)


def _crosses(operator: Operator) -> bool:
    return bool({"float32", "uint8"} & {operator.inputs[0].dtype, operator.outputs[0].dtype})


# ---------------------------------------------------------------- reductions and pools


@dataclass(frozen=True, eq=False, kw_only=True)
class Pool2D(Operator):
    """Reduce windows of images; an average leaves out what lies beyond the edge."""

    function: Literal["max", "average"]
    pool_size: Pair
    strides: Pair
    padding: Padding


@dataclass(frozen=True, eq=False, kw_only=True)
class Reduce(Operator):
    """Reduce along axes."""

    function: Literal["mean", "sum", "max", "min", "any", "all"]
    axes: tuple[int, ...]
    keepdims: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class ArgReduce(Operator):
    """Where along an axis the extreme is, the first of several; that axis is dropped."""

    function: Literal["argmax", "argmin"]
    axis: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Resize2D(Operator):
    """Resize images to `size`, (height, width), by the centres of their pixels."""

    function: Literal["nearest", "bilinear"]
    size: Pair


# ---------------------------------------------------------------- movement


@dataclass(frozen=True, eq=False, kw_only=True)
class Reshape(Operator):
    """Give the values another shape, in the same order."""

    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Transpose(Operator):
    """axes: for each axis of the output, that of the input."""

    axes: tuple[int, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Concatenate(Operator):
    """Join along an axis."""

    axis: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Stack(Operator):
    """Join along a new axis."""

    axis: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Unstack(Operator):
    """Take apart along an axis, which is dropped."""

    axis: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Split(Operator):
    """Take apart along an axis, in equal parts."""

    axis: int


@dataclass(frozen=True, eq=False, kw_only=True)
class StridedSlice(Operator):
    """Take from `begin` to before `end` in steps of `strides` along each axis, as Python counts but for an `end` before
    the first, which lies below -size. dropped: axes of which one place is left.
    """

    begin: tuple[int, ...]
    end: tuple[int, ...]
    strides: tuple[int, ...]
    dropped: tuple[int, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Pad(Operator):
    """Put zeros before and behind along each axis."""

    pads: tuple[Pair, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Gather(Operator):
    """inputs: table, and the places to take along `axis` unless `indices` holds them."""

    axis: int
    indices: np.ndarray | None = None


def name_of_numbers(numbers: np.ndarray) -> str:
    """Return what a file calls a constant of integers."""
    return f"shape_{'_'.join(map(str, numbers.reshape(-1)))}"


# ---------------------------------------------------------------- others


class LSTM(Operator):
    """A recurrence over a whole sequence (1, T, F) -> (1, T, U).

    inputs: the sequence, four kernels and four recurrent kernels (out, in), four biases, the states of outputs and
    cells, which the runtime keeps.
    """


@dataclass(frozen=True, eq=False, kw_only=True)
class Fragment(Operator):
    """Operations that no row of the operator table covers, as a frozen graph in float, which the writers have converted
    to whatever operators it takes. op_type: as Keras names it.
    """

    op_type: str
    graph: Frozen

    @property
    def is_float(self) -> bool:
        """It is always."""
        return True

    @property
    def described(self) -> str:
        """What to call it in errors."""
        return describe_fragment(self.outputs[0].name, self.op_type)


def describe_fragment(name: str, op_type: str) -> str:
    """Return what to call an operation without a row in errors."""
    return f"operation {name} ({op_type})"


@dataclass(eq=False)
class Program:
    """Operators in execution order. `arrays` maps id(tensor) of the quantized graph to what became of it.

    channels_first: the inputs of images that the file takes so, other than the program.
    """

    name: str
    inputs: Sequence[Array]
    outputs: Sequence[Array]
    operators: Sequence[Operator]
    arrays: dict[int, Array] = field(default_factory=dict, repr=False)
    channels_first: Sequence[Array] = ()

    @property
    def is_stateful(self) -> bool:
        """Tell whether a run leaves behind what the next one starts from, unless the runtime resets it."""
        return any(array.is_state for operator in self.operators for array in operator.inputs)

    @property
    def float_operators(self) -> list[Operator]:
        """The operators that compute in float."""
        return [operator for operator in self.operators if operator.is_float]

"""Which version of an operator a file asks a runtime for: the lowest whose kernel takes these types and options.

A runtime that knows only lower ones refuses the file by the operator's name, instead of computing something else. A
file has one code for each operator, with the highest version that one of its uses asks for, as TensorFlow's converter
writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .program import Array
from .tflite_operators import Kernel, Spelled

INT8_SECOND = """ADD ARG_MAX ARG_MIN AVERAGE_POOL_2D BATCH_MATMUL CONCATENATION DEQUANTIZE EQUAL GATHER GELU GREATER
GREATER_EQUAL LESS LESS_EQUAL LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D MEAN MINIMUM MUL NOT_EQUAL PACK PAD REDUCE_MAX
REDUCE_MIN RELU RELU6 RSQRT SOFTMAX SPLIT STRIDED_SLICE SUB SUM TANH TRANSPOSE UNPACK"""
INT8: Mapping[str, int] = {
    **dict.fromkeys(INT8_SECOND.split(), 2), "CAST": 3, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4,
}  # fmt: skip
# For 16 bits the converter writes what it writes for 8, where the kernels have no version of their own for them. A sum
# whose scales are no powers of two is one.
INT16: Mapping[str, int] = {
    **INT8, "ADD": 3, "AVERAGE_POOL_2D": 3, "BATCH_MATMUL": 3, "CAST": 1, "CONCATENATION": 3, "DEQUANTIZE": 3,
    "EQUAL": 5, "GATHER": 4, "GREATER_EQUAL": 3, "LEAKY_RELU": 2, "LESS": 3, "LOGISTIC": 3, "MAXIMUM": 4,
    "MAX_POOL_2D": 3, "MEAN": 3, "MINIMUM": 4, "MUL": 4, "NOT_EQUAL": 4, "PACK": 3, "PAD": 3, "REDUCE_MAX": 3,
    "REDUCE_MIN": 3, "RELU": 3, "RELU6": 3, "RESIZE_BILINEAR": 4, "RESIZE_NEAREST_NEIGHBOR": 4, "RSQRT": 3,
    "SOFTMAX": 3, "SPLIT": 4, "SUB": 5, "TANH": 3, "TRANSPOSE": 5, "UNPACK": 4,
}  # fmt: skip
INT32: Mapping[str, int] = {"SPLIT": 3}
BOOL: Mapping[str, int] = {
    "ARG_MAX": 3, "ARG_MIN": 3, "GATHER": 3, "PAD": 5, "STRIDED_SLICE": 3, "TRANSPOSE": 3, "UNPACK": 3,
}  # fmt: skip
BY_TYPE: Mapping[str, Mapping[str, int]] = {"int8": INT8, "int16": INT16, "int32": INT32, "bool": BOOL}
# Operators whose data is not their first input.
DATA = {"SPLIT": 1, "TRANSPOSE_CONV": 2}

Form = Callable[[Spelled], bool]


def version_of(spelled: Spelled) -> int:
    """Return the lowest version of an operator that takes its types, ranks and options."""
    by_type = BY_TYPE.get(_data(spelled).dtype, {}).get(spelled.name, 1)
    return max([by_type, *(version for version, holds in FORMS.get(spelled.name, ()) if holds(spelled))])


def _data(spelled: Spelled) -> Array:
    return _array(spelled, DATA.get(spelled.name, 0))


def _array(spelled: Spelled, place: int) -> Array:
    operand = spelled.inputs[place]
    array = operand.array if isinstance(operand, Kernel) else operand
    assert isinstance(array, Array), f"input {place} of {spelled.name} has no type of its own"
    return array


def _kernel_is(dtype: str) -> Form:
    return lambda spelled: _array(spelled, 1).dtype == dtype


def _in_groups(spelled: Spelled) -> bool:
    return _data(spelled).shape[-1] != _array(spelled, 1).shape[2]


def _dilated(spelled: Spelled) -> bool:
    return (spelled.options.dilationHFactor, spelled.options.dilationWFactor) != (1, 1)


def _rank_above(rank: int) -> Form:
    return lambda spelled: len(_data(spelled).shape) > rank


def _broadcasts_high(spelled: Spelled) -> bool:
    shapes = {_array(spelled, place).shape for place in (0, 1)}
    return len(shapes) > 1 and max(map(len, shapes)) > 4


def _enlarges(spelled: Spelled) -> bool:
    """Tell whether the kernel multiplies its integers by 1 or more."""
    first, second, out = _array(spelled, 0), _array(spelled, 1), spelled.outputs[0]
    if first.scale is None or second.scale is None or out.scale is None:
        return False
    return bool(first.scale[0] * second.scale[0] / out.scale[0] >= 1)


def _writes(dtype: str) -> Form:
    return lambda spelled: spelled.outputs[0].dtype == dtype


def _always(spelled: Spelled) -> bool:
    return True


# What asks for a version whatever the type is, or along with it; the highest of all that hold is written.
FORMS: Mapping[str, tuple[tuple[int, Form], ...]] = {
    "CAST": ((3, _writes("int8")),),
    "CONV_2D": ((6, _in_groups), (7, _kernel_is("int4"))),
    "DEPTHWISE_CONV_2D": ((2, _dilated),),  # 7 for int4 kernels: LiteRT's reference kernels take these, not that number
    "FULLY_CONNECTED": ((5, lambda spelled: spelled.options.keepNumDims), (10, _kernel_is("int4"))),
    "MAXIMUM": ((3, _broadcasts_high),),
    "MINIMUM": ((3, _broadcasts_high),),
    "MUL": ((3, _enlarges),),
    "PAD": ((4, _rank_above(4)),),
    "QUANTIZE": ((2, _writes("int16")),),
    "RESIZE_BILINEAR": ((3, _always),),  # by the centres of pixels
    "RESIZE_NEAREST_NEIGHBOR": ((3, _always),),
    "STRIDED_SLICE": ((4, _rank_above(4)),),
    "SUB": ((3, _broadcasts_high),),
    "TRANSPOSE": ((4, _rank_above(4)), (6, _rank_above(5)), (8, _rank_above(6))),
    "TRANSPOSE_CONV": ((3, _always),),  # with a bias
}

"""What a kernel asks of an operator beside its types: bounds on shapes, axes, windows and scales, as data.

Shapes are taken as accelerators have them: the last three sizes are height, width and depth, all before them the batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from .graph import Operator, Tensor

Kind = Literal["batch", "reduced", "depth", "planes", "scale_factor", "half_pixels", "stride", "window", "same_scales",
               "inputs"]  # fmt: skip
SAME = 0  # padding of a window, in the schema


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Limit:
    """A bound on operators. kind: what it is on (see `KINDS`); says: the bound in words; values: what is allowed."""

    operators: tuple[str, ...]
    kind: Kind
    says: str
    at_most: int | None = None
    values: tuple[int, ...] = ()


def exceeded(operator: Operator, limits: Sequence[Limit]) -> str:
    """Return which of `limits` an operator exceeds, in words, or "" for none."""
    data = _data(operator)
    if data is None:
        return ""
    for limit in limits:
        if operator.op in limit.operators and KINDS[limit.kind](operator, data, limit):
            return limit.says
    return ""


def _data(operator: Operator) -> Tensor | None:
    """Return the first operand that is computed."""
    return next((one for one in operator.inputs if one is not None and not one.is_constant), None)


def _above(value: int, limit: Limit) -> bool:
    return limit.at_most is not None and value > limit.at_most


def _batch(operator: Operator, data: Tensor, limit: Limit) -> bool:
    return _above(math.prod(data.shape[:-3]), limit)


def _inputs(operator: Operator, data: Tensor, limit: Limit) -> bool:
    return _above(len(operator.inputs), limit)


def _axes(operator: Operator, data: Tensor) -> list[int]:
    numbers = operator.inputs[1].values if len(operator.inputs) > 1 and operator.inputs[1] else None
    return [axis % len(data.shape) for axis in numbers or ()]


def _reduced(operator: Operator, data: Tensor, limit: Limit) -> bool:
    """An axis that is reduced is too long."""
    return any(_above(data.shape[axis], limit) for axis in _axes(operator, data))


def _depth(operator: Operator, data: Tensor, limit: Limit) -> bool:
    """The depth is too large, or it is not what is searched."""
    return _above(data.shape[-1], limit) or any(axis != len(data.shape) - 1 for axis in _axes(operator, data))


def _planes(operator: Operator, data: Tensor, limit: Limit) -> bool:
    """Height times width is too much."""
    return _above(math.prod(data.shape[-3:-1]), limit)


def _scale_factor(operator: Operator, data: Tensor, limit: Limit) -> bool:
    """An image is not enlarged by one of the factors allowed, the same both ways; one of a single pixel may be."""
    before, after = data.shape[1:3], operator.outputs[0].shape[1:3]
    if before in ((1, 1), after):
        return False
    factors = {new / old for new, old in zip(after, before, strict=True)}
    return len(factors) > 1 or not factors <= set(map(float, limit.values))


def _half_pixels(operator: Operator, data: Tensor, limit: Limit) -> bool:
    """An image whose pixels have centers is not enlarged by one of the factors allowed."""
    return bool(operator.options.get("halfPixelCenters")) and _scale_factor(operator, data, limit)


def _stride(operator: Operator, data: Tensor, limit: Limit) -> bool:
    """A stride is too long, but for windows that are whole and close."""
    options = operator.options
    is_close = options.get("dilationHFactor", 1) == options.get("dilationWFactor", 1) == 1
    free = is_close and options.get("padding", SAME) != SAME and operator.op in ("CONV_2D", "MAX_POOL_2D")
    free = free or (operator.op == "AVERAGE_POOL_2D" and options.get("padding", SAME) != SAME)
    return not free and any(_above(options.get(name, 1), limit) for name in ("strideH", "strideW"))


def _window(operator: Operator, data: Tensor, limit: Limit) -> bool:
    """A padded window is too high or wide."""
    options = operator.options
    is_padded = options.get("padding", SAME) == SAME
    return is_padded and any(_above(options.get(name, 1), limit) for name in ("filterHeight", "filterWidth"))


def _same_scales(operator: Operator, data: Tensor, limit: Limit) -> bool:
    """Operands and result differ in scale or zero point."""
    ends = [one for one in (*operator.inputs, *operator.outputs) if one is not None]
    return len({(one.scale, one.zero_point) for one in ends}) > 1


KINDS: dict[str, Callable[[Operator, Tensor, Limit], bool]] = {
    "batch": _batch,
    "inputs": _inputs,
    "reduced": _reduced,
    "depth": _depth,
    "planes": _planes,
    "scale_factor": _scale_factor,
    "half_pixels": _half_pixels,
    "stride": _stride,
    "window": _window,
    "same_scales": _same_scales,
}

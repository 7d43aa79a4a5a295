"""Rounding of what lies halfway between two steps: LiteRT seldom takes the even integer, as QuantizeLinear does."""

from __future__ import annotations

import numpy as np

from ..quantize.fake_quant import PUSH
from .onnx_graph import OnnxGraph
from .program import Array


def halves_away_from_zero(graph: OnnxGraph, out: Array, result: str) -> str:
    """Push the means that lie halfway between two steps to the integer that LiteRT takes; ONNX would take the even."""
    scale = np.float32(out.steps[0])
    origin = graph.constant(f"{out.name}.origin", scale * np.float32(out.zero_point))
    push = graph.constant(f"{out.name}.push", scale * np.float32(PUSH))
    sign = graph.node("Sign", [graph.node("Add", [result, origin], f"{out.name}.integer")], f"{out.name}.sign")
    return graph.node("Add", [result, graph.node("Mul", [sign, push], f"{out.name}.offset")], f"{out.name}.pushed")


def halves_up(graph: OnnxGraph, out: Array, result: str) -> str:
    """Push what lies halfway between two steps up, as LiteRT rounds it; ONNX would take the even."""
    push = graph.number(f"{out.name}.push", float(np.float32(out.steps[0]) * np.float32(PUSH)))
    return graph.node("Add", [result, push], f"{out.name}.pushed")


OFTEN = 1 / 128


def are_often_halfway(ratio: float) -> bool:
    """Tell whether many integers times `ratio` lie halfway between two: where one scale is a simple part of another."""
    products = np.arange(2**12) * float(ratio)
    return float(np.mean(np.abs(products % 1 - 0.5) < PUSH / 8)) >= OFTEN


def halves_to_even_integers(graph: OnnxGraph, out: Array, result: str) -> str:
    """Round as LiteRT does: halves to the even integer, which includes the zero point; ONNX would take that without it.

    On a grid on which halves are exact, since sums are taken in float.
    """
    scale, push = np.float32(out.steps[0]), np.float32(PUSH)
    for op_type, factor in (
        ("Div", scale * push),
        ("Round", None),
        ("Mul", push),
        ("Add", np.float32(out.zero_point)),
        ("Round", None),
        ("Sub", np.float32(out.zero_point)),
        ("Mul", scale),
    ):
        more = [] if factor is None else [graph.constant(f"{out.name}.even", factor)]
        result = graph.node(op_type, [result, *more], f"{out.name}.{op_type.lower()}")
    return result

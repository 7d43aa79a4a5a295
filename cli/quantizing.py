"""What a command line says of quantization, as records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypedDict

from ..errors import BadInput
from . import inputs


class Quantizing(TypedDict, total=False):
    """Options of `qat` that are fields of its configuration."""

    precision: Annotated[
        Literal["w8a8", "w8a16", "w7a8", "w4a8"] | None, "bits of kernels (w) and activations (a); default: w8a8"
    ]
    observer: Annotated[
        Literal["minmax", "percentile", "mse"] | None, "how calibration chooses ranges; default: minmax"
    ]
    ranges: Annotated[
        Literal["frozen", "moving-average", "learned"] | None,
        "what becomes of the ranges in training; default: frozen",
    ]
    freeze_after: Annotated[
        int | None, "steps after which moving or learned ranges stay; default: never", inputs.at_least(0)
    ]
    recurrence: Annotated[
        Literal["unrolled", "fused"] | None, "an LSTM step by step (fast; default), or as one operator (small)"
    ]
    residual_stream: Annotated[
        Literal["float32", "w8a16"] | None,
        "bits of what blocks read, add to and hand on; products keep those of --precision",
    ]


class Choosing(TypedDict, total=False):
    """Options of `qat` by which layers get more than 8 bits."""

    max_drop: Annotated[
        float | None,
        "give the fewest layers 16 bits, or float, that keep the metric this close before training; 0.01 is one point",
    ]
    keep_db: Annotated[
        float | None,
        "in place of --max-drop: the decibels by which outputs have to stand above what rounding adds, before training",
        inputs.above(0),
    ]
    by_clock: Annotated[
        str | None, "leave in float what is slower in 8 bits on this device, by its clock, as local", inputs.device
    ]


def config_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was said as fields of the configuration."""
    return {{"precision": "default"}.get(name, name): value for name, value in options.items()}


def choice_of(options: Mapping[str, Any], engine: str) -> dict[str, Any]:
    """Return what chooses layers.  Raises: BadInput for two that do the same, or where TFMOT does the work."""
    shown = [f"--{name.replace('_', '-')} {value}" for name, value in options.items()]
    if shown and engine == "tfmot":
        raise BadInput(f"{shown[0]}: engine tfmot quantizes every layer alike; leave one of the two out")
    if {"max_drop", "keep_db"} <= set(options):
        raise BadInput(f"{shown[0]} and {shown[1]}: both choose the layers; give one of the two")
    return dict(options)

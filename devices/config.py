"""How a benchmark measures."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ..errors import BadInput

KERNELS = ("xnnpack", "builtin", "reference")


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """How to measure. Timing ends once every speed-up is known to `precision` (relative half width of its interval).

    threads: of the runtime, and cores held; answers: run the samples for outputs, metric and memory; samples: how many
    of them, None for all; latency: time the files; block_ms: length of a block; window_ms: of warming up, until two in
    a row agree; max_seconds: of timing; attempts: at timing, while the device is not steady; time_limit_s,
    memory_bytes: of one job on the device; profile: time the operators of each file too. Of .tflite files: kernels,
    where builtin is without XNNPACK; delegate, the path of a library on the device, with options as
    PATH,key=value,key=value.
    """

    threads: int = 1
    answers: bool = True
    samples: int | None = None
    latency: bool = True
    precision: float | None = 0.01
    block_ms: float = 10.0
    window_ms: float = 100.0
    min_rounds: int = 30
    max_rounds: int = 300
    max_seconds: float = 60.0
    attempts: int = 3
    seed: int = 0
    time_limit_s: float = 600.0
    memory_bytes: int | None = None
    tflite_runtime: str = "litert"
    kernels: str = "xnnpack"
    delegate: str | None = None
    profile: bool = False

    def __post_init__(self) -> None:
        for name in ("threads", "block_ms", "window_ms", "max_rounds", "max_seconds", "attempts", "time_limit_s"):
            if getattr(self, name) <= 0:
                raise BadInput(f"{name}={getattr(self, name)!r} must be positive")
        if not 2 <= self.min_rounds <= self.max_rounds:
            raise BadInput(f"min_rounds={self.min_rounds!r} must lie between 2 and max_rounds={self.max_rounds!r}")
        if self.precision is not None and not 0 < self.precision < 1:
            raise BadInput(f"precision={self.precision!r} must lie between 0 and 1, or be None to run all rounds")
        if self.samples is not None and self.samples < 2:
            raise BadInput(f"samples={self.samples!r} must be at least 2, or None for all")
        if self.tflite_runtime not in ("litert", "tflite-runtime"):
            raise BadInput(f"tflite_runtime={self.tflite_runtime!r}; allowed: litert, tflite-runtime")
        if self.kernels not in KERNELS:
            raise BadInput(f"kernels={self.kernels!r}; allowed: {', '.join(KERNELS)}")
        _ = self.library  # refuses what cannot be read

    @property
    def library(self) -> dict[str, Any] | None:
        """Return the delegate as a job names it, {path, options}.  Raises: BadInput for an option that is none."""
        if self.delegate is None:
            return None
        path, *options = self.delegate.split(",")
        wrong = [option for option in options if not re.fullmatch(r"[^=]+=.*", option)]
        if not path or wrong:
            raise BadInput(f"delegate={self.delegate!r}: write PATH or PATH,key=value,key=value")
        return {"path": path, "options": dict(option.split("=", 1) for option in options)}

    def runtime(self, format: str) -> str:
        """Return which runtime opens files of a format."""
        return {"tflite": self.tflite_runtime, "onnx": "onnxruntime"}[format]


USUAL = BenchConfig()

"""Targets as data: what each can run, its memory, and the compiler it needs, read from `targets/*.toml`.

No code here or elsewhere knows a target by name: adding one is adding a file (see docs/targets.md).
"""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from ...errors import BadInput
from . import kernels
from .limits import Limit

ANY = "any"
Names = tuple[str, ...]
_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Accepted:
    """What a model file must be like. per_channel: operators whose weights may have a scale per channel, or "any".

    dtypes: what its tensors may be, where a table of kernels says more a policy, for the reason in `policy`;
    converts: operators that may also read or write other dtypes; max_opset: of an ONNX file;
    integer_io: inputs and outputs are integers; io_dtypes: what they may be, where that is narrower than `dtypes`.
    """

    formats: Names
    precision: str
    integer_io: bool = False
    dtypes: Names
    policy: str = "which is not what the target is for"
    io_dtypes: Names = ()
    converts: Names = ()
    per_channel: Names | Literal["any"] = ANY
    batch: int | None = None
    static_shapes: bool = False
    max_rank: int | None = None
    max_opset: int | None = None


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Quantization:
    """How to quantize for its kernels. in_float: operations that it runs faster so; recurrence: an LSTM is one operator
    ("fused") or written step by step; reciprocal_root: that of a normalization is looked up in a table or an operator;
    rounding: whose kernels its own round as; narrow: the operators that it runs with 4-bit kernels, None
    for all that LiteRT does; finer: what it runs best where 8 bits are not enough, the first that does.
    """

    in_float: Names = ()
    recurrence: Literal["unrolled", "fused"] = "unrolled"
    reciprocal_root: Literal["table", "operator"] = "table"
    rounding: Literal["xnnpack", "reference"] = "xnnpack"
    narrow: Names | None = None
    finer: tuple[Literal["w8a16", "float32"], ...] = ("w8a16", "float32")


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Memory:
    """Limits in bytes, None for none that we know; and what a runtime keeps beside activations (see `memory`).

    pointer_bytes: of an address, which sizes the runtime's records; per_operator_bytes: of a kernel in no table.
    """

    arena_bytes: int | None = None
    flash_bytes: int | None = None
    pointer_bytes: int = 4
    per_operator_bytes: int = 0
    fixed_bytes: int = 0
    alignment_bytes: int = 16


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Figure:
    """A column of the compiler's summary, and the factor that brings it into our unit."""

    column: str
    times: float = 1.0


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Summary:
    """The table (CSV, one row) in which a compiler leaves its estimates."""

    file: str
    latency_us: Figure
    cycles: Figure | None = None
    sram_bytes: Figure | None = None
    flash_bytes: Figure | None = None
    macs: Figure | None = None


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class CompileStep:
    """A compiler as an argument list. {model}, {folder} and {stem} are replaced; the rest is regular expressions.

    refusal: matches what the compiler says of an operator it leaves to the processor, groups op, name and reason.
    """

    program: str
    remedy: str
    arguments: Names
    output: str
    time_limit_s: float = 120.0
    cpu_operators: str
    accelerator_operators: str
    refusal: str | None = None
    summary: Summary | None = None


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Target:
    """One kind of device. figures: where its numbers come from (measured, estimated by a compiler, computed by us).

    operators: format -> operators it runs, or "any" for whatever the runtime loads; kernels: the table (`kernels/`)
    that says in which types, instead; limits: what else a kernel asks; constraints: operator -> what is not checked,
    in words; export: what a file for it is; fallback: the target that runs what this one leaves over;
    channel_multiple: what counts of channels its kernels compute as many as they come, others being rounded up.
    """

    name: str
    title: str
    sources: Names
    figures: Literal["measured", "estimated", "computed"]
    runtimes: Names
    model: Accepted
    operators: dict[str, Names | Literal["any"]]
    kernels: str = ""
    limits: tuple[Limit, ...] = ()
    quantization: Quantization = field(default_factory=Quantization)
    memory: Memory = field(default_factory=Memory)
    constraints: dict[str, str] = field(default_factory=dict)
    export: Literal["model", "c-array", "compiled"] = "model"
    compile: CompileStep | None = None
    fallback: str | None = None
    channel_multiple: int = Field(default=1, ge=1)

    def runs(self, format: str, operator: str) -> bool:
        """Tell whether the target has a kernel for `operator`."""
        known = self.operators.get(format, ())
        return known == ANY or operator in known

    def per_channel(self, operator: str) -> bool:
        """Tell whether its kernel takes a weight scale per channel."""
        return self.model.per_channel == ANY or operator in self.model.per_channel


def names() -> list[str]:
    """Return the names of all targets, sorted."""
    return sorted(_paths())


@cache
def load(name: str) -> Target:
    """Return the target called `name`.  Raises: BadInput with close names, or naming what is wrong in its file."""
    if name not in _paths():
        near = difflib.get_close_matches(name, names())
        hint = f"did you mean {' or '.join(near)}?" if near else f"allowed: {', '.join(names())}"
        raise BadInput(f"target {name!r} is unknown; {hint}")
    return parse(name, _paths()[name].read_text())


def parse(name: str, text: str) -> Target:
    """Return the target that TOML `text` describes.  Raises: BadInput naming unknown, missing and ill-typed keys."""
    try:
        document: dict[str, Any] = tomllib.loads(text)
        if document.get("kernels"):
            known = sorted(kernels.load(document["kernels"]).kernels)
            document.setdefault("operators", {"tflite": known})
        return TypeAdapter(Target).validate_python({"name": name, **document})
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"target {name}: {error}") from error
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise BadInput(f"target {name}: {'; '.join(wrong)}") from error


@cache
def advice() -> dict[str, dict[str, str]]:
    """Return what to use instead: {"operators": operator -> words, "layers": Keras layer class -> words}."""
    return tomllib.loads((files(__package__ or "") / "swaps.toml").read_text())


def _paths() -> dict[str, Path]:
    folder = Path(str(files(__package__ or "")))
    return {path.stem: path for path in folder.glob("*.toml") if path.stem != "swaps"}

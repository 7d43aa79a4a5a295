"""Say what a target cannot run of a model file, why, what would help, and whether the file fits into its memory.

The file is opened on a device by the agent, never here. Where the target has a compiler and it is on this machine, the
compiler has the last word on every operator.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..asking import inspect
from ..model_file import ModelFile
from ..report.report import table
from ..targets.memory import arena_bytes
from ..targets.target import Target, advice, load
from .compile import Compiled, compile_file

CONVERSIONS = ("QUANTIZE", "DEQUANTIZE", "QuantizeLinear", "DequantizeLinear")
OK, FALLBACK, NO = "yes", "fallback", "no"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One operator. layer: the Keras layer it belongs to; supported: yes, no, or fallback (by the processor beside)."""

    operator: str
    name: str
    layer: str
    dtype: str
    supported: str
    reason: str = ""
    swap: str = ""


@dataclass(frozen=True, kw_only=True)
class Check:
    """The answer. problems: what keeps the file from the target; notes: what else to know; estimate: the compiler's."""

    target: str
    file: str
    rows: tuple[Row, ...]
    arena_bytes: int | None
    arena_limit_bytes: int | None
    flash_bytes: int
    flash_limit_bytes: int | None
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()
    estimate: dict[str, Any] | None = field(default=None)

    @property
    def fits(self) -> bool:
        """Tell if nothing stands against the file."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """Return the check as JSON has it."""
        return {**asdict(self), "fits": self.fits}

    def __str__(self) -> str:
        lines = [f"{self.file} on {self.target}: {'fits' if self.fits else 'does not fit'}", ""]
        shown = [row for row in self.rows if row.supported != OK]
        counts = {kind: sum(row.supported == kind for row in self.rows) for kind in (OK, FALLBACK, NO)}
        lines.append(f"operators: {counts[OK]} supported, {counts[FALLBACK]} left to the processor, {counts[NO]} not")
        if shown:
            cells = [(row.layer or row.name, row.operator, row.supported, row.reason, row.swap) for row in shown]
            lines += ["", table(("layer", "operator", "supported", "why", "use instead"), cells), ""]
        lines.append(f"arena: {_of(self.arena_bytes, self.arena_limit_bytes)}")
        lines.append(f"flash: {_of(self.flash_bytes, self.flash_limit_bytes)}")
        if self.estimate and self.estimate.get("latency_us") is not None:
            lines.append(estimate_line(self.estimate))
        return "\n".join([*lines, *(f"- {one}" for one in self.problems), *(f"- {one}" for one in self.notes)])


def estimate_line(estimate: Mapping[str, Any]) -> str:
    """Return a compiler's estimate in one line that says it is one."""
    parts = [f"{estimate['latency_us'] / 1000:.3f} ms", f"{estimate['cycles']:,.0f} cycles"]
    parts += [
        f"{estimate[key] / 1024:,.1f} KiB {what}"
        for key, what in (("sram_bytes", "SRAM"), ("flash_bytes", "weights")) if estimate.get(key) is not None
    ]  # fmt: skip
    left = estimate["cpu_operators"]
    part = ", whose time is not in it" if left else ""
    return f"estimated, not measured: {', '.join(parts)}; {count(left, 'operator')} on the processor{part}"


def count(number: int, what: str) -> str:
    """Return "1 operator" or "2 operators"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def check_file(
    file: ModelFile,
    target: Target,
    *,
    layers: Mapping[str, str] | None = None,
    arena_limit_bytes: int | None = None,
    flash_limit_bytes: int | None = None,
    device: str = "local",
) -> Check:
    """Check one model file against `target`.

    layers: Keras layer name -> class, where the model is known; limits: instead of the target's.
    """
    arena_limit = arena_limit_bytes or target.memory.arena_bytes
    flash_limit = flash_limit_bytes or target.memory.flash_bytes
    flash = file.path.stat().st_size
    known: dict[str, Any] = {
        "target": target.name, "file": file.name, "arena_limit_bytes": arena_limit, "flash_bytes": flash,
        "flash_limit_bytes": flash_limit,
    }  # fmt: skip
    if file.format not in target.model.formats:
        reason = f"format {file.format} does not run there; allowed: {', '.join(target.model.formats)}"
        return Check(**known, rows=(), arena_bytes=None, problems=(reason,))
    outcome = inspect(file, device=device)
    if not outcome.ok:
        return Check(**known, rows=(), arena_bytes=None, problems=(f"{outcome.status}: {outcome.reason}",))
    model, graph = outcome.one("model"), next(outcome.all("graph"), None)
    rows = list(_rows(file.format, model["layers"], graph, target, layers or {}))
    arena = None if graph is None else arena_bytes(graph, _memory(target))
    compiled = compile_file(file.path, target) if target.compile else None
    notes = []
    if compiled is not None and compiled.ok:
        rows = _as_compiled(rows, compiled)
        arena = int(compiled.figures.get("sram_bytes") or 0) or arena
    elif compiled is not None and compiled.status == "missing":
        notes.append(f"not compiled: {compiled.reason}; operators are judged by the target's table")
    problems = [*_problems(rows, model, graph, target), *_over("arena", arena, arena_limit)]
    problems += _over("flash", flash, flash_limit)
    if compiled is not None and compiled.status not in ("ok", "missing"):
        problems.append(compiled.reason)
    notes += _notes(rows, target, arena)
    estimate = compiled.estimate() if compiled is not None and compiled.ok else None
    return Check(
        **known, rows=tuple(rows), arena_bytes=arena, problems=tuple(problems), notes=tuple(notes), estimate=estimate
    )


def layer_of(name: str, layers: Mapping[str, str]) -> str:
    """Return the Keras layer that an operator's name speaks of, or "" if none can be told.

    Names are paths of scopes, fused operators join several by semicolons, and tracing appends numbers.
    """
    if not layers:
        scope, _, _ = name.partition(";")[0].rpartition("/")
        return scope
    for path in name.split(";"):
        parts = [part if part in layers else re.sub(r"_\d+$", "", part) for part in path.split("/")]
        found = [part for part in parts if part in layers]
        if found:
            return found[-1]
    return ""


def _memory(target: Target) -> Any:
    """An accelerator's arena is that of the processor which runs the interpreter."""
    return load(target.fallback).memory if target.fallback and not target.memory.fixed_bytes else target.memory


def _rows(
    format: str, layers: Sequence[Mapping[str, Any]], graph: Any, target: Target, known: Mapping[str, str]
) -> Iterator[Row]:
    is_quantized = any(layer["dtype"] in ("int8", "int16") for layer in layers if layer["op"] not in CONVERSIONS)
    for index, layer in enumerate(layers):
        where = layer_of(layer["name"], known)
        reason = _refusal(format, layer, index, graph, target)
        supported = OK
        if reason:
            beside = load(target.fallback) if target.fallback else None
            # A processor beside an accelerator runs integers or, where it can, floats as well.
            supported = NO if beside is None or _refusal(format, layer, index, graph, beside) else FALLBACK
        swap = _swap(layer["op"], known.get(where, "")) if reason else ""
        if " tensors; " in reason and "float" in reason and layer["op"] not in CONVERSIONS:
            swap = advice()["dtypes"]["mixed" if is_quantized else "float"]
        yield Row(
            operator=layer["op"],
            name=layer["name"],
            layer=where,
            dtype=layer["dtype"],
            supported=supported,
            reason=reason,
            swap=swap,
        )


def _refusal(format: str, layer: Mapping[str, Any], index: int, graph: Any, target: Target) -> str:
    """Return why the target does not run an operator, or "" if it does."""
    if not target.runs(format, layer["op"]):
        return "no kernel"
    foreign = sorted(_dtypes(layer, index, graph) - set(target.model.dtypes) - {"none"})
    if foreign and layer["op"] not in target.model.converts:
        return f"{', '.join(foreign)} tensors; kernels take {', '.join(target.model.dtypes)}"
    if graph is None:
        return ""
    ends = _tensors(index, graph)
    rank = max((len(one["shape"]) for one in ends), default=0)
    if target.model.max_rank and rank > target.model.max_rank:
        return f"a tensor of rank {rank}, at most {target.model.max_rank}"
    if not target.per_channel(layer["op"]) and any(one["scales"] > 1 and not one["computed"] for one in ends):
        return "weights with a scale for each channel; the kernel takes one"
    return ""


def _tensors(index: int, graph: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    operator = graph["operators"][index]
    tensors = {int(key): value for key, value in graph["tensors"].items()}
    return [tensors[one] for one in (*operator["inputs"], *operator["outputs"]) if one in tensors]


def _dtypes(layer: Mapping[str, Any], index: int, graph: Any) -> set[str]:
    if graph is None:
        return {layer["dtype"].split()[0]}
    return {one["dtype"] for one in _tensors(index, graph)}


def _swap(operator: str, layer_class: str) -> str:
    known = advice()
    return known["layers"].get(layer_class) or known["operators"].get(operator, "")


def _as_compiled(rows: list[Row], compiled: Compiled) -> list[Row]:
    """Let the compiler decide: what it refused runs on the processor, all else on the accelerator."""
    refused = {(one.op, one.name): one.reason for one in compiled.refused}

    def judged(row: Row) -> Row:
        reason = refused.get((row.operator, row.name))
        if reason is None or row.supported != OK:
            return row
        return replace(row, supported=FALLBACK, reason=reason, swap=_swap(row.operator, ""))

    return [judged(row) for row in rows]


def _problems(rows: Sequence[Row], model: Mapping[str, Any], graph: Any, target: Target) -> Iterator[str]:
    wrong = [row for row in rows if row.supported == NO]
    if wrong:
        names = sorted({row.operator for row in wrong})
        yield f"{count(len(wrong), 'operator')} without a kernel: {', '.join(names)}"
    computing = [row for row in rows if row.operator not in CONVERSIONS]
    if target.fallback and computing and not any(row.supported == OK for row in computing):
        yield "nothing of it runs on the accelerator"
    for tensor in model["inputs"]:
        shape = tensor["shape"]
        if target.model.batch and shape and shape[0] != target.model.batch:
            yield f"input {tensor['name']!r} has a batch of {shape[0]}, the target takes {target.model.batch}"
        if target.model.static_shapes and any(tensor["free"]):
            yield f"input {tensor['name']!r} leaves a size open; export with static shapes"
    allowed = target.model.io_dtypes
    for tensor in (*model["inputs"], *model["outputs"]):
        if allowed and tensor["dtype"] not in allowed:
            yield f"{tensor['name']!r} is {tensor['dtype']}; inputs and outputs may be {', '.join(allowed)}"


def _notes(rows: Sequence[Row], target: Target, arena: int | None) -> Iterator[str]:
    left = sum(row.supported == FALLBACK for row in rows)
    if left:
        yield f"{count(left, 'operator')} left to the processor beside the accelerator ({target.fallback})"
    for operator in sorted({row.operator for row in rows if row.supported == OK}):
        if operator in target.constraints:
            yield f"{operator}: {target.constraints[operator]} (stated, not checked here)"
    if arena is None:
        yield "the arena is not estimated for this format"


def _over(what: str, size: int | None, limit: int | None) -> Iterator[str]:
    if size is not None and limit is not None and size > limit:
        yield f"{what} of {size:,} bytes, {limit:,} available: {size - limit:,} too many"


def _of(size: int | None, limit: int | None) -> str:
    known = "not estimated" if size is None else f"{size:,} bytes"
    return known if limit is None else f"{known} of {limit:,}"

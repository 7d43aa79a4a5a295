"""Say what a target cannot run of a model file, why, what would help, and whether the file fits into its memory.

The file is opened on a device by the agent, and read in a process of its own, never here. Where the target has a
compiler and it is on this machine, the compiler has the last word on every operator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..asking import inspect
from ..model_file import ModelFile
from ..report.report import table
from ..targets import kernels
from ..targets.graph import Graph
from ..targets.memory import arena_bytes
from ..targets.target import Target, load
from .compile import Compiled, compile_file
from .judge import CONVERSIONS, FALLBACK, NO, OK, Row, as_compiled, layer_of, operators_of, rows_of
from .reading import Unreadable, opset_of, read

__all__ = ["CONVERSIONS", "FALLBACK", "NO", "OK", "Check", "Row", "check_file", "count", "estimate_line", "layer_of"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """The answer. problems: what keeps the file from the target; notes: what else to know; estimate: the compiler's.

    runs: the target's runtime takes the file, whatever memory and policy say; ends: inputs and outputs; confirmed:
    what the target's own tool answered, and where the table was wrong.
    """

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
    confirmed: dict[str, Any] | None = field(default=None)
    ends: tuple[dict[str, Any], ...] = ()
    runs: bool = False

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
        if self.confirmed:
            lines.append(self.confirmed["says"])
            lines += [f"- the table is wrong: {one}" for one in self.confirmed["differences"]]
        return "\n".join([*lines, *(f"- {one}" for one in self.problems), *(f"- {one}" for one in self.notes)])


def estimate_line(estimate: Mapping[str, Any]) -> str:
    """Return a compiler's estimate in one line that says it is one."""
    parts = [f"{estimate['latency_us'] / 1000:.3f} ms", f"{estimate['cycles']:,.0f} cycles"]
    parts += [
        f"{estimate[key] / 1024:,.1f} KiB {what}"
        for key, what in (("sram_bytes", "feature maps"), ("flash_bytes", "weights")) if estimate.get(key) is not None
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
    compiles: bool = True,
) -> Check:
    """Check one model file against `target`.

    layers: Keras layer name -> class, where the model is known; limits: instead of the target's; compiles: ask the
    target's compiler where it is installed, else its table alone.
    """
    looked = look(file, target, device=device)
    compiled = compile_file(file.path, target) if looked.ok and target.compile and compiles else None
    return judged(looked, target, compiled, layers=layers or {}, arena_limit_bytes=arena_limit_bytes,
                  flash_limit_bytes=flash_limit_bytes)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What is in a file, before any target judges it. problem: why it could not be opened, read or judged at all."""

    file: ModelFile
    model: Mapping[str, Any] = field(default_factory=dict)
    graph: Graph | None = None
    opset: int | None = None
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Tell if there is something to judge."""
        return not self.problem


def look(file: ModelFile, target: Target, *, device: str = "local") -> Looked:
    """Open a file on a device, and read it."""
    if file.format not in target.model.formats:
        reason = f"format {file.format} does not run there; allowed: {', '.join(target.model.formats)}"
        return Looked(file=file, problem=reason)
    outcome = inspect(file, device=device)
    if not outcome.ok:
        return Looked(file=file, problem=f"{outcome.status}: {outcome.reason}")
    try:
        graph = read(file.path) if file.format == "tflite" else None
        opset = opset_of(file.path) if file.format == "onnx" and target.model.max_opset else None
    except Unreadable as error:
        return Looked(file=file, problem=str(error))
    return Looked(file=file, model=outcome.one("model"), graph=graph, opset=opset)


def judged(
    looked: Looked,
    target: Target,
    compiled: Compiled | None = None,
    *,
    layers: Mapping[str, str] | None = None,
    arena_limit_bytes: int | None = None,
    flash_limit_bytes: int | None = None,
) -> Check:
    """Judge what is in a file by the target's tables, and by what its compiler said where that was asked."""
    file, model, graph = looked.file, looked.model, looked.graph
    arena_limit = arena_limit_bytes or target.memory.arena_bytes
    flash_limit = flash_limit_bytes or target.memory.flash_bytes
    flash = file.path.stat().st_size
    known: dict[str, Any] = {
        "target": target.name, "file": file.name, "arena_limit_bytes": arena_limit, "flash_bytes": flash,
        "flash_limit_bytes": flash_limit,
    }  # fmt: skip
    if not looked.ok:
        return Check(**known, rows=(), arena_bytes=None, problems=(looked.problem,))
    operators = operators_of(model["layers"], graph)
    rows = rows_of(operators, file.format, target, layers or {})
    if compiled is not None and compiled.ok:
        refused = {one.name: one.reason for one in compiled.refused}
        rows = as_compiled(rows, operators, refused, file.format, target, layers or {})
    arena = _arena(graph, target, compiled)
    problems = [*_kernel_problems(rows, compiled), *_problems(rows, model, target), *_too_new(looked, target)]
    runs = not any(row.against in ("kernel", "tool") for row in rows) and (compiled is None or compiled.status in _TOOK)
    problems += [*_over("arena", arena, arena_limit), *_over("flash", flash, flash_limit)]
    estimate = compiled.estimate() if compiled is not None and compiled.ok else None
    return Check(
        **known, rows=tuple(rows), arena_bytes=arena, problems=tuple(problems),
        notes=tuple(_notes(rows, target, arena, model, compiled)), estimate=estimate, ends=_ends(graph), runs=runs,
    )  # fmt: skip


_TOOK = ("ok", "missing")


def _arena(graph: Graph | None, target: Target, compiled: Compiled | None) -> int | None:
    """Return the compiler's figure where there is one; else an accelerator's arena is that of the processor beside it,
    which runs the interpreter.
    """
    told = compiled.figures.get("sram_bytes") if compiled is not None and compiled.ok else None
    if told or graph is None:
        return int(told) if told else None
    beside = load(target.fallback) if target.fallback and not target.memory.fixed_bytes else target
    kept = kernels.load(beside.kernels).bytes if beside.kernels else {}
    return arena_bytes(graph, beside.memory, kept)


def _ends(graph: Graph | None) -> tuple[dict[str, Any], ...]:
    """Return inputs and outputs as whoever calls the file needs them."""
    if graph is None:
        return ()
    kinds = ((kind, place, graph.tensors[index]) for kind in ("input", "output")
             for place, index in enumerate(getattr(graph, f"{kind}s")))  # fmt: skip
    return tuple(
        {"kind": kind, "place": place, "name": one.name, "shape": list(one.shape), "dtype": one.dtype,
         "scale": one.scale, "zero_point": one.zero_point}
        for kind, place, one in kinds
    )  # fmt: skip


def _kernel_problems(rows: Sequence[Row], compiled: Compiled | None) -> Iterator[str]:
    wrong = [row for row in rows if row.supported == NO]
    for against, what in (
        ("tool", "at which the compiler gives up the whole file"),
        ("kernel", "without a kernel"),
        ("policy", "against the target's policy, though the runtime has kernels"),
    ):
        named = sorted({row.operator for row in wrong if row.against == against})
        if named:
            yield f"{count(sum(row.against == against for row in wrong), 'operator')} {what}: {', '.join(named)}"
    if compiled is not None and compiled.status not in _TOOK:
        yield compiled.reason


def _too_new(looked: Looked, target: Target) -> Iterator[str]:
    most = target.model.max_opset
    if most and looked.opset and looked.opset > most:
        yield f"opset {looked.opset}, at most {most}: 16-bit activations need more, export w8a8"


def _problems(rows: Sequence[Row], model: Mapping[str, Any], target: Target) -> Iterator[str]:
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


def _notes(
    rows: Sequence[Row], target: Target, arena: int | None, model: Mapping[str, Any], compiled: Compiled | None
) -> Iterator[str]:
    if compiled is not None and compiled.status == "missing":
        yield f"not compiled: {compiled.reason}; operators are judged by the target's table"
    left = sum(row.supported == FALLBACK for row in rows)
    if left:
        yield f"{count(left, 'operator')} left to the processor beside the accelerator ({target.fallback})"
    for operator in sorted({row.operator for row in rows if row.supported == OK}):
        if operator in target.constraints:
            yield f"{operator}: {target.constraints[operator]} (stated, not checked here)"
    floats = [tensor["name"] for tensor in (*model["inputs"], *model["outputs"]) if tensor["dtype"] == "float32"]
    if target.model.integer_io and floats:
        yield f"float inputs or outputs, which take arena and conversions: export with --integer-io ({floats[0]!r})"
    if arena is None:
        yield "the arena is not estimated for this format"


def _over(what: str, size: int | None, limit: int | None) -> Iterator[str]:
    if size is not None and limit is not None and size > limit:
        yield f"{what} of {size:,} bytes, {limit:,} available: {size - limit:,} too many"


def _of(size: int | None, limit: int | None) -> str:
    known = "not estimated" if size is None else f"{size:,} bytes"
    return known if limit is None else f"{known} of {limit:,}"

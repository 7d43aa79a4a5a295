"""Run a target's compiler on a model file, and read what it says: operators left to the processor, and estimates.

Weights and feature maps are counted in the file that it writes, so that they mean the same whatever memories the
compiler speaks of.

Compilers die of malformed files (vela of every second one), so each runs as a child with a time limit, in a folder of
its own; only a complete result leaves that folder.
"""

import csv
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ... import files as whole
from ..targets.memory import lifetimes, plan
from ..targets.target import CompileStep, Figure, Target
from ..transports.child import follow
from ..transports.transport import Exit
from .reading import Unreadable, read

_TEXT_LINES = 20_000  # more output than this is no report
_REASON = 400  # characters of a tool's reason that are passed on
ALIGNMENT = 16  # of tensors in an arena


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """An operator that the compiler left to the processor: its name in the file, and why."""

    op: str
    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """What came of compiling. status: ok, missing (no compiler here), rejected, crashed or timeout.

    data: the compiled file; figures: estimates, as in `target.Summary` (latency_us, cycles), and of the compiled file
    sram_bytes, the arena for feature maps, and flash_bytes, its constants.
    """

    target: str
    status: str
    reason: str = ""
    data: bytes = b""
    cpu_operators: int | None = None
    accelerator_operators: int | None = None
    refused: tuple[Refusal, ...] = ()
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Tell if the compiler took the file."""
        return self.status == "ok"

    def estimate(self) -> dict[str, Any]:
        """Return the row of results.json: figures that are marked as estimated, and never ranked with measured ones.

        A compiler estimates the accelerator's part alone: where nothing runs there, its zeros are no figures.
        """
        return {
            "target": self.target,
            "kind": "estimated",
            "status": self.status,
            "reason": self.reason or ("" if self.accelerator_operators else "nothing runs on the accelerator"),
            "cpu_operators": self.cpu_operators,
            "accelerator_operators": self.accelerator_operators,
            **(self.figures if self.accelerator_operators else {}),
        }


def compiler(step: CompileStep) -> str | None:
    """Return where the compiler is: beside our Python, or on the path."""
    return shutil.which(step.program, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


def compile_file(path: str | Path, target: Target, *, time_limit_s: float | None = None) -> Compiled:
    """Compile the model file at `path` for `target`. Whatever the compiler does is a result, never an exception."""
    step = target.compile
    assert step is not None, f"target {target.name} has no compile step"
    program = compiler(step)
    if program is None:
        reason = f"{step.program} is not on this machine: {step.remedy}"
        return Compiled(target=target.name, status="missing", reason=reason)
    limit_s = time_limit_s or step.time_limit_s
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        model = Path(folder) / "model.tflite"  # a name of our own: the user's may hold anything
        model.symlink_to(Path(path).resolve())
        values = {"model": str(model), "folder": folder, "stem": model.stem}
        lines: list[str] = []
        try:
            ended = follow(
                [program, *(part.format(**values) for part in step.arguments)], lines.append, limit_s=limit_s
            )
        except UnicodeDecodeError:
            return Compiled(target=target.name, status="crashed", reason=f"{step.program} printed what is no text")
        text = "".join(lines[:_TEXT_LINES]) + ended.stderr
        status, reason = _class(step, ended, text, limit_s)
        output = Path(folder) / step.output.format(**values)
        if status == "ok" and not output.is_file():
            status, reason = "rejected", f"{step.program} wrote no file: {explained(text)}"
        if status != "ok":
            return Compiled(target=target.name, status=status, reason=reason)
        return Compiled(
            target=target.name,
            status="ok",
            data=output.read_bytes(),
            cpu_operators=_count(step.cpu_operators, text),
            accelerator_operators=_count(step.accelerator_operators, text),
            refused=tuple(_refused(step, text)),
            figures=_figures(step, Path(folder), values) | _sizes(output),
        )


def estimates(files: Mapping[str, Path], targets: Sequence[Target]) -> list[dict[str, Any]]:
    """Return an estimate of every file that a target with a compiler takes: rows {artifact, target, kind, ...}."""
    return [
        {"artifact": name, **compile_file(path, target).estimate()}
        for target in targets
        for name, path in files.items()
        if target.compile and path.suffix.lstrip(".") in target.model.formats
    ]


def save(compiled: Compiled, path: str | Path, source: str | Path) -> Path:
    """Write the compiled file at `path` and a manifest beside it that names the file it was compiled from."""
    path = whole.write(path, compiled.data)
    manifest = {
        "schema": 1,
        "name": path.stem,
        "format": path.suffix.lstrip("."),
        "sha256": whole.sha256(compiled.data),
        "bytes": len(compiled.data),
        "gzip_bytes": whole.gzip_bytes(compiled.data),
        "source": {"file": Path(source).name, "sha256": whole.sha256(Path(source))},
        "estimate": compiled.estimate(),
    }
    whole.write_json(path.with_name(f"{path.name}.json"), manifest)
    return path


def _class(step: CompileStep, ended: Exit, text: str, limit_s: float) -> tuple[str, str]:
    if ended.timed_out:
        return "timeout", f"{step.program} gave no result within {limit_s:g} s"
    if ended.code < 0:
        where = f", last at {operator}" if (operator := _last_operator(step, text)) else ""
        return "crashed", (
            f"{step.program} died of signal {-ended.code}{where}: not a refusal but a fault of it; "
            "`edgewright check` without it names operators and types that it is known to die of"
        )
    if "Traceback (most recent call last)" in ended.stderr:
        return "crashed", f"{step.program} died with a traceback: {explained(ended.stderr)}"
    if ended.code:
        return "rejected", f"{step.program} ended with code {ended.code}: {explained(ended.stderr)}"
    return "ok", ""


_RAISED = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception|Warning|Interrupt): ", re.M)


def explained(text: str) -> str:
    """Return what a tool's words say of the reason: from where its exception is told to the end, or else a line that
    speaks of an error, or the last one.
    """
    text = text.strip()
    raised = [match.start() for match in _RAISED.finditer(text)]
    if raised:
        return _short(text[raised[-1] :])
    lines = text.splitlines() or ["no message"]
    telling = [line for line in lines if re.search(r"\berror\b|not supported|unsupported|must ", line, re.I)]
    return _short(telling[0] if telling else lines[-1])


def _short(text: str) -> str:
    return " ".join(text.split())[:_REASON]


def _last_operator(step: CompileStep, text: str) -> str:
    """Return the operator that a compiler spoke of last, if any."""
    told = _refused(step, text)
    return f"{told[-1].op} {told[-1].name!r}" if told else ""


def _sizes(output: Path) -> dict[str, float]:
    """Return what the compiled file takes: the arena for feature maps, and the constants in flash."""
    try:
        graph = read(output)
    except Unreadable:  # a format of the compiler's own
        return {}
    return {"sram_bytes": float(plan(lifetimes(graph), ALIGNMENT)), "flash_bytes": float(graph.constant_bytes)}


def _count(pattern: str, text: str) -> int | None:
    found = re.search(pattern, text)
    return int(found[1]) if found else None


def _refused(step: CompileStep, text: str) -> list[Refusal]:
    if step.refusal is None:
        return []
    return [Refusal(op=one["op"], name=one["name"], reason=one["reason"]) for one in re.finditer(step.refusal, text)]


def _figures(step: CompileStep, folder: Path, values: dict[str, str]) -> dict[str, float]:
    if step.summary is None:
        return {}
    path = folder / step.summary.file.format(**values)
    if not path.is_file():
        return {}
    with open(path, newline="") as file:
        row = next(csv.DictReader(file))
    figures = {each.name: getattr(step.summary, each.name) for each in fields(step.summary)}
    wanted = {name: figure for name, figure in figures.items() if isinstance(figure, Figure)}
    return {name: float(row[figure.column]) * figure.times for name, figure in wanted.items()}

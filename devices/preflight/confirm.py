"""Run a target's own tool on a file, and say where the table that `check` judges by was wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ...errors import BadInput
from ..asking import inspect
from ..model_file import ModelFile
from ..runtimes import environments
from ..targets import kernels
from ..targets.target import Target
from .check import OK, Check, Looked, judged, look
from .compile import Compiled, compile_file, compiler

ON_THIS_MACHINE = ("litert", "onnxruntime")  # runtimes that our own environment has


def require_tool(target: Target) -> None:
    """Refuse a target whose own tool is not here.  Raises: BadInput with the remedy."""
    if target.compile is not None:
        if compiler(target.compile) is None:
            raise BadInput(f"--confirm: {target.compile.program} is not on this machine: {target.compile.remedy}")
        return
    runtime = target.runtimes[0]
    if runtime in ON_THIS_MACHINE:
        return
    if runtime not in environments.SETUPS:
        raise BadInput(f"--confirm: nothing here is {runtime}, which {target.name} runs; check without it")
    environments.require(runtime)


def confirm_file(file: ModelFile, target: Target, **known: Any) -> Check:
    """Check a file, and set what the target's own tool answers beside what the table says.

    known: as `check_file` takes it.
    """
    looked = look(file, target)
    if not looked.ok:
        return judged(looked, target, **known)
    if target.compile is not None:
        return _by_compiler(looked, target, **known)
    check, runtime = judged(looked, target, **known), target.runtimes[0]
    outcome = inspect(file, device="local" if runtime in ON_THIS_MACHINE else runtime)
    says = f"{runtime} takes the file" if outcome.ok else f"{runtime} refuses the file: {outcome.reason}"
    needed = outcome.one("model").get("arena_bytes") if outcome.ok else None
    says += f", in an arena of {needed:,} bytes on this machine" if needed else ""
    told = {"tool": runtime, "table": _table(target), "takes": outcome.ok, "arena_bytes": needed}
    return _with(check, told, says, list(_of_runtime(check, outcome.ok, outcome.reason)))


def _table(target: Target) -> str:
    return kernels.load(target.kernels).tool if target.kernels else ""


def _of_runtime(check: Check, takes: bool, reason: str) -> Iterator[str]:
    refused = [row for row in check.rows if row.against in ("kernel", "tool")]
    if takes and refused:
        named = ", ".join(sorted({f"{row.operator} ({row.reason})" for row in refused}))
        yield f"it has no kernel for {named}, yet the file runs"
    if not takes and check.runs:
        yield f"it has a kernel for every operator, yet the tool says: {reason}"


def _by_compiler(looked: Looked, target: Target, **limits: Any) -> Check:
    assert target.compile is not None
    compiled = compile_file(looked.file.path, target)
    by_table, by_tool = judged(looked, target, **limits), judged(looked, target, compiled, **limits)
    says = (
        f"{target.compile.program} leaves {compiled.cpu_operators} operators to the processor"
        if compiled.ok
        else f"{target.compile.program} takes no such file: {compiled.reason}"
    )
    told = {"tool": target.compile.program, "table": _table(target),
            "takes": compiled.ok, "cpu_operators": compiled.cpu_operators}  # fmt: skip
    return _with(by_tool, told, says, list(_of_compiler(by_table, by_tool, compiled)))


def _of_compiler(by_table: Check, by_tool: Check, compiled: Compiled) -> Iterator[str]:
    given_up = any(row.against == "tool" for row in by_table.rows)
    if compiled.ok and given_up:
        yield "the compiler would give up the file, yet it takes it"
    if not compiled.ok and not given_up:
        yield f"the compiler takes the file, yet: {compiled.reason}"
    if compiled.ok:
        for said, found in zip(by_table.rows, by_tool.rows, strict=True):
            if (said.supported == OK) != (found.supported == OK):
                what = "left to the processor" if found.supported != OK else "on the accelerator"
                yield f"{said.operator} {said.name!r} is {what}: {found.reason or said.reason}"


def _with(check: Check, told: dict[str, Any], says: str, differences: list[str]) -> Check:
    return replace(check, confirmed={**told, "says": says, "differences": differences, "agrees": not differences})

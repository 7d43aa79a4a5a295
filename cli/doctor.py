"""Whether this machine can do what Edgewright asks of it: a row a subject, with a remedy where something is amiss."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

_RUNTIMES = {
    "litert": "import ai_edge_litert.interpreter",
    "onnxruntime": "import onnxruntime; onnxruntime.get_available_providers()",
}
_LEAST_MEMORY_GB = 3
_LEAST_DISK_GB = 2


def examine() -> list[dict[str, str]]:
    """Return rows `{subject, status: ok|warn|fail, found, remedy}`. Runtimes are loaded in subprocesses."""
    return [*_python(), *_packages(), *_machine(), *_runtimes(), *_data()]


def _row(subject: str, status: str, found: Any, remedy: str = "") -> dict[str, str]:
    return {"subject": subject, "status": status, "found": str(found), "remedy": "" if status == "ok" else remedy}


def _python() -> Iterator[dict[str, str]]:
    fits = (3, 11) <= sys.version_info[:2] < (3, 14)
    yield _row("python", "ok" if fits else "fail", platform.python_version(), "use Python 3.11, 3.12 or 3.13")


def _packages() -> Iterator[dict[str, str]]:
    """Compare every required package with the range that the installed distribution asks for."""
    from packaging.requirements import Requirement

    for line in requires("edgewright") or []:
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            found = None
        fits = found is not None and requirement.specifier.contains(found, prereleases=True)
        remedy = f"pip install '{requirement.name}{requirement.specifier}'"
        yield _row(requirement.name, "ok" if fits else "fail", found or "missing", remedy)


def _machine() -> Iterator[dict[str, str]]:
    yield _row("system", "ok", f"{platform.system()} {platform.release()} {platform.machine()}")
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    yield _row("cores", "ok" if len(cores) > 1 else "warn", len(cores),
               "measurements share the one core with everything else: expect wider intervals")  # fmt: skip
    pinned = hasattr(os, "sched_setaffinity")
    yield _row("pinning to a core", "ok" if pinned else "warn", "yes" if pinned else "no",
               "the system moves processes between cores: expect wider intervals")  # fmt: skip
    yield from _byte_products(platform.machine(), _cpu_flags())
    if memory := _memory_gb():
        yield _row("memory", "ok" if memory >= _LEAST_MEMORY_GB else "warn", f"{memory:.1f} GB available",
                   f"conversion needs about {_LEAST_MEMORY_GB} GB: close other programs")  # fmt: skip
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    yield _row("disk", "ok" if free >= _LEAST_DISK_GB else "warn", f"{free:.1f} GB free here",
               "give --out a folder on another disk")  # fmt: skip


def _byte_products(machine: str, flags: set[str]) -> Iterator[dict[str, str]]:
    """Say whether products of bytes are summed in 32 bits. x86 without VNNI adds pairs in 16, which can overflow."""
    if machine not in ("x86_64", "AMD64") or not flags:
        return
    found = sorted(flags & {"avx_vnni", "avx512_vnni"})
    yield _row("int8 products", "ok" if found else "warn", ", ".join(found) or "no VNNI",
               "ONNX Runtime and OpenVINO may overflow here with 8-bit weights: ONNX Runtime is exact, and slower, "
               "with session.x64quantprecision=1, which bench sets; or quantize with --precision w7a8")  # fmt: skip


def _cpu_flags() -> set[str]:
    """Return the processor's instruction sets as Linux names them, nothing elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())


def _memory_gb() -> float | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1e6 for line in lines if line.startswith("MemAvailable:")), None)


def _runtimes() -> Iterator[dict[str, str]]:
    for name, code in _RUNTIMES.items():
        try:
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
            )
        except subprocess.TimeoutExpired:
            yield _row(f"runtime {name}", "fail", "hangs when loaded", "reinstall it")
            continue
        error = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        yield _row(
            f"runtime {name}",
            "ok" if done.returncode == 0 else "fail",
            "loads" if done.returncode == 0 else error,
            "reinstall it, and check that the CPU is supported",
        )


def _data() -> Iterator[dict[str, str]]:
    from ..training import data

    here = [name for name in data.names() if data.available(name)]
    away = [name for name in data.names() if name not in here]
    yield _row("data here", "ok", ", ".join(here))
    folder = os.environ.get("EDGEWRIGHT_DATA")
    if folder and not Path(folder).is_dir():
        yield _row("EDGEWRIGHT_DATA", "fail", f"{folder} is not a folder", "name a folder that exists, or unset it")
    if away:
        yield _row("data elsewhere", "warn", ", ".join(away), "set EDGEWRIGHT_DATA, or let the first use download it")

"""Jobs: pure commands whose results are found again by the digest of what they depend on.

A finished job has a folder in the store, which appears by one rename: what has a folder is finished, nothing else is.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files import write_json
from ..progress import say, track

RECORD = "job.json"  # in the folder of a finished job
PART = ".part-"  # prefix of folders that are being filled
_AGREED = ("name", "format", "precision", "sparsity", "bytes", "sha256", "quantized_ops", "float_ops")


@dataclass(frozen=True, kw_only=True)
class Job:
    """A pure command. key: digest of all it depends on; its arguments {python} and {out} are Python and its folder.

    keeps: files of that folder that are its result, with wildcards; device: what it occupies; ok_codes: exit codes of
    a finished job.
    """

    key: str
    name: str
    command: tuple[str, ...]
    keeps: tuple[str, ...]
    device: str = "local"
    ok_codes: tuple[int, ...] = (0,)
    limit_s: float = 4 * 3600.0


@dataclass(frozen=True, kw_only=True)
class Done:
    """How a job ended. status: ok, failed or timeout; seconds: wall time of this attempt."""

    key: str
    status: str
    reason: str = ""
    seconds: float = 0.0


Executor = Callable[[Sequence[Job], Path, int], Iterator[Done]]


def finished(store: Path, key: str) -> bool:
    """Tell whether a job's result is in the store."""
    return (store / key / RECORD).is_file()


def run_missing(jobs: Sequence[Job], store: Path, executor: Executor, at_once: int) -> dict[str, str]:
    """Run the jobs that the store lacks; return why those failed that did, by key."""
    for left in store.glob(f"{PART}*"):  # of a sweep that was killed while it stored a result
        shutil.rmtree(left)
    todo = [job for job in jobs if not finished(store, job.key)]
    if len(todo) < len(jobs):
        say(f"{len(jobs) - len(todo)} of {len(jobs)} jobs are finished already")
    failed: dict[str, str] = {}
    names = {job.key: job.name for job in jobs}
    with track("jobs", len(todo)) as advance:
        for done in executor(todo, store, at_once) if todo else ():
            if done.status != "ok":
                failed[done.key] = f"{done.status}: {done.reason}"
                say(f"{names[done.key]}: {failed[done.key]}")
            advance(note=names[done.key])
    return failed


def run_jobs(jobs: Sequence[Job], folder: Path, executor: Executor, at_once: int) -> dict[str, Any]:
    """Run the jobs that the store in `folder` lacks, and put all results together."""
    store = folder / "jobs"
    failed = run_missing(jobs, store, executor, at_once)
    results, timings = [], []
    for job in jobs:
        row = {"key": job.key, "job": job.name, "device": job.device}
        if job.key in failed:
            results.append({**row, "status": "failed", "reason": failed[job.key]})
            continue
        document = json.loads((store / job.key / "results.json").read_text())
        record = json.loads((store / job.key / "job.json").read_text())
        results.append({**row, "status": "ok", "reason": "", **agreed(document)})
        timings.append({**row, "seconds": record["seconds"], **timed(document)})
    write_json(folder / "timings.json", {"schema": 1, "jobs": timings})
    write_json(folder / "results.json", {"schema": 1, "jobs": results})
    return {"schema": 1, "jobs": results, "timings": timings}


def agreed(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what two machines of one kind must agree on."""
    measured = {one["artifact"]: one for one in document.get("measurements", [])}
    return {
        "model": document.get("model"),
        "data": document.get("data"),
        "files": [
            {**{key: one.get(key) for key in _AGREED},
             **{key: measured.get(one["name"], {}).get(key) for key in ("status", "metric", "value", "n", "agreement")}}
            for one in document.get("artifacts", [])
        ],
    }  # fmt: skip


def timed(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what belongs to the machine: latencies, and the verdicts that rest on them."""
    return {
        "latency_us": {one["artifact"]: one.get("latency_us") for one in document.get("measurements", [])},
        "verdicts": {one["artifact"]: one["verdict"] for one in document.get("verdicts", [])},
    }

"""One question to a device: what it has, what a file is there, what it answers, how long its operators take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EdgewrightError
from .jobs import Inputs, Orders, opened, progress, scratch, send
from .model_file import ModelFile
from .transports.transport import Event, Outcome, Session, Transport, connect, run_job
from .verdict.results import SIMULATED

PROBE_S = 60.0  # the slowest emulated device takes a few seconds to import NumPy


def described(device: str | Transport) -> Event:
    """Return what a device says of itself: system, cpu, what that lacks, cores, memory, runtimes, features.

    Raises: EdgewrightError if it does not answer; DeviceLost if it cannot be reached.
    """
    transport = connect(device)
    with transport.session() as session:
        outcome = run_job(session, {"mode": "probe", "models": [], "time_limit_s": PROBE_S})
    if not outcome.ok:
        raise EdgewrightError(f"{transport.name}: {outcome.status}: {outcome.reason}")
    told = {**outcome.one("start"), **outcome.one("probe")}
    return {key: value for key, value in told.items() if key != "event"}


def inspect(path: ModelFile | str | Path, *, device: str | Transport = "local", **config: Any) -> Outcome:
    """Let the device say what a file is: its outcome, with operators, formats, inputs and outputs in event `model`."""
    with opened(path, device, config) as (file, session, orders):
        return run_job(session, orders.job("inspect", [orders.model(file, 0)]))


def answers(
    path: ModelFile | str | Path, inputs: Inputs, *, device: str | Transport = "local", **config: Any
) -> np.ndarray:
    """Run every sample of `inputs` through one file and return its first output as float32, (N, ...); nothing is timed.

    Raises: EdgewrightError with the runtime's words if the file does not run.
    """
    with opened(path, device, config) as (file, session, orders), scratch() as folder:
        sent, model = send(session, folder, inputs), orders.model(file, 0)
        if "stateful" not in file.manifest:  # a file that we did not make
            looked = run_job(session, orders.job("inspect", [model]))
            model["stateful"] = looked.ok and bool(looked.one("model").get("stateful"))
        job = orders.job("accuracy", [model], inputs=sent, outputs=session.path("answers.npy"))
        outcome = run_job(session, job, progress(f"running {file.name}"))
        if not outcome.ok:
            raise EdgewrightError(f"{file.path}: {outcome.status} on {device}: {outcome.reason}")
        session.get("answers.npy", folder / "answers.npy")
        return np.load(folder / "answers.npy", allow_pickle=False)


def profile(
    path: ModelFile | str | Path, inputs: Inputs, *, device: str | Transport = "local", **config: Any
) -> dict[str, Any]:
    """Return the time of each operator of a file: {artifact, device, runtime, rows, reason, inferences, inference_us}.

    rows: [{operator, name, us, share, calls}] of one inference in the order of execution, or None where the runtime
    does not tell, for that reason. Runtimes count in whole microseconds, which XNNPACK rounds down: what the shares
    are of may be less than inference_us, the median of inferences that were not looked into.
    Raises: EdgewrightError with the runtime's words if it does not run.
    """
    with opened(path, device, config) as (file, session, orders), scratch() as folder:
        sent = send(session, folder, inputs)
        entry, outcome = profile_entry(orders, session, file.name, orders.model(file, 0), sent)
    if not outcome.ok:
        raise EdgewrightError(f"{file.path}: {outcome.status} on {device}: {outcome.reason}")
    return entry


def profile_entry(
    orders: Orders, session: Session, name: str, model: dict[str, Any], sent: dict[str, str]
) -> tuple[dict[str, Any], Outcome]:
    """Return what results say of a file's operators, and how the job ended."""
    transport = orders.transport
    entry: dict[str, Any] = {
        "artifact": name, "device": transport.name, "runtime": model["runtime"], "rows": None, "reason": "",
        "inferences": None, "inference_us": None,
    }  # fmt: skip
    if transport.emulated:
        return {**entry, "reason": "times of an emulated processor mean nothing"}, Outcome(status="ok")
    if transport.simulated:
        return {**entry, "reason": SIMULATED}, Outcome(status="ok")
    with transport.exclusive(model["threads"]) as cores:
        outcome = run_job(session, orders.job("profile", [model], inputs=sent, cores=cores))
    if not outcome.ok:
        return {**entry, "reason": f"{outcome.status}: {outcome.reason}"}, outcome
    told = {key: value for key, value in outcome.one("profile").items() if key != "event"}
    return {**entry, **told}, outcome

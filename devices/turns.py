"""Times of many files that nobody judges, in turns within one job: for tables, where a verdict would be too dear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..errors import BadInput, EdgewrightError
from .asking import inspect
from .jobs import Inputs, opened, scratch, send
from .model_file import ModelFile
from .transports.transport import Outcome, Transport, connect, run_job

LATENCY = {"block_ms": 3.0, "min_rounds": 15, "max_rounds": 15, "precision": None, "time_limit_s": 900.0}
FACTS = ("system", "cpu", "cores", "packages")  # of a device, that times depend on


def timed_in_turns(
    files: Mapping[str, tuple[Path, Inputs]], *, device: str | Transport = "local", threads: int = 1
) -> dict[str, np.ndarray]:
    """Return for each file the median microseconds of an inference in each round, the rounds in random order.

    files: name -> path and samples. Raises: BadInput for a device whose times mean nothing, EdgewrightError naming the
    file that the device does not run.
    """
    transport = check_timed(device)
    names = list(files)
    first = ModelFile.read(files[names[0]][0])
    config = {"threads": threads, **LATENCY}
    with opened(first, transport, config) as (_, session, orders), scratch() as folder:
        models = [
            {**orders.model(ModelFile.read(path), i), "inputs": send(session, folder, inputs, None, f"{i}-")}
            for i, (path, inputs) in enumerate(files.values())
        ]
        with transport.exclusive(threads) as cores:
            rounds = {"min_rounds": LATENCY["min_rounds"], "max_rounds": LATENCY["max_rounds"]}
            job = orders.job("latency", models, inputs=models[0]["inputs"], cores=cores, pairs=[], precision=None,
                             block_us=1000 * LATENCY["block_ms"], max_seconds=60.0, **rounds)  # fmt: skip
            outcome = run_job(session, job)
    if not outcome.ok:
        raise EdgewrightError(f"{_blamed(outcome, names)}{outcome.status} on {transport.name}: {outcome.reason}")
    found: dict[str, list[float]] = {name: [] for name in names}
    for event in outcome.all("block"):
        found[names[event["model"]]].append(float(np.median(event["us"])))
    return {name: np.array(values) for name, values in found.items()}


def described(path: Path, *, device: str | Transport = "local", threads: int = 1) -> dict[str, object]:
    """Return what times on a device depend on: its name, system, processor, cores, the versions of what runs a file."""
    transport = check_timed(device)
    outcome = inspect(path, device=transport, threads=threads)
    if not outcome.ok:
        raise EdgewrightError(f"{path.name}: {outcome.status} on {transport.name}: {outcome.reason}")
    told = outcome.one("start")
    return {"device": transport.name, "threads": threads, **{name: told.get(name) for name in FACTS}}


def check_timed(device: str | Transport) -> Transport:
    """Return the device.  Raises: BadInput if it is unknown, or emulated or simulated: its times mean nothing."""
    transport = connect(device)
    if transport.emulated or transport.simulated:
        kind = "emulated" if transport.emulated else "simulated"
        raise BadInput(f"device={transport.name!r} is {kind}: its times mean nothing; name a real one")
    return transport


def _blamed(outcome: Outcome, names: Sequence[str]) -> str:
    loading = [event["model"] for event in outcome.all("load")]
    return f"{names[loading[-1]]}: " if loading else ""

"""What else a job may ask for: a device's description, a file's, its answers, and a profile of it."""

from __future__ import annotations

import os
import platform
import time
from typing import Any

import numpy as np

from .faults import Unavailable, Untold, refusing
from .kinds import Job, Say
from .latency import FEEDS
from .machine import (
    FEATURES,
    WITHOUT_VNNI,
    cpu_flags,
    cpu_name,
    lacking,
    lacks_vnni,
    memory_bytes,
    microseconds_since,
    overflowing,
    peak_bytes,
    pin,
    start_peak,
    telemetry,
    version,
)
from .runtimes import RUNTIMES, load, runtime_module
from .samples import load_arrays
from .states import Names, Stepper, samples_of

PEAK_AFTER = 3  # inferences after which a runtime has allocated all it will


def environment(job: Job):
    """Describe the device: system, processor, versions of the runtimes the job uses."""
    packages, remarks = {"numpy": np.__version__}, []
    for spec in job["models"]:
        distribution = RUNTIMES[spec["runtime"]][1]
        packages[distribution] = version(distribution) or "absent"
        if overflowing(spec) and spec["runtime"] in WITHOUT_VNNI:
            remarks.append(WITHOUT_VNNI[spec["runtime"]])
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": cpu_name() + (" (no VNNI)" if lacks_vnni() else ""),
        "lacks": lacking(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": packages,
        "remarks": sorted(set(remarks)),
    }


def inspect(job: Job, say: Say):
    """Report operators, number formats, inputs and outputs of one model."""
    spec = job["models"][0]
    model = load(spec)
    if spec.get("states"):
        Stepper(model, spec["states"], Names(model, spec.get("named")))  # refuses states that the file does not have
    tell(model, say)


def tell(model: Any, say: Say):
    """Say what an open model is: its operators with their number formats, its inputs and outputs."""
    with refusing():
        found = model.inspect()
        kinds = [layer.pop("kind") for layer in found["layers"]]
        graph = found.pop("graph", None)
        if graph:
            say("graph", **graph)
        say(
            "model",
            inputs=model.inputs,
            outputs=model.outputs,
            quantized_ops=kinds.count("quantized") if kinds else None,
            float_ops=kinds.count("float") if kinds else None,
            **found,
        )


def accuracy(job: Job, say: Say):
    """Run every sample once, batch 1; write the float outputs to `outputs`, an .npy that is whole or absent.

    Where the job says `tell`, what `inspect` does is reported too, once all else is measured.

    Also reported: load time, time of the first inference, and the peak of resident memory above what the process
    held before the file was opened (the runtime's library is not counted, the model and its buffers are).
    """
    spec = job["models"][0]
    runtime_module(spec["runtime"])
    before = start_peak()
    started = time.perf_counter_ns()
    model = load(spec)
    load_us = microseconds_since(started)
    samples = samples_of(spec, load_arrays(job["inputs"]), model)
    if not len(samples):
        raise Unavailable("there are no samples to run")
    output = [job.get("output", 0)]
    (first,), first_us = samples.answer(0, output)
    for i in range(1, min(PEAK_AFTER, len(samples))):
        samples.invoke(i)
    peak = peak_bytes()
    target = job["outputs"]
    shape = (len(samples), *first.shape)
    values = np.lib.format.open_memmap(target + ".part", mode="w+", dtype=first.dtype, shape=shape)
    model.reset()
    said = time.monotonic()
    for i in range(len(samples)):
        (values[i],), _ = samples.answer(i, output)
        if time.monotonic() - said > 0.5:
            said = time.monotonic()
            say("progress", done=i + 1, total=len(samples))
    values.flush()
    os.replace(target + ".part", target)
    if job.get("tell"):
        tell(model, say)
    say(
        "accuracy",
        n=len(samples),
        load_us=load_us,
        first_us=first_us,
        peak_ram_bytes=None if peak is None or before is None else max(0, peak - before),
    )


def probe(job: Job, say: Say):
    """Say what this device has: memory, instructions that matter to int8, runtimes, and how its clock is governed."""
    flags = cpu_flags()
    say(
        "probe",
        runtimes={name: version(distribution) for name, (_, distribution, _) in RUNTIMES.items()},
        features=[flag for flag in FEATURES if flag in flags],
        memory_bytes=memory_bytes(),
        allowed_cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        **telemetry(None),
    )


def profile(job: Job, say: Say):
    """Report how long each operator of one model takes; `rows` is null, and `reason` says why, where none tells.

    Beside it, for comparison, the median of inferences that nobody looked into. Reads `cores`, as latency does.
    """
    pin(job.get("cores"))
    model = load(dict(job["models"][0], profile=True))
    samples = samples_of(job["models"][0], load_arrays(job["inputs"]), model)
    try:
        with refusing():
            rows, nanoseconds = model.profile(samples.inputs(FEEDS))
    except Untold as error:
        say("profile", rows=None, reason=str(error))
        return
    total = sum(row["us"] for row in rows)
    if not total:
        say("profile", rows=None, reason="no operator takes a microsecond, which is the runtime's clock")
        return
    for row in rows:
        row["share"] = row["us"] / total
    say("profile", rows=rows, inferences=len(nanoseconds), inference_us=float(np.median(nanoseconds)) / 1000)

"""What runs on a device: it opens model files there and streams what it measured as JSON lines.

Needs Python 3.8, NumPy and a runtime (ai_edge_litert, tflite_runtime or onnxruntime), nothing else of Edgewright. The
package goes to a device as one zip file (`transports/shipment.py`):

    python agent.zip job.json

job: {"mode": one of MODES, "models": [{"path", "sha256", "runtime", "threads", "stateful", "states": {output: input},
"kernels", "delegate": {"path", "options"}}], "inputs": {name: path of an .npy of shape (N, ...)}, "time_limit_s",
"memory_bytes"} and what the mode itself reads. Of a model with states, inputs are sequences (N, T, ...).
Standard output carries the lines, standard error is free text. The last line is `done`, or `rejected` where the
runtime refuses the model. A model may also kill or hang this process: whoever started it sees that.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from typing import Any

from .faults import Rejected, Unavailable, Untold, refusing
from .kinds import Job
from .latency import latency
from .machine import peak_bytes
from .modes import accuracy, environment, inspect, probe, profile
from .onnx_runtime import onnx_options
from .runtimes import RUNTIMES, LiteRT, open_model, runtime_module
from .samples import dequantize, quantize
from .serve import serve
from .timing import enough, run_timed

MODES = {
    "accuracy": accuracy, "inspect": inspect, "latency": latency, "probe": probe, "profile": profile, "serve": serve,
}  # fmt: skip


def confine(job: Job):
    """Die with the parent, at the time limit even inside native code, and before the memory limit is passed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if job.get("parent") and os.getppid() != job["parent"]:
            sys.exit("the process that started this job is gone")
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, job["time_limit_s"])
    if os.name == "posix":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if job.get("memory_bytes"):
            resource.setrlimit(resource.RLIMIT_AS, (job["memory_bytes"], job["memory_bytes"]))


def lines():
    """Return `say(event, **fields)`; what native code prints to standard output goes to standard error instead."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(event: str, **fields: Any):
        channel.write(json.dumps(dict(fields, event=event), separators=(",", ":")) + "\n")
        channel.flush()

    return say


def main(path: str):
    """Do the job that a file describes."""
    with open(path, encoding="utf-8") as file:
        job = json.load(file)
    confine(job)
    say = lines()
    say("start", **environment(job))
    try:
        MODES[job["mode"]](job, say)
        say("done")
    except Rejected as error:
        say("rejected", reason=str(error))
    except (Unavailable, OSError) as error:
        say("unavailable", reason=str(error))


__all__ = [
    "RUNTIMES", "LiteRT", "Rejected", "Unavailable", "Untold", "dequantize", "enough", "main", "onnx_options",
    "open_model", "peak_bytes", "quantize", "refusing", "run_timed", "runtime_module",
]  # fmt: skip

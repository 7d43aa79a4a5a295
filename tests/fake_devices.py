"""Devices that are not there: one that answers every job at once, and one that vanishes at a chosen moment."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from edgewright.devices.transports.transport import DeviceLost, Exit


@dataclass
class Null:
    """A device whose runtime answers zeros in no time. open: how many of its sessions are."""

    name: str = "null"
    emulated: bool = False
    simulated: bool = False
    runtimes: dict = field(default_factory=dict)
    open: int = 0

    @contextmanager
    def session(self) -> Iterator["NullSession"]:
        self.open += 1
        try:
            yield NullSession()
        finally:
            self.open -= 1

    @contextmanager
    def exclusive(self, cores: int) -> Iterator[None]:
        yield None


class NullSession:
    """Holds the bytes of what is put; writes outputs on request."""

    def __init__(self):
        self._files: dict[str, bytes] = {}

    def put(self, source, name):
        self._files[name] = Path(source).read_bytes()
        return name

    def get(self, name, destination):
        np.save(destination, np.zeros((64, 4), np.float32))

    def path(self, name):
        return name

    def run(self, job, on_line):
        for event, fields in self._events(job):
            on_line(json.dumps({**fields, "event": event}))
        return Exit(code=0, timed_out=False)

    def _events(self, job):
        yield "start", {"system": "null", "cpu": "none", "cores": 1, "python": "", "packages": {}}
        if job["mode"] == "inspect":
            layer = {"name": "y", "op": "ADD", "dtype": "float32", "sparsity": None}
            yield "model", {"inputs": [], "outputs": [], "layers": [layer], "quantized_ops": 0, "float_ops": 1,
                            "stateful": False, "partitions": 1}  # fmt: skip
        elif job["mode"] == "accuracy":
            yield "accuracy", {"n": 64, "load_us": 1.0, "first_us": 1.0, "peak_ram_bytes": 1}
        else:
            yield from self._latency(job)
        yield "done", {}

    def _latency(self, job):
        yield "rounds", {"pinned": None, "reload": False}
        yield "telemetry", {"t": 0.0}
        for number in range(job["min_rounds"]):
            for model in range(len(job["models"])):
                yield "block", {"model": model, "round": number, "t": number + 0.1, "us": [1.0, 1.0]}
        yield "telemetry", {"t": 1.0 * job["min_rounds"]}


class Faulty:
    """`device`, but at the call number `at` (opening, placing, fetching, starting a job, each line of its) it is gone.

    Without `at` it only counts. Once gone it stays gone.
    """

    def __init__(self, device, at=None):
        self._device, self._at, self.calls = device, at, 0
        self.name, self.emulated, self.simulated = device.name, device.emulated, device.simulated
        self.runtimes = device.runtimes

    def call(self):
        self.calls += 1
        if self._at is not None and self.calls >= self._at:
            raise DeviceLost(f"{self.name} vanished at call {self.calls}")

    @contextmanager
    def session(self):
        self.call()
        with self._device.session() as session:
            yield _FaultySession(session, self.call)

    def exclusive(self, cores):
        return self._device.exclusive(cores)


class _FaultySession:
    def __init__(self, session, call):
        self._session, self._call = session, call
        self.path = session.path

    def put(self, source, name):
        self._call()
        return self._session.put(source, name)

    def get(self, name, destination):
        self._call()
        self._session.get(name, destination)

    def run(self, job, on_line):
        def on_line_or_gone(line):
            self._call()
            on_line(line)

        self._call()
        return self._session.run(job, on_line_or_gone)

"""How a device is reached: put files there, run the agent on a job, get files back.

A transport knows one way (a local process, SSH, ADB, an emulator). What a job's end means (ok, rejected, crashed,
timeout, incomplete) is decided here, once for all of them.
"""

from __future__ import annotations

import importlib
import json
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ...errors import BadInput, EdgewrightError
from . import inventory

TRANSPORTS = {  # scheme of a device's name: where its class is
    "adb": ".adb:Adb",
    "browser": ".browser:Browser",
    "local": ".local:Local",
    "onnxruntime-qnn": "..runtimes.qnn:Qnn",
    "openvino": "..runtimes.openvino:OpenVino",
    "qemu-aarch64": ".qemu:Qemu",
    "qemu-x86_64": ".qemu:QemuX86",
    "ssh": ".ssh:Ssh",
    "tflite-micro": "..runtimes.tflite_micro:TfliteMicro",
    "tflite-runtime": "..runtimes.tflite_runtime:TfliteRuntime",
}
GRACE_S = 5.0  # the agent ends itself at the time limit; the transport kills what is left this much later

SERVE_S = 24 * 3600.0  # how long an agent that answers requests may stay, with somebody there to ask

Event = dict[str, Any]
Cores = list[int] | int | None  # run on these; on that many of the agent's own choice; or unpinned


class DeviceLost(EdgewrightError):
    """The way to the device broke: what was measured so far is incomplete."""


@dataclass(frozen=True, kw_only=True)
class Exit:
    """How the agent's process ended. code: as in `subprocess`, negative for a signal; stderr: its last lines."""

    code: int
    timed_out: bool
    stderr: str = ""


class JobFailed(EdgewrightError):
    """A job came to no end for a reason that is not the way to the device. outcome: what came of it."""

    def __init__(self, outcome: Outcome):
        super().__init__(f"{outcome.status}: {outcome.reason}")
        self.outcome = outcome


class Conversation(Protocol):
    """An agent that stays, and answers requests as lines."""

    def tell(self, line: str, limit_s: float) -> None:
        """Send a line. That it has ended is seen when its answer is waited for."""
        ...

    def hear(self, limit_s: float) -> str | None:
        """Return the next line, or None where it has ended or does not answer in time: then `end` says why."""
        ...

    def end(self) -> Exit:
        """End it, with all that it started; return how it ended.  Raises: DeviceLost if the way to it broke."""
        ...


class Session(Protocol):
    """A fresh folder on the device, which disappears with the session."""

    def put(self, source: Path, name: str) -> str:
        """Place a file in the folder; return the path by which a job names it."""
        ...

    def get(self, name: str, destination: Path) -> None:
        """Fetch a file of the folder. Raises: DeviceLost if that fails."""
        ...

    def path(self, name: str) -> str:
        """Return the path on the device of a file that a job is to write."""
        ...

    def run(self, job: Event, on_line: Callable[[str], None]) -> Exit:
        """Run the agent on `job`, passing each line it prints; never longer than its `time_limit_s` + GRACE_S.

        Reaching the device comes on top of that. Nothing the agent started outlives this call, however it ends.
        Raises: DeviceLost if the way to the device broke, or if the device does not answer.
        """
        ...

    def converse(self, job: Event) -> Conversation:
        """Start the agent on `job`, of mode "serve"; it ends with `end`, with us, or with the connection.

        Raises: DeviceLost as `run` does; BadInput where this way to a device has no such agent.
        """
        ...


class Transport(Protocol):
    """One device, made by `connect` from `address=, name=` and its options (texts, named in the class's OPTIONS)."""

    @property
    def name(self) -> str:
        """What results call the device."""
        ...

    @property
    def emulated(self) -> bool:
        """True where the processor is emulated: results hold, times mean nothing."""
        ...

    @property
    def simulated(self) -> bool:
        """True where a runtime stands in for that of another device: answers hold, nothing is timed."""
        ...

    @property
    def runtimes(self) -> Mapping[str, str]:
        """Which runtime opens a format, where this device has but one; other formats are the caller's choice."""
        ...

    def session(self) -> AbstractContextManager[Session]:
        """Hold the device for a series of jobs. Raises: DeviceLost if it cannot be reached."""
        ...

    def exclusive(self, cores: int) -> AbstractContextManager[Cores]:
        """Wait for, then hold, that many cores for timing; yield what the job's `cores` shall be."""
        ...


@dataclass(kw_only=True)
class Outcome:
    """What came of a job. status: ok, rejected (by the runtime), crashed, timeout, incomplete (the device's fault)."""

    status: str
    reason: str = ""
    events: list[Event] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Tell if the job was done."""
        return self.status == "ok"

    def all(self, event: str) -> Iterator[Event]:
        """Return the events of a kind."""
        return (found for found in self.events if found["event"] == event)

    def one(self, event: str) -> Event:
        """Return the first event of a kind."""
        return next(self.all(event))


def connect(device: str | Transport) -> Transport:
    """Return the transport of a device: a name of the inventory, or `scheme://address?option=value` (see TRANSPORTS).

    Raises: BadInput listing what is known, or naming the option that is not.
    """
    if not isinstance(device, str):
        return device
    known = inventory.load()
    return build(known.get(device) or inventory.Entry.read(device), device.partition("?")[0], known)


def build(entry: inventory.Entry, name: str, known: Mapping[str, inventory.Entry] | None = None) -> Transport:
    """Return the transport of an inventory's entry; results call it `name`.  Raises: BadInput."""
    if entry.scheme not in TRANSPORTS:
        allowed = ", ".join([*sorted(TRANSPORTS), *(known or {})])
        raise BadInput(f"device={name!r} is not known; allowed: {allowed} (see `edgewright devices list`)")
    module, _, name_of_class = TRANSPORTS[entry.scheme].partition(":")
    transport = getattr(importlib.import_module(module, __package__), name_of_class)
    unknown = sorted(set(entry.options) - set(transport.OPTIONS))
    if unknown:
        allowed = ", ".join(transport.OPTIONS) or "none"
        raise BadInput(f"device={name!r}: option {unknown[0]!r} is not known to {entry.scheme}; allowed: {allowed}")
    return transport(address=entry.address, name=name, **entry.options)


class Dialogue:
    """Requests to an agent that stays, and its answers. One that has ended answers no more."""

    def __init__(self, session: Session, job: Event):
        self._limit_s = job["time_limit_s"]
        self._talk = session.converse(job)
        self._last: Event = {"event": "nothing"}
        self._ended = False

    def wait(self, wanted: str) -> Event:
        """Return the next event of a kind.

        Raises: JobFailed if the agent refuses, dies or takes too long; DeviceLost if the way to it broke.
        """
        while not self._ended:
            line = self._talk.hear(self._limit_s + GRACE_S)
            if line is None:
                break
            self._last = json.loads(line)
            if self._last["event"] == wanted:
                return self._last
        raise self._failure()

    def ask(self, **request: Any) -> Event:
        """Send a request; return its answer.  Raises: as `wait` does."""
        if not self._ended:
            self._talk.tell(json.dumps(request, separators=(",", ":")), self._limit_s)
        return self.wait("answer")

    def end(self) -> None:
        """End the agent."""
        if not self._ended:
            self._ended = True
            with suppress(DeviceLost):
                self._talk.end()

    def _failure(self) -> EdgewrightError:
        """Say why there is no answer."""
        if self._ended:
            return DeviceLost("the agent has ended")
        self._ended = True
        try:
            status, reason = _classify(self._talk.end(), self._last, self._limit_s)
        except DeviceLost as error:
            return error
        if status == "incomplete":
            return DeviceLost(reason)
        if status == "ok":
            return DeviceLost("the agent ended before it answered")
        return JobFailed(Outcome(status=status, reason=reason))


def run_job(session: Session, job: Event, on_event: Callable[[Event], None] = lambda event: None) -> Outcome:
    """Run `job` in `session` and say what came of it. A dead, hanging or lost agent is an outcome, not an exception."""
    events: list[Event] = []

    def on_line(line: str) -> None:
        event = json.loads(line)
        if not isinstance(event, dict) or "event" not in event:
            raise ValueError(f"{line[:80]!r} is no event")
        events.append(event)
        on_event(event)

    try:
        ended = session.run(job, on_line)
    except DeviceLost as error:
        return Outcome(status="incomplete", reason=str(error), events=events)
    except ValueError as error:
        return Outcome(status="crashed", reason=f"the agent's output is garbled: {error}", events=events)
    status, reason = _classify(ended, events[-1] if events else {"event": "nothing"}, job["time_limit_s"])
    return Outcome(status=status, reason=reason, events=events)


def _classify(ended: Exit, last: Event, limit_s: float) -> tuple[str, str]:
    if ended.timed_out or _signal(ended.code) == signal.SIGALRM:
        return "timeout", f"no result within {limit_s:g} s"
    if ended.code == 0 and last["event"] == "done":
        return "ok", ""
    if ended.code == 0 and last["event"] in ("rejected", "unavailable"):
        return {"rejected": "rejected", "unavailable": "incomplete"}[last["event"]], last["reason"]
    killer = _signal(ended.code)
    if killer:
        return "crashed", f"the runtime's process died of {killer.name}"
    words = ended.stderr.strip().splitlines()
    return "crashed", f"the agent ended with code {ended.code}: {words[-1] if words else 'no message'}"


def _signal(code: int) -> signal.Signals | None:
    """Return the signal behind an exit code: negative from a process here, 128 + signal through a remote shell."""
    number = -code if code < 0 else code - 128
    return signal.Signals(number) if number in {each.value for each in signal.Signals} else None

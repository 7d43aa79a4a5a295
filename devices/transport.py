"""How a device is reached: put files there, run the agent on a job, get files back.

A transport knows one way (a local process, SSH, ADB, an emulator). What a job's end means (ok, rejected, crashed,
timeout, incomplete) is decided here, once for all of them.
"""

import importlib
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..errors import BadInput, EdgewrightError

AGENT = Path(__file__).with_name("agent.py")
TRANSPORTS = {"local": ".local:Local"}  # scheme of a device's name: where its class is
GRACE_S = 5.0  # the agent ends itself at the time limit; the transport kills what is left this much later

Event = dict[str, Any]


class DeviceLost(EdgewrightError):
    """The way to the device broke: what was measured so far is incomplete."""


@dataclass(frozen=True, kw_only=True)
class Exit:
    """How the agent's process ended. code: as in `subprocess`, negative for a signal; stderr: its last lines."""

    code: int
    timed_out: bool
    stderr: str = ""


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

        Nothing the agent started outlives this call, however it ends. Raises: DeviceLost.
        """
        ...


class Transport(Protocol):
    """One device."""

    @property
    def name(self) -> str:
        """What results call the device."""
        ...

    @property
    def emulated(self) -> bool:
        """True where the processor is emulated: results hold, times mean nothing."""
        ...

    def session(self) -> AbstractContextManager[Session]: ...

    def exclusive(self, cores: int) -> AbstractContextManager[list[int] | None]:
        """Wait for, then hold, that many cores for timing; yield them, or None where the device cannot pin."""
        ...


@dataclass(kw_only=True)
class Outcome:
    """What came of a job. status: ok, rejected (by the runtime), crashed, timeout, incomplete (the device's fault)."""

    status: str
    reason: str = ""
    events: list[Event] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    def all(self, event: str) -> Iterator[Event]:
        return (found for found in self.events if found["event"] == event)

    def one(self, event: str) -> Event:
        return next(self.all(event))


def connect(device: "str | Transport") -> "Transport":
    """Return the transport of a device's name, such as `local`.  Raises: BadInput listing the known ones."""
    if not isinstance(device, str):
        return device
    scheme, _, address = device.partition("://")
    if scheme not in TRANSPORTS:
        raise BadInput(f"device={device!r} is not known; allowed: {', '.join(sorted(TRANSPORTS))}")
    module, _, name = TRANSPORTS[scheme].partition(":")
    transport = getattr(importlib.import_module(module, __package__), name)
    return transport(address) if address else transport()


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

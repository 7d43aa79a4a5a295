"""Any device that gives us a POSIX shell by a command of this machine: what SSH and ADB have in common.

Nothing that a user named reaches the far shell unquoted, and no file there is named after a user's file. One command
holds the session's folder there: when its standard input ends, with the session, with us or with the connection, the
folder goes. The agent runs under a watcher (`agent/watch.py`) that dies in the same way, and kills the agent first.
"""

import json
import re
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import ClassVar, Protocol

from ... import files
from ...errors import BadInput
from . import shipment
from .child import END_S, Child, follow
from .locks import held
from .transport import GRACE_S, SERVE_S, Cores, DeviceLost, Event, Exit

CALL_S = 30.0  # limit of a short command there, connecting included
WATCH_S = 2.0  # the agent ends itself at the time limit; the watcher there kills it this much later
NOTICE_S = 2.0  # how much later than a command that failed for it the end of the connection may be heard of
SLOWEST_LINK = 50_000  # bytes per second; a slower one counts as broken
# What a login script prints comes before the marker. The machine's own id tells two names of one machine.
_HOLD = """umask 077
folder=$(mktemp -d "$1/edgewright-XXXXXXXX") || exit 1
printf 'edgewright:%s:%s\\n' "$folder" "$(cat /etc/machine-id 2>/dev/null)"
cat >/dev/null
rm -rf "$folder" || { sleep 1; rm -rf "$folder"; }"""
_HELD = re.compile(r"edgewright:(/.*):([0-9a-f]*)\n?")
_PUT = 'cat >"$1.part" && mv -f "$1.part" "$1"'
EXIT = re.compile(r"^edgewright-exit (-?\d+)\n?", re.MULTILINE)


class Way(Protocol):
    """How to reach a shell. python: the interpreter there; folder: where temporary folders are made; cores: to use."""

    @property
    def name(self) -> str:
        """What results call the device."""
        ...

    @property
    def python(self) -> str:
        """The interpreter there."""
        ...

    @property
    def folder(self) -> str:
        """Where temporary folders are made there."""
        ...

    @property
    def cores(self) -> str:
        """Which cores to time on; "" for any."""
        ...

    def command(self, line: str, link: Path, *, first: bool = False) -> list[str]:
        """Return the words of the local command that runs a line of shell on the device.

        link: where the first command of a session may leave a socket by which the others share its connection.
        """
        ...

    def explain(self, complaint: str) -> str:
        """Say in a user's words what the local command complained of."""
        ...


def check(way: Way) -> None:
    """Refuse options that cannot hold on the device. Raises: BadInput."""
    for option, value in (("python", way.python), ("folder", way.folder), ("cores", way.cores)):
        if not value.isprintable():
            raise BadInput(f"device={way.name!r}: {option}={value!r} holds a control character")
    if not way.folder.startswith("/"):
        raise BadInput(f"device={way.name!r}: folder={way.folder!r} must be an absolute path on the device")
    if way.cores and not re.fullmatch(r"\d{1,4}(,\d{1,4})*", way.cores):
        raise BadInput(f"device={way.name!r}: cores={way.cores!r} must be numbers such as 2,3")


@dataclass(frozen=True, kw_only=True)
class ShellDevice:
    """What devices with a shell share. REFUSED: pairs of what the local command says and what it means."""

    REFUSED: ClassVar[Sequence[tuple[str, str]]] = ()

    address: str
    name: str
    python: str = "python3"
    folder: str = "/tmp"
    cores: str = ""
    emulated: bool = False
    simulated: bool = False
    runtimes: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def exclusive(self, cores: int) -> Iterator[Cores]:
        """Return which cores to time on: the session holds the device already."""
        yield chosen(self.cores) or cores  # the session holds the device already

    def explain(self, complaint: str) -> str:
        """Say what the local command complained of."""
        known = (meaning for words, meaning in self.REFUSED if words in complaint)
        return next(known, last_line(complaint))


def chosen(cores: str) -> list[int]:
    """Read the option `cores`."""
    return [int(core) for core in cores.split(",") if core]


def last_line(complaint: str) -> str:
    """Return the last line of a complaint."""
    words = complaint.strip().splitlines()
    return words[-1] if words else "the connection ended without a word"


@contextmanager
def session(way: Way, identity: str) -> Iterator["ShellSession"]:
    """Make a folder on the device and hold the device, under its machine's id or else under `identity`."""
    with tempfile.TemporaryDirectory(prefix="edgewright-", dir="/tmp") as scratch:  # a socket's path must be short
        link = Path(scratch) / "link"
        holder = subprocess.Popen(
            way.command(shlex.join(["sh", "-c", _HOLD, "sh", way.folder]), link, first=True),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            folder, machine = _folder(way, holder)
            with held(f"device-{machine or re.sub('[^A-Za-z0-9.-]', '_', identity)}"):
                opened = ShellSession(way, folder, link, holder)
                opened.put(shipment.write(Path(scratch) / shipment.NAME), shipment.NAME)
                yield opened
        finally:
            with suppress(subprocess.TimeoutExpired, OSError):
                holder.communicate(timeout=END_S)  # ends its standard input, and waits until the folder is gone
            holder.kill()
            holder.wait()


def _folder(way: Way, holder: subprocess.Popen) -> tuple[PurePosixPath, str]:
    """Read (the folder that was made, the machine's id). Raises: DeviceLost."""
    assert holder.stdout is not None and holder.stderr is not None
    timer = threading.Timer(CALL_S, holder.kill)
    timer.start()
    try:
        for line in holder.stdout:
            if found := _HELD.fullmatch(line.decode(errors="replace")):
                return PurePosixPath(found[1]), found[2]
    finally:
        timer.cancel()
    raise DeviceLost(f"{way.name}: {way.explain(holder.stderr.read().decode(errors='replace'))}")


class ShellSession:
    """A temporary folder on the device, and agents there that never outlive the connection that started them."""

    def __init__(self, way: Way, folder: PurePosixPath, link: Path, holder: subprocess.Popen):
        self._way, self._folder, self._link, self._holder = way, folder, link, holder

    def put(self, source: Path, name: str) -> str:
        """Place a file in the folder."""
        with open(source, "rb") as content:
            self._call(["sh", "-c", _PUT, "sh", self.path(name)], size=Path(source).stat().st_size, stdin=content)
        return self.path(name)

    def get(self, name: str, destination: Path) -> None:
        """Fetch a file of the folder, whole or not at all."""
        path = self.path(name)
        size = int(self._call(["wc", "-c", path]).split()[0])
        with files.replacing(destination) as part, open(part, "wb") as content:
            self._call(["cat", path], size=size, stdout=content)
            if content.seek(0, 2) != size:
                raise DeviceLost(f"{self._way.name}: {name} arrived in part")

    def path(self, name: str) -> str:
        """Return where a file of the folder is."""
        return str(self._folder / name)

    def run(self, job: Event, on_line: Callable[[str], None]) -> Exit:
        """Run the agent on a job, under a watcher."""
        limit_s = job["time_limit_s"]
        command = self._command(job, str(limit_s + WATCH_S))
        ended = follow(command, on_line, limit_s=CALL_S + limit_s + GRACE_S, hold_stdin=True)
        if ended.timed_out:  # the watcher there should have ended it long ago
            raise DeviceLost(f"{self._way.name}: no answer within {CALL_S + limit_s + GRACE_S:g} s")
        return self._told(ended)

    def converse(self, job: Event) -> Child:
        """Start an agent that stays, under a watcher that passes requests on."""
        return Child(self._command(job, "--pipe", str(SERVE_S)), told=self._told)

    def _command(self, job: Event, *watching: str) -> list[str]:
        """Place a job; return the words of the local command that runs the agent on it, watched."""
        order = self.path("job.json")
        self._call(["sh", "-c", _PUT, "sh", order], input=json.dumps(job).encode())
        agent = [self._way.python, self.path(shipment.NAME)]
        return self._way.command(shlex.join([*agent, "watch", *watching, *agent, order]), self._link)

    def _told(self, ended: Exit) -> Exit:
        """Read how the agent ended off what the watcher said last.  Raises: DeviceLost where it said nothing."""
        codes = EXIT.findall(ended.stderr)
        if not codes and not ended.timed_out:
            raise DeviceLost(f"{self._way.name}: {self._way.explain(ended.stderr)}")
        return Exit(code=int(codes[-1]) if codes else 1, timed_out=ended.timed_out, stderr=EXIT.sub("", ended.stderr))

    def _call(self, words: Sequence[str], *, size: int = 0, **streams) -> str:
        """Run a short command there, which moves `size` bytes; return what it printed. Raises: DeviceLost."""
        if self._ended():  # another connection would not find the folder any more
            raise DeviceLost(f"{self._way.name}: the connection ended")
        command = self._way.command(shlex.join(words), self._link)
        streams = {
            "stdout": subprocess.PIPE,
            **({} if "input" in streams else {"stdin": subprocess.DEVNULL}),
            **streams,
        }
        limit_s = CALL_S + size / SLOWEST_LINK
        try:
            done = subprocess.run(
                command, stderr=subprocess.PIPE, timeout=limit_s, check=False, start_new_session=True, **streams
            )
        except subprocess.TimeoutExpired as error:
            raise DeviceLost(f"{self._way.name}: no answer within {limit_s:.0f} s") from error
        if done.returncode != 0:
            ended = self._ended(NOTICE_S)  # its client may hear of the end after this call, which then found no folder
            complaint = "the connection ended" if ended else self._way.explain(done.stderr.decode(errors="replace"))
            raise DeviceLost(f"{self._way.name}: {complaint}")
        return (done.stdout or b"").decode(errors="replace")

    def _ended(self, within_s: float = 0.0) -> bool:
        """Tell whether the connection that holds the folder ends within a time."""
        with suppress(subprocess.TimeoutExpired):
            self._holder.wait(within_s)
        return self._holder.poll() is not None

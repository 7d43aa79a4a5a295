"""This machine as a device: the agent runs as a child process, so that a model file cannot take the host with it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import BadInput
from ..progress import say
from .transport import AGENT, GRACE_S, Event, Exit

_LINE_BYTES = 1 << 24  # a longer line is no line of the agent's


@dataclass(frozen=True, kw_only=True)
class Local:
    """The processors of this machine, under the Python `python` (another one may hold another runtime)."""

    python: str = sys.executable
    name: str = "local"
    emulated: bool = False

    @contextmanager
    def session(self) -> Iterator["LocalSession"]:
        with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
            yield LocalSession(Path(folder), self.python)

    @contextmanager
    def exclusive(self, cores: int) -> Iterator[list[int] | None]:
        """Hold the last `cores` cores we may use: interrupts and other programs tend to land on the first."""
        if not hasattr(os, "sched_getaffinity"):  # macOS: no pinning, so one lock for the whole machine
            with _locked("all"):
                yield None
            return
        allowed = sorted(os.sched_getaffinity(0))
        if cores > len(allowed):
            raise BadInput(f"threads={cores}, but only {len(allowed)} cores are available; give at most that many")
        chosen = allowed[-cores:]
        with ExitStack() as held:
            for core in chosen:
                held.enter_context(_locked(str(core)))
            yield chosen


class LocalSession:
    """A temporary folder, and child processes that never outlive the call that started them."""

    def __init__(self, folder: Path, python: str):
        self._folder, self._python = folder, python
        self._agent = folder / "agent.py"  # alone in its folder: nothing there shadows a module it imports
        self._agent.write_bytes(AGENT.read_bytes())

    def put(self, source: Path, name: str) -> str:
        """Link instead of copying; the agent checks the content's sha256 anyway."""
        link = self._folder / name
        link.symlink_to(Path(source).resolve())
        return str(link)

    def get(self, name: str, destination: Path) -> None:
        os.replace(self._folder / name, destination)

    def path(self, name: str) -> str:
        return str(self._folder / name)

    def run(self, job: Event, on_line: Callable[[str], None]) -> Exit:
        order = self._folder / "job.json"
        order.write_text(json.dumps({**job, "parent": os.getpid()}))
        with tempfile.TemporaryFile() as stderr:
            process = subprocess.Popen(
                [self._python, str(self._agent), str(order)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,  # its own process group: we can kill it with its children
            )
            expired = threading.Event()

            def expire() -> None:
                expired.set()
                _kill_group(process)

            timer = threading.Timer(job["time_limit_s"] + GRACE_S, expire)
            timer.start()
            assert process.stdout is not None
            try:
                while line := process.stdout.readline(_LINE_BYTES):
                    if line.endswith(b"\n"):  # a process killed in the middle of a line leaves half of one
                        on_line(line.decode())
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            finally:
                timer.cancel()
                _kill_group(process)  # before its id is given back: the group may hold children still
                code = process.wait()
                process.stdout.close()
            stderr.seek(max(0, stderr.seek(0, os.SEEK_END) - 4000))
            return Exit(code=code, timed_out=expired.is_set(), stderr=stderr.read().decode(errors="replace"))


def _kill_group(process: subprocess.Popen) -> None:
    with suppress(ProcessLookupError, PermissionError):  # the whole group has ended already
        os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def _locked(core: str) -> Iterator[None]:
    """Hold a core against the other runs of this user."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgewright" / "locks"
    cache.mkdir(parents=True, exist_ok=True)
    lock = FileLock(cache / f"core-{core}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"waiting for core {core}: another run is timing on it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()

"""A command of this machine whose output is read line by line, and of which nothing is left when that ends."""

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from .transport import Exit

_LINE_BYTES = 1 << 24  # a longer line is no line of the agent's
_STDERR_BYTES = 4000
END_S = 10.0  # in which a command ends once its input has


def follow(
    command: Sequence[str],
    on_line: Callable[[str], None],
    *,
    limit_s: float,
    hold_stdin: bool = False,
    environment: Mapping[str, str] | None = None,
    started: Callable[[subprocess.Popen], None] = lambda process: None,
) -> Exit:
    """Run `command` for at most `limit_s`, passing each whole line it prints; then kill its process group.

    hold_stdin: give it a standard input that stays open and empty until we end, and closes if we die. started: is
    told of the process, so that another thread can end it.
    """
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if hold_stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment,
            start_new_session=True,  # its own process group: we can kill it with its children
        )
        started(process)
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            _kill_group(process)

        timer = threading.Timer(limit_s, expire)
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
            if process.stdin is not None:
                process.stdin.close()
        stderr.seek(max(0, stderr.seek(0, os.SEEK_END) - _STDERR_BYTES))
        return Exit(code=code, timed_out=expired.is_set(), stderr=stderr.read().decode(errors="replace"))


class Child:
    """A command of this machine that answers lines with lines, and of which nothing is left at its end.

    told: what the way to a device makes of how the command ended.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        told: Callable[[Exit], Exit] = lambda ended: ended,
    ):
        self._told, self._expired = told, threading.Event()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the command)
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, env=environment,
            start_new_session=True,
        )  # fmt: skip

    def tell(self, line: str, limit_s: float) -> None:
        """Send a line. That the command has ended is seen when its answer is waited for."""
        assert self._process.stdin is not None
        with self._limited(limit_s), suppress(BrokenPipeError):
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()

    def hear(self, limit_s: float) -> str | None:
        """Return the next line; None at the end, or where it does not come in time: then the command is killed."""
        assert self._process.stdout is not None
        with self._limited(limit_s):
            line = self._process.stdout.readline()
        return line.decode() if line.endswith(b"\n") else None

    def end(self) -> Exit:
        """Let the command end by itself, at the end of its input, or kill it; return how it ended."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.close()
        with self._limited(END_S), suppress(ValueError):
            while process.stdout.read(1 << 16):  # until the command, and what it started, has closed it
                pass
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it may take its time to end
        expired = self._expired.is_set()
        _kill_group(process)
        code = process.wait()
        process.stdout.close()
        with self._stderr as stderr:
            stderr.seek(max(0, stderr.seek(0, os.SEEK_END) - _STDERR_BYTES))
            words = stderr.read().decode(errors="replace")
        return self._told(Exit(code=code, timed_out=expired, stderr=words))

    @contextmanager
    def _limited(self, limit_s: float) -> Iterator[None]:
        timer = threading.Timer(limit_s, self._expire)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _expire(self) -> None:
        self._expired.set()
        _kill_group(self._process)


def _kill_group(process: subprocess.Popen) -> None:
    with suppress(ProcessLookupError, PermissionError):  # the whole group has ended already
        os.killpg(process.pid, signal.SIGKILL)

"""A command of this machine whose output is read line by line, and of which nothing is left when that ends."""

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from .transport import Exit

_LINE_BYTES = 1 << 24  # a longer line is no line of the agent's
_STDERR_BYTES = 4000


def follow(
    command: Sequence[str],
    on_line: Callable[[str], None],
    *,
    limit_s: float,
    hold_stdin: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Exit:
    """Run `command` for at most `limit_s`, passing each whole line it prints; then kill its process group.

    hold_stdin: give it a standard input that stays open and empty until we end, and closes if we die.
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


def _kill_group(process: subprocess.Popen) -> None:
    with suppress(ProcessLookupError, PermissionError):  # the whole group has ended already
        os.killpg(process.pid, signal.SIGKILL)

"""Runs on a device: start a command, and kill it with its children once whoever asked for it is gone.

    python watch.py [--pipe] LIMIT_S COMMAND...

Standard input stays open as long as the asker is there: it ends with the connection, however that ends. It is empty, or
with `--pipe` passed on to the command. A command that outlives the limit is killed too, and counts as ended by the
alarm. The last line of standard error is `edgewright-exit CODE`, negative for a signal. Needs Python 3.8 and POSIX,
nothing else.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

GONE = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)


def watch(limit_s: float, command: Sequence[str], pipe: bool = False):
    """Run `command` until it ends, the limit passes or standard input does; return its exit code."""
    awake, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # wakes `poll` when the command ends: no polling while it is timed
    given = subprocess.PIPE if pipe else subprocess.DEVNULL
    process = subprocess.Popen(command, stdin=given, start_new_session=True)
    if pipe:
        threading.Thread(target=pass_on, args=(process.stdin, wake), daemon=True).start()
    watched = select.poll()
    watched.register(awake, select.POLLIN)
    watched.register(0, GONE if pipe else select.POLLIN | GONE)
    ready = watched.poll(1000 * limit_s)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # an ended command too: its group may hold children still
    code = process.wait()
    return code if ready else -signal.SIGALRM


def pass_on(pipe: Any, wake: int):
    """Pass standard input on to the command, and wake the watcher at its end."""
    with suppress(OSError):  # the command has ended
        while True:
            given = os.read(0, 1 << 16)
            if not given:
                break
            pipe.write(given)
            pipe.flush()
    with suppress(OSError):
        os.write(wake, b"x")


def main(words: Sequence[str]):
    """Watch a command as the command line says."""
    pipe = words[0] == "--pipe"
    limit_s, *command = words[pipe:]
    ended = watch(float(limit_s), command, pipe)
    sys.stdout.flush()
    os.write(2, f"\nedgewright-exit {ended}\n".encode())


if __name__ == "__main__":
    main(sys.argv[1:])

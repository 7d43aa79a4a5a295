"""Which processes are alive."""

import time
from pathlib import Path


def running(folder: str) -> list[str]:
    """Return the command lines of live processes that name `folder`."""
    lines = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:  # it ended while we looked
            continue
        if folder in command and state != "Z":
            lines.append(command)
    return lines


def await_no(folder: str, seconds: float = 20) -> None:
    """Wait until no process names `folder`: a loaded machine takes its time to deliver signals."""
    deadline = time.monotonic() + seconds
    while found := running(folder):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)

"""Which processes are alive."""

import time
from collections.abc import Iterator
from pathlib import Path


def running(folder: str) -> list[str]:
    """Return the command lines of live processes that name `folder`."""
    return [command for _, command in _live() if folder in command]


def pids(word: str, folder: Path) -> list[int]:
    """Return the live processes that name `word` and `folder`."""
    return [number for number, command in _live() if word in command and str(folder) in command]


def _live() -> Iterator[tuple[int, str]]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:  # it ended while we looked
            continue
        if state != "Z":
            yield int(process.name), command


def await_no(folder: str, word: str = "", seconds: float = 20) -> None:
    """Wait until no process names `folder` and `word`: a loaded machine takes its time to deliver signals."""
    deadline = time.monotonic() + seconds
    while found := [command for command in running(folder) if word in command]:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)

"""Locks between the runs of one user on this host, so that two jobs never time on the same device or core."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ...progress import say


def cache() -> Path:
    """Return the folder for what can be fetched or made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgewright"


@contextmanager
def held(what: str) -> Iterator[None]:
    """Hold `what` (such as `core-1`) against every other run, saying so if that takes waiting."""
    folder = cache() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{what}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"waiting for {what}: another run is timing on it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()

"""Children of this process that have imported what it has, and share that memory.

TensorFlow takes four seconds of a processor to import. A process may be forked once it has imported it, and before it
has computed anything: then TensorFlow has no threads yet, which a fork would not have.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import IO, Any, NoReturn

from .backend import chosen

FORKS = sys.platform == "linux"  # elsewhere the system's own libraries do not stand it


def forkable() -> bool:
    """Tell if a process that has imported Keras can be forked: on JAX it has threads from the start."""
    return FORKS and chosen() == "tensorflow"


class Fork:
    """A child that runs `main` and ends; it is handled as a `subprocess.Popen` is."""

    def __init__(self, main: Callable[[], None], environment: Mapping[str, str] | None = None,
                 errors: IO[Any] | None = None):  # fmt: skip
        """Start it.  environment: beside our own; errors: in the place of our standard error."""
        orders, given = os.pipe()
        told, answers = os.pipe()
        sys.stderr.flush()
        self.pid, self.returncode = os.fork(), None
        if self.pid == 0:
            _be(main, (orders, answers, 2 if errors is None else errors.fileno()), environment or {})
        os.close(orders)
        os.close(answers)
        self.stdin, self.stdout = open(given, "wb"), open(told, "rb")  # noqa: SIM115  (they live as long as it)

    def poll(self) -> int | None:
        """Return its status if it has ended."""
        return self._ended(os.WNOHANG)

    def wait(self, timeout: float | None = None) -> int:
        """Return its status once it has ended.  Raises: subprocess.TimeoutExpired."""
        if timeout is not None and self.returncode is None:
            watched = os.pidfd_open(self.pid)
            try:
                if not select.select([watched], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired(f"fork {self.pid}", timeout)
            finally:
                os.close(watched)
        status = self._ended(0)
        assert status is not None
        return status

    def kill(self) -> None:
        """End it by force."""
        if self.poll() is None:
            os.kill(self.pid, 9)

    def _ended(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode


def _be(main: Callable[[], None], ends: tuple[int, int, int], environment: Mapping[str, str]) -> NoReturn:
    """Be the child: with these ends for input, output and errors, and no other file of the parent's.

    It leaves without what Python does at its end, which is the parent's to do.
    """
    status = 1
    try:
        os.setsid()  # Ctrl-C is the parent's to handle
        for place, end in enumerate(ends):
            os.dup2(end, place)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        streams = [open(end, mode, closefd=False) for end, mode in enumerate("rww")]  # noqa: SIM115
        sys.stdin, sys.stdout, sys.stderr = streams
        os.environ.update(environment)
        main()
        sys.stdout.flush()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())  # pyright: ignore[reportArgumentType]
    finally:
        os._exit(status)


def end_by(status: int) -> NoReturn:
    """End as a child did: of a signal, or with a status of its own."""
    if status < 0:
        os.kill(os.getpid(), -status)
    os._exit(status)

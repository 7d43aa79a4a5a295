"""This machine as a device: the agent runs as a child process, so that a model file cannot take the host with it."""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from ...errors import BadInput
from ...files import naming
from . import shipment
from .child import Child, follow
from .locks import held
from .transport import GRACE_S, Cores, Event, Exit


@dataclass(frozen=True, kw_only=True)
class Local:
    """The processors of this machine, under the Python `python` (another one may hold another runtime)."""

    OPTIONS: ClassVar = ("python",)

    address: str = ""
    name: str = "local"
    python: str = sys.executable
    emulated: bool = False
    simulated: bool = False
    runtimes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.address:
            raise BadInput(
                f"device={self.name!r}: this machine has no address; write `local` or `local://?python=PATH`"
            )

    def interpreter(self) -> Sequence[str]:
        """Return the words that start the agent's Python. Raises: BadInput if this device is not set up."""
        return [os.path.expanduser(self.python)]

    def environment(self) -> Mapping[str, str] | None:
        """Return the variables that it starts with; None for ours."""
        return None

    @contextmanager
    def session(self) -> Iterator["LocalSession"]:
        """Make a temporary folder."""
        with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
            yield LocalSession(Path(folder), self.interpreter(), self.environment())

    @contextmanager
    def exclusive(self, cores: int) -> Iterator[Cores]:
        """Hold the last `cores` cores we may use: interrupts and other programs tend to land on the first."""
        if not hasattr(os, "sched_getaffinity"):  # macOS: no pinning, so one lock for the whole machine
            with held("core-all"):
                yield None
            return
        allowed = sorted(os.sched_getaffinity(0))
        if cores > len(allowed):
            raise BadInput(f"threads={cores}, but only {len(allowed)} cores are available; give at most that many")
        chosen = allowed[-cores:]
        with ExitStack() as all_held:
            for core in chosen:
                all_held.enter_context(held(f"core-{core}"))
            yield chosen


class LocalSession:
    """A temporary folder, and child processes that never outlive the call that started them.

    python: the words that start the interpreter; environment: its variables, None for ours.
    """

    def __init__(self, folder: Path, python: Sequence[str], environment: Mapping[str, str] | None = None):
        self._folder, self._python, self._environment = folder, python, environment
        # Nothing beside it shadows a module that it imports.
        self._agent = shipment.write(folder / shipment.NAME, compiled=True)

    def put(self, source: Path, name: str) -> str:
        """Link to a file instead of copying; the agent checks the content's sha256 anyway."""
        link = self._folder / name
        link.symlink_to(Path(source).resolve())
        return str(link)

    def get(self, name: str, destination: Path) -> None:
        """Move a file out of the folder."""
        os.replace(self._folder / name, destination)

    def path(self, name: str) -> str:
        """Return where a file of the folder is."""
        return str(self._folder / name)

    def run(self, job: Event, on_line: Callable[[str], None]) -> Exit:
        """Run the agent on a job."""
        limit_s = job["time_limit_s"] + GRACE_S
        return follow(self._command(job), on_line, limit_s=limit_s, environment=self._environment)

    def converse(self, job: Event) -> Child:
        """Start an agent that stays."""
        return Child(self._command(job), environment=self._environment)

    def _command(self, job: Event) -> list[str]:
        order = self._folder / "job.json"
        with naming(order):
            order.write_text(json.dumps({**job, "parent": os.getpid()}))
        return [*self._python, str(self._agent), str(order)]

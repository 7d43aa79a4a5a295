"""A runtime from the package registry in a Python environment of its own: what it needs fits no other's."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ..transports.local import Local
from . import environments


@dataclass(frozen=True, kw_only=True)
class Packaged(Local):
    """This machine, with the files of a format opened by such a runtime. folder: of one not in its place yet."""

    OPTIONS: ClassVar = ()
    SETUP: ClassVar = ""  # as `edgewright devices setup` takes it

    folder: Path | None = None

    def interpreter(self) -> Sequence[str]:
        """Return the Python of the environment."""
        return [str(python_in(self.folder or environments.require(self.SETUP)))]


def python_in(folder: Path) -> Path:
    """Return the Python of an environment."""
    return folder / "bin" / "python"


def make(folder: Path, packages: Sequence[str], python: str = sys.executable) -> None:
    """Make an environment with these packages, from wheels alone.  Raises: EdgewrightError with pip's words."""
    environments.call([python, "-m", "venv", folder])
    environments.call([python_in(folder), "-m", "pip", "install", "--only-binary", ":all:", *packages])


def loaded(folder: Path, module: str, distribution: str) -> str:
    """Import a runtime in its environment; return its name and version.  Raises: EdgewrightError with its words."""
    code = f"import {module}; from importlib import metadata; print(metadata.version({distribution!r}))"
    return f"{distribution} {environments.call([python_in(folder), '-c', code]).strip()}"

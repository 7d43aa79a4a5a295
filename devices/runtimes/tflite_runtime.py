"""This machine under tflite-runtime, which needs NumPy 1 and Python 3.11 at most: an environment of its own."""

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from ...errors import EdgewrightError
from ..transports.transport import Transport
from . import packaged

NAME = "tflite-runtime"
PACKAGES = ("tflite-runtime>=2.14,<3", "numpy<2")
_PYTHONS = ("python3.11", "python3.10", "python3.9")


@dataclass(frozen=True, kw_only=True)
class TfliteRuntime(packaged.Packaged):
    """The processors of this machine, with .tflite files opened by tflite-runtime."""

    SETUP: ClassVar = NAME

    name: str = NAME
    runtimes: Mapping[str, str] = field(default_factory=lambda: {"tflite": NAME})


def fetch(folder: Path) -> None:
    """Make the environment. Raises: EdgewrightError if no Python is old enough."""
    python = sys.executable if sys.version_info < (3, 12) else next(filter(None, map(shutil.which, _PYTHONS)), None)
    if python is None:
        raise EdgewrightError(f"tflite-runtime needs one of {', '.join(_PYTHONS)}; install one")
    packaged.make(folder, PACKAGES, python)


def verify(folder: Path, trial: Callable[[Transport], str]) -> str:
    """Load the runtime; return its version. Its kernels are tried by `edgewright devices probe`, in its own place."""
    return packaged.loaded(folder, "tflite_runtime.interpreter", NAME)

"""TensorFlow Lite Micro, the interpreter of microcontrollers, as it is compiled for this machine.

Answers, refusals and the need of an arena are those of its reference kernels; times are not a microcontroller's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from ..transports.transport import Transport
from . import packaged

NAME = "tflite-micro"
PACKAGES = ("tflite-micro==0.dev20261023182759", "numpy>=2,<3")  # it has no releases but those of a day


@dataclass(frozen=True, kw_only=True)
class TfliteMicro(packaged.Packaged):
    """This machine, with .tflite files opened by the interpreter of microcontrollers."""

    SETUP: ClassVar = NAME

    name: str = NAME
    simulated: bool = True
    runtimes: Mapping[str, str] = field(default_factory=lambda: {"tflite": NAME})


def fetch(folder: Path) -> None:
    """Make the environment."""
    packaged.make(folder, PACKAGES)


def verify(folder: Path, trial: Callable[[Transport], str]) -> str:
    """Return what a trial of its kernels says.  Raises: EdgewrightError if they are wrong."""
    return trial(TfliteMicro(folder=folder))

"""OpenVINO on the processors of this machine, which reads .onnx files with quantizers and folds them as it likes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from ..transports.transport import Transport
from . import packaged

NAME = "openvino"
PACKAGES = ("openvino==2026.4.1", "numpy>=2,<3")


@dataclass(frozen=True, kw_only=True)
class OpenVino(packaged.Packaged):
    """This machine, with .onnx files opened by OpenVINO."""

    SETUP: ClassVar = NAME

    name: str = NAME
    runtimes: Mapping[str, str] = field(default_factory=lambda: {"onnx": NAME})


def fetch(folder: Path) -> None:
    """Make the environment."""
    packaged.make(folder, PACKAGES)


def verify(folder: Path, trial: Callable[[Transport], str]) -> str:
    """Load the runtime; return its version. The trial's kernels are a .tflite file."""
    return packaged.loaded(folder, "openvino", "openvino")

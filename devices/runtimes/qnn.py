"""Qualcomm's Hexagon tensor processor, compiled for and simulated here by ONNX Runtime's QNN plugin.

Answers are the simulator's, and so is what it leaves to the processor; it takes 40 to 1,400 ms an inference.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from ..transports.transport import Transport
from . import packaged

NAME = "onnxruntime-qnn"
PACKAGES = ("onnxruntime-qnn==2.7.0", "onnxruntime==1.32.0", "onnx>=1.21,<2", "numpy>=2,<3")


@dataclass(frozen=True, kw_only=True)
class Qnn(packaged.Packaged):
    """The simulator, with .onnx files opened by ONNX Runtime and its QNN plugin."""

    SETUP: ClassVar = NAME

    name: str = NAME
    simulated: bool = True
    runtimes: Mapping[str, str] = field(default_factory=lambda: {"onnx": NAME})


def fetch(folder: Path) -> None:
    """Make the environment."""
    packaged.make(folder, PACKAGES)


def verify(folder: Path, trial: Callable[[Transport], str]) -> str:
    """Load the plugin; return its version. The trial's kernels are a .tflite file."""
    return packaged.loaded(folder, "onnxruntime, onnxruntime_qnn", NAME)

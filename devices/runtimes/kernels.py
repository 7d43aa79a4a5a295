"""Whether a device computes int8 kernels rightly: random inputs against the reference kernels of this machine.

Fast kernels are chosen by the processor's features, and some choose wrongly: LiteRT 2.1.6 under QEMU's processor `max`
answers nonsense without an error. The file that is run is the caller's, who knows the writers of files.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import EdgewrightError
from ..measure import answers
from ..transports.transport import Transport, connect

SAMPLES = 256
MOST_STEPS = 1  # kernels may round halves differently


@dataclass(frozen=True, kw_only=True)
class KernelFile:
    """A .tflite file of int8 kernels side by side. shape: of a sample, float32; sizes: kernel -> how many of the
    outputs (1, sum of sizes) are its, in order; scale: of them all.
    """

    data: bytes
    shape: tuple[int, ...]
    sizes: Mapping[str, int]
    scale: float


@dataclass(frozen=True, kw_only=True)
class Kernels:
    """How far a device is from the reference. steps: kernel -> largest distance; equal: share of equal values."""

    device: str
    steps: dict[str, int]
    equal: float
    n: int

    @property
    def ok(self) -> bool:
        """Tell whether no kernel is further from the reference than rounding explains."""
        return max(self.steps.values()) <= MOST_STEPS

    def __str__(self) -> str:
        if self.ok:
            return f"int8 kernels within {max(self.steps.values())} step of the reference, {self.equal:.2%} equal"
        wrong = ", ".join(f"{name} {steps} steps off" for name, steps in self.steps.items() if steps > MOST_STEPS)
        return f"wrong int8 kernels, not to be used: {wrong}; {self.equal:.2%} of the values equal the reference"


def check(device: str | Transport, file: KernelFile, runtime: str = "litert", n: int = SAMPLES) -> Kernels:
    """Run `n` inputs on `device` and on this machine's reference kernels. Raises: EdgewrightError if that fails."""
    transport = connect(device)
    inputs = np.random.default_rng(0).uniform(-6, 6, (n, *file.shape)).astype(np.float32)
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        path = Path(folder) / "kernels.tflite"
        path.write_bytes(file.data)
        expected = answers(path, inputs, device="local", kernels="reference")
        measured = answers(path, inputs, device=transport, tflite_runtime=runtime)
    if measured.shape != expected.shape:
        raise EdgewrightError(f"{transport.name}: answers have shape {measured.shape}, not {expected.shape}")
    steps = np.rint(np.abs(measured - expected) / file.scale).astype(int)
    parts = np.split(steps, np.cumsum(list(file.sizes.values()))[:-1], axis=1)
    worst = {name: int(part.max()) for name, part in zip(file.sizes, parts, strict=True)}
    return Kernels(device=transport.name, steps=worst, equal=float(np.mean(steps == 0)), n=n)

"""Other processors than this machine's under QEMU's user mode: 64-bit ARM without a board, by Debian's own Python and
LiteRT's wheel; an older x86, by the Python that runs us.

Results are those of that processor's kernels; times are not, and are never ranked with measured ones.
"""

import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ...archives import unpack_zip
from ...errors import BadInput
from ..runtimes import environments
from .local import Local
from .locks import held
from .transport import Cores, Transport

NAME = "qemu-aarch64"
NAME_X86 = "qemu-x86_64"
CPU_X86 = "Haswell"  # AVX2 and no VNNI
CPU = "cortex-a72"  # QEMU's own `max` announces instructions with which LiteRT 2.1.6 computes wrongly
DEBIAN = (
    "python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "libstdc++6", "libgcc-s1", "zlib1g",
    "libexpat1", "libffi8", "libssl3", "libbz2-1.0", "liblzma5", "libuuid1",
)  # fmt: skip
WHEELS = ("numpy>=2,<3", "ai-edge-litert==2.1.6")  # LiteRT 2.2 and 2.3 crash under QEMU 7.2, ONNX Runtime 1.31 too
_PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
_ARM = ("-oAPT::Architecture=arm64", "-oAPT::Architectures=arm64")


@dataclass(frozen=True, kw_only=True)
class Qemu(Local):
    """qemu-aarch64. cpu: which processor QEMU plays (`qemu-aarch64 -cpu help` lists them)."""

    OPTIONS: ClassVar = ("cpu",)

    name: str = NAME
    emulated: bool = True
    cpu: str = CPU
    folder: Path | None = None  # of files that are not in their place yet

    def __post_init__(self) -> None:
        _check(self, NAME)

    def interpreter(self) -> Sequence[str]:
        """Return the words that start Python under the emulator."""
        root = self._files() / "root"
        qemu = environments.program("qemu-aarch64", "qemu-user")
        return [qemu, "-cpu", self.cpu, "-L", str(root), str(root / "usr" / "bin" / "python3.11")]

    def environment(self) -> Mapping[str, str]:
        """Return the variables that it starts with."""
        return {**os.environ, "PYTHONPATH": str(self._files() / "site"), **_told(self.cpu)}

    @contextmanager
    def exclusive(self, cores: int) -> Iterator[Cores]:
        """Hold the emulator: its times mean nothing, and pinning would only slow it down."""
        with held(NAME):
            yield None

    def _files(self) -> Path:
        return self.folder or environments.require(NAME)


@dataclass(frozen=True, kw_only=True)
class QemuX86(Local):
    """qemu-x86_64 over the Python of this machine: what older processors than its own compute. cpu: which."""

    OPTIONS: ClassVar = ("cpu",)

    name: str = NAME_X86
    emulated: bool = True
    cpu: str = CPU_X86

    def __post_init__(self) -> None:
        _check(self, NAME_X86)

    def interpreter(self) -> Sequence[str]:
        """Return the words that start our Python under the emulator."""
        if platform.machine() != "x86_64":
            raise BadInput(f"device={self.name!r} needs an x86-64 machine, whose Python it runs; this is another")
        return [environments.program("qemu-x86_64", "qemu-user"), "-cpu", self.cpu, os.path.realpath(sys.executable)]

    def environment(self) -> Mapping[str, str]:
        """Return the variables that it starts with; a virtual environment's packages are found by path alone."""
        return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **_told(self.cpu)}

    @contextmanager
    def exclusive(self, cores: int) -> Iterator[Cores]:
        """Hold the emulator."""
        with held(NAME_X86):
            yield None


def _check(device: Qemu | QemuX86, name: str) -> None:
    if device.address or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._,=-]*", device.cpu):
        raise BadInput(f"device={device.name!r}: write `{name}`, or `{name}://?cpu=NAME` with a processor of QEMU's")


def _told(cpu: str) -> dict[str, str]:
    return {"EDGEWRIGHT_CPU": f"{cpu}, emulated by QEMU"}


def fetch(folder: Path) -> None:
    """Unpack Debian's arm64 packages and the wheels, beside the system and without its package database."""
    environments.program("qemu-aarch64", "qemu-user")
    _fetch_debian(folder / "root", folder / "packages")
    _fetch_wheels(folder / "site", folder / "wheels")


def verify(folder: Path, trial: Callable[[Transport], str]) -> str:
    """Return what a trial of the emulated kernels says. Raises: EdgewrightError if they are wrong."""
    return trial(Qemu(folder=folder))


def _fetch_debian(root: Path, scratch: Path) -> None:
    apt = environments.program("apt-get", "apt")
    for name in ("lists/partial", "cache/archives/partial"):
        (scratch / name).mkdir(parents=True)
    (scratch / "status").write_text("")
    places = {"Dir::State::Lists": "lists", "Dir::Cache": "cache", "Dir::State::status": "status"}
    settings = [*_ARM, "-oAPT::Sandbox::User=", *(f"-o{key}={scratch / name}" for key, name in places.items())]
    environments.call([apt, *settings, "update"])
    environments.call([apt, *settings, "download", *DEBIAN], where=scratch)
    root.mkdir()
    for package in sorted(scratch.glob("*.deb")):
        environments.call([environments.program("dpkg", "dpkg"), "-x", package, root])
    shutil.rmtree(scratch)


def _fetch_wheels(site: Path, scratch: Path) -> None:
    platforms = [word for platform in _PLATFORMS for word in ("--platform", platform)]
    python = ("--python-version", "3.11", "--implementation", "cp", "--only-binary", ":all:", "--no-deps")
    environments.call([sys.executable, "-m", "pip", "download", *python, *platforms, "-d", scratch, *WHEELS])
    for wheel in sorted(scratch.glob("*.whl")):
        unpack_zip(wheel, site)
    shutil.rmtree(scratch)

"""An Android device reached by the system's adb, with a Python of its own such as Termux's."""

import re
import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ...errors import BadInput
from . import shell

_SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}", re.ASCII)  # host:port and emulator-5554 are serials too
_REFUSED = (  # what adb says; what it means
    ("unauthorized", "the device does not trust this computer yet: unlock it and accept the key it shows"),
    ("not found", "there is no such device: `adb devices` lists those that are connected"),
    ("offline", "the device is offline: plug it in again, or restart it"),
)


@dataclass(frozen=True, kw_only=True)
class Adb(shell.ShellDevice):
    """adb://serial. python: the interpreter there, with NumPy and a runtime; folder: where temporary folders are made
    there, one that it may write to and run from; cores: which to time on, such as `6,7`.
    """

    OPTIONS: ClassVar = ("python", "folder", "cores")
    REFUSED: ClassVar = _REFUSED

    python: str = "/data/data/com.termux/files/usr/bin/python3"
    folder: str = "/data/local/tmp"

    def __post_init__(self) -> None:
        if not _SERIAL.fullmatch(self.address):
            raise BadInput(f"device={self.name!r}: {self.address!r} must be a serial as `adb devices` lists them")
        if shutil.which("adb") is None:
            raise BadInput(f"device={self.name!r}: there is no adb here (Debian and Ubuntu: apt-get install adb)")
        shell.check(self)

    def session(self) -> AbstractContextManager[shell.ShellSession]:
        """Hold the device."""
        return shell.session(self, f"adb-{self.address}")

    def command(self, line: str, link: Path, *, first: bool = False) -> list[str]:
        """Without a terminal (-T), standard input and both outputs pass unchanged, and apart. adb shares by itself."""
        return ["adb", "-s", self.address, "shell", "-T", line]

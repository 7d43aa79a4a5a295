"""A device reached by the system's OpenSSH: the user's configuration, keys and known hosts hold."""

import re
import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ...errors import BadInput
from . import shell

_ADDRESS = re.compile(
    r"""(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9_.+-]*)@)?
        (?P<host>[A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?\])
        (?::(?P<port>[0-9]{1,5}))?/?""",
    re.VERBOSE | re.ASCII,
)
_SETTINGS = {
    "BatchMode": "yes",  # never ask: nobody may be there
    "StrictHostKeyChecking": "yes",  # an unknown or changed host key is refused, whatever the configuration says
    "ControlPersist": "no",  # a shared connection ends with the session
    "ClearAllForwardings": "yes",
    "RemoteCommand": "none",
    "ConnectTimeout": "10",
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "3",
    "LogLevel": "ERROR",
}
_REFUSED = (  # what ssh says; what it means
    ("IDENTIFICATION HAS CHANGED", "its host key has changed: another machine may be answering. Nothing was run there. "
     "If you know why, remove the old key by `ssh-keygen -R HOST` and connect once by hand"),
    ("Host key verification failed", "its host key is unknown. Nothing was run there. Connect once by hand, by "
     "`ssh HOST`, and compare the fingerprint"),
    ("Permission denied", "it refuses our keys. Give `identity=FILE`, load the key into ssh-agent, or add it there by "
     "`ssh-copy-id`; passwords are never asked for"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Ssh(shell.ShellDevice):
    """ssh://[user@]host[:port]. python: the interpreter there, with NumPy and a runtime; identity, config: files for
    ssh's -i and -F; folder: where temporary folders are made there; cores: which to time on, such as `2,3`.
    """

    OPTIONS: ClassVar = ("python", "identity", "config", "folder", "cores")
    REFUSED: ClassVar = _REFUSED

    identity: str = ""
    config: str = ""

    def __post_init__(self) -> None:
        if not _ADDRESS.fullmatch(self.address):
            raise BadInput(
                f"device={self.name!r}: {self.address!r} must be [user@]host[:port], without other characters"
            )
        if shutil.which("ssh") is None:
            raise BadInput(f"device={self.name!r}: there is no ssh here; install OpenSSH's client")
        shell.check(self)

    def session(self) -> AbstractContextManager[shell.ShellSession]:
        """Hold the device."""
        return shell.session(self, self.address)

    def command(self, line: str, link: Path, *, first: bool = False) -> list[str]:
        """Return the words of the `ssh` that runs a line there."""
        found = _ADDRESS.fullmatch(self.address)
        assert found is not None
        settings = {**_SETTINGS, "ControlPath": link, "ControlMaster": "yes" if first else "no"}
        words = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        for flag, value in (("-F", self.config), ("-i", self.identity), ("-l", found["user"]), ("-p", found["port"])):
            words += [flag, value] if value else []
        return ["ssh", "-T", "-a", "-x", *words, "--", found["host"].strip("[]"), line]

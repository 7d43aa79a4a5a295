"""The user's devices by name: a TOML file, one table a device, written whole or not at all.

[board]
url = "ssh://pi@192.168.1.20"
python = "/home/pi/edgewright/bin/python"
"""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

from filelock import FileLock

from ... import files
from ...errors import BadInput

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """How to reach a device: scheme://address, and what its transport is told besides."""

    scheme: str
    address: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, url: str, options: Mapping[str, str] | None = None) -> "Entry":
        """Take `scheme://address?option=value&...` apart. Raises: BadInput for an option given twice or not at all."""
        plain, _, query = url.partition("?")
        scheme, _, address = plain.partition("://")
        try:
            pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
        except ValueError as error:
            raise BadInput(f"device={url!r}: {error}; options are written ?name=value&name=value") from error
        pairs += (options or {}).items()
        if not all(value.isprintable() for value in (url, *(text for pair in pairs for text in pair))):
            raise BadInput(f"device={url!r} holds a control character")
        if len(dict(pairs)) < len(pairs):
            raise BadInput(f"device={url!r}: an option is given twice; give each once")
        return cls(scheme=scheme, address=address, options=dict(pairs))

    @property
    def url(self) -> str:
        """The address without its options."""
        return f"{self.scheme}://{self.address}"


def path() -> Path:
    """Return where the inventory is kept."""
    config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(config) / "edgewright" / "devices.toml"


def load() -> dict[str, Entry]:
    """Return the devices by name. Raises: BadInput naming the file and the table that cannot be used."""
    try:
        tables = tomllib.loads(path().read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise BadInput(f"{path()} is not TOML ({error}); correct it") from error
    return {name: _entry(name, table) for name, table in tables.items()}


def add(name: str, entry: Entry) -> None:
    """Record a device under a new name. Raises: BadInput if the name is taken, or no name."""
    check_name(name)
    with _edited() as entries:
        if name in entries:
            raise BadInput(f"NAME={name!r} is taken by {entries[name].url}; `edgewright devices remove {name}` first")
        entries[name] = entry


def remove(name: str) -> None:
    """Forget a device. Raises: BadInput listing the known ones if there is none of that name."""
    with _edited() as entries:
        if name not in entries:
            raise BadInput(
                f"NAME={name!r} is not in the inventory; allowed: {', '.join(sorted(entries)) or 'none yet'}"
            )
        del entries[name]


def check_name(name: str) -> None:
    """Refuse what can be no name of a device.  Raises: BadInput."""
    if not NAME.fullmatch(name):
        raise BadInput(f"NAME={name!r} must be letters, digits, '.', '_' or '-', and begin with a letter or digit")


class _edited:
    """The entries, written back when the block ends well; two editors take turns."""

    def __enter__(self) -> dict[str, Entry]:
        path().parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(path().with_suffix(".lock"))
        self._lock.acquire()
        try:
            self._entries = load()
        except BaseException:
            self._lock.release()
            raise
        return self._entries

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                files.write(path(), "\n".join(_table(name, entry) for name, entry in sorted(self._entries.items())))
        finally:
            self._lock.release()


def _entry(name: str, table: object) -> Entry:
    where = f"{path()}: [{name}]"
    if not NAME.fullmatch(name):
        raise BadInput(f"{where}: a device's name is letters, digits, '.', '_' or '-'; rename it")
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise BadInput(f"{where} must be a table of texts")
    options = dict(table)
    url = options.pop("url", "")
    if "://" not in url:
        raise BadInput(f"{where}: url={url!r} must be scheme://address")
    return Entry.read(url, options)


def _table(name: str, entry: Entry) -> str:
    rows = {"url": entry.url, **entry.options}
    # The JSON string of printable text is a TOML basic string.
    lines = [f"{_key(key)} = {json.dumps(value, ensure_ascii=False)}" for key, value in rows.items()]
    return "\n".join([f"[{_key(name)}]", *lines, ""])


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)

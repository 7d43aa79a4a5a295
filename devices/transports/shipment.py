"""The agent as it is sent to a device: its package in one zip file that Python runs, whole or not at all."""

from __future__ import annotations

import zipfile
from pathlib import Path

from ... import files

PACKAGE = Path(__file__).parent.parent / "agent"
NAME = "agent.zip"
_ENTRY = "__main__.py"
_DATE = (1980, 1, 1, 0, 0, 0)  # the same package is the same file


def modules() -> list[Path]:
    """Return the files of the package, in order."""
    return sorted(PACKAGE.glob("*.py"))


def write(path: Path) -> Path:
    """Write the zip file; return its path. Nothing in it is compressed: not every Python there has zlib."""
    with files.replacing(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for module in modules():
            name = _ENTRY if module.name == _ENTRY else f"{PACKAGE.name}/{module.name}"
            archive.writestr(zipfile.ZipInfo(name, _DATE), module.read_bytes())
    return path


__all__ = ["NAME", "PACKAGE", "modules", "write"]

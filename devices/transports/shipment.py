"""The agent as it is sent to a device: its package in one zip file that Python runs, whole or not at all."""

from __future__ import annotations

import importlib.util
import marshal
import zipfile
from importlib.machinery import SourceFileLoader
from pathlib import Path

from ... import files

PACKAGE = Path(__file__).parent.parent / "agent"
NAME = "agent.zip"
_ENTRY = "__main__.py"
_DATE = (1980, 1, 1, 0, 0, 0)  # the same package is the same file


def modules() -> list[Path]:
    """Return the files of the package, in order."""
    return sorted(PACKAGE.glob("*.py"))


def write(path: Path, *, compiled: bool = False) -> Path:
    """Write the zip file; return its path. Nothing in it is compressed: not every Python there has zlib.

    compiled: with our Python's byte code beside each module, for one of the same version; any other passes over it.
    """
    with files.replacing(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for module in modules():
            name = _ENTRY if module.name == _ENTRY else f"{PACKAGE.name}/{module.name}"
            archive.writestr(zipfile.ZipInfo(name, _DATE), module.read_bytes())
            if compiled:
                archive.writestr(zipfile.ZipInfo(f"{name}c", _DATE), _byte_code(module))
    return path


def _byte_code(module: Path) -> bytes:
    """Return the content of a .pyc that holds whatever the time of its source: a zip file rounds it.

    Source: PEP 552.
    """
    loader = SourceFileLoader(module.stem, str(module))  # which takes what Python has compiled before
    unchecked = (0b01).to_bytes(4, "little")
    digest = importlib.util.source_hash(module.read_bytes())
    return importlib.util.MAGIC_NUMBER + unchecked + digest + marshal.dumps(loader.get_code(module.stem))


__all__ = ["NAME", "PACKAGE", "modules", "write"]

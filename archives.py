"""Archives that come from elsewhere: read member by member, and refused where one does what no data needs to.

Refused are members outside the archive (absolute, `..`, NUL, backslash), links, devices, pipes, and an archive that
unpacks to an absurd size, before anything of it is written and before the memory is full.
"""

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from .errors import BadInput

MOST_BYTES = 4 << 30
MOST_EXPANSION = 200  # times its own size; the best data here has 3
ALLOWANCE = 16 << 20  # bytes that even a small archive may unpack to

_BROKEN = (OSError, EOFError, ValueError, zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error,
           NotImplementedError, RuntimeError)  # fmt: skip
_PACKED = ((b"\xfd7zXZ\x00", lzma.open), (b"\x1f\x8b", gzip.open), (b"BZh", bz2.open))  # first bytes, reader


def most(packed: int) -> int:
    """Return how many bytes an archive of `packed` bytes may unpack to."""
    return min(MOST_BYTES, max(ALLOWANCE, MOST_EXPANSION * packed))


def check_zip(path: str | Path, most_bytes: int | None = None) -> list[str]:
    """Return the names in a zip archive. Raises: BadInput for one to be refused, naming the member."""
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except _BROKEN as error:
        raise BadInput(f"{path}: not a zip archive ({error})") from error
    for member in members:
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise BadInput(f"{path}: {member.filename!r} is a link or a device: refused")
        _check_name(path, member.orig_filename)
    unpacked, limit = sum(member.file_size for member in members), most_bytes or most(path.stat().st_size)
    if unpacked > limit:
        raise BadInput(f"{path}: {path.stat().st_size:,} bytes that unpack to {unpacked:,}: refused")
    return [member.filename for member in members]


def unpack_zip(path: str | Path, folder: Path) -> None:
    """Unpack a zip archive into `folder`. Raises: BadInput for one to be refused; nothing is written then."""
    check_zip(path)
    try:
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():
                raise BadInput(f"{path}: {damaged!r} is damaged")
            archive.extractall(folder)
    except BadInput:
        raise
    except _BROKEN as error:
        raise BadInput(f"{path}: cannot be unpacked ({error})") from error


def tar_members(archive: Path | bytes, name: str | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of the files in a tar archive, packed with xz, gzip, bzip2 or not, one after the other.

    name: what errors call an archive that is given as bytes.  Raises: BadInput for one to be refused or damaged.
    """
    label = name or str(archive)
    try:
        with io.BytesIO(archive) if isinstance(archive, bytes) else open(archive, "rb") as file:
            packed = file.seek(0, os.SEEK_END)
            file.seek(0)
            limited: Any = _Limited(_unpacked(file), most(packed), label)
            with tarfile.open(fileobj=limited, mode="r|") as tar:
                for member in tar:
                    _check_name(label, member.name)
                    if member.isfile() and not member.issparse():  # holes cost nothing to pack
                        content = tar.extractfile(member)
                        assert content is not None
                        yield member.name, content.read()
                    elif not member.isdir():
                        raise BadInput(f"{label}: {member.name!r} is a link, a device or full of holes: refused")
    except BadInput:  # a ValueError, too
        raise
    except _BROKEN as error:
        raise BadInput(f"{label} cannot be read: {error}. Remove it and fetch it again") from error


class _Limited:
    """A stream that ends the reading where an archive unpacks to more than it may."""

    def __init__(self, stream: Any, most_bytes: int, label: str):
        self._stream, self._left, self._label = stream, most_bytes, label

    def read(self, size: int) -> bytes:
        data = self._stream.read(min(size, self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            raise BadInput(f"{self._label}: unpacks to an absurd size: refused")
        return data


def _unpacked(file: BinaryIO) -> Any:
    start = file.read(8)
    file.seek(0)
    opened = next((reader for magic, reader in _PACKED if start.startswith(magic)), None)
    return file if opened is None else opened(file)


def _check_name(label: str | Path, name: str) -> None:
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or "\x00" in name or "\\" in name or ":" in parts[0]:
        raise BadInput(f"{label}: holds {name!r}, a place outside itself: refused")

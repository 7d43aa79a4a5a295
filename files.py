"""Files that are whole or absent: written under a temporary name, flushed, then renamed."""

import hashlib
import json
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import EdgewrightError


def sha256(data: bytes | str | Path) -> str:
    """Return the hex SHA-256 of `data`: bytes as they are, a path by its content."""
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest()
    with open(data, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def gzip_bytes(data: bytes | str | Path) -> int:
    """Return how many bytes `data` takes once packed by gzip at its usual level, without name and time.

    That is what a file costs where it is shipped packed, as in an app or an update: there zeros and repeats are cheap.
    data: bytes as they are, a path by its content.
    """
    packer = zlib.compressobj(wbits=31)  # 31: with gzip's header
    if isinstance(data, bytes):
        return len(packer.compress(data)) + len(packer.flush())
    with open(data, "rb") as file:
        return sum(len(packer.compress(part)) for part in iter(lambda: file.read(1 << 20), b"")) + len(packer.flush())


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Name `path` where the file system refuses a write: of a file that is open, its own words do not."""
    try:
        yield
    except OSError as error:
        raise EdgewrightError(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on a clean exit it becomes `path`, otherwise it is removed.

    Raises: EdgewrightError naming the path if the file system refuses (full disk, permissions).
    """
    path = Path(path)
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        with naming(path):
            yield temporary
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write(path: str | Path, data: bytes | str) -> Path:
    """Write `data` to `path` so that a reader sees the old file or the new one, never a part of it."""
    with replacing(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)
    return Path(path)


def write_json(path: str | Path, document: Any) -> Path:
    """Write `document` as indented JSON; NaN and infinity are refused, since JSON has no name for them."""
    return write(path, json.dumps(document, indent=1, allow_nan=False) + "\n")

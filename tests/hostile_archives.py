"""Archives made to write outside their folder, to reach a file of the system, or to fill disk and memory."""

import io
import lzma
import stat
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

NAMES = {  # of a member that would leave the folder
    "parent": "../pwned",
    "deep_parent": "data/../../pwned",
    "backslash": "..\\pwned",
    "drive": "C:\\pwned",
}
KINDS = {"symlink": stat.S_IFLNK, "character": stat.S_IFCHR, "block": stat.S_IFBLK, "fifo": stat.S_IFIFO}
TYPES = {"symlink": tarfile.SYMTYPE, "hardlink": tarfile.LNKTYPE, "character": tarfile.CHRTYPE,
         "block": tarfile.BLKTYPE, "fifo": tarfile.FIFOTYPE}  # fmt: skip
HUGE = 5 << 30
BOMB = 128 << 20


def zips(folder: Path) -> Iterator[tuple[str, Path]]:
    """Write hostile zip archives into `folder`, each with an honest member beside, and yield (name, path)."""

    def pack(name: str, member: zipfile.ZipInfo | str, content: bytes = b"x") -> tuple[str, Path]:
        path = folder / f"{name}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("honest", "honest")
            archive.writestr(member, content, zipfile.ZIP_DEFLATED)
        return name, path

    for name, member in {**NAMES, "absolute": str(folder / "pwned")}.items():
        yield pack(f"zip_{name}", member)
    name, path = pack("zip_nul", "aNUL/../../pwned")
    path.write_bytes(path.read_bytes().replace(b"NUL", b"\x00.."))
    yield name, path
    for name, kind in KINDS.items():
        entry = zipfile.ZipInfo(name)
        entry.create_system, entry.external_attr = 3, (kind | 0o777) << 16
        yield pack(f"zip_{name}", entry, b"/etc/hostname")
    name, path = pack("zip_bomb", "bomb", bytes(32 << 20))
    yield name, _claiming(path, HUGE)
    name, path = pack("zip_truncated", "member", bytes(range(256)) * 64)
    path.write_bytes(path.read_bytes()[:-60])
    yield name, path


def _claiming(path: Path, size: int) -> Path:
    """Let the last member of a zip claim to unpack to `size` bytes (it holds less)."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.infolist()[-1].file_size = size
        archive._didModify = True
    return path


def tars(folder: Path) -> Iterator[tuple[str, Path]]:
    """Write hostile tar archives packed with xz into `folder`, each with an honest member first."""

    def pack(name: str, *members: tarfile.TarInfo) -> tuple[str, Path]:
        path = folder / f"{name}.tar.xz"
        with tarfile.open(path, "w:xz", preset=1) as archive:
            for member in (_member("honest"), *members):
                archive.addfile(member, io.BytesIO(bytes(member.size)))
        return name, path

    for name, member in {**NAMES, "absolute": str(folder / "pwned")}.items():
        yield pack(f"tar_{name}", _member(member))
    for name, kind in TYPES.items():
        yield pack(f"tar_{name}", _member(name, 0, type=kind, linkname="/etc/hostname", devmajor=1, devminor=5))
    yield pack("tar_through_link", _member("out", 0, type=tarfile.SYMTYPE, linkname=".."), _member("out/pwned"))
    yield pack("tar_bomb", _member("bomb", BOMB))
    for name, header in (("tar_header_bomb", _header(BOMB)), ("tar_sparse_bomb", _sparse(HUGE))):
        path = folder / f"{name}.tar.xz"
        with lzma.open(path, "w", preset=1) as file:
            file.write(_member("honest").tobuf() + bytes(512) + header)
            if "header" in name:
                for _ in range(BOMB >> 20):
                    file.write(bytes(1 << 20))
        yield name, path
    name, path = pack("tar_truncated", _member("member", 1 << 16))
    path.write_bytes(path.read_bytes()[:-40])
    yield name, path


def _member(name: str, size: int = 1, **more) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    for key, value in more.items():
        setattr(member, key, value)
    return member


def _header(size: int) -> bytes:
    """Return the start of a header of `size` bytes, which a reader takes into memory before it sees a member."""
    return _member("pax", size, type=tarfile.XHDTYPE).tobuf()


def _sparse(size: int) -> bytes:
    """Return a sparse member of GNU's old format: no data, and `size` bytes of zeros to whoever reads it."""
    header = bytearray(_member("sparse", 0, type=tarfile.GNUTYPE_SPARSE).tobuf(tarfile.GNU_FORMAT))
    struct.pack_into("12s12s", header, 386, b"%011o\0" % 0, b"%011o\0" % 0)
    struct.pack_into("12s", header, 483, b"\x80" + size.to_bytes(11, "big"))
    struct.pack_into("8s", header, 148, b" " * 8)
    struct.pack_into("8s", header, 148, b"%06o\0 " % sum(header))
    return bytes(header)

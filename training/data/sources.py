"""Data files: found in $EDGEWRIGHT_DATA, else in the cache, else downloaded; used only with the official digest."""

import hashlib
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from filelock import FileLock

from ...errors import BadInput
from ...files import replacing
from ...progress import say
from .official import DIGESTS, URLS

Arrays = Mapping[str, np.ndarray]


def cache() -> Path:
    """Return the cache folder: $EDGEWRIGHT_CACHE, or ~/.cache/edgewright."""
    return Path(os.environ.get("EDGEWRIGHT_CACHE") or Path.home() / ".cache" / "edgewright")


def folders() -> list[Path]:
    """Return the folders that may hold official files, in the order they are tried."""
    given = os.environ.get("EDGEWRIGHT_DATA")
    return [*([Path(given)] if given else []), cache() / "data"]


def find(path: str) -> Path | None:
    """Return where the file or folder `path` (as "mnist/t10k-labels-idx1-ubyte.gz") lies, or None."""
    return next((folder / path for folder in folders() if (folder / path).exists()), None)


def read(path: str) -> bytes:
    """Return the content of an official file, downloaded first where it lies nowhere.

    Raises: BadInput if it cannot be had, or if its digest is not the official one (nothing is cached then).
    """
    content = (find(path) or download(path, DIGESTS[path])).read_bytes()
    verify(path, content)
    return content


def verify(path: str, content: bytes) -> None:
    """Refuse `content` if its digest is not the one published for `path`."""
    algorithm, _, wanted = DIGESTS[path].partition(":")
    digest = hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()
    if digest != wanted:
        where = find(path) or path
        raise BadInput(
            f"{where} is not the official file: {algorithm} {digest}, official {wanted}. Remove it and fetch it again"
        )


def download(path: str, digest: str | None) -> Path:
    """Fetch `path` from its stable address into the cache; a file whose digest differs is thrown away."""
    if path not in URLS:
        raise BadInput(f"{path} was not found in {_tried()}, and has no stable address: {_REMEDY}")
    import pooch

    target = cache() / "data" / path
    say(f"downloading {path} from {URLS[path]}")
    try:
        pooch.retrieve(URLS[path], known_hash=digest, fname=target.name, path=target.parent)
    except (OSError, ValueError) as error:  # no network, refused by the server; digest differs
        raise BadInput(
            f"{path} was not found in {_tried()}, and fetching {URLS[path]} failed: {error}. {_REMEDY}"
        ) from error
    return target


def remembered(key: str, compute: Callable[[], Arrays]) -> dict[str, np.ndarray]:
    """Return the arrays of `compute()`, kept in the cache under the hash of `key`.

    The file is an .npz without pickle, whose CRCs refuse a flipped bit: it is then computed again, which is said.
    """
    path = cache() / "arrays" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if path.exists():
            try:
                with np.load(path, allow_pickle=False) as kept:
                    return {name: kept[name] for name in kept.files}
            except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
                say(f"{path} is damaged ({error}): computing it again")
        arrays = dict(compute())
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
        return arrays


def describe(paths: list[str]) -> tuple[str, ...]:
    """Return one "path digest" line a file, for manifests and reports."""
    return tuple(f"{path} {DIGESTS[path]}" for path in paths)


_REMEDY = "put the official file in a folder and set EDGEWRIGHT_DATA to that folder (docs/data.md lists the files)"


def _tried() -> str:
    return " or ".join(str(folder) for folder in folders())

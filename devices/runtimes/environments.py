"""What `edgewright devices setup` fetches: one folder a device in the cache, complete or absent."""

import importlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from ...errors import BadInput, EdgewrightError
from ...progress import say
from ..transports.locks import cache, held
from ..transports.transport import Transport

SETUPS = {  # device: its module, whose `fetch(folder)` fills a folder and whose `verify(folder, trial)` tries it
    "browser": "..transports.browser",
    "onnxruntime-qnn": ".qnn",
    "openvino": ".openvino",
    "qemu-aarch64": "..transports.qemu",
    "tflite-micro": ".tflite_micro",
    "tflite-runtime": ".tflite_runtime",
}


def folder(name: str) -> Path:
    """Return where a device's files are, whether or not they are there yet."""
    return cache() / "devices" / name


def ready(name: str) -> bool:
    """Tell if a device is set up."""
    return folder(name).is_dir()


def require(name: str) -> Path:
    """Return the folder of a device. Raises: BadInput with the remedy if it is not set up."""
    if not ready(name):
        raise BadInput(f"device={name!r} is not set up; run `edgewright devices setup {name}`")
    return folder(name)


def set_up(name: str, trial: Callable[[Transport], str]) -> str:
    """Fetch what a device needs, try it, and only then put it in its place; return what was found.

    trial: runs int8 kernels on a device and says how far they are from the reference.
    Raises: BadInput for a device that needs no setup; EdgewrightError if a program or a package is missing, or if the
    device computes wrongly.
    """
    if name not in SETUPS:
        raise BadInput(f"NAME={name!r} needs no setup; allowed: {', '.join(SETUPS)}")
    module = importlib.import_module(SETUPS[name], __package__)
    place = folder(name)
    place.parent.mkdir(parents=True, exist_ok=True)
    say(f"fetching what {name} needs")
    with held(f"setup-{name}"), tempfile.TemporaryDirectory(prefix=f".{name}.", dir=place.parent) as scratch:
        part = Path(scratch) / name
        part.mkdir()
        module.fetch(part)
        say(f"trying {name}")
        found = module.verify(part, trial)
        if place.exists():
            os.rename(place, Path(scratch) / "old")
        os.rename(part, place)
    return found


def program(name: str, package: str) -> str:
    """Return the path of a program. Raises: EdgewrightError naming the Debian package that brings it."""
    found = shutil.which(name)
    if found is None:
        raise EdgewrightError(f"there is no {name} here; install it (Debian and Ubuntu: apt-get install {package})")
    return found


def call(command: Sequence[str | Path], where: Path | None = None, limit_s: float = 900) -> str:
    """Run a program that fetches or unpacks; return what it printed. Raises: EdgewrightError with its last words."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, cwd=where, capture_output=True, text=True, timeout=limit_s, check=False,
                              stdin=subprocess.DEVNULL)  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise EdgewrightError(f"{words[0]} did not end within {limit_s:g} s") from error
    if done.returncode != 0:
        complaint = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise EdgewrightError(f"{words[0]} failed: {complaint[-1] if complaint else f'exit code {done.returncode}'}")
    return done.stdout

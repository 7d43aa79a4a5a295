"""Open a model file in Netron, the viewer for model graphs, where it is installed."""

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import BadInput, EdgewrightError

SUFFIXES = (".tflite", ".onnx", ".keras")


def command(path: Path, port: int | None = None) -> Sequence[str]:
    """Return the command that serves `path` to a browser.  Raises: BadInput, or EdgewrightError without Netron."""
    if not path.is_file():
        raise BadInput(f"{path}: no such file; give a model file")
    if path.suffix not in SUFFIXES:
        raise BadInput(f"{path}: suffix {path.suffix!r}; allowed: {', '.join(SUFFIXES)}")
    if importlib.util.find_spec("netron") is None:
        raise EdgewrightError("Netron is not installed; pip install netron (the extra edgewright[view] is that alone)")
    script = "import sys, netron; netron.main()"
    more = [] if port is None else ["--port", str(port)]
    return [sys.executable, "-c", script, "--browse", *more, str(path.resolve())]


def view(path: Path, port: int | None = None) -> int:
    """Serve `path` until interrupted; return Netron's exit code. The file is read in a process of its own."""
    return subprocess.run(command(path, port), check=False, stdin=subprocess.DEVNULL).returncode

"""Open a model file in a viewer for model graphs: Netron, or Model Explorer with values laid over the operators."""

import importlib.util
import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..devices.report import node_data
from ..errors import BadInput, EdgewrightError
from ..files import write_json
from ..progress import say

SUFFIXES = (".tflite", ".onnx", ".keras")


def command(path: Path, port: int | None = None, overlays: Sequence[Path] = ()) -> Sequence[str]:
    """Return the command that serves `path` to a browser.  Raises: BadInput, or EdgewrightError without a viewer."""
    _check(path)
    if overlays:
        return [sys.executable, "-m", "model_explorer", *_arguments(path, port, overlays)]
    if not _installed("netron"):
        raise EdgewrightError("Netron is not installed; pip install netron (the extra edgewright[view] is that alone)")
    script = "import sys, netron; netron.main()"
    more = [] if port is None else ["--port", str(port)]
    return [sys.executable, "-c", script, "--browse", *more, str(path.resolve())]


def view(path: Path, port: int | None = None, overlays: Sequence[Path] = ()) -> int:
    """Serve `path` until interrupted; return the viewer's exit code. The file is read in a process of its own."""
    return subprocess.run(command(path, port, overlays), check=False, stdin=subprocess.DEVNULL).returncode


def elsewhere(path: Path, port: int | None, overlays: Sequence[Path]) -> str:
    """Return how to open what was written where Model Explorer is not installed here; "" where it is."""
    if not overlays or _installed("model_explorer"):
        return ""
    words = shlex.join(["model-explorer", *_arguments(path, port, overlays)])
    return f"Model Explorer is not installed here (pip install ai-edge-model-explorer); where it is: {words}"


def overlay(path: Path, sources: Sequence[Path]) -> list[Path]:
    """Write what is known of a file's operators beside it, as Model Explorer reads it; return where.

    sources: a results.json (or its folder) of `bench --profile`, what `diagnose --json` printed.
    Raises: BadInput for a source that is neither, or that tells nothing of the file.
    """
    _check(path)
    if not sources:
        return []
    if "," in str(path.resolve()):
        raise BadInput(f"{path}: Model Explorer takes no path with a comma; copy the file elsewhere")
    if path.suffix != ".tflite":
        raise BadInput(f"{path}: Model Explorer opens .tflite files; give one, or leave --overlay out")
    found = [_values(path, source / "results.json" if source.is_dir() else source) for source in sources]
    return [write_json(path.with_name(f"{path.name}.{kind}.json"), data) for kind, data in found]


def _values(path: Path, source: Path) -> tuple[str, dict[str, Any]]:
    try:
        document = json.loads(source.read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"--overlay {source}: {error}; give a results.json or what `diagnose --json` printed") from error
    if isinstance(document, Mapping) and "first_divergence" in document:
        return "noise", node_data.of_noise(document)
    if not isinstance(document, Mapping) or "profiles" not in document:
        raise BadInput(f"--overlay {source}: neither a results.json nor what `diagnose --json` printed")
    profiles = {entry["artifact"]: entry for entry in document["profiles"]}
    entry = profiles.get(path.name)
    if entry is None:
        raise BadInput(f"--overlay {source}: no profile of {path.name}, but of {', '.join(profiles) or 'no file'}; "
                       "run `edgewright bench --profile --out FOLDER` on it")  # fmt: skip
    if not entry["rows"]:
        raise BadInput(f"--overlay {source}: no times of {path.name}: {entry['reason']}")
    data, unplaced_us = node_data.of_times(entry)
    if unplaced_us:
        say(f"{unplaced_us:,.1f} µs of {path.name} are of operators whose layer the runtime does not tell")
    return "time", data


def _arguments(path: Path, port: int | None, overlays: Sequence[Path]) -> list[str]:
    data = ",".join(str(each.resolve()) for each in overlays)
    return [str(path.resolve()), f"--node_data_paths={data}", *([] if port is None else [f"--port={port}"])]


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _check(path: Path) -> None:
    if not path.is_file():
        raise BadInput(f"{path}: no such file; give a model file")
    if path.suffix not in SUFFIXES:
        raise BadInput(f"{path}: suffix {path.suffix!r}; allowed: {', '.join(SUFFIXES)}")

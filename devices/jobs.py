"""What the agent is asked: jobs of one session, the files and samples that they name."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .. import files as whole
from ..progress import say
from .config import BenchConfig
from .model_file import ModelFile
from .transports.transport import Event, Session, Transport, connect

Inputs = np.ndarray | Mapping[str, np.ndarray]


class Orders:
    """Writes the jobs of one session."""

    def __init__(self, transport: Transport, session: Session, config: BenchConfig):
        self.transport, self._session, self._config = transport, session, config

    def model(self, file: ModelFile, index: int) -> dict[str, Any]:
        """Send a file under a name of our own, and return how a job refers to it."""
        return {
            "path": self._session.put(file.path, f"model-{index}.{file.format}"),
            "sha256": whole.sha256(file.path),
            "threads": self._config.threads,
            "precision": file.precision,
            "kernels": self._config.kernels,
            "delegate": self._config.library,
            "stateful": bool(file.manifest.get("stateful")),
            "states": file.states,
            "shortlist": file.manifest.get("shortlist"),
            "named": {
                end: [str(entry["name"]) for entry in file.manifest.get(end) or []] for end in ("inputs", "outputs")
            },
            "layouts": [entry.get("layout") for entry in file.manifest.get("inputs") or []],
            **self.runtime(file),
        }

    def runtime(self, file: ModelFile) -> dict[str, Any]:
        """Say what opens a file on this device."""
        return {"runtime": self.transport.runtimes.get(file.format) or self._config.runtime(file.format)}

    def job(self, mode: str, models: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
        """Return a job of the agent's with the limits of the configuration."""
        config = self._config
        limits = {"time_limit_s": config.time_limit_s, "memory_bytes": config.memory_bytes, "seed": config.seed}
        return {"mode": mode, "models": list(models), **limits, **more}


@contextmanager
def opened(
    path: ModelFile | str | Path, device: str | Transport, config: Mapping[str, Any]
) -> Iterator[tuple[ModelFile, Session, Orders]]:
    """Open a session on `device` for one file."""
    file = path if isinstance(path, ModelFile) else ModelFile.read(path)
    transport = connect(device)
    with transport.session() as session:
        yield file, session, Orders(transport, session, BenchConfig(**config))


@contextmanager
def scratch() -> Iterator[Path]:
    """Make a folder of this machine that goes with the block."""
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        yield Path(folder)


def send(session: Session, scratch: Path, inputs: Inputs, limit: int | None = None, mark: str = "") -> dict[str, str]:
    """Send the samples, the first `limit` of them, and return how a job refers to each input's.

    mark: part of the names of the files, other for other samples.
    """
    sent = {}
    arrays = inputs if isinstance(inputs, Mapping) else {"": inputs}
    for index, (name, array) in enumerate(arrays.items()):
        path = scratch / f"input-{mark}{index}.npy"
        with whole.naming(path):
            np.save(path, np.asarray(array[:limit], np.float32 if array.dtype.kind == "f" else array.dtype))
        sent[name] = session.put(path, path.name)
    return sent


def progress(what: str) -> Callable[[Event], None]:
    """Return a listener that says how far a job is, at most every five seconds."""
    said = time.monotonic()

    def listen(event: Event) -> None:
        nonlocal said
        if event["event"] == "progress" and time.monotonic() - said >= 5:
            said = time.monotonic()
            say(f"{what}: {event['done']}/{event['total']}")

    return listen

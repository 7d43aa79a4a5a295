"""Finished steps of a run directory: done once, skipped after, done again when anything they stand on changed."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..errors import BadInput
from ..files import sha256, write_json
from ..progress import say
from .code import digest_of_code

_TOOLS = ("edgewright", "keras", "tensorflow", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert")
Work = Callable[[Path], Mapping[str, Any]]


@cache
def versions() -> Mapping[str, str]:
    """Return the versions of the tools whose output a step keeps; a tool that is not installed is left out."""
    found = {}
    for tool in _TOOLS:
        try:
            found[tool] = version(tool)
        except PackageNotFoundError:
            continue
    return found


@cache
def digest_of_ours(modules: Sequence[str]) -> str:
    """Return the digest of `modules` of ours as this process found them: what it has imported stays as it was."""
    return digest_of_code(modules)


class Steps:
    """The steps of one run directory.

    A step's key is the SHA-256 of its name, configuration, inputs (digests), code and the tools' versions. Its record
    in `steps/` is written last, so an interrupted step has none and runs again, in the same scratch folder: whatever
    can be resumed from there (training) is. A changed configuration gets another key and with it another scratch
    folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._asked: set[str] = set()

    def do(
        self, name: str, work: Work, *, config: Mapping[str, Any], inputs: Mapping[str, str], code: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Return the result of step `name`, running `work(scratch)` unless it is done already.

        work gets its scratch folder and returns a JSON document; the paths under its key "files" (relative to the run
        directory) are the step's outputs: a step whose outputs are missing or changed is not done. code names the
        modules that do the work, as "pipeline.training"; what they import is found.
        """
        self._asked.add(name)
        code_digest = digest_of_ours(tuple(code))
        facts = {"step": name, "config": config, "inputs": inputs, "code": code_digest, "tools": versions()}
        key = sha256(json.dumps(facts, sort_keys=True).encode())
        record = self._record(name)
        if record.get("key") == key and self._intact(record["outputs"]):
            say(f"{name}: done before")
            return record["result"]
        say(f"{name} ...")
        start = time.monotonic()
        scratch = self.folder / "logs" / f"{name}-{key[:8]}"
        scratch.mkdir(parents=True, exist_ok=True)
        result = dict(work(scratch))
        outputs = {path: sha256(self.folder / path) for path in result.get("files", ())}
        seconds = round(time.monotonic() - start, 3)
        write_json(self._path(name), {"key": key, **facts, "seconds": seconds, "outputs": outputs, "result": result})
        self._drop({path: made for path, made in record.get("outputs", {}).items() if path not in outputs})
        say(f"{name}: {seconds:.1f} s")
        return result

    def _drop(self, made: Mapping[str, str]) -> None:
        """Remove what a step made before and does not now: beside the new it would be taken for part of it.

        made: path -> digest; what another step makes stays, and a file that somebody changed since.
        """
        for path, digest in made.items():
            others = any(path in record["outputs"] for record in self._records())
            if not others and self._intact({path: digest}):
                (self.folder / path).unlink()
                say(f"removed {path}: made before, and not any more")

    def seconds(self) -> dict[str, float]:
        """Return how long each finished step that was asked for took, in seconds; earlier plans may have had others."""
        return {record["step"]: record["seconds"] for record in self._records() if record["step"] in self._asked}

    def _records(self) -> list[dict[str, Any]]:
        """Return the records of all finished steps."""
        records = [self._record(path.stem) for path in sorted((self.folder / "steps").glob("*.json"))]
        return [record for record in records if record]

    def _path(self, name: str) -> Path:
        return self.folder / "steps" / f"{name}.json"

    def _record(self, name: str) -> dict[str, Any]:
        try:
            return json.loads(self._path(name).read_text())
        except FileNotFoundError:
            return {}
        except json.JSONDecodeError:
            say(f"{self._path(name)} is damaged: the step runs again")
            return {}

    def _intact(self, outputs: Mapping[str, str]) -> bool:
        return all(
            (self.folder / path).is_file() and sha256(self.folder / path) == digest for path, digest in outputs.items()
        )


@contextmanager
def occupying(folder: Path) -> Iterator[Steps]:
    """Yield the steps of `folder`, held against a second process for as long.

    Raises: BadInput if another process works in the folder, or if it cannot be made.
    """
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"--out {folder}: {error.strerror}; give a folder that can be written") from error
    if not os.access(folder, os.W_OK):
        raise BadInput(f"--out {folder}: not writable; give a folder that can be written")
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield Steps(folder)
    except Timeout as error:
        raise BadInput(f"--out {folder}: another process works there; wait for it or give another folder") from error

"""A training run's folder: a checkpoint that is whole or absent, logs that agree with it, the learning curve."""

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..errors import BadInput
from ..files import replacing, write
from .logs import Logs, curve

Row = dict[str, float]
CHECKPOINT = "checkpoint.npz"


@dataclass(kw_only=True)
class State:
    """All that a learner needs to go on as if it had never stopped: arrays by name, and facts that JSON can hold."""

    arrays: dict[str, np.ndarray]
    history: list[Row] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    done: bool = False


class RunDir:
    """The folder of one run, or nothing at all for `folder=None`: then every call does nothing.

    identity: what makes a run this run (settings, data, networks). A folder that holds another run's checkpoint is
    refused rather than overwritten.
    """

    def __init__(self, folder: str | Path | None, identity: Mapping[str, Any] | None = None):
        self.folder = None if folder is None else Path(folder)
        self._identity = json.loads(json.dumps(identity or {}))
        self._logs: Logs | None = None
        self._saved = self._cost = 0.0

    def restore(self) -> State | None:
        """Return the state last saved, or None; the logs are brought back to it.

        Raises: BadInput if the checkpoint is damaged or is another run's, naming the settings that differ.
        """
        state = self._read() if self.folder and (self.folder / CHECKPOINT).exists() else None
        if self.folder:
            self._logs = Logs(self.folder, state.history if state else [])
        return state

    def part(self, name: str) -> "RunDir":
        """Return the folder, in this one, of a training that this run begins with."""
        return RunDir(self.folder and self.folder / name, {**self._identity, "part": name})

    def log(self, row: Row) -> None:
        """Add an epoch's numbers to the logs."""
        if self._logs:
            self._logs.add(row)

    def due(self) -> bool:
        """Tell if saving now keeps its share of the time under 5%: a step of training may be quicker than a save."""
        return self.folder is not None and time.monotonic() - self._saved > 20 * self._cost

    def save(self, state: State) -> None:
        """Replace the checkpoint by `state`."""
        if self.folder is None:
            return
        start = time.monotonic()
        facts = {"identity": self._identity, "history": state.history, "facts": state.facts, "done": state.done}
        note = np.frombuffer(json.dumps(facts, allow_nan=False).encode(), np.uint8)
        with replacing(self.folder / CHECKPOINT) as temporary, open(temporary, "wb") as file:
            np.savez(file, _note=note, **state.arrays)  # pyright: ignore[reportArgumentType]
        self._saved = time.monotonic()
        self._cost = self._saved - start

    def finish(self, history: list[Row]) -> None:
        """Draw the learning curve and close the logs."""
        if self.folder:
            write(self.folder / "learning_curve.svg", curve(history))
        if self._logs:
            self._logs.close()

    def _read(self) -> State:
        assert self.folder
        path = self.folder / CHECKPOINT
        try:
            with np.load(path, allow_pickle=False) as kept:
                arrays = {name: kept[name] for name in kept.files}
            note = json.loads(arrays.pop("_note").tobytes())
        except Exception as error:  # zip, CRC, header, JSON: whatever of it is broken, the file is
            raise BadInput(f"{path} is damaged ({error}); remove it to train from the start") from error
        self._refuse_other(note["identity"], path)
        return State(arrays=arrays, history=note["history"], facts=note["facts"], done=note["done"])

    def _refuse_other(self, other: dict[str, Any], path: Path) -> None:
        ours, theirs = flat(self._identity), flat(other)
        names = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
        changed = [f"{name} {theirs.get(name)} -> {ours.get(name)}" for name in names]
        if changed:
            raise BadInput(f"{path} is of another run: {'; '.join(changed[:4])}. Give another folder, or remove it")


def flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Return the leaves of nested dicts by dotted name."""
    if not isinstance(tree, Mapping):
        return {prefix: tree}
    branches = (flat(value, f"{prefix}.{key}".strip(".")) for key, value in tree.items())
    return {name: leaf for branch in branches for name, leaf in branch.items()}


def pack(variables: Mapping[str, Iterable[Any]]) -> dict[str, np.ndarray]:
    """Return copies of the values of named groups of keras variables, as State.arrays takes them."""
    return {
        f"{group}/{k}": np.array(keras.ops.convert_to_numpy(variable))
        for group, members in variables.items()
        for k, variable in enumerate(members)
    }


def unpack(arrays: Mapping[str, np.ndarray], variables: Mapping[str, Iterable[Any]]) -> None:
    """Assign what `pack` returned back to the same groups of variables."""
    for group, members in variables.items():
        for k, variable in enumerate(members):
            variable.assign(arrays[f"{group}/{k}"])


def fingerprint(*arrays: np.ndarray) -> str:
    """Return a digest of shapes and of 64 evenly spaced rows: tells data sets apart without reading them whole."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype}".encode())
        digest.update(np.ascontiguousarray(array[:: max(1, len(array) // 64)]).tobytes())
    return digest.hexdigest()[:16]


def digest_of_weights(model: keras.Model) -> str:
    """Return a digest of all weights of a model."""
    digest = hashlib.sha256()
    for value in model.get_weights():
        digest.update(f"{value.shape} {value.dtype}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()[:16]

"""Networks that are files on a device, as a task runs them: an agent there opens each once and answers requests.

with open_runner({"step": ModelFile.read("step.tflite")}, "ssh://pi@board") as run:
    logits = run.unroll("step", {"token": tokens})["logits"]
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import BadInput
from ..runners import Arrays
from ..shortlists import Shortlist
from .config import USUAL, BenchConfig
from .jobs import Orders
from .model_file import ModelFile
from .transports.transport import Dialogue, Session, Transport, connect

REQUEST_BYTES = 1 << 22  # of inputs in one request
REQUEST_SAMPLES = 1024


@contextmanager
def open_runner(
    files: Mapping[str, ModelFile], device: str | Transport = "local", config: BenchConfig = USUAL
) -> Iterator[DeviceRunner]:
    """Open the files of a model's networks on a device, by the name of the network.

    Raises: JobFailed if a file is refused, crashes or takes too long; DeviceLost if the device cannot be reached.
    """
    transport = connect(device)
    with transport.session() as session:
        orders = Orders(transport, session, config)
        models = {network: orders.model(file, index) for index, (network, file) in enumerate(files.items())}
        with DeviceRunner(session, orders, models, tables_of(files.values())) as runner:
            yield runner


class DeviceRunner:
    """A `runners.Runner` on a device. models: network -> how a job refers to its file. tables: as manifests have them.

    Whatever ends the agent ends the runner: it raises DeviceLost or JobFailed, and never answers in part.
    """

    def __init__(
        self,
        session: Session,
        orders: Orders,
        models: Mapping[str, Mapping[str, Any]],
        tables: Mapping[str, np.ndarray] | None = None,
    ):
        self._session, self._orders, self._models, self._tables = session, orders, models, tables or {}

    def __enter__(self) -> DeviceRunner:
        specs = [{**spec, "network": network} for network, spec in self._models.items()]
        self._agent = Dialogue(self._session, self._orders.job("serve", specs))
        try:
            self._agent.wait("ready")
        except BaseException:
            self._agent.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._agent.end()

    def __call__(self, network: str, inputs: Arrays) -> Arrays:
        """Run a batch, sample by sample. Of a file with states inputs are sequences, unless states are given too."""
        answers = [self._ask("run", network, part) for part in _parts(inputs)]
        return _joined(answers)

    def unroll(
        self,
        network: str,
        given: Arrays,
        *,
        first: Arrays | None = None,
        steps: int | None = None,
        feed: Mapping[str, str] | None = None,
        held: Arrays | None = None,
    ) -> Arrays:
        """Run a step network once a time step on the device, see `runners.Runner`."""
        if steps is None and not given:
            raise BadInput("steps=None: give it where no input is given for each step")
        kinds: Mapping[str, Arrays] = {"given": given, "first": first or {}, "held": held or {}}
        together = {(kind, name): array for kind, arrays in kinds.items() for name, array in arrays.items()}
        answers = []
        for part in _parts(together):
            of = {kind: {name: each for (which, name), each in part.items() if which == kind} for kind in kinds}
            more = {kind: {name: _packed(array) for name, array in of[kind].items()} for kind in ("first", "held")}
            answers.append(self._ask("unroll", network, of["given"], steps=steps, feed=dict(feed or {}), **more))
        return _joined(answers)

    def table(self, network: str) -> np.ndarray:
        """Return a table that came with a file.  Raises: BadInput where none of that name did."""
        if network not in self._tables:
            raise BadInput(f"no table {network!r} in the manifest of a file that runs here; export the model again")
        return self._tables[network]

    def shortlist(self, network: str) -> Shortlist | None:
        """Return which tokens the file of a network tells apart, None for all: answers are widened to all of them."""
        return Shortlist.read(self._models[self._known(network)])

    def _ask(self, call: str, network: str, inputs: Arrays, **more: Any) -> dict[str, np.ndarray]:
        packed = {name: _packed(array) for name, array in inputs.items()}
        answer = self._agent.ask(call=call, network=self._known(network), inputs=packed, **more)
        outputs = {name: _unpacked(array) for name, array in answer["outputs"].items()}
        shortlist = self.shortlist(network)
        return shortlist.widened(outputs) if shortlist else outputs

    def _known(self, network: str) -> str:
        """Return under which name a network runs here: a lone file is the network that is asked for."""
        if network in self._models:
            return network
        if len(self._models) == 1:
            return next(iter(self._models))
        raise BadInput(f"network={network!r} is not among those that run here: {', '.join(self._models)}")


def tables_of(files: Iterable[ModelFile]) -> dict[str, np.ndarray]:
    """Return the tables that the manifests of files have, float32 by name."""
    return {
        name: np.asarray(values, np.float32)
        for file in files
        for name, values in (file.manifest.get("tables") or {}).items()
    }


def _parts(arrays: Mapping[Any, np.ndarray]) -> Iterator[dict[Any, np.ndarray]]:
    """Yield the samples in parts that make a request each.  Raises: BadInput where they are not as many."""
    counts = {len(array) for array in arrays.values()}
    if len(counts) != 1 or not min(counts):
        raise BadInput(f"inputs hold {sorted(counts)} samples; give each input the same number, at least 1")
    (count,) = counts
    size = max(1, sum(np.asarray(array[:1]).nbytes for array in arrays.values()))
    most = max(1, min(REQUEST_SAMPLES, REQUEST_BYTES // size))
    for start in range(0, count, most):
        yield {name: np.asarray(array[start : start + most]) for name, array in arrays.items()}


def _joined(answers: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}


def _packed(array: np.ndarray) -> dict[str, Any]:
    """Return an array as JSON has it: reals as float32, integers as they are."""
    values = np.asarray(array, np.float32) if np.asarray(array).dtype.kind == "f" else np.asarray(array)
    values = np.ascontiguousarray(values)
    data = base64.b64encode(values.tobytes()).decode()
    return {"dtype": values.dtype.name, "shape": list(values.shape), "data": data}


def _unpacked(array: Mapping[str, Any]) -> np.ndarray:
    values = np.frombuffer(base64.b64decode(array["data"]), np.dtype(array["dtype"]))
    return values.reshape(array["shape"]).astype(np.float32)


__all__ = ["DeviceRunner", "open_runner"]

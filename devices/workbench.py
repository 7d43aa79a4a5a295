"""What a benchmark works with, and its first look at the files: what they are and what they answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import files as whole
from ..errors import BadInput, EdgewrightError
from .config import BenchConfig
from .jobs import Orders, progress
from .model_file import ModelFile, plain
from .transports.transport import Outcome, Session, Transport, run_job
from .verdict.results import MEASURED, Run

CONVERSIONS = ("QUANTIZE", "DEQUANTIZE", "QUANTIZELINEAR", "DEQUANTIZELINEAR")
Sent = Mapping[str, str]  # input -> where its samples are on the device


@dataclass(kw_only=True)
class Workbench:
    """One benchmark at work; each step fills a part of `run`.

    models: file -> how a job refers to it. outputs: file -> its output tensors that are no states, as the runtime
    tells, with their `place` in the file.
    """

    run: Run
    transport: Transport
    session: Session
    scratch: Path
    config: BenchConfig
    files: Sequence[ModelFile]
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    outputs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def orders(self) -> Orders:
        """What writes the jobs."""
        return Orders(self.transport, self.session, self.config)

    def running(self) -> list[str]:
        """Return the files that run so far."""
        return [name for name, found in self.run.measured.items() if found["status"] == "ok"]

    def names(self, name: str) -> list[str]:
        """Return what the outputs of a file are called, without what converters add."""
        return [plain(each["name"]) for each in self.outputs[name]] or [""]

    def send_files(self) -> None:
        """Place all files on the device."""
        self.models = {file.name: self.orders.model(file, i) for i, file in enumerate(self.files)}

    def look(self, file: ModelFile, sent: Sent) -> None:
        """Record what a file is and what it answers: by one process where its manifest says that it has one output."""
        known = file.manifest
        if len(known.get("outputs") or ()) != 1 or "stateful" not in known or file.states:
            if self.inspect(file):
                self.answer(file.name, sent)
            return
        outcome, outputs = self._answer_of(file.name, sent, 0, tell=True)
        if outputs is not None:
            self.record(file, self.models[file.name], outcome)
        elif not self.inspect(file):  # what it is, is known of one that does not run, too
            return
        if self._entered(file.name, 0, outcome, outputs) and outputs is not None:
            self.run.outputs[file.name], self.run.answers[file.name] = outputs, [outputs]

    def inspect(self, file: ModelFile) -> bool:
        """Let the device open a file, and record what it says; return whether it could."""
        outcome = run_job(self.session, self.orders.job("inspect", [self.models[file.name]]))
        if outcome.status == "incomplete" and outcome.reason.startswith("delegate "):
            raise BadInput(f"{outcome.reason}; give --delegate a library that the device can load, or leave it out")
        self.record(file, self.models[file.name], outcome)
        return outcome.ok

    def record(self, file: ModelFile, model: dict[str, Any], outcome: Outcome) -> None:
        """Enter a file into the run with what the device said of it."""
        told = outcome.one("model") if outcome.ok else {"layers": [], "quantized_ops": None, "float_ops": None}
        model["stateful"] = bool(file.manifest.get("stateful", told.get("stateful")))
        run = self.run
        note_environment(run, outcome)
        run.layers[file.name] = told["layers"]
        self.outputs[file.name] = file.outside("outputs", told.get("outputs") or [])
        run.artifacts.append(artifact_row(file, model, told))
        if told.get("delegated") == 0:
            run.notes.append(f"{file.name}: the delegate took none of its operators; they ran without it")
        run.measured[file.name] = {
            **dict.fromkeys(MEASURED), "status": outcome.status, "reason": outcome.reason, "metric": run.metric,
            "runtime": model["runtime"], **placed(told),
        }  # fmt: skip
        run.notes += placement_notes(run, file.name)

    def answer(self, name: str, sent: Sent) -> None:
        """Run all samples through one file, for every output, memory and load time."""
        answers = []
        for number, place in enumerate([each["place"] for each in self.outputs[name]] or [0]):
            outcome, outputs = self._answer_of(name, sent, place)
            if not self._entered(name, number, outcome, outputs) or outputs is None:
                return
            answers.append(outputs)
        self.run.outputs[name], self.run.answers[name] = answers[0], answers

    def _entered(self, name: str, number: int, outcome: Outcome, outputs: np.ndarray | None) -> bool:
        """Enter into the run how a file ran for one of its outputs; tell if that went well."""
        found = self.run.measured[name]
        found.update(status=outcome.status, reason=outcome.reason)
        if outputs is None:
            return False
        broken = int(np.sum(~np.isfinite(outputs.reshape(len(outputs), -1)).all(1)))
        if broken:
            which = f" of output {self.names(name)[number]!r}" if number else ""
            found.update(status="rejected", reason=f"{broken} of {len(outputs)} outputs{which} hold NaN or infinity")
            return False
        if number == 0:
            reported = outcome.one("accuracy")
            told = ("n",) if self.run.simulated else ("load_us", "first_us", "peak_ram_bytes", "n")
            found.update({key: reported[key] for key in told})
        return True

    def _answer_of(self, name: str, sent: Sent, place: int, *, tell: bool = False) -> tuple[Outcome, np.ndarray | None]:
        """Run all samples through one file for its output number `place`.  tell: and let it be inspected."""
        answers = f"outputs-{list(self.models).index(name)}-{place}.npy"
        job = self.orders.job("accuracy", [self.models[name]], inputs=dict(sent), output=place, tell=tell,
                              outputs=self.session.path(answers))  # fmt: skip
        outcome = run_job(self.session, job, progress(f"running {name}"))
        if not outcome.ok:
            return outcome, None
        self.session.get(answers, self.scratch / answers)
        return outcome, np.load(self.scratch / answers, allow_pickle=False)

    def refuse_without_runtime(self) -> None:
        """Where the device can open none of the files, there is nothing to judge: that is no result."""
        measured = self.run.measured.values()
        if measured and all(one["status"] == "incomplete" and " has no " in one["reason"] for one in measured):
            raise EdgewrightError(
                f"{self.run.device}: {next(iter(measured))['reason']}; install it there (`edgewright devices setup "
                f"NAME`), or choose another device"
            )

    def give_up(self, reason: str) -> None:
        """Call incomplete what the lost device left undone; times taken so far are dropped."""
        outcome = Outcome(status="incomplete", reason=reason)
        for file in self.files:
            found = self.run.measured.get(file.name)
            if found is None:
                self.record(file, {"sha256": whole.sha256(file.path), **self.orders.runtime(file)}, outcome)
            elif found["status"] == "ok" and self._unanswered(file.name):
                found.update(status=outcome.status, reason=reason)
        for bundle in self.run.bundles.values():
            if bundle.status == "ok" and bundle.value is None:
                bundle.status, bundle.reason = outcome.status, reason
        self.blame(outcome, [])

    def _unanswered(self, name: str) -> bool:
        """Tell if a file was to answer and has not."""
        if not self.config.answers:
            return False
        if not self.run.bundles:
            return name not in self.run.outputs
        return any(bundle.value is None for bundle in self.run.bundles.values() if name in bundle.files.values())

    def blame(self, outcome: Outcome, entries: Sequence[str]) -> None:
        """A broken timing job gives no numbers at all; the file it was loading, if any, is named."""
        raw = self.run.raw
        loading = [event["model"] for event in outcome.all("load")]
        while_loading = f" while loading {entries[loading[-1]]}" if 0 < len(loading) < len(entries) else ""
        raw.latency, raw.control, raw.seconds = {}, {}, np.zeros(0)
        self.run.notes.append(f"timing is incomplete: {outcome.status}{while_loading}: {outcome.reason}")

    def note_failures(self) -> None:
        """Say in the run's notes what did not run."""
        for name, found in self.run.measured.items():
            if found["status"] != "ok":
                self.run.notes.append(f"{name}: {found['status']}: {found['reason']}")


def artifact_row(file: ModelFile, model: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what results.json says of a file itself."""
    return {
        "name": file.name,
        "format": file.format,
        "precision": file.precision or precision_of(told["layers"]),
        "sparsity": file.sparsity,
        "bytes": file.path.stat().st_size,
        "gzip_bytes": file.gzip_bytes,
        "sha256": model["sha256"],
        "path": str(file.path),
        "quantized_ops": told["quantized_ops"],
        "float_ops": told["float_ops"],
        "partitions": told.get("partitions"),
        "delegated": told.get("delegated"),
        "stateful": model["stateful"],
        "states": file.states,
    }


def placed(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a runtime says of where it runs a file's operators: placement {where: {operator: count}}, arena."""
    found: dict[str, Any] = {}
    if told.get("placement"):
        counts: dict[str, Counter[str]] = {}
        for row in told["placement"]:
            counts.setdefault(row["where"], Counter())[row["op"]] += 1
        found["placement"] = {where: dict(operators.most_common()) for where, operators in counts.items()}
    if told.get("arena_bytes"):
        found["arena_bytes"] = told["arena_bytes"]
    return found


def placement_notes(run: Run, name: str) -> list[str]:
    """Say in words what of a quantized file is not in integers, by itself or where it runs, or off the accelerator."""
    measured = run.measured[name]
    notes = [
        f"{name}: {measured['runtime']} runs {sum(operators.values())} of its operators "
        f"{'on the processor' if where == 'CPU' else f'in {where}'}: {_counted(operators)}"
        for where, operators in (measured.get("placement") or {}).items()
        if run.quantized(name) and (where == "CPU" or "float" in where)
    ]
    integer, floating = (run.artifact(name).get(kind) or 0 for kind in ("quantized_ops", "float_ops"))
    if run.quantized(name) and floating > integer:
        notes.append(f"{name}: is called {run.precision(name)}, but {floating} of its {integer + floating} operators "
                     "compute in float: too coarse in 8 bits, or left so for a target")  # fmt: skip
    if measured.get("arena_bytes"):
        notes.append(f"{name}: runs in an arena of {measured['arena_bytes']:,} bytes here (pointers of 8 bytes)")
    return notes


def _counted(operators: Mapping[str, int]) -> str:
    return ", ".join(f"{operator} {count}" for operator, count in operators.items())


def note_environment(run: Run, outcome: Outcome) -> None:
    """Record what the device says of itself; each job adds the runtime that it used."""
    start = next(outcome.all("start"), {"packages": {}})
    packages = {**run.environment.get("packages", {}), **start["packages"]}
    run.notes += [remark for remark in start.get("remarks", ()) if remark not in run.notes]
    told = {key: value for key, value in start.items() if key not in ("event", "remarks")}
    run.environment.update({**told, "packages": packages})


def precision_of(layers: Sequence[Mapping[str, Any]]) -> str | None:
    """Name the precision of a file without a manifest after the formats its operators compute in."""
    formats = {layer["dtype"] for layer in layers if layer["op"].upper() not in CONVERSIONS}
    formats -= {"int32", "int64", "bool", "none"}
    if not formats:
        return None
    if formats <= {"int8", "uint8"}:
        return "w8a8"
    if formats <= {"int16"}:
        return "w8a16"
    if any("weights" in each for each in formats):
        return "w8"
    return "float32" if formats == {"float32"} else "mixed"

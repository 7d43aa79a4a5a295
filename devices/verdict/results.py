"""What a benchmark found, as data: raw samples, and what was measured on each file and bundle.

Statistics over it are functions elsewhere (`intervals`, `measurement_warnings`, `mlperf`, `compare`), and `document`
composes results.json of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ... import files as whole
from ...errors import BadInput
from ...metrics import Scores

SIMULATED = "simulated: no latency"
MEASURED = ("status", "reason", "runtime", "load_us", "first_us", "peak_ram_bytes", "metric", "value", "n",
            "agreement")  # fmt: skip
TOLD = ("figures", "heads", "untold", "placement", "arena_bytes")  # beside it, where there is something to tell
_SAVED = ("model", "data", "baselines", "artifacts", "layers", "environment", "notes", "config", "estimates",
          "profiles", "labels")  # fmt: skip


@dataclass(kw_only=True)
class Raw:
    """What the statistics start from.

    latency: file -> one array of microseconds a block, in the order of rounds; control: the same for the second copy of
    each baseline; seconds: when each round ended; scores: bundle -> (M, k) rows, units: bundle -> (M,) whose row each
    is (see `metrics.Scores`); a bundle without units has a unit a row. Where each file is judged alone, a bundle is
    named after its file. truth: for each judged output the targets, said: file -> what it says there, as
    `metrics.Parts` has them; None where the metric has no parts.
    """

    latency: dict[str, list[np.ndarray]] = field(default_factory=dict)
    control: dict[str, list[np.ndarray]] = field(default_factory=dict)
    seconds: np.ndarray = field(default_factory=lambda: np.zeros(0))
    scores: dict[str, np.ndarray] = field(default_factory=dict)
    units: dict[str, np.ndarray] = field(default_factory=dict)
    truth: list[np.ndarray | None] = field(default_factory=list)
    said: dict[str, list[np.ndarray | None]] = field(default_factory=dict)

    def scored(self, bundle: str) -> Scores | None:
        """Return the scores of a bundle with their units, or None where it was not judged."""
        rows, unit = self.scores.get(bundle), self.units.get(bundle)
        if rows is None:
            return None
        return Scores.by_row(rows) if unit is None else Scores(rows, unit)

    def save(self, path: Path) -> None:
        """Write an .npz without pickle; file names are values in it, never keys."""
        arrays: dict[str, np.ndarray] = {"seconds": self.seconds}
        for kind in ("latency", "control"):
            arrays[f"{kind}_names"] = np.array(list(getattr(self, kind)), dtype=np.str_)
            for i, blocks in enumerate(getattr(self, kind).values()):
                arrays[f"{kind}_{i}"] = np.concatenate(blocks)
                arrays[f"{kind}_{i}_sizes"] = np.array([len(block) for block in blocks])
        arrays["score_names"] = np.array(list(self.scores), dtype=np.str_)
        arrays.update({f"scores_{i}": scores for i, scores in enumerate(self.scores.values())})
        arrays.update({f"units_{i}": self.units[name] for i, name in enumerate(self.scores) if name in self.units})
        for head, truth in enumerate(self.truth):
            kept = {"truth": truth} | {
                f"said_{list(self.scores).index(name)}": each[head] for name, each in self.said.items()
            }
            arrays.update({f"{key}_of_{head}": value for key, value in kept.items() if value is not None})
        arrays["truths"] = np.array(len(self.truth))
        with whole.replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]

    @classmethod
    def load(cls, path: Path) -> Raw:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            raw = cls(seconds=arrays["seconds"])
            for kind in ("latency", "control"):
                for i, name in enumerate(arrays[f"{kind}_names"]):
                    ends = np.cumsum(arrays[f"{kind}_{i}_sizes"])[:-1]
                    getattr(raw, kind)[str(name)] = np.split(arrays[f"{kind}_{i}"], ends)
            raw.scores = {str(name): arrays[f"scores_{i}"] for i, name in enumerate(arrays["score_names"])}
            raw.units = {name: arrays[f"units_{i}"] for i, name in enumerate(raw.scores) if f"units_{i}" in arrays}
            heads = range(int(arrays["truths"]) if "truths" in arrays else 0)
            kept = {key: arrays[key] for key in arrays.files if "_of_" in key}
            raw.truth = [kept.get(f"truth_of_{head}") for head in heads]
            raw.said = {
                name: [kept.get(f"said_{i}_of_{head}") for head in heads] for i, name in enumerate(raw.scores) if heads
            }
        return raw


@dataclass(kw_only=True)
class Bundle:
    """Files that are judged together: network -> file name, and what came of it.

    n: units; rows: scores of them; beside: what the task tells besides, by name. unasked: networks that it never ran.
    """

    files: dict[str, str]
    status: str = "ok"
    reason: str = ""
    value: float | None = None
    n: int | None = None
    rows: int | None = None
    beside: dict[str, float] = field(default_factory=dict)
    unasked: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Run:
    """One benchmark on one device. Statistics and verdicts are functions of it (see `compare`).

    measured: file -> {status, reason, runtime, load_us, first_us, peak_ram_bytes, metric, value, n, agreement}, and
    where there is something to tell figures {output: see metrics.figures}, heads [{head, metric, value, agreement}] of
    several outputs, untold {output without targets: how far it is the baseline's}, placement {where or in what the
    runtime computes: {operator: count}}, arena_bytes that a microcontroller's interpreter needs here;
    simulated: the runtime stands in for another device's: nothing is timed;
    metric: of several outputs "a+b"; labels: the judged outputs, and the names of their classes where they had any;
    estimates: what compilers expect (see `compile`), never ranked with measurements; profiles: see `measure.profile`;
    baselines: file -> the file it is judged against; outputs: file -> (N, ...) float outputs, answers: of every output
    of the file, both in memory only. bundles: by name; empty where each file is judged alone, by what it answers.
    """

    model: str = ""
    data: str = ""
    device: str
    emulated: bool = False
    simulated: bool = False
    metric: str | None = None
    baselines: dict[str, str]
    artifacts: list[dict[str, Any]]
    measured: dict[str, dict[str, Any]]
    layers: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    estimates: list[dict[str, Any]] = field(default_factory=list)
    profiles: list[dict[str, Any]] = field(default_factory=list)
    labels: dict[str, list[str]] = field(default_factory=dict)
    bundles: dict[str, Bundle] = field(default_factory=dict)
    raw: Raw = field(default_factory=Raw)
    outputs: dict[str, np.ndarray] = field(default_factory=dict)
    answers: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def samples(self) -> dict[str, np.ndarray]:
        """Return every latency sample in microseconds by file."""
        return {name: np.concatenate(blocks) for name, blocks in self.raw.latency.items()}

    def quantized(self, file: str) -> bool:
        """Tell if a file is to compute in integers, by its precision."""
        return bool(re.match(r"w\da", self.precision(file)))

    def precision(self, file: str) -> str:
        """Return the precision of a file, "" where none is known."""
        return self.artifact(file).get("precision") or ""

    def artifact(self, file: str) -> Mapping[str, Any]:
        """Return what is known of a file itself, {} where nothing is."""
        return next((row for row in self.artifacts if row["name"] == file), {})

    def bundle_of(self, file: str) -> str | None:
        """Return the bundle that is a file alone, or None where the file is judged with others only."""
        if not self.bundles:
            return file
        return next((name for name, one in self.bundles.items() if list(one.files.values()) == [file]), None)

    def baseline_of(self, bundle: str) -> str | None:
        """Return the bundle of the baselines of a bundle's files, or None where there is none."""
        if not self.bundles:
            return self.baselines[bundle]
        wanted = {network: self.baselines[file] for network, file in self.bundles[bundle].files.items()}
        return next((name for name, one in self.bundles.items() if one.files == wanted), None)

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """Read what `document.save` wrote. Raises: BadInput if the folder holds no run of schema 1."""
        path = Path(folder) / "results.json"
        document = json.loads(path.read_text()) if path.is_file() else {}
        if document.get("schema") != 1:
            raise BadInput(f"folder={str(folder)!r} holds no results.json of schema 1")
        measurements, bundles = document["measurements"], document.get("bundles", [])
        return cls(
            device=measurements[0]["device"],
            emulated=measurements[0]["emulated"],
            simulated=measurements[0].get("simulated", False),
            metric=next((row["metric"] for row in [*measurements, *bundles] if row.get("metric")), None),
            measured={
                each["artifact"]: {key: each[key] for key in (*MEASURED, *TOLD) if key in each} for each in measurements
            },
            bundles={each.pop("name"): Bundle(**each) for each in map(_bundle, bundles)},
            raw=Raw.load(Path(folder) / "raw.npz"),
            **{name: document[name] for name in _SAVED if name in document},
        )


def _bundle(entry: dict[str, Any]) -> dict[str, Any]:
    """Leave out what results.json tells of a bundle besides: statistics over its scores."""
    return {key: entry[key] for key in ("name", *Bundle.__dataclass_fields__) if key in entry}

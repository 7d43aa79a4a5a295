"""What a benchmark found: raw samples, and the results.json document made from them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ... import files as whole
from ... import metrics
from ...errors import BadInput
from . import intervals
from . import measurement_warnings as flags
from .mlperf import rules

MEASURED = ("status", "reason", "runtime", "load_us", "first_us", "peak_ram_bytes", "metric", "value", "n",
            "agreement")  # fmt: skip
TOLD = ("figures", "heads", "untold")  # measured beside it, where there is something to tell
_SAVED = ("model", "data", "baselines", "artifacts", "layers", "environment", "notes", "config", "estimates",
          "profiles", "labels")  # fmt: skip


@dataclass(kw_only=True)
class Raw:
    """What the statistics start from.

    latency: file -> one array of microseconds a block, in the order of rounds; control: the same for the second copy of
    each baseline; seconds: when each round ended; scores: file -> (n, k) scores per sample (see `metrics`).
    truth: for each judged output the targets, said: file -> what it says there, as `metrics.Parts` has them; None where
    the metric has no parts.
    """

    latency: dict[str, list[np.ndarray]] = field(default_factory=dict)
    control: dict[str, list[np.ndarray]] = field(default_factory=dict)
    seconds: np.ndarray = field(default_factory=lambda: np.zeros(0))
    scores: dict[str, np.ndarray] = field(default_factory=dict)
    truth: list[np.ndarray | None] = field(default_factory=list)
    said: dict[str, list[np.ndarray | None]] = field(default_factory=dict)

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
        for head, truth in enumerate(self.truth):
            kept = {"truth": truth} | {
                f"said_{list(self.scores).index(name)}": each[head] for name, each in self.said.items()
            }
            arrays.update({f"{key}_of_{head}": value for key, value in kept.items() if value is not None})
        arrays["truths"] = np.array(len(self.truth))
        with whole.replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]

    @classmethod
    def load(cls, path: Path) -> "Raw":
        with np.load(path, allow_pickle=False) as arrays:
            raw = cls(seconds=arrays["seconds"])
            for kind in ("latency", "control"):
                for i, name in enumerate(arrays[f"{kind}_names"]):
                    ends = np.cumsum(arrays[f"{kind}_{i}_sizes"])[:-1]
                    getattr(raw, kind)[str(name)] = np.split(arrays[f"{kind}_{i}"], ends)
            raw.scores = {str(name): arrays[f"scores_{i}"] for i, name in enumerate(arrays["score_names"])}
            heads = range(int(arrays["truths"]) if "truths" in arrays else 0)
            kept = {key: arrays[key] for key in arrays.files if "_of_" in key}
            raw.truth = [kept.get(f"truth_of_{head}") for head in heads]
            raw.said = {
                name: [kept.get(f"said_{i}_of_{head}") for head in heads] for i, name in enumerate(raw.scores) if heads
            }
        return raw


@dataclass(kw_only=True)
class Run:
    """One benchmark on one device. Statistics and verdicts are functions of it (see `compare`).

    measured: file -> {status, reason, runtime, load_us, first_us, peak_ram_bytes, metric, value, n, agreement}, and
    where there is something to tell figures {output: see metrics.figures}, heads [{head, metric, value, agreement}] of
    several outputs, untold {output without targets: how far it is the baseline's};
    metric: of several outputs "a+b"; labels: the judged outputs, and the names of their classes where they had any;
    estimates: what compilers expect (see `compile`), never ranked with measurements; profiles: see `measure.profile`;
    baselines: file -> the file it is judged against; outputs: file -> (N, ...) float outputs, answers: of every output
    of the file, both in memory only.
    """

    model: str = ""
    data: str = ""
    device: str
    emulated: bool = False
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
    raw: Raw = field(default_factory=Raw)
    outputs: dict[str, np.ndarray] = field(default_factory=dict)
    answers: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def samples(self) -> dict[str, np.ndarray]:
        """Return every latency sample in microseconds by file."""
        return {name: np.concatenate(blocks) for name, blocks in self.raw.latency.items()}

    def to_json(self, verdicts: Sequence[Any] = (), thresholds: Any = None) -> dict[str, Any]:
        """Return the results.json document, schema 1, with the verdicts of `compare` if given."""
        document = {
            "schema": 1,
            "model": self.model,
            "data": self.data,
            "artifacts": self.artifacts,
            "measurements": [self._measurement(name) for name in self.measured],
            "verdicts": [verdict.to_json() for verdict in verdicts],
            "layers": self.layers,
            "environment": self.environment,
            "notes": self.notes,
            "baselines": self.baselines,
            "config": self.config,
            "estimates": self.estimates,
            "profiles": self.profiles,
            "labels": self.labels,
            "controls": flags.controls(self),
            "flags": flags.flags(self),
            "rules": rules(self),
        }
        return document if thresholds is None else {**document, "thresholds": asdict(thresholds)}

    def save(self, folder: str | Path, verdicts: Sequence[Any] = (), thresholds: Any = None) -> Path:
        """Write raw.npz, then results.json, each whole or absent; return the path of results.json."""
        self.raw.save(Path(folder) / "raw.npz")
        return whole.write_json(Path(folder) / "results.json", self.to_json(verdicts, thresholds))

    @classmethod
    def load(cls, folder: str | Path) -> "Run":
        """Read what `save` wrote. Raises: BadInput if the folder holds no run of schema 1."""
        path = Path(folder) / "results.json"
        document = json.loads(path.read_text()) if path.is_file() else {}
        if document.get("schema") != 1:
            raise BadInput(f"folder={str(folder)!r} holds no results.json of schema 1")
        measurements = document["measurements"]
        return cls(
            device=measurements[0]["device"],
            emulated=measurements[0]["emulated"],
            metric=next((each["metric"] for each in measurements if each["metric"]), None),
            measured={
                each["artifact"]: {key: each[key] for key in (*MEASURED, *TOLD) if key in each} for each in measurements
            },
            raw=Raw.load(Path(folder) / "raw.npz"),
            **{name: document[name] for name in _SAVED if name in document},
        )

    def _measurement(self, name: str) -> dict[str, Any]:
        found = {"artifact": name, "device": self.device, "emulated": self.emulated, **self.measured[name]}
        blocks, scores = self.raw.latency.get(name), self.raw.scores.get(name)
        found["latency_us"] = None if blocks is None else summary(np.concatenate(blocks))
        found["latency_us_ci95"] = blocks and intervals.median(intervals.block_medians(blocks)).ci95
        if self.metric and scores is not None:
            found["value_ci95"] = intervals.metric_value(metrics.get(self.metric), scores).ci95
        return found


def summary(us: np.ndarray) -> dict[str, float | int]:
    """Return min, p50, p90, p99, mean and n of latencies in microseconds."""
    p50, p90, p99 = np.percentile(us, [50, 90, 99])
    return {
        "min": float(us.min()), "p50": float(p50), "p90": float(p90), "p99": float(p99), "mean": float(us.mean()),
        "n": len(us),
    }  # fmt: skip

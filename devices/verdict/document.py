"""The document results.json, schema 1: what a run holds, with the statistics over it and the verdicts on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ... import files as whole
from ... import metrics
from . import intervals
from .advice import advice
from .compare import Thresholds, Verdict
from .measurement_warnings import controls, measurement_warnings
from .mlperf import mlperf
from .results import Run


def compose(run: Run, verdicts: Sequence[Verdict] = (), thresholds: Thresholds | None = None) -> dict[str, Any]:
    """Return results.json, with the verdicts of `compare` if given.

    Its keys are stable: `flags` holds the measurement warnings, `rules` those of MLPerf.
    """
    composed = {
        "schema": 1,
        "model": run.model,
        "data": run.data,
        "artifacts": run.artifacts,
        "measurements": [_measurement(run, name) for name in run.measured],
        "bundles": [_bundle(run, name) for name in run.bundles],
        "verdicts": [verdict.to_json() for verdict in verdicts],
        "advice": advice(run, verdicts, thresholds or Thresholds()),
        "layers": run.layers,
        "environment": run.environment,
        "notes": run.notes,
        "baselines": run.baselines,
        "config": run.config,
        "estimates": run.estimates,
        "profiles": run.profiles,
        "labels": run.labels,
        "controls": controls(run),
        "flags": measurement_warnings(run),
        "rules": mlperf(run),
    }
    return composed if thresholds is None else {**composed, "thresholds": asdict(thresholds)}


def save(run: Run, folder: str | Path, verdicts: Sequence[Verdict] = (), thresholds: Thresholds | None = None) -> Path:
    """Write raw.npz, then results.json, each whole or absent; return the path of results.json."""
    run.raw.save(Path(folder) / "raw.npz")
    return whole.write_json(Path(folder) / "results.json", compose(run, verdicts, thresholds))


def _measurement(run: Run, name: str) -> dict[str, Any]:
    found: dict[str, Any] = {"artifact": name, "device": run.device, "emulated": run.emulated,
                             "simulated": run.simulated, **run.measured[name]}  # fmt: skip
    blocks, bundle = run.raw.latency.get(name), run.bundle_of(name)
    found["latency_us"] = None if blocks is None else summary(np.concatenate(blocks))
    found["latency_us_ci95"] = blocks and intervals.median(intervals.block_medians(blocks)).ci95
    return {**found, **(_interval(run, bundle) if bundle else {})}


def _bundle(run: Run, name: str) -> dict[str, Any]:
    return {
        "name": name, "baseline": run.baseline_of(name), "metric": run.metric, **asdict(run.bundles[name]),
        **_interval(run, name),
    }  # fmt: skip


def _interval(run: Run, bundle: str) -> dict[str, Any]:
    scores = run.raw.scored(bundle)
    if not run.metric or scores is None:
        return {}
    return {"value_ci95": intervals.metric_value(metrics.get(run.metric), scores).ci95}


def summary(us: np.ndarray) -> dict[str, float | int]:
    """Return min, p50, p90, p99, mean and n of latencies in microseconds."""
    p50, p90, p99 = np.percentile(us, [50, 90, 99])
    return {
        "min": float(us.min()), "p50": float(p50), "p90": float(p90), "p99": float(p99), "mean": float(us.mean()),
        "n": len(us),
    }  # fmt: skip


__all__ = ["compose", "save", "summary"]

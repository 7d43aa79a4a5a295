"""Which file to ship: one sentence, by what was measured on the device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import intervals
from .compare import Thresholds, Verdict, doubts, speed_word
from .results import Run


def advice(run: Run, verdicts: Sequence[Verdict], margin: float = Thresholds().margin) -> str:
    """Name the file to ship of those that pass: the fastest by this device's clock, of those alike the smallest.

    Where no times are to be trusted it is the smallest; "" where nothing passes, or files are judged together only.
    """
    passed = {verdict.artifact: verdict for verdict in verdicts
              if verdict.verdict == "pass" and verdict.artifact in run.baselines
              and run.bundle_of(verdict.artifact)}  # fmt: skip
    if not passed:
        return ""
    bytes_of = {row["name"]: row["bytes"] for row in run.artifacts}
    bases = {run.baselines[name] for name in passed}
    among = f"of the {len(passed)} files that keep the metric" if len(passed) > 1 else "the only file that passes"
    if any(name not in run.raw.latency or doubts(run, base, margin) for name in passed for base in bases):
        chosen = min(passed, key=lambda name: bytes_of.get(name, 0))
        return f"ship {chosen}: {among}{' the smallest' if len(passed) > 1 else ''}; no times to choose by"
    medians = {name: intervals.block_medians(run.raw.latency[name]) for name in passed}
    fastest = min(passed, key=lambda name: float(np.median(medians[name])))
    alike = [name for name in passed if name == fastest or _alike(run, medians[fastest], medians[name], margin)]
    chosen = min(alike, key=lambda name: bytes_of.get(name, 0))
    rank = "" if len(passed) == 1 else ", the fastest here" if chosen == fastest else ", as fast here and smaller"
    slower = "; its baseline is faster" if passed[chosen].speed == "slower" else ""
    return f"ship {chosen}: {among}{rank} ({np.median(medians[chosen]):,.1f} µs){slower}"


def _alike(run: Run, fastest: np.ndarray, other: np.ndarray, margin: float) -> bool:
    """Tell if two files are as fast as each other."""
    return speed_word(intervals.speedup(fastest, other, seed=run.config.get("seed", 0)), margin) == "same"

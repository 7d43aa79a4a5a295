"""What became worse from one run to a later one: size, metric and speed of the files they share by name.

Two sessions are never interleaved, so their times are compared as speed-ups over each run's own baseline, where what
slowed a whole session down cancels; only where the baseline itself is compared, times stand alone and are not judged.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from ... import metrics
from ..report.report import table
from . import intervals, words
from .compare import Thresholds, doubts, speed_estimate, speed_word
from .intervals import Estimate
from .results import Run

REGRESSED = "regressed"
_USUAL = {"threads": 1, "tflite_runtime": "litert", "kernels": "xnnpack", "delegate": None}
_WORDS = {"slower": REGRESSED, "faster": "improved", "same": "same", "unclear": "unclear"}


@dataclass(frozen=True, kw_only=True)
class Change:
    """One quantity of one file. value: later over earlier for speed and size, later minus earlier for the metric."""

    artifact: str
    quantity: str
    change: str
    value: float | None = None
    ci95: list[float] | None = None
    reason: str = ""


class Changes(list[Change]):
    """Changes that print as a table; `regressed` tells whether any file became worse."""

    @property
    def regressed(self) -> bool:
        """Tell if any file became worse."""
        return any(one.change == REGRESSED for one in self)

    def to_json(self) -> list[dict[str, Any]]:
        """Return the changes as JSON has them."""
        return [asdict(one) for one in self]

    def __str__(self) -> str:
        rows = [(one.artifact, one.quantity, one.change, number(one), one.reason) for one in self]
        return table(("file", "what", "change", "later against earlier [95%]", "remark"), rows)


def regressions(earlier: Run, later: Run, thresholds: Thresholds | None = None) -> Changes:
    """Compare `later` with `earlier`, file by file; a file that is missing now has regressed."""
    thresholds = thresholds or Thresholds()
    found = Changes()
    before, after = ({one["name"]: one["bytes"] for one in run.artifacts} for run in (earlier, later))
    for name in earlier.measured:
        if name not in later.measured:
            found.append(Change(artifact=name, quantity="file", change=REGRESSED, reason="not in the later run"))
            continue
        status = later.measured[name]["status"]
        if status != "ok" and earlier.measured[name]["status"] == "ok":
            reason = f"{status}: {later.measured[name]['reason']}"
            found.append(Change(artifact=name, quantity="status", change=REGRESSED, reason=reason))
            continue
        found.append(_size(name, before[name], after[name], thresholds))
        found += [*_metric(name, earlier, later), *_speed(name, earlier, later, thresholds)]
    for bundle in earlier.bundles:
        if bundle not in earlier.measured:
            found += _metric(bundle, earlier, later)
    return found


def _size(name: str, before: int, after: int, thresholds: Thresholds) -> Change:
    ratio = after / before
    word = REGRESSED if ratio > 1 + thresholds.margin else "improved" if ratio < 1 - thresholds.margin else "same"
    return Change(artifact=name, quantity="size", change=word, value=ratio, reason=f"{before:,} to {after:,} bytes")


def _metric(name: str, earlier: Run, later: Run) -> list[Change]:
    before, after = (run.raw.scored(name) for run in (earlier, later))
    if earlier.metric is None or before is None or after is None:
        return []
    known = partial(Change, artifact=name, quantity=earlier.metric)
    same_units = np.array_equal(before.units, after.units)
    if earlier.data != later.data or earlier.metric != later.metric or not same_units:
        return [known(change="unclear", reason="other data: the runs cannot be paired")]
    metric = metrics.get(earlier.metric)
    gain = intervals.metric_gain(metric, before, after)
    delta = gain if metric.plain else intervals.metric_delta(metric, before, after)
    word = REGRESSED if gain.high < 0 else "improved" if gain.low > 0 else "same" if gain.value == 0 else "unclear"
    return [known(change=word, value=delta.value, ci95=delta.ci95)]


def _speed(name: str, earlier: Run, later: Run, thresholds: Thresholds) -> list[Change]:
    bases = [run.baselines[name] for run in (earlier, later)]
    if name in bases or bases[0] != bases[1]:
        return []  # no baseline of its own to stand against
    known = partial(Change, artifact=name, quantity="speed")
    if unlike := [f"{what}: {a}, then {b}" for what, (a, b) in _conditions(earlier, later).items() if a != b]:
        return [known(change="unclear", reason=f"measured otherwise ({'; '.join(unlike)})")]
    found = [speed_estimate(run, name, bases[0]) for run in (earlier, later)]
    if any(one is None for one in found):
        return [known(change="unclear", reason="not timed in both runs")]
    distrust = [text for run in (earlier, later) for text in doubts(run, bases[0], thresholds.margin)]
    ratio = _ratio(name, bases[0], earlier, later)
    word = "unclear" if distrust else _WORDS[speed_word(ratio, thresholds.margin)]
    return [known(change=word, value=ratio.value, ci95=ratio.ci95, reason="; ".join(distrust))]


def _conditions(*runs: Run) -> dict[str, list[Any]]:
    """Return what speed depends on beside the files, for each run."""
    return {"device": [run.device for run in runs]} | {
        name: [run.config.get(name, usual) for run in runs] for name, usual in _USUAL.items()
    }


def _ratio(name: str, base: str, earlier: Run, later: Run, seed: int = 0) -> Estimate:
    """Estimate the later speed-up over the earlier one; the runs are resampled each for itself."""
    random = np.random.default_rng(seed)
    drawn, values = [], []
    for run in (earlier, later):
        blocks = run.raw.latency
        speedups = intervals.block_medians(blocks[base]) / intervals.block_medians(blocks[name])
        rows = random.integers(0, len(speedups), (intervals.RESAMPLES, len(speedups)))
        drawn.append(np.median(speedups[rows], axis=1))
        values.append(np.median(speedups))
    low, high = np.percentile(drawn[1] / drawn[0], [2.5, 97.5])
    return Estimate(float(values[1] / values[0]), float(low), float(high))


def number(one: Change) -> str:
    """Return the size of a change as text, with its interval."""
    if one.value is None:
        return "–"
    if metrics.known(one.quantity):
        return words.change(metrics.get(one.quantity), one.value, one.ci95)
    interval: Sequence[float] = one.ci95 or []
    ends = f" [{interval[0]:.3g}, {interval[1]:.3g}]" if interval else ""
    return f"{one.value:.3g}x{ends}"

"""Numbers of a verdict in words: differences in the metric's own units, and whether they are better or worse."""

from __future__ import annotations

from collections.abc import Sequence

from ...metrics import Metric
from . import intervals
from .intervals import Estimate


def points(value: float) -> str:
    """Return a share as points, hundredths, with its sign."""
    return f"{100 * value:+.2f}"


def difference(metric: Metric, value: float) -> str:
    """Return a difference as a number with its sign: in points, or in the metric's own unit."""
    return points(value) if metric.unit == "points" else f"{value:+.4g}"


def ends(metric: Metric, ci95: Sequence[float]) -> str:
    """Return an interval of differences."""
    return f"[{difference(metric, ci95[0])}, {difference(metric, ci95[1])}]"


def better(metric: Metric, value: float) -> str:
    """Say what a difference is where its sign alone does not: "better", "worse" or "" for none."""
    if metric.unit == "points" or value == 0:
        return ""
    return "better" if (value > 0) == metric.higher_is_better else "worse"


def change(metric: Metric, delta: float, ci95: Sequence[float] | None = None) -> str:
    """Say how a metric changed: "+0.13 points [+0.02, +0.24]", "+0.31 [+0.1, +0.52], worse".

    Of an interval that holds zero nothing is said that it does not tell: "-0.31 [-0.72, +0.1], no clear change".
    """
    parts = [difference(metric, delta), metric.unit, ends(metric, ci95) if ci95 else ""]
    word = better(metric, delta)
    if word and ci95 and ci95[0] <= 0 <= ci95[1]:
        word = "no clear change"
    return " ".join(filter(None, parts)) + (f", {word}" if word else "")


def allowed(metric: Metric, max_drop: float, baseline: float) -> str:
    """Say how much a metric may become worse by."""
    limit = metric.allowance(max_drop, baseline)
    return f"{100 * limit:g}" if metric.unit == "points" else f"{limit:.3g}"


def speed(estimate: Estimate) -> str:
    """Return a speed-up with its interval."""
    return f"{estimate.value:.3g}x [{estimate.low:.3g}, {estimate.high:.3g}]"


def more(estimate: Estimate, limit: float, n: int, unit: str) -> str:
    """Say how much more measuring would decide whether `limit` is held."""
    needed = intervals.more_needed(estimate, limit, n)
    return f"no number of {unit} would decide" if needed is None else f"about {needed:,} more {unit} would decide"

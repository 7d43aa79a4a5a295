"""What speaks against a run's times, in words. Warnings are shown whatever the verdict: none is hidden."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import intervals
from .intervals import Estimate
from .results import Run

SLOWDOWN = 0.10  # a device that became slower by more than this while measuring was not in a steady state
SLOWDOWN_P = 0.01  # and not by chance
THROTTLED = 0.10  # fraction of the clock that may be missing at the end
TAIL = 1.5  # a 90th percentile of more than this many medians is no steady machine's
DISTURBED = 0.05  # involuntary switches an inference


def control(run: Run, base: str) -> Estimate | None:
    """Return how much faster a baseline is than its own second copy: 1 on a device that can be believed."""
    if base not in run.raw.control or base not in run.raw.latency:
        return None
    first, second = (intervals.block_medians(each[base]) for each in (run.raw.latency, run.raw.control))
    return intervals.speedup(first, second)


def controls(run: Run) -> list[dict[str, Any]]:
    """Return the A/A control of every baseline: rows {artifact, speedup, speedup_ci95}."""
    found = {base: control(run, base) for base in sorted(set(run.baselines.values()))}
    return [
        {"artifact": base, "speedup": one.value, "speedup_ci95": one.ci95} for base, one in found.items() if one
    ]  # fmt: skip


def drift(run: Run) -> str:
    """Say by how much the device became slower while measuring, or return ""."""
    blocks = [*run.raw.latency.values(), *run.raw.control.values()]
    if not blocks:
        return ""
    slower, p_value = intervals.slowdown(np.array([intervals.block_medians(each) for each in blocks]))
    found = slower > SLOWDOWN and p_value < SLOWDOWN_P
    return f"the device became {slower:.0%} slower while measuring" if found else ""


def throttling(run: Run) -> str:
    """Say by how much the clock fell between the first and the last reading, or return ""."""
    first, last = (run.environment.get("telemetry", {}).get(when, {}).get("mhz") for when in ("first", "last"))
    if not first or not last or last > (1 - THROTTLED) * first:
        return ""
    return f"throttled: the clock fell from {first:,.0f} to {last:,.0f} MHz"


def noise(run: Run, margin: float) -> str:
    """Say which baselines differ from themselves by more than `margin`, or return ""."""
    wrong = [(base, control(run, base)) for base in sorted(set(run.baselines.values()))]
    words = [
        f"noisy: the baseline against itself comes out at {one.value:.3g}x [{one.low:.3g}, {one.high:.3g}]"
        for _, one in wrong if one and (one.low > 1 + margin or one.high < 1 - margin)
    ]  # fmt: skip
    return "; ".join(words)


def measurement_warnings(run: Run, margin: float = 0.01) -> list[dict[str, str]]:
    """Return every warning about a run: rows {kind, text}."""
    found = {
        "emulated": "the processor is emulated: times are not ranked" if run.emulated else "",
        "simulated": "no latency is told: the runtime stands in for that of another device" if run.simulated else "",
        "drift": drift(run),
        "throttling": throttling(run),
        "noise": noise(run, margin),
        "tail": _tail(run),
        **_disturbances(run),
    }
    return [{"kind": kind, "text": text} for kind, text in found.items() if text]


def _tail(run: Run) -> str:
    ratios = {name: np.percentile(us, 90) / np.median(us) for name, us in run.samples().items()}
    wide = [f"{name} ({ratio:.1f})" for name, ratio in ratios.items() if ratio > TAIL]
    return f"90th percentile over median above {TAIL:g}: {', '.join(wide)}" if wide else ""


def _disturbances(run: Run) -> dict[str, str]:
    """Read the device's own telemetry; where it told nothing, there is no warning."""
    telemetry = run.environment.get("telemetry")
    if not telemetry:
        return {}
    first, cores = telemetry.get("first", {}), run.environment.get("cores")
    timed = sum(len(block) for blocks in run.raw.latency.values() for block in blocks)
    switches, load, governor = telemetry.get("involuntary_switches", 0), first.get("load"), first.get("governor")
    return {
        "interrupted": f"{switches:,} involuntary switches in {timed:,} inferences"
        if switches > DISTURBED * timed
        else "",
        "busy": f"load of {load:.1f} on {cores} cores at the start" if load and cores and load > cores else "",
        "warm-up": "" if telemetry.get("stable_after_warm_up", True) else "times had not settled after the warm-up",
        "unpinned": "" if telemetry.get("pinned") else "the device could not keep the runtime on its cores",
        "clock": f"clock governor {governor!r} may change the clock" if governor not in (None, "performance") else "",
    }

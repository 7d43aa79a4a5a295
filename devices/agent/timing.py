"""The timed loop, and when it may end."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from .kinds import Job

SETTLE = 20  # most untimed inferences at the start of a block: the model before it has taken the caches


def run_timed(feed: Any, invoke: Any, count: int):
    """Time `count` inferences one by one, in nanoseconds; placing the sample is not timed."""
    clock = time.perf_counter_ns
    times = [0] * count
    for i in range(count):
        feed(i)
        started = clock()
        invoke()
        times[i] = clock() - started
    return times


def enough(medians: Any, elapsed_s: float, job: Job, random: Any):
    """True at the last round, after `max_seconds` (but ten rounds), or when the speed-ups are known precisely."""
    rounds = len(medians)
    if rounds >= job["max_rounds"] or (elapsed_s > job["max_seconds"] and rounds >= min(10, job["min_rounds"])):
        return True
    return rounds >= job["min_rounds"] and rounds % 10 == 0 and precise(np.array(medians), job, random)


def precise(medians: Any, job: Job, random: Any):
    """True when the interval of every pair's speed-up is narrow enough, with a tenth to spare for this rough estimate.

    medians: (rounds, models) in nanoseconds.
    """
    if not job.get("precision"):
        return False
    for candidate, baseline in job.get("pairs", []):
        ratios = medians[:, baseline] / medians[:, candidate]
        resampled = np.median(ratios[random.integers(0, len(ratios), (400, len(ratios)))], axis=1)
        low, high = np.percentile(resampled, [2.5, 97.5])
        if (high - low) / 2 > 0.9 * job["precision"] * np.median(ratios):
            return False
    return True

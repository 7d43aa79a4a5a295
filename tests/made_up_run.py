"""A made-up run of two files, whose right answers are known."""

import numpy as np
from edgewright.devices.verdict.compare import Thresholds, compare
from edgewright.devices.verdict.results import Raw, Run

ROUNDS = 40


def blocks(us: float, *, noise: float = 0.01, trend: float = 1.0, seed: int = 0) -> list[np.ndarray]:
    """Return 40 blocks of 20 latencies around `us`, with noise between blocks and a trend over the run."""
    random = np.random.default_rng(seed)
    level = us * random.lognormal(0, noise, ROUNDS) * np.linspace(1, trend, ROUNDS)
    return [each * random.lognormal(0, 0.02, 20) for each in level]


def a_run(us=50.0, *, lost=0, won=0, n=1000, control=100.0, noise=0.01, trend=1.0, **more) -> Run:
    """Return a run of `float` (100 us, 90% right) against `small` (`us`, with `lost` wrong and `won` right instead)."""
    baseline = np.r_[np.ones(n * 9 // 10), np.zeros(n - n * 9 // 10)][:, None]
    candidate = baseline.copy()
    candidate[:lost] = 0
    candidate[n - won :] = 1
    raw = Raw(
        latency={
            "float": blocks(100, noise=noise, trend=trend, seed=1),
            "small": blocks(us, noise=noise, trend=trend, seed=2),
        },
        control={"float": blocks(control, noise=noise, trend=trend, seed=3)},
        seconds=np.arange(ROUNDS) / 10,
        scores={"float": baseline, "small": candidate},
    )
    measured = {name: {"status": "ok", "reason": "", "agreement": 1 - (lost + won) / n} for name in ("float", "small")}
    return Run(
        device="local", metric="accuracy", baselines={"float": "float", "small": "float"}, artifacts=[],
        measured=measured, raw=raw, **more,
    )  # fmt: skip


def verdict(run: Run, **thresholds):
    (only,) = compare(run, Thresholds(**thresholds))
    return only

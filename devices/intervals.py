"""Estimates with 95% intervals, as pure functions over raw samples.

Latency samples within a block share the state of the machine, so the block is the unit that is resampled, and what is
resampled is the ratio within a round: baseline and candidate ran moments apart there, and what slowed both cancels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..metrics import Metric

RESAMPLES = 2000
_PARTS = 15


@dataclass(frozen=True)
class Estimate:
    """A value and the ends of its 95% interval, whose width shrinks with n ** -rate."""

    value: float
    low: float
    high: float
    rate: float = 0.5

    @property
    def ci95(self) -> list[float]:
        return [self.low, self.high]


def block_medians(blocks: Sequence[np.ndarray]) -> np.ndarray:
    """Return the median of each block: what the bootstrap resamples. Shape (rounds,)."""
    return np.array([np.median(block) for block in blocks])


def median(values: np.ndarray, seed: int = 0) -> Estimate:
    """Estimate a median over independent values by the percentile bootstrap (Efron 1979)."""
    found = stats.bootstrap(
        (values,), np.median, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(seed)
    )
    return Estimate(float(np.median(values)), *map(float, found.confidence_interval))


def speedup(baseline: np.ndarray, candidate: np.ndarray, seed: int = 0) -> Estimate:
    """Estimate how many times faster the candidate is, from block medians paired by round, each of shape (rounds,)."""
    return median(baseline / candidate, seed)


def quantile_ratio(
    baseline: Sequence[np.ndarray], candidate: Sequence[np.ndarray], quantile: float, seed: int = 0
) -> Estimate:
    """Estimate baseline's quantile over candidate's, from blocks paired by round; whole rounds are resampled.

    A tail belongs to the run, not to a block: samples of the drawn rounds are pooled before the quantile is taken.
    """
    of_baseline, of_candidate = _weighted_quantile(baseline, quantile), _weighted_quantile(candidate, quantile)
    return _over_samples(lambda rows: of_baseline(rows) / of_candidate(rows), len(baseline), seed)


def _weighted_quantile(blocks: Sequence[np.ndarray], quantile: float) -> Callable[[np.ndarray], float]:
    """Return rounds -> quantile of their pooled samples. Sorting once makes each resample one pass."""
    values = np.concatenate(blocks)
    order = np.argsort(values, kind="stable")
    values, owner = values[order], np.repeat(np.arange(len(blocks)), [len(block) for block in blocks])[order]

    def of(rounds: np.ndarray) -> float:
        weights = np.bincount(rounds, minlength=len(blocks))[owner].cumsum()
        return float(values[np.searchsorted(weights, quantile * weights[-1])])

    return of


def metric_value(metric: Metric, scores: np.ndarray, seed: int = 0) -> Estimate:
    """Estimate a metric from its scores per sample, (n, k), by resampling samples."""
    return _over_samples(lambda rows: metric.reduce(scores[rows]), len(scores), seed)


def metric_delta(metric: Metric, baseline: np.ndarray, candidate: np.ndarray, seed: int = 0) -> Estimate:
    """Estimate candidate minus baseline over the same resampled samples. Scores have shape (n, k).

    Where each sample is right or wrong and the two models never differ, resampling would claim certainty. Then the
    interval is that of the rule of three: what never happened in n samples is rarer than 3/n (Hanley 1983).
    """
    found = _over_samples(
        lambda rows: metric.reduce(candidate[rows]) - metric.reduce(baseline[rows]), len(baseline), seed
    )
    if right_or_wrong(baseline) and np.array_equal(baseline, candidate):
        rare = min(1.0, 3 / len(baseline))
        return Estimate(found.value, -rare, rare, rate=1.0)
    return found


def right_or_wrong(scores: np.ndarray) -> bool:
    """True where a sample's score is 1 for right or 0 for wrong."""
    return scores.shape[1] == 1 and bool(np.isin(scores, (0, 1)).all())


def mcnemar(baseline: np.ndarray, candidate: np.ndarray) -> float:
    """Return the exact two-sided p-value that both models err equally often (McNemar 1947), from 0/1 scores."""
    lost = int(np.sum(baseline > candidate))
    won = int(np.sum(baseline < candidate))
    return float(stats.binomtest(lost, lost + won).pvalue) if lost + won else 1.0


def slowdown(medians: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Look for the moment after which the device was slower, as one that heats up is.

    medians: block medians in order of time, (models, rounds), each model on a scale of its own. Returns (by what
    fraction slower than before that moment, p-value). The largest cumulative sum (Page 1954) of the run in 15 parts is
    set against the same parts in random order. Parts, because a busy neighbour slows down some rounds in a row.
    """
    relative = np.log(medians / np.median(medians, axis=1, keepdims=True)).mean(0)
    parts = np.array([np.median(part) for part in np.array_split(relative, min(_PARTS, len(relative)))])
    found = stats.permutation_test(
        (parts,), _largest_rise, permutation_type="pairings", alternative="greater", n_resamples=RESAMPLES,
        rng=np.random.default_rng(seed),
    )  # fmt: skip
    moment = int(np.argmax(_fall(parts)[:-1])) + 1
    return float(np.expm1(np.median(parts[moment:]) - np.median(parts[:moment]))), float(found.pvalue)


def _fall(values: np.ndarray, axis: int = -1) -> np.ndarray:
    return -np.cumsum(values - values.mean(axis, keepdims=True), axis)


def _largest_rise(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return the largest cumulative sum below the mean: large where low values come first and high ones later."""
    return _fall(values, axis).max(axis)


def more_needed(found: Estimate, limit: float, n: int) -> int | None:
    """Return how many more observations would bring `limit` out of the interval, or None if it sits on the value."""
    distance = abs(found.value - limit)
    half_width = (found.high - found.low) / 2
    return max(1, int(np.ceil(n * (half_width / distance) ** (1 / found.rate))) - n) if distance > 1e-9 else None


def _over_samples(statistic: Callable[[np.ndarray], float], n: int, seed: int) -> Estimate:
    rows = np.arange(n)
    found = stats.bootstrap(
        (rows,), statistic, vectorized=False, n_resamples=RESAMPLES, method="percentile",
        rng=np.random.default_rng(seed),
    )  # fmt: skip
    return Estimate(float(statistic(rows)), *map(float, found.confidence_interval))

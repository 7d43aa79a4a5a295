"""Estimates with 95% intervals, as pure functions over raw samples.

Latency samples within a block share the state of the machine, so the block is the unit that is resampled, and what is
resampled is the ratio within a round: baseline and candidate ran moments apart there, and what slowed both cancels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ...metrics import Metric, Scores

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
        """Return the ends of the interval."""
        return [self.low, self.high]


def block_medians(blocks: Sequence[np.ndarray]) -> np.ndarray:
    """Return the median of each block: what the bootstrap resamples. Shape (rounds,)."""
    return np.array([np.median(block) for block in blocks])


def median(values: np.ndarray, seed: int = 0) -> Estimate:
    """Estimate a median over independent values by the percentile bootstrap (Efron 1979)."""
    found = stats.bootstrap(
        (values,), np.median, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(seed)
    )
    ends = np.clip(found.confidence_interval, values.min(), values.max())  # interpolation can step over by rounding
    return Estimate(float(np.median(values)), *map(float, ends))


def mean(values: np.ndarray, seed: int = 0) -> Estimate:
    """Estimate a mean over independent values; of fewer than two the interval is open."""
    if len(values) < 2:
        value = float(np.mean(values)) if len(values) else float("nan")
        return Estimate(value, float("-inf"), float("inf"))
    found = stats.bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(seed)
    )
    return Estimate(float(np.mean(values)), *map(float, found.confidence_interval))


def speedup(baseline: np.ndarray, candidate: np.ndarray, seed: int = 0) -> Estimate:
    """Estimate how many times faster the candidate is, from block medians paired by round, each of shape (rounds,)."""
    return median(baseline / candidate, seed)


def quantile_ratio(
    baseline: Sequence[np.ndarray], candidate: Sequence[np.ndarray], quantile: float, seed: int = 0
) -> Estimate:
    """Estimate baseline's quantile over candidate's, from blocks paired by round; whole rounds are resampled.

    A tail belongs to the run, not to a block: samples of the drawn rounds are pooled before the quantile is taken.
    """
    of_baseline, of_candidate = _pooled_quantile(baseline, quantile), _pooled_quantile(candidate, quantile)

    def ratio(rounds: np.ndarray, axis: int = -1) -> np.ndarray:
        drawn = _times_drawn(rounds, len(baseline))
        return of_baseline(drawn) / of_candidate(drawn)

    rounds = np.arange(len(baseline))
    found = stats.bootstrap(
        (rounds,), ratio, vectorized=True, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(seed)
    )
    return Estimate(float(ratio(rounds)), *map(float, found.confidence_interval))


def _times_drawn(rounds: np.ndarray, count: int) -> np.ndarray:
    """Return how often each of `count` rounds is among the drawn ones.  Shapes: (..., n) -> (..., count)."""
    draws = rounds.reshape(-1, rounds.shape[-1])
    cells = draws + count * np.arange(len(draws))[:, None]
    return np.bincount(cells.ravel(), minlength=count * len(draws)).reshape(*rounds.shape[:-1], count)


def _pooled_quantile(blocks: Sequence[np.ndarray], quantile: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return (times each round is drawn (..., rounds)) -> quantile (...) of the samples of the drawn rounds.

    All resamples are searched at once, by halving: how many samples of a round lie below each value is counted before.
    """
    values = np.sort(np.concatenate(blocks), kind="stable")
    below = np.stack([np.searchsorted(np.sort(block), values, side="right") for block in blocks], axis=1)
    sizes = np.array([len(block) for block in blocks])

    def of(drawn: np.ndarray) -> np.ndarray:
        wanted = quantile * (drawn @ sizes)
        low, high = np.zeros(wanted.shape, int), np.full(wanted.shape, len(values) - 1)
        while np.any(low < high):
            middle = (low + high) // 2
            enough = (below[middle] * drawn).sum(-1) >= wanted
            low, high = np.where(enough, low, middle + 1), np.where(enough, middle, high)
        return values[low]

    return of


def metric_value(metric: Metric, scores: Scores, seed: int = 0) -> Estimate:
    """Estimate a metric from its scores by resampling units."""
    drawn = _drawing(scores)
    return _over_units(lambda places: metric.reduce(scores.rows[drawn(places)]), len(scores.units), seed)


def metric_delta(metric: Metric, baseline: Scores, candidate: Scores, seed: int = 0) -> Estimate:
    """Estimate candidate minus baseline, in the metric's own units, over the same resampled units."""
    return _paired(metric, lambda value, reference: value - reference, baseline, candidate, seed)


def metric_gain(metric: Metric, baseline: Scores, candidate: Scores, seed: int = 0) -> Estimate:
    """Estimate how much better the candidate is, where 0.01 is one point (`Metric.gain`), over the same units."""
    return _paired(metric, lambda value, reference: float(metric.gain(value, reference)), baseline, candidate, seed)


def _paired(
    metric: Metric, compared: Callable[[float, float], float], baseline: Scores, candidate: Scores, seed: int
) -> Estimate:
    """Resample units, the same of both models; a unit may have other rows in each, as an episode has other steps.

    Where each unit is right or wrong and the two models never differ, resampling would claim certainty. Then the
    interval is that of the rule of three: what never happened in n units is rarer than 3/n (Hanley 1983).
    Raises: ValueError if they were judged on other units.
    """
    if not np.array_equal(baseline.units, candidate.units):
        raise ValueError(f"scores of {len(baseline.units)} and of {len(candidate.units)} units cannot be paired")
    ours, theirs = _drawing(candidate), _drawing(baseline)

    def difference(places: np.ndarray) -> float:
        return compared(metric.reduce(candidate.rows[ours(places)]), metric.reduce(baseline.rows[theirs(places)]))

    found = _over_units(difference, len(baseline.units), seed)
    if right_or_wrong(baseline.rows) and np.array_equal(baseline.rows, candidate.rows):
        rare = min(1.0, 3 / len(baseline.units))
        return Estimate(found.value, -rare, rare, rate=1.0)
    return found


def _drawing(scores: Scores) -> Callable[[np.ndarray], np.ndarray]:
    """Return (places of the drawn units (n,)) -> the numbers of their rows, those of a unit together."""
    order = np.argsort(scores.unit, kind="stable")
    _, starts, sizes = np.unique(scores.unit[order], return_index=True, return_counts=True)

    def rows(places: np.ndarray) -> np.ndarray:
        counts = sizes[places]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return order[np.repeat(starts[places], counts) + within]

    if (sizes == 1).all():  # a row a unit: what is drawn are rows, whose resampling is then one look-up
        return lambda places: order[places]
    return rows


def right_or_wrong(scores: np.ndarray) -> bool:
    """Tell if each score is 1 for right or 0 for wrong."""
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


def _over_units(statistic: Callable[[np.ndarray], float], n: int, seed: int) -> Estimate:
    units = np.arange(n)
    found = stats.bootstrap(
        (units,), statistic, vectorized=False, n_resamples=RESAMPLES, method="percentile",
        rng=np.random.default_rng(seed),
    )  # fmt: skip
    return Estimate(float(statistic(units)), *map(float, found.confidence_interval))

"""What a metric is a mean over and may hide: the recall of each class or label, the explained variance of each value.

All parts of an output are estimated together: their intervals are so wide (Bonferroni) that with 95% confidence every
one of them holds.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ...metrics import Parts, right

RESAMPLES = 2000
_AT_ONCE = 100  # resamples drawn at once, for memory's sake


@dataclass(frozen=True, kw_only=True)
class Part:
    """One class, label or value. delta: value less baseline, with its interval; n: samples that it was judged on."""

    part: str
    number: int
    figure: str
    baseline: float
    value: float
    delta: float
    ci95: list[float]
    n: int


def estimate(kind: Parts, truth: np.ndarray, before: np.ndarray, after: np.ndarray, seed: int = 0) -> list[Part]:
    """Estimate each part for baseline and file.  Shapes: truth, before, after (N, ...), see `metrics.Parts`."""
    of = _values if kind.unit == "value" else _recalls
    return list(of(kind, truth, before, after, seed))


def _recalls(kind: Parts, truth: np.ndarray, before: np.ndarray, after: np.ndarray, seed: int) -> Iterator[Part]:
    both = list(zip(right(kind.unit, truth, before), right(kind.unit, truth, after), strict=True))
    for (number, first), (_, second) in both:
        lost, won = int(np.sum(first & ~second)), int(np.sum(second & ~first))
        yield Part(
            part=f"{kind.unit} {number}",
            number=number,
            figure=kind.figure,
            baseline=float(first.mean()),
            value=float(second.mean()),
            delta=(won - lost) / len(first),
            ci95=paired_share(lost, won, len(first), 1 - 0.05 / len(both)),
            n=len(first),
        )


def paired_share(lost: int, won: int, n: int, confidence: float = 0.95) -> list[float]:
    """Return the interval of (won - lost) / n, the difference of two shares of the same n samples.

    Half a sample is added to each of the four cells, so that it holds on few samples too. Source: Agresti and Min 2005,
    Simple improved confidence intervals for comparing matched proportions.
    """
    z = float(stats.norm.ppf((1 + confidence) / 2))
    lost, won, n = lost + 0.5, won + 0.5, n + 2  # pyright: ignore[reportAssignmentType]
    middle = (won - lost) / n
    width = z * float(np.sqrt(lost + won - (won - lost) ** 2 / n)) / n
    return [max(-1.0, middle - width), min(1.0, middle + width)]


def _values(kind: Parts, truth: np.ndarray, before: np.ndarray, after: np.ndarray, seed: int) -> Iterator[Part]:
    """Resample samples, paired: this figure is no mean of the samples'. A value that never changes is left out."""
    spread = (truth.astype(np.float64) - truth.mean(0)) ** 2  # (N, k)
    errors = [(said.astype(np.float64) - truth) ** 2 for said in (before, after)]
    moving = np.flatnonzero(spread.sum(0) > 0)
    if not len(moving):
        return
    random = np.random.default_rng(seed)
    count, deltas = len(truth), []
    for _ in range(RESAMPLES // _AT_ONCE):
        drawn = random.multinomial(count, np.full(count, 1 / count), _AT_ONCE)  # times each sample is drawn
        total = np.maximum(drawn @ spread[:, moving], np.finfo(float).tiny)
        deltas.append((drawn @ errors[0][:, moving] - drawn @ errors[1][:, moving]) / total)
    tail = 100 * 0.05 / len(moving) / 2
    low, high = np.percentile(np.concatenate(deltas), [tail, 100 - tail], axis=0)
    for place, number in enumerate(moving):
        first, second = (1 - float(each[:, number].sum() / spread[:, number].sum()) for each in errors)
        yield Part(
            part=f"{kind.unit} {number}",
            number=int(number),
            figure=kind.figure,
            baseline=first,
            value=second,
            delta=second - first,
            ci95=[float(low[place]), float(high[place])],
            n=count,
        )

"""From raw samples to a verdict: pass, fail or inconclusive, with the reasons in words.

Pure functions of a `Run`. A claim is made only where a whole 95% interval lies on one side of the limit; between, the
verdict is inconclusive and says how much more measuring would decide. What the device's own control calls into doubt
(a baseline that differs from itself, a clock that slows down, an emulated processor) is not judged for speed.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..errors import BadInput
from ..metrics import METRICS
from . import flags, intervals
from .intervals import Estimate
from .results import Run


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """What a file must hold. max_drop: of the metric, 0.01 is one point; None judges no metric.

    min_speedup: over the baseline; None reports the speed without judging it. margin: differences of speed below this
    fraction are not called any: two copies of one file differ by about as much, by where their memory lies.
    """

    max_drop: float | None = 0.01
    min_speedup: float | None = None
    margin: float = 0.01

    def __post_init__(self) -> None:
        if self.max_drop is not None and not 0 <= self.max_drop <= 1:
            raise BadInput(f"max_drop={self.max_drop!r} must lie in [0, 1] (0.01 is one point), or be None")
        if self.min_speedup is not None and self.min_speedup <= 0:
            raise BadInput(f"min_speedup={self.min_speedup!r} must be positive (1.2 is 20% faster), or None")
        if not 0 <= self.margin < 0.5:
            raise BadInput(f"margin={self.margin!r} must lie in [0, 0.5)")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is said about one file. speed: faster, slower, same or unclear; mcnemar_p: that both err equally often.

    speedup: ratio of medians, speedup_p90: of 90th percentiles, each baseline over file.
    """

    artifact: str
    baseline: str
    device: str
    verdict: str
    reasons: tuple[str, ...]
    speed: str = "unclear"
    speedup: float | None = None
    speedup_ci95: list[float] | None = None
    metric_delta: float | None = None
    metric_delta_ci95: list[float] | None = None
    speedup_p90: float | None = None
    speedup_p90_ci95: list[float] | None = None
    agreement: float | None = None
    mcnemar_p: float | None = None

    def to_json(self) -> dict[str, Any]:
        document = asdict(self)
        document["reason"] = "; ".join(document.pop("reasons"))
        return document

    def __str__(self) -> str:
        return f"{self.artifact}: {self.verdict}: {'; '.join(self.reasons)}"


Finding = tuple[str | None, str]  # (pass, fail, inconclusive, or None for not judged; the reason in words)


def compare(run: Run, thresholds: Thresholds = Thresholds()) -> list[Verdict]:
    """Judge every file of `run` that has another file as its baseline, in the order of the run."""
    return [_judge(run, name, base, thresholds) for name, base in run.baselines.items() if name != base]


def speed_estimate(run: Run, name: str, base: str) -> Estimate | None:
    """Estimate how many times faster `name` is than `base`, or None where either was not timed."""
    blocks = run.raw.latency
    if name not in blocks or base not in blocks:
        return None
    reference, candidate = (intervals.block_medians(blocks[each]) for each in (base, name))
    return intervals.speedup(reference, candidate, seed=run.config.get("seed", 0))


def tail_estimate(run: Run, name: str, base: str) -> Estimate:
    """Estimate how many times shorter the 90th percentile of `name` is than that of `base`."""
    blocks = run.raw.latency
    return intervals.quantile_ratio(blocks[base], blocks[name], 0.9, seed=run.config.get("seed", 0))


def speed_word(found: Estimate, margin: float) -> str:
    """Say faster or slower only where the whole interval is beyond the margin, same only where it is within."""
    if found.low > 1 + margin:
        return "faster"
    if found.high < 1 - margin:
        return "slower"
    return "same" if 1 - margin <= found.low and found.high <= 1 + margin else "unclear"


def doubts(run: Run, base: str, margin: float) -> list[str]:
    """Return why the run's times against `base` are not to be trusted; empty where nothing speaks against them."""
    found = []
    if run.emulated:
        found.append("times of an emulated processor are not ranked")
    own = replace(run, baselines={base: base})
    return found + [text for text in (flags.noise(own, margin), flags.drift(run), flags.throttling(run)) if text]


def _judge(run: Run, name: str, base: str, thresholds: Thresholds) -> Verdict:
    broken = _broken(run, name, base)
    if broken:
        kind, reason = broken
        return Verdict(artifact=name, baseline=base, device=run.device, verdict=kind or "", reasons=(reason,))
    speed, distrust = speed_estimate(run, name, base), doubts(run, base, thresholds.margin)
    tail = speed and tail_estimate(run, name, base)
    scores = [run.raw.scores[each] for each in (base, name) if each in run.raw.scores]
    delta = p_value = None
    if run.metric and len(scores) == 2:
        delta = intervals.metric_delta(METRICS[run.metric], *scores, seed=run.config.get("seed", 0))
        p_value = intervals.mcnemar(*scores) if all(map(intervals.right_or_wrong, scores)) else None
    findings = [*_judge_metric(run, delta, len(scores[0]) if scores else 0, thresholds.max_drop)]
    findings += _judge_speed(speed, distrust, len(run.raw.seconds), thresholds)
    return Verdict(
        artifact=name,
        baseline=base,
        device=run.device,
        verdict=_overall([kind for kind, _ in findings]),
        reasons=tuple(reason for _, reason in findings),
        speed=speed_word(speed, thresholds.margin) if speed and not distrust else "unclear",
        speedup=speed and speed.value,
        speedup_ci95=speed and speed.ci95,
        speedup_p90=tail and tail.value,
        speedup_p90_ci95=tail and tail.ci95,
        metric_delta=delta and delta.value,
        metric_delta_ci95=delta and delta.ci95,
        agreement=run.measured[name]["agreement"],
        mcnemar_p=p_value,
    )


def _broken(run: Run, name: str, base: str) -> Finding | None:
    """A file that does not run fails; a baseline that does not, or a device that vanished, leaves nothing to say."""
    found, reference = run.measured[name], run.measured[base]
    if found["status"] == "incomplete":
        return "inconclusive", f"incomplete: {found['reason']}"
    if found["status"] != "ok":
        return "fail", f"{found['status']}: {found['reason']}"
    if reference["status"] != "ok":
        return "inconclusive", f"the baseline was not measured: {reference['status']}: {reference['reason']}"
    return None


def _judge_metric(run: Run, delta: Estimate | None, n: int, max_drop: float | None) -> Iterator[Finding]:
    if delta is None:
        yield None, "no metric was measured"
        return
    metric = (run.metric or "").replace("_", " ")
    words = f"{metric} {100 * delta.value:+.2f} points [{100 * delta.low:+.2f}, {100 * delta.high:+.2f}]"
    if max_drop is None:
        yield None, words
    elif delta.low >= -max_drop:
        yield "pass", words
    elif delta.high < -max_drop:
        yield "fail", f"{words}, more than the {100 * max_drop:g} allowed"
    else:
        yield "inconclusive", f"{words}, {100 * max_drop:g} allowed; {_more(delta, -max_drop, n, 'samples')}"


def _judge_speed(speed: Estimate | None, distrust: list[str], rounds: int, thresholds: Thresholds) -> Iterator[Finding]:
    limit = thresholds.min_speedup
    judged = "inconclusive" if limit is not None else None
    if speed is None:
        yield judged, "speed was not measured"
        return
    if distrust:
        for doubt in distrust:
            yield judged, doubt
        return
    words = f"{speed_word(speed, thresholds.margin)}: {_speed(speed)}"
    if limit is None:
        yield None, words
    elif speed.low >= limit:
        yield "pass", words
    elif speed.high < limit:
        yield "fail", f"{words}, less than the {limit:g}x wanted"
    else:
        yield "inconclusive", f"{words}, {limit:g}x wanted; {_more(speed, limit, rounds, 'rounds')}"


def _overall(kinds: list[str | None]) -> str:
    """One failure fails; nothing judged is nothing passed."""
    judged = {kind for kind in kinds if kind}
    if not judged:
        return "inconclusive"
    return next(kind for kind in ("fail", "inconclusive", "pass") if kind in judged)


def _speed(found: Estimate) -> str:
    return f"{found.value:.3g}x [{found.low:.3g}, {found.high:.3g}]"


def _more(found: Estimate, limit: float, n: int, unit: str) -> str:
    more = intervals.more_needed(found, limit, n)
    return "no number of " + unit + " would decide" if more is None else f"about {more:,} more {unit} would decide"

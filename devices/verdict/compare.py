"""From raw samples to a verdict: pass, fail or inconclusive, with the reasons in words.

Pure functions of a `Run`. A claim is made only where a whole 95% interval lies on one side of the limit; between, the
verdict is inconclusive and says how much more measuring would decide. What the device's own control calls into doubt
(a baseline that differs from itself, a clock that slows down, an emulated processor) is not judged for speed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from ... import metrics
from ...errors import BadInput
from . import intervals, parts
from . import measurement_warnings as flags
from .intervals import Estimate
from .parts import Part
from .results import Run

PARTS_OF_DROP = 5  # how many times the metric's drop a part may lose
ENOUGH = 30  # samples from which answers by chance are told from others
MOST_PARTS = 20  # of a verdict that are listed, the worst first


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """What a file must hold. max_drop: of the metric, 0.01 is one point; None judges no metric.

    max_part_drop: of what the metric is a mean over and may hide: a class's recall, a value's explained variance; by
    default five times max_drop. A part fails a file, it never passes one: of few samples little can be shown.
    min_speedup: over the baseline; None reports the speed without judging it. margin: differences of speed below this
    fraction are not called any: two copies of one file differ by about as much, by where their memory lies.
    """

    max_drop: float | None = 0.01
    min_speedup: float | None = None
    max_part_drop: float | None = None
    margin: float = 0.01

    def __post_init__(self) -> None:
        if self.max_drop is not None and not 0 <= self.max_drop <= 1:
            raise BadInput(f"max_drop={self.max_drop!r} must lie in [0, 1] (0.01 is one point), or be None")
        if self.max_part_drop is not None and not 0 <= self.max_part_drop <= 1:
            raise BadInput(
                f"max_part_drop={self.max_part_drop!r} must lie in [0, 1], or be None for five times max_drop"
            )
        if self.min_speedup is not None and self.min_speedup <= 0:
            raise BadInput(f"min_speedup={self.min_speedup!r} must be positive (1.2 is 20% faster), or None")
        if not 0 <= self.margin < 0.5:
            raise BadInput(f"margin={self.margin!r} must lie in [0, 0.5)")

    @property
    def part_drop(self) -> float | None:
        """How much a part may lose, None where no metric is judged."""
        if self.max_drop is None:
            return None
        return PARTS_OF_DROP * self.max_drop if self.max_part_drop is None else self.max_part_drop


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is said about one file. reasons: all findings, because: those that decided the verdict.

    speed: faster, slower, same or unclear; mcnemar_p: that both err equally often.
    speedup: ratio of medians, speedup_p90: of 90th percentiles, each baseline over file.
    metric_delta: of several outputs that of the one which lost most, and heads has each: {head, metric, metric_delta,
    metric_delta_ci95}. parts: {part, figure, baseline, value, delta, ci95, n} of the worst classes, labels or
    values, the intervals holding for all together (Bonferroni).
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
    because: str = ""
    heads: list[dict[str, Any]] = field(default_factory=list)
    parts: list[dict[str, Any]] = field(default_factory=list)

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
    heads = _heads(run, name, base)
    pieces = [part for head in heads for part in head.parts]
    findings = [finding for head in heads for finding in _judge_head(head, thresholds)] or [
        (None, "no metric was measured")
    ]
    findings += [*_judge_untold(run, name, thresholds), *_judge_baseline(run, base, thresholds)]
    lowest = min(heads, key=lambda head: head.delta.value, default=None)
    findings += _judge_speed(speed, distrust, len(run.raw.seconds), thresholds)
    overall = _overall([kind for kind, _ in findings])
    return Verdict(
        artifact=name,
        baseline=base,
        device=run.device,
        verdict=overall,
        reasons=tuple(reason for _, reason in findings),
        because="; ".join(reason for kind, reason in findings if kind == overall),
        speed=speed_word(speed, thresholds.margin) if speed and not distrust else "unclear",
        speedup=speed and speed.value,
        speedup_ci95=speed and speed.ci95,
        speedup_p90=tail and tail.value,
        speedup_p90_ci95=tail and tail.ci95,
        metric_delta=lowest and lowest.delta.value,
        metric_delta_ci95=lowest and lowest.delta.ci95,
        agreement=run.measured[name]["agreement"],
        mcnemar_p=lowest and lowest.mcnemar_p,
        heads=[head.to_json() for head in heads] if len(heads) > 1 else [],
        parts=[asdict(part) for part in sorted(pieces, key=lambda part: part.delta)[:MOST_PARTS]],
    )


@dataclass(frozen=True, kw_only=True)
class _Head:
    """One judged output of a file against its baseline's. name: as it is put before its findings."""

    name: str
    metric: str
    delta: Estimate
    samples: int
    mcnemar_p: float | None
    parts: tuple[Part, ...]

    def to_json(self) -> dict[str, Any]:
        found = {"metric_delta": self.delta.value, "metric_delta_ci95": self.delta.ci95}
        return {"head": self.name, "metric": self.metric, **found}


def _heads(run: Run, name: str, base: str) -> list[_Head]:
    """Estimate how each judged output changed; none where no metric was measured."""
    if not run.metric or not {name, base} <= run.raw.scores.keys():
        return []
    metric, seed = metrics.get(run.metric), run.config.get("seed", 0)
    names = list(run.labels) if len(run.labels) == len(metric.each) else [""] * len(metric.each)
    found = []
    for place, (head, own, columns) in enumerate(zip(names, metric.each, metric.columns, strict=True)):
        scores = [run.raw.scores[each] for each in (base, name)]
        before, after = (each[:, columns] if metric.heads else each for each in scores)
        both_told = all(map(intervals.right_or_wrong, (before, after)))
        found.append(
            _Head(
                name=head,
                metric=own.name,
                delta=intervals.metric_delta(own, before, after, seed=seed),
                samples=len(before),
                mcnemar_p=intervals.mcnemar(before, after) if both_told else None,
                parts=tuple(_parts(run, name, base, place, own, head)),
            )
        )
    return found


def _parts(run: Run, name: str, base: str, place: int, metric: metrics.Metric, head: str) -> list[Part]:
    raw = run.raw
    if (
        metric.parts is None
        or place >= len(raw.truth)
        or raw.truth[place] is None
        or not {name, base} <= raw.said.keys()
    ):
        return []
    before, after = (raw.said[each][place] for each in (base, name))
    labels = run.labels.get(head) or []
    found = parts.estimate(metric.parts, raw.truth[place], before, after, seed=run.config.get("seed", 0))
    return [replace(part, part=f"{metric.parts.unit} {labels[part.number]}") if part.number < len(labels) else part
            for part in found]  # fmt: skip


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


def _judge_head(head: _Head, thresholds: Thresholds) -> Iterator[Finding]:
    prefix = f"output {head.name}: " if head.name else ""
    for kind, reason in [*_judge_metric(head, thresholds.max_drop), *_judge_parts(head.parts, thresholds)]:
        yield kind, prefix + reason


def _judge_metric(head: _Head, max_drop: float | None) -> Iterator[Finding]:
    delta, metric = head.delta, head.metric.replace("_", " ")
    words = f"{metric} {_points(delta.value)} points {_ends(delta.ci95)}"
    if max_drop is None:
        yield None, words
    elif delta.low >= -max_drop:
        yield "pass", words
    elif delta.high < -max_drop:
        yield "fail", f"{words}, more than the {100 * max_drop:g} allowed"
    else:
        yield "inconclusive", f"{words}, {100 * max_drop:g} allowed; {_more(delta, -max_drop, head.samples, 'samples')}"


def _judge_parts(found: tuple[Part, ...], thresholds: Thresholds) -> Iterator[Finding]:
    """Name the worst part that lost what a mean hides: surely too much, or all it had on too few samples to be sure."""
    limit = thresholds.part_drop
    if limit is None or not found:
        return
    surely = [part for part in found if part.ci95[1] < -limit]
    perhaps = [part for part in found if part.delta < -limit and (part.ci95[1] < 0 or part.value <= 0)]
    for kind, those in (("fail", surely), ("inconclusive", perhaps)):
        if not those:
            continue
        worst = min(those, key=lambda part: part.delta)
        more = f" and {len(those) - 1} more" if len(those) > 1 else ""
        yield kind, f"{_of_part(worst)}, {100 * limit:g} allowed{more}"
        return
    blind = [part for part in found if part.baseline <= 0 and part.figure == "recall"]
    if blind:
        yield None, f"{blind[0].part} is never answered by the baseline: nothing is left to lose there"


def _of_part(part: Part) -> str:
    return (
        f"{part.figure} of {part.part} {_points(part.delta)} points {_ends(part.ci95)}, from {part.baseline:.1%} to "
        f"{part.value:.1%} on {part.n:,} samples"
    )


def _judge_untold(run: Run, name: str, thresholds: Thresholds) -> Iterator[Finding]:
    """Judge outputs without targets by how far they are the baseline's: they are part of what the file answers."""
    untold = run.measured[name].get("untold") or {}
    if not untold or thresholds.max_drop is None:
        return
    output, least = min(untold.items(), key=lambda each: each[1])
    words = f"output {output} has no targets; it agrees with the baseline's to {least:.1%}"
    if least < metrics.RUINED:
        yield "fail", words
    elif least < metrics.FAITHFUL:
        yield "inconclusive", f"{words}: give targets for it"
    else:
        yield None, words


def _judge_baseline(run: Run, base: str, thresholds: Thresholds) -> Iterator[Finding]:
    """Say where a baseline answers by chance: what was lost of nothing says nothing. It saw other data in training."""
    if thresholds.max_drop is None or not run.metric or base not in run.raw.said:
        return
    for own, truth, said in zip(metrics.get(run.metric).each, run.raw.truth, run.raw.said[base], strict=True):
        if own.parts is None or own.parts.unit != "class" or truth is None or said is None:
            continue
        found = [hits for _, hits in metrics.right(own.parts.unit, truth, said)]
        if len(found) > 1 and len(np.unique(said)) == 1:
            yield "inconclusive", "the baseline gives every sample the same answer: a file has nothing to lose"
        elif len(found) > 1 and _by_chance(found):
            share = sum(hits.mean() for hits in found) / len(found)
            yield (
                "inconclusive",
                (
                    f"the baseline finds {share:.1%} of a class, by chance it would be {1 / len(found):.1%}: was it "
                    f"trained on "
                    "other data, or on values of another scale?"
                ),
            )


def _by_chance(found: list[np.ndarray]) -> bool:
    """Tell if the mean recall lies within two standard errors of what guessing reaches, from at least 30 samples."""
    chance = 1 / len(found)
    error = sum(chance * (1 - chance) / len(hits) for hits in found) ** 0.5 / len(found)
    mean = sum(float(hits.mean()) for hits in found) / len(found)
    return sum(map(len, found)) >= ENOUGH and mean < chance + 2 * error


def _points(value: float) -> str:
    return f"{100 * value:+.2f}"


def _ends(ci95: Sequence[float]) -> str:
    return f"[{_points(ci95[0])}, {_points(ci95[1])}]"


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

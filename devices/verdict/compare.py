"""From raw samples to a verdict: pass, slower, fail or inconclusive, with the reasons in words.

Pure functions of a `Run`. A claim is made only where a whole 95% interval lies on one side of the limit; between, the
verdict is inconclusive and says how much more measuring would decide. What the device's own control calls into doubt
(a baseline that differs from itself, a clock that slows down, an emulated processor) is not judged for speed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from ... import metrics
from ...errors import BadInput
from ...metrics import Scores
from . import intervals, parts, words
from . import measurement_warnings as warnings
from .intervals import Estimate
from .parts import Part
from .results import SIMULATED, Run
from .slowness import why_slow

WORDS = ("fail", "inconclusive", "slower", "pass")  # of verdicts, in the order in which one finding outweighs others
PARTS_OF_DROP = 5  # how many times the metric's drop a part may lose
ENOUGH = 30  # samples from which answers by chance are told from others
MOST_PARTS = 20  # of a verdict that are listed, the worst first


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """What a file must hold. max_drop: of the metric, 0.01 is one point of it (`metrics.Metric.point`: of perplexity
    1%); None judges no metric.

    max_part_drop: of what the metric is a mean over and may hide: a class's recall, a value's explained variance; by
    default five times max_drop. A part fails a file, it never passes one: of few samples little can be shown.
    min_speedup: over the baseline; below 1 it allows files that are slower, for the sake of their size. None asks for
    no speed-up, and a file that is surely slower than its baseline is "slower" in place of "pass". margin: differences
    of speed below this fraction are not called any: two copies of one file differ by about as much, by where their
    memory lies.
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
    """What is said about a file, or about a bundle of several.

    verdict: one of WORDS; "slower" is what holds the metric and costs time, where no speed-up was asked for.
    reasons: all findings, because: those that decided the verdict.
    speed: faster, slower, same or unclear; mcnemar_p: that both err equally often.
    speedup: ratio of medians, speedup_p90: of 90th percentiles, each baseline over file.
    metric_delta: value less the baseline's, in the units of `metric`; metric_gain: how much better it is, where 0.01 is
    one point, which is what was judged. Of several outputs they are those of the one which lost most, and heads has
    each: {head, metric, metric_delta, metric_delta_ci95, metric_gain, metric_gain_ci95}. files: of a bundle, network ->
    file; their speed is judged file by file. parts: {part, figure, baseline, value, delta, ci95, n} of the worst
    classes, labels or values, the intervals holding for all together (Bonferroni).
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
    metric: str | None = None
    metric_gain: float | None = None
    metric_gain_ci95: list[float] | None = None
    speedup_p90: float | None = None
    speedup_p90_ci95: list[float] | None = None
    agreement: float | None = None
    mcnemar_p: float | None = None
    because: str = ""
    heads: list[dict[str, Any]] = field(default_factory=list)
    parts: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return its row in results.json."""
        document = asdict(self)
        document["reason"] = "; ".join(document.pop("reasons"))
        return document

    def __str__(self) -> str:
        return f"{self.artifact}: {self.verdict}: {'; '.join(self.reasons)}"


Finding = tuple[str | None, str]  # (one of WORDS, or None for not judged; the reason in words)


def compare(run: Run, thresholds: Thresholds = Thresholds()) -> list[Verdict]:
    """Judge every file of `run` that has another file as its baseline, in the order of the run; then the bundles.

    A file judged alone has one verdict; a bundle has one on the metric, which its files share, each with its speed.
    """
    several = [name for name, bundle in run.bundles.items() if len(bundle.files) > 1]
    against = [(name, base) for name in several if (base := run.baseline_of(name)) not in (None, name)]
    bundles = [_judge_bundle(run, name, str(base), thresholds) for name, base in against]
    shared = {
        file: (found.verdict, f"judged with the other files of its model: {found.verdict}")
        if network not in run.bundles[found.artifact].unasked
        else (None, "the task that judges the model does not run it")
        for found in bundles
        for network, file in found.files.items()
    }
    files = [
        _judge_file(run, name, base, thresholds, shared.get(name))
        for name, base in run.baselines.items()
        if name != base
    ]
    return [*files, *bundles]


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
    seen = warnings.noise(own, margin), warnings.drift(run), warnings.throttling(run)
    return found + [text for text in seen if text]


def _judge_file(run: Run, name: str, base: str, thresholds: Thresholds, shared: Finding | None) -> Verdict:
    """Judge speed, and the metric where the file is judged alone.  shared: what is found of its bundle instead."""
    known = partial(Verdict, artifact=name, baseline=base, device=run.device)
    if broken := _broken(run.measured[name], run.measured[base]):
        return known(verdict=broken[0] or "", reasons=(broken[1],))
    speed, distrust = speed_estimate(run, name, base), _unlike(run, name, base) or doubts(run, base, thresholds.margin)
    tail = speed and tail_estimate(run, name, base)
    scored, reference = run.bundle_of(name), run.bundle_of(base)
    if scored is None or reference is None:
        heads, unjudged = [], shared or (None, "judged with the other files of its model")
    else:
        heads, unjudged = _heads(run, scored, reference), _unjudged(run, scored, reference)
    findings = [*_judge_heads(heads, thresholds)] or [unjudged]
    findings += [*_judge_untold(run, name, thresholds), *_judge_baseline(run, base, thresholds)]
    findings += _judge_speed(run, name, speed, distrust, thresholds)
    return known(
        **_decided(findings),
        **_told(heads),
        speed=speed_word(speed, thresholds.margin) if speed and not distrust else "unclear",
        speedup=speed and speed.value,
        speedup_ci95=speed and speed.ci95,
        speedup_p90=tail and tail.value,
        speedup_p90_ci95=tail and tail.ci95,
        agreement=run.measured[name]["agreement"],
    )


def _unlike(run: Run, name: str, base: str) -> list[str]:
    """Return why two files' times are not of the same thing."""
    stepped = {row["name"]: bool(row.get("states")) for row in run.artifacts}
    if stepped.get(name) == stepped.get(base):
        return []
    return ["one is timed by the step, the other by the sequence: give a baseline of the same kind"]


def _judge_bundle(run: Run, name: str, base: str, thresholds: Thresholds) -> Verdict:
    """Judge what files answer together."""
    ours, theirs = run.bundles[name], run.bundles[base]
    known = partial(Verdict, artifact=name, baseline=base, device=run.device, files=dict(ours.files))
    states = ({"status": one.status, "reason": one.reason} for one in (ours, theirs))
    if broken := _broken(*states):
        return known(verdict=broken[0] or "", reasons=(broken[1],))
    heads = _heads(run, name, base)
    findings = [*_judge_heads(heads, thresholds)] or [_unjudged(run, name, base)]
    return known(**_decided(findings), **_told(heads))


def _decided(findings: list[Finding]) -> dict[str, Any]:
    """Return the fields of a verdict that its findings decide."""
    overall = _overall([kind for kind, _ in findings])
    return {
        "verdict": overall,
        "reasons": tuple(reason for _, reason in findings),
        "because": "; ".join(reason for kind, reason in findings if kind == overall),
    }


def _told(heads: list[_Head]) -> dict[str, Any]:
    """Return the fields of a verdict that tell how the metric changed."""
    lowest = min(heads, key=lambda head: head.gain.value, default=None)
    pieces = sorted((part for head in heads for part in head.parts), key=lambda part: part.delta)
    found = {} if lowest is None else {**lowest.changes(), "metric": lowest.metric.name, "mcnemar_p": lowest.mcnemar_p}
    return {
        **found,
        "heads": [head.to_json() for head in heads] if len(heads) > 1 else [],
        "parts": [asdict(part) for part in pieces[:MOST_PARTS]],
    }


@dataclass(frozen=True, kw_only=True)
class _Head:
    """One judged output against the baseline's. name: as it is put before its findings; baseline: the value there."""

    name: str
    metric: metrics.Metric
    baseline: float
    delta: Estimate
    gain: Estimate
    units: int
    mcnemar_p: float | None
    parts: tuple[Part, ...]

    def changes(self) -> dict[str, Any]:
        return {
            "metric_delta": self.delta.value, "metric_delta_ci95": self.delta.ci95,
            "metric_gain": self.gain.value, "metric_gain_ci95": self.gain.ci95,
        }  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        return {"head": self.name, "metric": self.metric.name, **self.changes()}


def _heads(run: Run, name: str, base: str) -> list[_Head]:
    """Estimate how each judged output of a bundle changed; none where no metric was measured."""
    before, after = run.raw.scored(base), run.raw.scored(name)
    if not run.metric or before is None or after is None or not np.array_equal(before.units, after.units):
        return []
    metric = metrics.get(run.metric)
    names = list(run.labels) if len(run.labels) == len(metric.each) else [""] * len(metric.each)
    return [
        _head(run, head, own, *((each.of(columns) if metric.heads else each) for each in (before, after)),
              parts=tuple(_parts(run, name, base, place, own, head)))
        for place, (head, own, columns) in enumerate(zip(names, metric.each, metric.columns, strict=True))
    ]  # fmt: skip


def _unjudged(run: Run, name: str, base: str) -> Finding:
    """Say why there is no metric to judge."""
    if {name, base} <= run.raw.scores.keys():
        return "inconclusive", "it was judged on other units than the baseline: the two cannot be paired"
    return None, "no metric was measured"


def _head(run: Run, name: str, metric: metrics.Metric, before: Scores, after: Scores, parts: tuple[Part, ...]) -> _Head:
    seed = run.config.get("seed", 0)
    gain = intervals.metric_gain(metric, before, after, seed=seed)
    return _Head(
        name=name,
        metric=metric,
        baseline=metric.reduce(before.rows),
        delta=gain if metric.plain else intervals.metric_delta(metric, before, after, seed=seed),
        gain=gain,
        units=len(before.units),
        mcnemar_p=intervals.mcnemar(before.rows, after.rows) if _comparable(before, after) else None,
        parts=parts,
    )


def _comparable(before: Scores, after: Scores) -> bool:
    """Tell if each unit has one answer that is right or wrong, of which McNemar's test speaks."""
    single = all(len(each.rows) == len(each.units) for each in (before, after))
    return single and all(intervals.right_or_wrong(each.rows) for each in (before, after))


def _parts(run: Run, name: str, base: str, place: int, metric: metrics.Metric, head: str) -> list[Part]:
    raw, kind = run.raw, metric.parts
    truth = raw.truth[place] if place < len(raw.truth) else None
    before, after = (raw.said[each][place] if each in raw.said else None for each in (base, name))
    if kind is None or truth is None or before is None or after is None:
        return []
    labels = run.labels.get(head) or []
    found = parts.estimate(kind, truth, before, after, seed=run.config.get("seed", 0))
    return [replace(part, part=f"{kind.unit} {labels[part.number]}") if part.number < len(labels) else part
            for part in found]  # fmt: skip


def _broken(ours: Mapping[str, Any], reference: Mapping[str, Any]) -> Finding | None:
    """What does not run fails; a baseline that does not, or a device that vanished, leaves nothing to say."""
    if ours["status"] == "incomplete":
        return "inconclusive", f"incomplete: {ours['reason']}"
    if ours["status"] != "ok":
        return "fail", f"{ours['status']}: {ours['reason']}"
    if reference["status"] != "ok":
        return "inconclusive", f"the baseline was not measured: {reference['status']}: {reference['reason']}"
    return None


def _judge_heads(heads: list[_Head], thresholds: Thresholds) -> Iterator[Finding]:
    for head in heads:
        prefix = f"output {head.name}: " if head.name else ""
        for kind, reason in [_judge_metric(head, thresholds.max_drop), *_judge_parts(head.parts, thresholds)]:
            yield kind, prefix + reason


def _judge_metric(head: _Head, max_drop: float | None) -> Finding:
    told = f"{head.metric.name.replace('_', ' ')} {words.change(head.metric, head.delta.value, head.delta.ci95)}"
    if max_drop is None:
        return None, told
    if head.gain.low >= -max_drop:
        return "pass", told
    limit = words.allowed(head.metric, max_drop, head.baseline)
    if head.gain.high < -max_drop:
        return "fail", f"{told}, more than the {limit} allowed"
    return "inconclusive", f"{told}, {limit} allowed; {words.more(head.gain, -max_drop, head.units, 'samples')}"


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
    low, high = map(words.points, part.ci95)
    return (
        f"{part.figure} of {part.part} {words.points(part.delta)} points [{low}, {high}], from {part.baseline:.1%} to "
        f"{part.value:.1%} on {part.n:,} samples"
    )


def _judge_untold(run: Run, name: str, thresholds: Thresholds) -> Iterator[Finding]:
    """Judge outputs without targets by how far they are the baseline's: they are part of what the file answers."""
    untold = run.measured[name].get("untold") or {}
    if not untold or thresholds.max_drop is None:
        return
    output, least = min(untold.items(), key=lambda each: each[1])
    told = f"output {output} has no targets; it agrees with the baseline's to {least:.1%}"
    remedy = "give targets for it, hold it harder while pruning and QAT go on (untold), or leave it out of what ships"
    if least < metrics.RUINED:
        yield "fail", f"{told}: {remedy}"
    elif least < metrics.FAITHFUL:
        yield "inconclusive", f"{told}: {remedy}"
    else:
        yield None, told


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


def _judge_speed(
    run: Run, name: str, speed: Estimate | None, distrust: list[str], thresholds: Thresholds
) -> Iterator[Finding]:
    limit = thresholds.min_speedup
    judged = "inconclusive" if limit is not None else None
    if speed is None:
        yield judged, SIMULATED if run.simulated else "speed was not measured"
        return
    if distrust:
        for doubt in distrust:
            yield judged, doubt
        return
    word = speed_word(speed, thresholds.margin)
    why = why_slow(run.precision(name), run.environment, run.layers.get(name, ())) if word == "slower" else ""
    told = f"{word}: {words.speed(speed)}{f', {why}' if why else ''}"
    if limit is None:
        yield "slower" if word == "slower" else None, told
    elif speed.low >= limit:
        yield "pass", told
    elif speed.high < limit:
        yield "fail", f"{told}, less than the {limit:g}x wanted"
    else:
        yield "inconclusive", f"{told}, {limit:g}x wanted; {words.more(speed, limit, len(run.raw.seconds), 'rounds')}"


def _overall(kinds: list[str | None]) -> str:
    """Return the word of the gravest finding; nothing judged is nothing passed."""
    judged = {kind for kind in kinds if kind}
    if not judged:
        return "inconclusive"
    return next(word for word in WORDS if word in judged)

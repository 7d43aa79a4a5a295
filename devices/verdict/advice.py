"""Which file to ship, and why: one sentence, by what was measured on the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ... import metrics
from . import intervals, words
from .compare import Thresholds, Verdict, doubts, speed_word
from .intervals import Estimate
from .results import SIMULATED, Run
from .slowness import why_slow

ALIKE = 0.05  # a smaller file may take this share longer, and no more, where it is not shown to be slower
_USUAL = Thresholds()
LIKE = 1.05  # ratios of times that differ by less are told as one
MOST_REASONS = 2  # why others lost; the table has all


@dataclass(frozen=True, kw_only=True)
class _Offer:
    """What can be shipped: a file, or files that are judged together.

    word: its verdict's, "baseline", or "unjudged" where no metric was. verdict: None of a baseline. bits: its
    precision, however it was reached.
    """

    name: str
    files: tuple[str, ...]
    bytes: int
    bits: str
    word: str
    verdict: Verdict | None = None

    @property
    def called(self) -> str:
        """What the sentence calls it."""
        return self.name if len(self.files) == 1 else f"the files of {self.name}"


def advice(run: Run, verdicts: Sequence[Verdict], thresholds: Thresholds = _USUAL) -> str:
    """Name what to ship: the fastest by this device's clock of what keeps the metric, of those alike the smallest.

    A file that is slower than its baseline is named only where `min_speedup` below 1 says that size is the aim; then,
    and where there are no times to choose by, it is the smallest. Where nothing else is good, it is the baseline. ""
    without verdicts, or where not even a baseline runs. What a target is known to refuse (`refused`) is never named.
    """
    offers = _offers(run, verdicts, thresholds) if verdicts else []
    refused = {row["name"] for row in run.artifacts if row.get("refused")}
    good = [offer for offer in offers
            if offer.word in ("pass", "baseline", "unjudged") and not refused.intersection(offer.files)]  # fmt: skip
    if not good:
        return ""
    for_size = (thresholds.min_speedup or 1) < 1
    untimed = _untimed(run, good, thresholds.margin)
    by_size = for_size or bool(untimed)
    chosen = min(good if by_size else _fastest(run, good, thresholds.margin), key=lambda offer: offer.bytes)
    closing = "" if not untimed else f"chosen by size alone: {untimed}"
    return "; ".join(filter(None, [f"ship {chosen.called}: {_merits(run, chosen, offers, not untimed)}", closing,
                                   *_losers(run, offers, chosen)[:MOST_REASONS]]))  # fmt: skip


def _offers(run: Run, verdicts: Sequence[Verdict], thresholds: Thresholds) -> list[_Offer]:
    """Return what ran and can be shipped by itself."""
    rows = {row["name"]: row for row in run.artifacts}
    by_name = {verdict.artifact: verdict for verdict in verdicts}
    judged = bool(run.metric) and thresholds.max_drop is not None
    found = []
    for name, files in _units(run).items():
        own = [by_name[file] for file in files if file in by_name]
        if any(run.measured[file]["status"] != "ok" for file in files) and name not in by_name:
            continue
        verdict = by_name.get(name)
        size = sum(rows.get(file, {}).get("bytes") or 0 for file in files)
        word = _word([verdict, *own], judged) if verdict else "baseline"
        found.append(_Offer(name=name, files=tuple(files), bytes=size, word=word, verdict=verdict,
                            bits=run.precision(files[0]).partition("-")[0]))  # fmt: skip
    return found


def _units(run: Run) -> Mapping[str, list[str]]:
    """Return the files that are shipped together: a file alone under its own name."""
    if not run.bundles:
        return {name: [name] for name in run.measured}
    several = ((name, list(bundle.files.values())) for name, bundle in run.bundles.items())
    return {files[0] if len(files) == 1 else name: files for name, files in several}


def _word(verdicts: Sequence[Verdict], judged: bool) -> str:
    """Return a unit's word: that of its metric, unless one of its files is slower or fails by its speed."""
    first = verdicts[0].verdict
    graver = [word for word in ("fail", "slower") if word in {verdict.verdict for verdict in verdicts}]
    if graver and first in ("pass", graver[0]):
        return graver[0]
    broken = first == "inconclusive" and (judged or verdicts[0].speedup is None)
    return "unjudged" if first == "inconclusive" and not broken else first


def _untimed(run: Run, good: Sequence[_Offer], margin: float) -> str:
    """Return why there are no times to choose by, or ""."""
    if run.simulated:
        return SIMULATED
    bases = dict.fromkeys(run.baselines[file] for offer in good for file in offer.files)
    if seen := next((text for base in bases for text in doubts(run, base, margin)), ""):
        return seen
    if any(len(offer.files) > 1 for offer in good):
        return "how often each file of a model is called decides what it takes"
    return "" if all(offer.name in run.raw.latency for offer in good) else "not every file was timed"


def _fastest(run: Run, good: Sequence[_Offer], margin: float) -> list[_Offer]:
    """Return the fastest of timed files and those that are as fast."""
    medians = {offer.name: intervals.block_medians(run.raw.latency[offer.name]) for offer in good}
    best = min(good, key=lambda offer: float(np.median(medians[offer.name])))
    seed = run.config.get("seed", 0)

    def alike(offer: _Offer) -> bool:
        found: Estimate = intervals.speedup(medians[best.name], medians[offer.name], seed=seed)
        return found.low >= 1 - ALIKE and speed_word(found, margin) != "slower"

    return [offer for offer in good if offer is best or alike(offer)]


def _merits(run: Run, chosen: _Offer, offers: Sequence[_Offer], timed: bool) -> str:
    """Say what a choice has over its baseline, or that nothing has anything over it."""
    verdict = chosen.verdict
    if verdict is None:
        passed = any(offer.word in ("pass", "unjudged") for offer in offers)
        others = "of what keeps the metric nothing smaller is as fast" if timed else "nothing that passes is smaller"
        return others if passed else "no other file passes"
    base = next(offer for offer in offers if offer.verdict is None and offer.name == verdict.baseline)
    called = "float" if _alone(base, offers) else base.name
    against = _speed(verdict, called) if timed and verdict.speedup is not None else ""
    return ", ".join(filter(None, [against, _size(chosen, base, "" if against else f" than {called}"),
                                   _drop(verdict, chosen.word)]))  # fmt: skip


def _speed(verdict: Verdict, called: str) -> str:
    """Say how fast a file is beside its baseline."""
    ratio = verdict.speedup or 1.0
    if verdict.speed in ("same", "unclear"):
        return f"{'' if verdict.speed == 'same' else 'about '}as fast as {called}"
    return f"{ratio - 1:.0%} faster than {called}" if 1 < ratio < 1.3 else f"{_times(ratio)} as fast as {called}"


def _alone(base: _Offer, offers: Sequence[_Offer]) -> bool:
    return base.bits == "float32" and sum(offer.verdict is None for offer in offers) == 1


def _size(chosen: _Offer, base: _Offer, than: str) -> str:
    if not chosen.bytes or not base.bytes:
        return ""
    ratio = base.bytes / chosen.bytes
    if ratio >= 1.05:
        return f"{_times(ratio)} smaller{than}" if ratio >= 2.05 else f"{1 - 1 / ratio:.0%} smaller{than}"
    return f"{1 / ratio - 1:.0%} larger{than}" if ratio < 0.95 else ""


def _drop(verdict: Verdict, word: str) -> str:
    """Say what the metric became."""
    if word == "unjudged" or verdict.metric_gain is None or verdict.metric is None:
        return "if its answers hold: no metric was judged"
    if verdict.metric_gain >= 0:
        return "no drop"
    metric = metrics.get(verdict.metric)
    return f"{metric.name.replace('_', ' ')} {words.change(metric, verdict.metric_delta or 0.0)}"


def _losers(run: Run, offers: Sequence[_Offer], chosen: _Offer) -> list[str]:
    """Say why others lost: those of one precision with one word in one clause, those that are smaller first."""
    clauses = []
    for word in ("slower", "fail", "inconclusive"):
        those = [offer for offer in offers if offer.word == word]
        for bits in dict.fromkeys(offer.bits for offer in sorted(those, key=lambda offer: offer.bytes)):
            alike = [offer for offer in those if offer.bits == bits]
            whole = bits and all(offer.word == word for offer in offers if offer.bits == bits)
            name = bits if whole else " and ".join(offer.called for offer in alike)
            layers = [layer for offer in alike for file in offer.files for layer in run.layers.get(file, ())]
            why = why_slow(bits, run.environment, layers) if word == "slower" else ""
            larger = min(offer.bytes for offer in alike) > chosen.bytes
            clauses.append((larger, f"{name} {_loses(word, alike, name)}", why))
    told, seen = [], {""}
    for _, clause, why in sorted(clauses, key=lambda each: each[0]):
        told.append(clause if why in seen else f"{clause}: {why}")
        seen.add(why)
    return told


def _loses(word: str, alike: Sequence[_Offer], name: str) -> str:
    verdicts = [offer.verdict for offer in alike if offer.verdict]
    because = next((verdict.because for verdict in verdicts if verdict.because), verdicts[0].reasons[-1])
    plural = " and " in name
    if word == "fail":
        return f"{'fail' if plural else 'fails'} ({because})"
    if word == "inconclusive":
        return f"{'are' if plural else 'is'} undecided ({because.rpartition('; ')[2]})"
    ratios = [1 / verdict.speedup for verdict in verdicts if verdict.speedup]
    if not ratios:
        several = plural or name.startswith("the files of")
        return f"{'have' if several else 'has'} a file that is slower than its baseline"
    least, most = min(ratios), max(ratios)
    told = [f"{ratio - 1:.0%} longer" if most < 1.3 else f"{_times(ratio)} the time" for ratio in (least, most)]
    took = told[0] if most < LIKE * least or told[0] == told[1] else _between(told)
    return f"{'take' if plural else 'takes'} {took} here"


def _between(told: Sequence[str]) -> str:
    """Return "7% to 72% longer" of "7% longer" and "72% longer"."""
    (least, ending), (most, _) = (each.split(" ", 1) for each in told)
    return f"{least} to {most} {ending}"


def _times(ratio: float) -> str:
    """Return a ratio in words."""
    return "twice" if 1.95 <= ratio < 2.05 else f"{ratio:.2g} times"

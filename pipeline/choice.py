"""Which file to ship of many that were measured: what each lacks, how they rank, which no other beats."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..devices.report.overview import UNSTEADY
from ..devices.report.overview import front as front_of
from ..devices.verdict import words
from ..devices.verdict.compare import Thresholds
from ..errors import BadInput

ALIKE = 0.02  # speed-ups closer than this share count as one: they were measured in runs of their own


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a file must hold. max_drop: of the metric, 0.01 is one point. margin: see `compare.Thresholds`.

    max_bytes, max_arena: of the file, and of the memory for activations. Where one is given size was asked for, and a
    file may be slower than float; else it may not.
    """

    max_drop: float = 0.01
    min_speedup: float | None = None
    max_bytes: int | None = None
    max_arena: int | None = None
    margin: float = Thresholds().margin

    def __post_init__(self) -> None:
        Thresholds(max_drop=self.max_drop, min_speedup=self.min_speedup, margin=self.margin)
        for name in ("max_bytes", "max_arena"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise BadInput(f"--{name.replace('_', '-')} {value}: must be at least 1")

    @property
    def sized(self) -> bool:
        """Tell whether size was asked for."""
        return self.max_bytes is not None or self.max_arena is not None


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A file of a trial as it was measured beside its float file, which `baseline` says it is itself.

    latency_us: median; speedup: over the float file, with its interval, None where it was not timed; doubt: why its
    times are not to be trusted; gain: of the metric over float's, 0.01 being a point; arena_bytes: what TensorFlow Lite
    Micro plans for.
    """

    trial: int
    file: str
    path: str
    precision: str
    format: str
    bytes: int
    sha256: str
    metric: str | None
    value: float | None
    gain: float | None
    latency_us: float | None
    speedup: float | None
    speedup_ci95: tuple[float, float] | None
    verdict: str
    baseline: bool = False
    arena_bytes: int | None = None
    doubt: str = ""

    @property
    def key(self) -> str:
        """What tells it from the files of other trials."""
        return f"{self.trial}/{self.file}"

    def is_slower(self, margin: float) -> bool:
        """Tell if it is not shown to be as fast as float."""
        return self.speedup_ci95 is None or self.speedup_ci95[0] < 1 - margin

    def to_json(self, folder: Path) -> dict[str, Any]:
        """Return it as tune.json in `folder` has it."""
        return {**asdict(self), "path": Path(self.path).relative_to(folder).as_posix()}


def candidates(
    document: Mapping[str, Any], trial: int, folder: Path, arena: Callable[[Path], int | None] = lambda path: None
) -> list[Candidate]:
    """Return the files of a run's results.json. folder: of the run. arena: file -> bytes, where they are wanted."""
    measured = {one["artifact"]: one for one in document["measurements"]}
    verdicts = {one["artifact"]: one for one in document["verdicts"]}
    doubt = ", ".join(flag["kind"] for flag in document["flags"] if flag["kind"] in UNSTEADY)
    return [
        replace(_candidate(row, measured[row["name"]], verdicts.get(row["name"]), trial, folder, arena), doubt=doubt)
        for row in document["artifacts"]
        if measured[row["name"]]["status"] == "ok"
    ]


def _candidate(
    row: Mapping[str, Any], found: Mapping[str, Any], verdict: Mapping[str, Any] | None, trial: int, folder: Path,
    arena: Callable[[Path], int | None],
) -> Candidate:  # fmt: skip
    path, latency = folder / "artifacts" / row["name"], found.get("latency_us")
    judged = verdict or {"speedup": 1.0, "speedup_ci95": (1.0, 1.0), "metric_gain": 0.0, "verdict": "baseline"}
    speed = judged.get("speedup_ci95")
    return Candidate(
        trial=trial, file=row["name"], path=str(path), precision=row["precision"], format=row["format"],
        bytes=row["bytes"], sha256=row["sha256"], metric=found.get("metric"), value=found.get("value"),
        gain=judged.get("metric_gain"), latency_us=latency and latency["p50"], speedup=judged.get("speedup"),
        speedup_ci95=speed and (speed[0], speed[1]), verdict=judged["verdict"], baseline=verdict is None,
        arena_bytes=arena(path) if row["format"] == "tflite" else None,
    )  # fmt: skip


def lacks(one: Candidate, wanted: Wanted) -> str:
    """Say what a file lacks of what is wanted, or return ""."""
    return next(_lacking(one, wanted), "")


def _lacking(one: Candidate, wanted: Wanted) -> Iterator[str]:
    if one.baseline:
        yield "is the float file"
    if one.gain is None:
        yield "its metric is not known"
    elif one.gain < -wanted.max_drop - 1e-9:  # 0.94 of 0.95 is one point
        yield f"{_change(one)}, {100 * wanted.max_drop:g} allowed"
    for what, value, limit in (("file", one.bytes, wanted.max_bytes), ("arena", one.arena_bytes, wanted.max_arena)):
        if limit is not None and (value is None or value > limit):
            takes = "an unknown number of" if value is None else f"{value:,}"
            yield f"the {what} takes {takes} bytes, {limit:,} allowed"
    if one.speedup_ci95 is None:
        if wanted.min_speedup is not None or not wanted.sized:
            yield "its speed is not known"
    elif wanted.min_speedup is not None and one.speedup_ci95[0] < wanted.min_speedup:
        yield f"{_speed(one)}, {wanted.min_speedup:g}x wanted"
    elif not wanted.sized and one.is_slower(wanted.margin):
        yield f"slower: {_speed(one)}"


def score(one: Candidate, wanted: Wanted) -> float:
    """Return how good a file is for the search: the logarithm of its speed-up, or of its size where that was asked for.

    Of one that lacks something less than any that lacks nothing, the less the further it is from it.
    """
    speed = math.log(one.speedup) if one.speedup else -1.0
    if lacks(one, wanted):
        far = max(0.0, -(one.gain if one.gain is not None else -1.0) - wanted.max_drop) / max(wanted.max_drop, 1e-3)
        slow = 0.0 if wanted.sized else max(0.0, math.log(wanted.min_speedup or 1.0) - speed)
        large = math.log(max(1.0, one.bytes / wanted.max_bytes)) if wanted.max_bytes else 0.0
        held = math.log(max(1.0, (one.arena_bytes or 0) / wanted.max_arena)) if wanted.max_arena else 0.0
        return -10.0 - far - slow - large - held
    return speed


def ranked(found: Sequence[Candidate], wanted: Wanted) -> list[Candidate]:
    """Return the files that lack nothing, the one to ship first: the fastest, and of those alike the smallest.

    A file that is slower than float comes after all that are not.
    """
    left, order = [one for one in found if not lacks(one, wanted)], []
    while left:
        fast = [one for one in left if not one.is_slower(wanted.margin)] or left
        most = max(one.speedup or 0.0 for one in fast)
        alike = [one for one in fast if (one.speedup or 0.0) >= (1 - ALIKE) * most]
        order.append(min(alike, key=lambda one: (one.bytes, -(one.gain or 0.0), one.key)))
        left.remove(order[-1])
    return order


def front(found: Sequence[Candidate]) -> set[str]:
    """Return the keys of the files that no other beats in both speed and metric."""
    return front_of(
        [
            {"sha256": one.key, "rank": 1, "p50_us": one.latency_us, "metric": one.metric, "metric_value": one.value}
            for one in found
            if one.latency_us is not None
        ]
    )


def _speed(one: Candidate) -> str:
    if one.speedup is None or one.speedup_ci95 is None:
        return "its speed is not known"
    low, high = one.speedup_ci95
    return f"{one.speedup:.3g}x [{low:.3g}, {high:.3g}]"


def _change(one: Candidate) -> str:
    name = (one.metric or "metric").replace("_", " ")
    return "" if one.gain is None else f"{name} {words.points(one.gain)} points"


def told(one: Candidate, baseline: Candidate | None = None) -> str:
    """Return a file's figures in a few words: speed, change of the metric, bytes."""
    smaller = f" ({one.bytes / baseline.bytes:.2f} of float's)" if baseline is not None else ""
    return ", ".join(filter(None, [_speed(one), _change(one), f"{one.bytes:,} bytes{smaller}"]))


__all__ = ["Candidate", "Wanted", "candidates", "front", "lacks", "ranked", "score", "told"]

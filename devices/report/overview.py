"""Many runs on one page: models x devices x precisions, the Pareto front of each device, regressions, a leaderboard.

Each entry is bound to the SHA-256 of the file that was measured. Only measured times of a device that was steady are
ranked; emulated, flagged, failed and estimated ones are listed without a rank, and say why.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ... import metrics
from ..verdict.regress import Changes, number, regressions
from ..verdict.results import Run
from . import charts
from .report import how, render
from .rows import estimate_row, kind, measurement_rows, profile_entry

UNSTEADY = ("emulated", "simulated", "drift", "throttling", "noise")


@dataclass(frozen=True, kw_only=True)
class Session:
    """A run, its results.json and what the page calls it."""

    label: str
    run: Run
    results: Mapping[str, Any]

    @property
    def place(self) -> tuple[str, str]:
        """Return model and device; one with other kernels or a delegate is another device."""
        return self.results["model"], ", ".join([self.run.device, *how(self.results)])


def html(sessions: Sequence[Session]) -> str:
    """Render the page. Sessions of the same model and device are taken to be in order of time."""
    return render(
        "overview.html",
        title=f"{len(sessions)} runs: Edgewright overview",
        boards=list(_boards(sessions)),
        changes=list(_changes(sessions)),
        estimates=[
            {**estimate_row(row), "model": session.results["model"]}
            for session in sessions
            for row in session.results.get("estimates", [])
        ],
        hot_spots=list(_hot_spots(sessions)),
        sessions=[
            {"label": one.label, "model": one.results["model"], "data": one.results["data"], "device": one.place[1],
             "flags": one.results.get("flags", [])} for one in sessions
        ],
    )  # fmt: skip


def leaderboard(sessions: Sequence[Session]) -> list[dict[str, Any]]:
    """Return the entries of sessions on one device, fastest first: the newest of each file, ranked or with a reason.

    Entries share a rank where the intervals of their medians overlap with the first of that rank.
    """
    newest = {entry["sha256"]: entry for session in sessions for entry in _entries(session)}
    ranked = sorted((one for one in newest.values() if not one["why_not"]), key=lambda one: one["p50_us"])
    rank, last_of_rank = 0, 0.0
    for place, entry in enumerate(ranked, 1):
        low, high = entry["ci95"]
        if low > last_of_rank:
            rank, last_of_rank = place, high
        entry["rank"] = rank
    others = [one for one in newest.values() if one["why_not"]]
    return ranked + sorted(others, key=lambda one: (one["p50_us"] is None, one["p50_us"] or 0.0))


def front(entries: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the names of ranked entries that no other beats in both speed and metric."""
    known = [one for one in entries if one["rank"] is not None and one["metric_value"] is not None]
    return {
        one["sha256"] for one in known
        if not any(
            other["p50_us"] <= one["p50_us"] and _gain(other, one) >= 0
            and (other["p50_us"], other["metric_value"]) != (one["p50_us"], one["metric_value"]) for other in known
        )
    }  # fmt: skip


def _gain(other: Mapping[str, Any], one: Mapping[str, Any]) -> float:
    """Return how much better an entry's metric is; one whose direction is not known is better with more."""
    name = str(one.get("metric"))
    difference = other["metric_value"] - one["metric_value"]
    return difference if not metrics.known(name) or metrics.get(name).higher_is_better else -difference


def _entries(session: Session) -> Iterator[dict[str, Any]]:
    results = session.results
    measured = {one["artifact"]: one for one in results["measurements"]}
    verdicts = {one["artifact"]: one for one in results["verdicts"]}
    unsteady = [flag["kind"] for flag in results.get("flags", []) if flag["kind"] in UNSTEADY]
    for artifact, shown in zip(results["artifacts"], measurement_rows(results), strict=True):
        found, verdict = measured[artifact["name"]], verdicts.get(artifact["name"], {})
        latency = found.get("latency_us") or {}
        why_not = [] if found["status"] == "ok" else [found["status"]]
        why_not += unsteady if latency else ["not timed"]
        why_not += ["failed its verdict"] if verdict.get("verdict") == "fail" else []
        yield {
            **shown,
            "rank": None,
            "session": session.label,
            "sha256": artifact["sha256"],
            "format": artifact["format"],
            "precision": artifact["precision"] or "unknown",
            "verdict": verdict.get("verdict", "baseline"),
            "kind": kind(verdict["verdict"]) if verdict else "",
            "why_not": ", ".join(why_not),
            "p50_us": latency.get("p50"),
            "ci95": found.get("latency_us_ci95"),
            "metric": found.get("metric"),
            "metric_value": found.get("value"),
            "metric_ci95": found.get("value_ci95"),
            "bytes": artifact["bytes"],
            "artifact_entry": artifact,
            "latency": latency,
        }


def _boards(sessions: Sequence[Session]) -> Iterator[dict[str, Any]]:
    for model, device in dict.fromkeys(session.place for session in sessions):
        here = [session for session in sessions if session.place == (model, device)]
        entries = leaderboard(here)
        best = front(entries)
        for entry in entries:
            entry["on_front"] = entry["sha256"] in best
        metric = here[-1].run.metric or "metric"
        yield {
            "model": model, "device": device, "metric": metric.replace("_", " "), "entries": entries,
            "chart": charts.tradeoff([_point(one) for one in entries], metric, front=best),
        }  # fmt: skip


def _point(entry: Mapping[str, Any]) -> charts.Point:
    return charts.Point(
        name=entry["artifact"], mark=charts.Mark.of(entry["artifact_entry"]), bytes=entry["bytes"],
        latency_us=entry["latency"], latency_ci95=entry["ci95"], value=entry["metric_value"],
        value_ci95=entry["metric_ci95"], key=entry["sha256"],
    )  # fmt: skip


def _changes(sessions: Sequence[Session]) -> Iterator[dict[str, Any]]:
    for place in dict.fromkeys(session.place for session in sessions):
        here = [session for session in sessions if session.place == place]
        for earlier, later in pairwise(here):
            found: Changes = regressions(earlier.run, later.run)
            rows = [
                {"artifact": one.artifact, "quantity": one.quantity.replace("_", " "), "change": one.change,
                 "value": number(one), "reason": one.reason} for one in found if one.change != "same"
            ]  # fmt: skip
            yield {"model": place[0], "device": place[1], "earlier": earlier.label, "later": later.label, "rows": rows,
                   "same": len(found) - len(rows)}  # fmt: skip


def _hot_spots(sessions: Sequence[Session], most: int = 5) -> Iterator[dict[str, Any]]:
    """Yield the kinds of operators that take longest, file by file."""
    for session in sessions:
        model, place = session.place
        for profile in session.results.get("profiles", []):
            yield {"model": model, "place": place, **profile_entry(profile, by_kind=True, most=most)}

"""The latency of files, measured in turns, and again where the times are in doubt; and that of their operators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import EdgewrightError
from ..progress import say
from .asking import profile_entry
from .transports.transport import Outcome, run_job
from .verdict.compare import Thresholds, doubts
from .workbench import Sent, Workbench


def time_files(bench: Workbench, sent: Mapping[str, Sent]) -> None:
    """Time all files that run; once more where the control or a slower device makes the times doubtful.

    sent: file -> the samples that it is timed on.
    """
    run, names = bench.run, bench.running()
    controls = sorted({base for base in run.baselines.values() if base in names})
    for attempt in range(1, bench.config.attempts + 1):
        if not names or not _time_once(bench, sent, names, controls):
            return
        seen = {doubt for base in controls for doubt in doubts(run, base, Thresholds().margin)}
        if run.emulated or not seen or attempt == bench.config.attempts:
            return
        run.notes.append(f"timing {attempt} was set aside and repeated: {'; '.join(sorted(seen))}")
        say(run.notes[-1])


def profiles(bench: Workbench, sent: Mapping[str, Sent]) -> Iterator[dict[str, Any]]:
    """Time the operators of each file that runs."""
    for name in bench.running():
        say(f"timing the operators of {name}")
        yield profile_entry(bench.orders, bench.session, name, bench.models[name], dict(sent[name]))[0]


def _time_once(bench: Workbench, sent: Mapping[str, Sent], names: list[str], controls: list[str]) -> bool:
    config, entries, raw = bench.config, names + controls, bench.run.raw
    with bench.transport.exclusive(config.threads) as cores:
        job = bench.orders.job(
            "latency", _fed(bench, sent, entries), inputs=dict(sent[names[0]]), cores=cores,
            pairs=_pairs(names, controls, bench.run.baselines),
            precision=config.precision, block_us=1000 * config.block_ms, window_us=1000 * config.window_ms,
            min_rounds=config.min_rounds, max_rounds=config.max_rounds, max_seconds=config.max_seconds,
        )  # fmt: skip
        say(f"timing {len(names)} files on {bench.transport.name}, cores {cores}")
        outcome = run_job(bench.session, job)
    if not outcome.ok:
        bench.blame(outcome, entries)
        return False
    blocks = _blocks(outcome, len(entries))
    raw.latency = dict(zip(names, blocks, strict=False))
    raw.control = dict(zip(controls, blocks[len(names) :], strict=True))
    raw.seconds = np.array(_round_ends(outcome))
    bench.run.environment["telemetry"] = _telemetry(outcome)
    return True


def _fed(bench: Workbench, sent: Mapping[str, Sent], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return how a job refers to files, with their samples where these are not the same of all."""
    if len({id(sent[name]) for name in names}) == 1:
        return [bench.models[name] for name in names]
    return [{**bench.models[name], "inputs": dict(sent[name])} for name in names]


def _pairs(names: Sequence[str], controls: Sequence[str], baselines: Mapping[str, str]) -> list[tuple[int, int]]:
    """Return (candidate, baseline) as places in names + controls, for each speed-up that is wanted."""
    place = {name: i for i, name in enumerate(names)}
    pairs = [(place[name], place.get(baselines[name], place[name])) for name in names]
    pairs += [(len(names) + i, place[base]) for i, base in enumerate(controls)]
    return [pair for pair in pairs if pair[0] != pair[1]]


def _blocks(outcome: Outcome, models: int) -> list[list[np.ndarray]]:
    blocks: list[list[np.ndarray]] = [[] for _ in range(models)]
    for event in outcome.all("block"):
        if event["round"] != len(blocks[event["model"]]):
            raise EdgewrightError(f"the agent's blocks are out of order: {event['model']}, round {event['round']}")
        blocks[event["model"]].append(np.array(event["us"]))
    return blocks


def _round_ends(outcome: Outcome) -> list[float]:
    ends: dict[int, float] = {}
    for event in outcome.all("block"):
        ends[event["round"]] = event["t"]
    return list(ends.values())


def _switches(outcome: Outcome) -> dict[str, int]:
    """Sum the times that others took the core; empty where the device cannot count them."""
    counts = [event["switches"] for event in outcome.all("block") if "switches" in event]
    return {"involuntary_switches": sum(counts)} if counts else {}


def _telemetry(outcome: Outcome) -> dict[str, Any]:
    """Sum up what the device told of itself while timing: first and last reading, and interruptions by others."""
    readings = [{k: v for k, v in event.items() if k not in ("event", "t")} for event in outcome.all("telemetry")]
    return {
        "rounds": len({event["round"] for event in outcome.all("block")}),
        "pinned": next((event["pinned"] for event in outcome.all("rounds")), None),
        "stable_after_warm_up": all(event["stable"] for event in outcome.all("warm")),
        **_switches(outcome),
        "first": readings[0],
        "last": readings[-1],
    }

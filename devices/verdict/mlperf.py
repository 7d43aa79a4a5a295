"""Which rules of MLPerf Tiny and MLPerf Mobile a run meets. It claims no MLPerf result: those are MLCommons' to give.

Sources: https://github.com/mlcommons/tiny (benchmark/MLPerfTiny_Rules.adoc), https://mlcommons.org/en/inference-tiny
(duration, queries, quality targets), https://github.com/mlcommons/mobile_open (rules/mobile_inference_rules.adoc).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .results import Run

# (model, data set) of MLPerf Tiny: quality target
QUALITY = {
    ("resnet8", "cifar10"): 0.85,
    ("mobilenet", "vww"): 0.80,
    ("ds_cnn", "speech_commands"): 0.90,
    ("anomaly_detector", "toyadmos"): 0.85,
}


@dataclass(frozen=True, kw_only=True)
class Rule:
    """suite: whose rule; met: (run, file) -> True, False, or None where it does not apply."""

    suite: str
    text: str
    met: Callable[[Run, str], bool | None]


def _times(run: Run, name: str) -> np.ndarray:
    return np.concatenate(run.raw.latency[name]) if name in run.raw.latency else np.zeros(0)


def _lasts(seconds: float) -> Callable[[Run, str], bool]:
    return lambda run, name: float(_times(run, name).sum()) / 1e6 >= seconds


def _quality(run: Run, name: str) -> bool | None:
    target = QUALITY.get((run.model, run.data))
    value = run.measured[name].get("value")
    return None if target is None else value is not None and value >= target


def _not_boosted(run: Run, name: str) -> bool | None:
    governor = run.environment.get("telemetry", {}).get("first", {}).get("governor")
    return None if governor is None else governor != "performance"


TINY, MOBILE = "MLPerf Tiny", "MLPerf Mobile"
RULES = (
    Rule(suite=TINY, text="single stream, one sample at a time", met=lambda run, name: name in run.raw.latency),
    Rule(suite=TINY, text="at least 10 inferences", met=lambda run, name: len(_times(run, name)) >= 10),
    Rule(suite=TINY, text="at least 10 s of inference", met=_lasts(10)),
    Rule(suite=TINY, text="five windows", met=lambda run, name: len(run.raw.latency.get(name, ())) >= 5),
    Rule(suite=TINY, text="model, data set and quality target of the suite", met=_quality),
    Rule(suite=TINY, text="a real device", met=lambda run, name: not (run.emulated or run.simulated)),
    Rule(suite=MOBILE, text="at least 1,024 queries", met=lambda run, name: len(_times(run, name)) >= 1024),
    Rule(suite=MOBILE, text="at least 60 s of inference", met=_lasts(60)),
    Rule(suite=MOBILE, text="90th percentile reported", met=lambda run, name: name in run.raw.latency),
    Rule(suite=MOBILE, text="clock as the device comes, no boost", met=_not_boosted),
    Rule(suite=MOBILE, text="a real device", met=lambda run, name: not (run.emulated or run.simulated)),
)


def mlperf(run: Run) -> list[dict[str, Any]]:
    """Return each rule with the number of files that meet it: rows {suite, rule, met, of}; None where none applies."""
    rows = []
    for rule in RULES:
        answers = [rule.met(run, name) for name in run.measured]
        judged = [answer for answer in answers if answer is not None]
        met = sum(judged) if judged else None
        rows.append({"suite": rule.suite, "rule": rule.text, "met": met, "of": len(answers)})
    return rows

"""A run's results as one page that opens offline, and as a Markdown summary for the terminal.

Everything shown comes from `results.json` (and, for the shape of latency distributions, from the raw samples).
Names are data: the page escapes them, holds no script, and forbids itself to load anything.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

NOTHING = "–"
_BY_CLASS = ("precision", "recall", "f1", "specificity", "npv")
_KINDS = ("pass", "fail", "inconclusive")


def html(results: Mapping[str, Any], samples: Mapping[str, Sequence[float]] | None = None) -> str:
    """Render the report as one self-contained HTML page.

    results: the document of `results.json`.  samples: latencies in microseconds by artifact name; without them the
    distributions are drawn from the recorded percentiles.
    """
    results, samples = _relabelled(results, samples or {})
    return render(
        "report.html",
        title=f"{results['model']} on {results['data']}: Edgewright report",
        results={"notes": [], "command": "", **results},
        subtitle=_subtitle(results),
        outcome=_outcome(results),
        rule=_rule(results.get("thresholds")),
        metric=_metric(results).replace("_", " "),
        verdicts=[_verdict_row(verdict) for verdict in results["verdicts"]],
        measurements=list(measurement_rows(results)),
        charts=_charts(results, samples),
        classes=list(class_rows(results)),
        layers=list(_layers(results)),
        controls=[
            {
                "artifact": one["artifact"],
                "speedup": _number(one["speedup"], ".3f", "×"),
                "ci95": _range(one["speedup_ci95"], ".3f"),
            }
            for one in results.get("controls", [])
        ],
        flags=results.get("flags", []),
        estimates=list(map(estimate_row, results.get("estimates", []))),
        profiles=[profile_entry(entry) for entry in results.get("profiles", [])],
        rules=list(_rules(results)),
        environment=list(_flat(results.get("environment", {}))),
    )


def render(template: str, **values: Any) -> str:
    """Fill one of our templates; every value is escaped, and an absent one is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader(__package__ or "", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(**values)


def markdown(results: Mapping[str, Any]) -> str:
    """Return the summary for a terminal: outcome, verdict table, measurement table, how to repeat it."""
    results, _ = _relabelled(results, {})
    outcome = ", ".join(f"{count} {kind}" for kind, count in _outcome(results)) or "no verdict"
    parts = [f"# {_cell(results['model'])} on {_cell(results['data'])}: {outcome}", ""]
    if rule := _rule(results.get("thresholds")):
        parts += [rule, ""]
    metric = _metric(results).replace("_", " ")
    if results["verdicts"]:
        rows = [
            (row["artifact"], row["verdict"], f"{row['speedup']} {row['speedup_ci95']}".strip(),
             f"{row['delta']} {row['delta_ci95']}".strip(), row["agreement"], row["why"])
            for row in map(_verdict_row, results["verdicts"])
        ]  # fmt: skip
        header = ("file", "verdict", "speed-up [95%]", f"{metric}, points [95%]", "agreement", "why")
        parts += [table(header, rows), ""]
    rows = [
        (row["artifact"], row["value"], row["p50"], row["p99"], row["size"], row["sparsity"], row["operators"])
        for row in measurement_rows(results)
    ]
    header = ("file", metric, "p50 µs", "p99 µs", "kB", "zeros", "int / float ops")
    parts += [table(header, rows), ""]
    if rows := list(class_rows(results)):
        header = ("file, by class", "macro F1", "lowest recall", "of", "ROC AUC")
        cells = [[row[key] for key in ("artifact", "f1", "recall", "part", "auc")] for row in rows]
        parts += [table(header, cells), ""]
    if profiles := [profile_entry(entry, by_kind=True, most=6) for entry in results.get("profiles", [])]:
        header = ("file, profiled", "operators", "µs", "share", "calls")
        rows = [
            (entry["artifact"], bar["operator"], bar["us"], bar["share"], bar["calls"])
            for entry in profiles
            for bar in entry["bars"] or [{"operator": entry["reason"], "us": "", "share": "", "calls": ""}]
        ]
        parts += [table(header, rows), ""]
    parts += [f"- {_cell(flag['kind'])}: {_cell(flag['text'])}" for flag in results.get("flags", [])]
    parts += [f"- {_cell(note)}" for note in results.get("notes", [])]
    if estimates := [estimate_row(row) for row in results.get("estimates", [])]:
        header = ("file", "target (estimated, not measured)", "latency µs", "cycles", "SRAM kB", "weights kB", "remark")
        cells = [[row[key] for key in ("artifact", "target", "latency", "cycles", "sram", "flash", "reason")]
                 for row in estimates]  # fmt: skip
        parts += ["", table(header, cells), ""]
    for suite, rows in _rules(results):
        met = [row["rule"] for row in rows if row["met"]]
        parts.append(f"{suite}, rules met by every file: {'; '.join(met) or 'none'}")
    if results.get("command"):
        parts += [f"Repeat: `{results['command']}`"]
    return "\n".join(parts).rstrip() + "\n"


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a Markdown table with aligned columns; numbers to the right, text to the left."""
    cells = [[_cell(value) for value in row] for row in [header, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    right = [
        bool(rows) and all(row[column][:1] in "+-−0123456789–" for row in cells[1:]) for column in range(len(header))
    ]

    def line(row: Sequence[str]) -> str:
        aligned = (
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(row, widths, right, strict=True)
        )
        return f"| {' | '.join(aligned)} |"

    rule = "|".join(
        f"{'-' * (width + 1)}{':' if to_right else '-'}" for width, to_right in zip(widths, right, strict=True)
    )
    return "\n".join([line(cells[0]), f"|{rule}|", *map(line, cells[1:])])


def _relabelled(
    results: Mapping[str, Any], samples: Mapping[str, Sequence[float]]
) -> tuple[dict[str, Any], dict[str, Sequence[float]]]:
    """Return results and samples with file names as a reader wants them: without the model's name before each."""
    results = _unranked(results)
    prefix = f"{results['model']}-"
    names = [artifact["name"] for artifact in results["artifacts"]]
    if not names or not all(name.startswith(prefix) for name in names):
        return dict(results), dict(samples)

    def row(entry: Mapping[str, Any], *keys: str) -> dict[str, Any]:
        return {**entry, **{key: str(entry[key]).removeprefix(prefix) for key in keys}}

    relabelled = {
        **results,
        "artifacts": [row(entry, "name") for entry in results["artifacts"]],
        "measurements": [row(entry, "artifact") for entry in results["measurements"]],
        "verdicts": [row(entry, "artifact", "baseline") for entry in results["verdicts"]],
        "estimates": [row(entry, "artifact") for entry in results.get("estimates", [])],
        "controls": [row(entry, "artifact") for entry in results.get("controls", [])],
        "profiles": [row(entry, "artifact") for entry in results.get("profiles", [])],
        "layers": {name.removeprefix(prefix): layers for name, layers in results.get("layers", {}).items()},
    }
    return relabelled, {name.removeprefix(prefix): values for name, values in samples.items()}


def _unranked(results: Mapping[str, Any]) -> dict[str, Any]:
    """Take speed-ups of emulated processors out: theirs never stand in the column of real ones."""
    emulated = {found["artifact"] for found in results["measurements"] if found.get("emulated")}
    none = dict.fromkeys(("speedup", "speedup_ci95", "speedup_p90", "speedup_p90_ci95"))
    verdicts = [{**row, **none} if row["artifact"] in emulated else row for row in results["verdicts"]]
    return {**results, "verdicts": verdicts}


def _charts(results: Mapping[str, Any], samples: Mapping[str, Sequence[float]]) -> list[tuple[str, str, str]]:
    from . import charts

    marks = {artifact["name"]: charts.Mark.of(artifact) for artifact in results["artifacts"]}
    measured = {measurement["artifact"]: measurement for measurement in results["measurements"]}
    points = []
    for artifact in results["artifacts"]:
        found = measured.get(artifact["name"], {})
        points.append(
            charts.Point(
                name=artifact["name"],
                mark=marks[artifact["name"]],
                bytes=artifact.get("bytes") or 0,
                latency_us=found.get("latency_us") or {},
                latency_ci95=found.get("latency_us_ci95"),
                value=found.get("value"),
                value_ci95=found.get("value_ci95"),
            )
        )
    max_drop = (results.get("thresholds") or {}).get("max_drop")
    arrays = {name: np.asarray(values, np.float64) for name, values in samples.items()}
    metric = _metric(results)
    limit = " Dashed: the largest drop allowed." if max_drop is not None else ""
    return [
        ("Intervals behind the verdicts", f"95% confidence, against the float file of the same format.{limit}",
         charts.intervals(results["verdicts"], marks, max_drop)),
        (f"{metric.replace('_', ' ').capitalize()} against latency",
         "Upper left is better. Bars: 95% intervals. Circle: TFLite, square: ONNX, hollow: pruned.",
         charts.tradeoff(points, metric)),
        ("File size", "Hollow: pruned; zeros save space only once the file is compressed.", charts.sizes(points)),
        ("Latency distributions", "One inference: nine of ten, from the fastest on; the bar is the median.",
         charts.latencies(points, arrays)),
        ("Learning curves", "Solid: validation. Dashed: training.", charts.curves(results.get("curves", {}))),
    ]  # fmt: skip


def _subtitle(results: Mapping[str, Any]) -> str:
    devices = sorted({str(measurement["device"]) for measurement in results["measurements"]})
    counts = sorted({measurement["n"] for measurement in results["measurements"] if measurement.get("n")})
    parts = [f"device: {', '.join(devices)}" if devices else "not measured on a device", *how(results)]
    if counts:
        parts.append(f"{counts[-1]:,} test samples")
    if results.get("created"):
        parts.append(str(results["created"]))
    return " · ".join(parts)


def how(results: Mapping[str, Any]) -> list[str]:
    """Say how .tflite files ran, where not as usual."""
    config = results.get("config", {})
    found = [] if config.get("kernels", "xnnpack") in ("xnnpack", "default") else [f"{config['kernels']} kernels"]
    return found + ([f"delegate {config['delegate']}"] if config.get("delegate") else [])


def _outcome(results: Mapping[str, Any]) -> list[tuple[str, int]]:
    counts = Counter(verdict["verdict"] for verdict in results["verdicts"])
    return [(kind, counts[kind]) for kind in _KINDS if counts[kind]]


def _rule(thresholds: Mapping[str, Any] | None) -> str:
    if not thresholds:
        return ""
    parts = []
    if thresholds.get("max_drop") is not None:
        points = 100 * thresholds["max_drop"]
        parts.append(f"the metric drops by at most {points:g} {'point' if points == 1 else 'points'}")
    if thresholds.get("min_speedup") is not None:
        parts.append(f"the speed-up is at least {thresholds['min_speedup']:g}×")
    return f"A file passes when, with 95% confidence, {' and '.join(parts)}." if parts else ""


def _metric(results: Mapping[str, Any]) -> str:
    return next((str(found["metric"]) for found in results["measurements"] if found.get("metric")), "metric")


def _verdict_row(verdict: Mapping[str, Any]) -> dict[str, str]:
    delta = verdict.get("metric_delta")
    delta_ci95 = verdict.get("metric_delta_ci95")
    return {
        "artifact": verdict["artifact"],
        "verdict": verdict["verdict"],
        "kind": verdict["verdict"] if verdict["verdict"] in _KINDS else "inconclusive",
        "reason": _remark(verdict),
        "why": _why(verdict),
        "speedup": _number(verdict.get("speedup"), ".2f", "×"),
        "speedup_ci95": _range(verdict.get("speedup_ci95"), ".2f"),
        "tail": _number(verdict.get("speedup_p90"), ".2f", "×"),
        "tail_ci95": _range(verdict.get("speedup_p90_ci95"), ".2f"),
        "delta": _number(None if delta is None else 100 * delta, "+.2f"),
        "delta_ci95": _range(delta_ci95 and [100 * bound for bound in delta_ci95], "+.2f"),
        "agreement": _number(verdict.get("agreement"), ".2%"),
        "baseline": verdict["baseline"],
        "device": str(verdict.get("device") or ""),
    }


def _why(verdict: Mapping[str, Any]) -> str:
    """Return what decided a verdict, and that the file is slower where that did not."""
    decided = verdict.get("because") or verdict.get("reason") or ""
    return "; ".join(filter(None, [decided, _remark(verdict) if verdict["verdict"] == "pass" else ""]))


def _remark(verdict: Mapping[str, Any]) -> str:
    """Return what the numbers beside a verdict leave unsaid: why it is no pass, or that the file is slower."""
    if verdict["verdict"] != "pass":
        return verdict.get("reason") or ""
    return "slower than its baseline" if verdict.get("speed") == "slower" else ""


def class_rows(results: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what accuracy does not tell of each file and output that has classes: by class too, with the confusion.

    The lowest recall is that of a class which occurs: where a rare one is lost, it is seen here.
    """
    labels = results.get("labels") or {}
    for measured in results["measurements"]:
        for head, found in (measured.get("figures") or {}).items():
            if not found:
                continue
            names = labels.get(head) or [str(number) for number in range(len(found["recall"]))]
            occurring = [number for number, count in enumerate(found["support"]) if count]
            lowest = min(occurring, key=lambda number: found["recall"][number])
            yield {
                "artifact": f"{measured['artifact']}, {head}" if head else measured["artifact"],
                "f1": f"{found['macro']['f1']:.4f}",
                "recall": f"{found['recall'][lowest]:.4f}",
                "part": f"{names[lowest]} ({found['support'][lowest]:,})",
                "auc": _number(found.get("roc_auc"), ".4f"),
                "rows": [
                    {"name": names[number], "support": f"{found['support'][number]:,}",
                     **{key: f"{found[key][number]:.4f}" for key in _BY_CLASS},
                     "said": found.get("confusion", [[]] * len(found["recall"]))[number]}
                    for number in range(len(found["recall"]))
                ],
                "names": names,
                "confused": "confusion" in found,
            }  # fmt: skip


def measurement_rows(results: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    measured = {measurement["artifact"]: measurement for measurement in results["measurements"]}
    for artifact in results["artifacts"]:
        found = measured.get(artifact["name"], {})
        latency = found.get("latency_us") or {}
        ram, size = found.get("peak_ram_bytes"), artifact.get("bytes")
        integer, floating = artifact.get("quantized_ops"), artifact.get("float_ops")
        yield {
            "artifact": artifact["name"],
            "runtime": str(found.get("runtime") or NOTHING),
            "value": _number(found.get("value"), ".4f"),
            "value_ci95": _range(found.get("value_ci95"), ".4f"),
            "p50": _number(latency.get("p50"), ",.1f", " (emulated)" if found.get("emulated") else ""),
            "p50_ci95": _range(found.get("latency_us_ci95"), ",.1f"),
            "p90": _number(latency.get("p90"), ",.1f"),
            "p99": _number(latency.get("p99"), ",.1f"),
            "ram": _number(ram and ram / 1e6, ",.1f"),
            "size": _number(size and size / 1e3, ",.1f"),
            "sparsity": _number(artifact.get("sparsity"), ".0%"),
            "operators": NOTHING if integer is None else f"{integer} / {floating}",
        }


def estimate_row(estimate: Mapping[str, Any]) -> dict[str, str]:
    """Return a compiler's estimate as text, cell by cell."""
    accelerator, processor = estimate.get("accelerator_operators"), estimate.get("cpu_operators")
    sram, flash = estimate.get("sram_bytes"), estimate.get("flash_bytes")
    return {
        "artifact": str(estimate["artifact"]),
        "target": str(estimate["target"]),
        "latency": _number(estimate.get("latency_us"), ",.1f"),
        "cycles": _number(estimate.get("cycles"), ",.0f"),
        "sram": _number(sram and sram / 1e3, ",.1f"),
        "flash": _number(flash and flash / 1e3, ",.1f"),
        "operators": NOTHING if accelerator is None else f"{accelerator} / {processor}",
        "reason": str(estimate.get("reason") or ("without the processor's part" if processor else "")),
    }


def profile_entry(profile: Mapping[str, Any], by_kind: bool = False, most: int = 10) -> dict[str, Any]:
    """Return a file's operators as bars, longest first, each as wide as its share; or the reason why there are none.

    by_kind: add up operators of one kind, as CONV_2D.
    """
    rows = [dict(row) for row in profile["rows"] or []]
    if by_kind:
        kinds = dict.fromkeys(_kind(row["operator"]) for row in rows)
        rows = [_sum([row for row in rows if _kind(row["operator"]) == kind], kind) for kind in kinds]
    rows.sort(key=lambda row: -row["us"])
    shown, rest = rows[:most], rows[most:]
    if rest:
        shown.append(_sum(rest, f"{len(rest)} {'other' if len(rest) == 1 else 'others'}"))
    inference_us = profile.get("inference_us")
    return {
        "artifact": profile["artifact"], "device": profile["device"], "runtime": profile["runtime"],
        "reason": profile.get("reason") or "",
        "total": _number(sum(row["us"] for row in rows), ",.1f"), "inference": _number(inference_us, ",.1f"),
        "bars": [
            {"operator": row["operator"], "name": row["name"],
             "us": _number(row["us"], ",.1f") if row["us"] >= 0.05 else "< 1",  # counted as 0
             "calls": f"{row['calls']} ×" if row["calls"] > 1 else "", "share": _number(row["share"], ".0%"),
             "width": f"{100 * row['share'] / max(shown[0]['share'], 1e-9):.1f}%"}
            for row in shown
        ],
    }  # fmt: skip


def _kind(operator: str) -> str:
    """Leave out how XNNPACK runs an operator: of "Convolution (NHWC, QC8) IGEMM" the part before the brackets."""
    return operator.partition(" (")[0]


def _sum(rows: Sequence[Mapping[str, Any]], operator: str) -> dict[str, Any]:
    return {
        "operator": operator,
        "name": "",
        **{key: sum(row[key] for row in rows) for key in ("us", "share", "calls")},
    }


def _rules(results: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    rows = results.get("rules") or []
    for suite in dict.fromkeys(row["suite"] for row in rows):
        yield suite, [
            {"rule": row["rule"], "met": row["met"] is not None and row["met"] == row["of"],
             "text": "does not apply" if row["met"] is None else f"{row['met']} of {row['of']}"}
            for row in rows if row["suite"] == suite
        ]  # fmt: skip


def _layers(results: Mapping[str, Any]) -> Iterator[tuple[str, str, list[dict[str, str]]]]:
    for name, layers in (results.get("layers") or {}).items():
        kinds = Counter(str(layer.get("dtype") or "?") for layer in layers)
        summary = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        yield (
            name,
            summary,
            [
                {
                    "name": str(layer.get("name") or NOTHING),
                    "op": str(layer.get("op") or NOTHING),
                    "dtype": str(layer.get("dtype") or NOTHING),
                    "sparsity": _number(layer.get("sparsity"), ".0%"),
                }
                for layer in layers
            ],
        )


def _flat(environment: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield an environment's entries as (name, text), nested names joined by a space."""
    for name, value in environment.items():
        label = f"{prefix}{name}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{label} ")
        elif isinstance(value, (list, tuple)):
            yield label, ", ".join(map(str, value))
        elif isinstance(value, float):
            yield label, f"{value:.4g}"
        else:
            yield label, NOTHING if value is None else str(value)


def _number(value: float | None, form: str, unit: str = "") -> str:
    return NOTHING if value is None else f"{value:{form}}{unit}".replace("-", "−")


def _range(bounds: Sequence[float] | None, form: str) -> str:
    return f"[{_number(bounds[0], form)}, {_number(bounds[1], form)}]" if bounds else ""


def _cell(value: Any) -> str:
    """Escape what would break out of a Markdown cell or drive a terminal (control characters)."""
    text = "".join(character if character.isprintable() else "�" for character in str(value))
    return text.replace("|", "\\|").replace("`", "'")

"""A run's results as one page that opens offline, and as a Markdown summary for the terminal.

Everything shown comes from `results.json` (and, for the shape of latency distributions, from the raw samples).
Names are data: the page escapes them, holds no script, and forbids itself to load anything.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...metrics import Metric
from . import pictures, rows


def html(results: Mapping[str, Any], samples: Mapping[str, Sequence[float]] | None = None) -> str:
    """Render the report as one self-contained HTML page.

    results: the document of `results.json`.  samples: latencies in microseconds by artifact name; without them the
    distributions are drawn from the recorded percentiles.
    """
    results, samples = _relabelled(results, samples or {})
    metric = rows.metric_of(results)
    return render(
        "report.html",
        title=f"{results['model']} on {results['data']}: Edgewright report",
        results={"notes": [], "command": "", "advice": "", **results},
        subtitle=_subtitle(results),
        outcome=_outcome(results),
        rule=_rule(results),
        metric=_spaced(metric),
        unit=rows.known_metric(metric).unit,
        verdicts=[rows.verdict_row(verdict, metric) for verdict in results["verdicts"]],
        measurements=list(rows.measurement_rows(results)),
        bundles=list(rows.bundle_rows(results)),
        charts=_charts(results, samples),
        classes=list(rows.class_rows(results)),
        errors=list(rows.error_rows(results)),
        layers=list(rows.layer_rows(results)),
        controls=[
            {
                "artifact": one["artifact"],
                "speedup": rows.number(one["speedup"], ".3f", "×"),
                "ci95": rows.interval(one["speedup_ci95"], ".3f"),
            }
            for one in results.get("controls", [])
        ],
        flags=results.get("flags", []),
        estimates=list(map(rows.estimate_row, results.get("estimates", []))),
        profiles=[rows.profile_entry(entry) for entry in results.get("profiles", [])],
        rules=list(_mlperf(results)),
        pictures=pictures.rows(results),
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
    sections = [
        _title(results), _rule(results), _verdict_table(results), _measurement_table(results), _bundle_table(results),
        _class_table(results), _error_table(results), _profile_table(results), _remarks(results),
        _estimate_table(results), _repeat(results), _advised(results),
    ]  # fmt: skip
    return "\n\n".join(filter(None, sections)) + "\n"


def _advised(results: Mapping[str, Any]) -> str:
    advice = _cell(results.get("advice") or "")
    return f"Advice: {advice}." if advice else ""


def _title(results: Mapping[str, Any]) -> str:
    outcome = ", ".join(f"{count} {kind}" for kind, count in _outcome(results)) or "no verdict"
    return f"# {_cell(results['model'])} on {_cell(results['data'])}: {outcome}"


def _verdict_table(results: Mapping[str, Any]) -> str:
    metric = rows.metric_of(results)
    unit = ", points" if rows.known_metric(metric).unit == "points" else ""
    header = ("file", "verdict", "speed-up [95%]", f"{_spaced(metric)}{unit} [95%]", "agreement", "why")
    return _filled(header, [
        (row["artifact"], row["verdict"], f"{row['speedup']} {row['speedup_ci95']}".strip(),
         f"{row['delta']} {row['delta_ci95']}".strip(), row["agreement"], row["why"])
        for row in (rows.verdict_row(verdict, metric) for verdict in results["verdicts"])
    ])  # fmt: skip


def _measurement_table(results: Mapping[str, Any]) -> str:
    keys = ("artifact", "value", "p50", "p99", "size", "packed", "sparsity", "operators")
    header = ("file", _spaced(rows.metric_of(results)), "p50 µs", "p99 µs", "kB", "kB gzip", "zeros", "int / float ops")
    return table(header, [[row[key] for key in keys] for row in rows.measurement_rows(results)])


def _bundle_table(results: Mapping[str, Any]) -> str:
    keys = ("bundle", "value", "files", "reason")
    header = ("files together", _spaced(rows.metric_of(results)), "of", "remark")
    return _filled(header, [[row[key] for key in keys] for row in rows.bundle_rows(results)])


def _class_table(results: Mapping[str, Any]) -> str:
    keys = ("artifact", "f1", "recall", "part", "auc")
    header = ("file, by class", "macro F1", "lowest recall", "of", "ROC AUC")
    return _filled(header, [[row[key] for key in keys] for row in rows.class_rows(results)])


def _error_table(results: Mapping[str, Any]) -> str:
    header = ("file, errors", "mean absolute", "root mean square")
    return _filled(header, [(row["artifact"], row["mae"], row["rmse"]) for row in rows.error_rows(results)])


def _profile_table(results: Mapping[str, Any]) -> str:
    profiles = [rows.profile_entry(entry, by_kind=True, most=6) for entry in results.get("profiles", [])]
    header = ("file, profiled", "operators", "µs", "share", "calls")
    return _filled(header, [
        (entry["artifact"], bar["operator"], bar["us"], bar["share"], bar["calls"])
        for entry in profiles
        for bar in entry["bars"] or [{"operator": entry["reason"], "us": "", "share": "", "calls": ""}]
    ])  # fmt: skip


def _remarks(results: Mapping[str, Any]) -> str:
    told = [f"- {_cell(warning['kind'])}: {_cell(warning['text'])}" for warning in results.get("flags", [])]
    zeros = filter(None, [rows.note_on_zeros(results)])
    return "\n".join(told + [f"- {_cell(note)}" for note in [*results.get("notes", []), *zeros]])


def _estimate_table(results: Mapping[str, Any]) -> str:
    keys = ("artifact", "target", "latency", "cycles", "sram", "flash", "reason")
    header = ("file", "target (estimated, not measured)", "latency µs", "cycles", "SRAM kB", "weights kB", "remark")
    return _filled(header, [[row[key] for key in keys] for row in map(rows.estimate_row, results.get("estimates", []))])


def _repeat(results: Mapping[str, Any]) -> str:
    met = [(suite, [row["rule"] for row in found if row["met"]]) for suite, found in _mlperf(results)]
    told = [f"{suite}, rules met by every file: {'; '.join(those) or 'none'}" for suite, those in met]
    return "\n".join(told + ([f"Repeat: `{results['command']}`"] if results.get("command") else []))


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _filled(header: Sequence[str], cells: Sequence[Sequence[Any]]) -> str:
    """Return a table, or nothing where it has no rows."""
    return table(header, cells) if cells else ""


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
        "advice": str(results.get("advice") or "").replace(prefix, ""),
        "artifacts": [row(entry, "name") for entry in results["artifacts"]],
        "measurements": [row(entry, "artifact") for entry in results["measurements"]],
        "verdicts": [row(entry, "artifact", "baseline") for entry in results["verdicts"]],
        "estimates": [row(entry, "artifact") for entry in results.get("estimates", [])],
        "controls": [row(entry, "artifact") for entry in results.get("controls", [])],
        "profiles": [row(entry, "artifact") for entry in results.get("profiles", [])],
        "pictures": [row(entry, "artifact") for entry in results.get("pictures", [])],
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
    metric = rows.metric_of(results)
    best = "Upper" if rows.known_metric(metric).higher_is_better else "Lower"
    limit = " Dashed: the largest drop allowed." if max_drop is not None else ""
    return [
        ("Intervals behind the verdicts", f"95% confidence, against the float file of the same format.{limit}",
         charts.intervals(results["verdicts"], marks, max_drop)),
        (f"{metric.replace('_', ' ').capitalize()} against latency",
         f"{best} left is better. Bars: 95% intervals. Circle: TFLite, square: ONNX, hollow: pruned.",
         charts.tradeoff(points, metric)),
        _confusion(rows.confused(results)),
        ("File size", "Hollow: pruned; zeros save space only once the file is compressed, and no time unless kernels "
         "skip them.", charts.sizes(points)),
        ("Latency distributions", "One inference: nine of ten, from the fastest on; the bar is the median.",
         charts.latencies(points, arrays)),
        ("Learning curves", "Solid: validation. Dashed: training.", charts.curves(results.get("curves", {}))),
    ]  # fmt: skip


def _confusion(found: rows.Confused | None) -> tuple[str, str, str]:
    from . import charts

    if found is None:
        return "", "", ""
    told = f"{found.artifact} beside {found.baseline}: the darker, the more of a true class; what differs, in samples."
    return "Which class pays", told, charts.confusion(found.names, found.ours, found.base)


def _most(metric: Metric, max_drop: float) -> str:
    """Say how much worse a file may be: in points, as a share of the baseline's value, or in the metric's unit."""
    if metric.unit == "points":
        points = 100 * max_drop
        return f"the metric drops by at most {points:g} {'point' if points == 1 else 'points'}"
    limit = metric.allowance(max_drop, 1.0)
    name = _spaced(metric.name)
    worse = f"{100 * limit:g}%" if metric.relative else f"{limit:g} {metric.unit}".rstrip()
    return f"{name} is worse by at most {worse}"


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
    return [(kind, counts[kind]) for kind in rows.KINDS if counts[kind]]


def _rule(results: Mapping[str, Any]) -> str:
    thresholds = results.get("thresholds")
    if not thresholds:
        return ""
    parts = []
    if thresholds.get("max_drop") is not None:
        parts.append(_most(rows.known_metric(rows.metric_of(results)), thresholds["max_drop"]))
    if thresholds.get("min_speedup") is not None:
        parts.append(f"the speed-up is at least {thresholds['min_speedup']:g}×")
    return f"A file passes when, with 95% confidence, {' and '.join(parts)}." if parts else ""


def _mlperf(results: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    found = results.get("rules") or []
    for suite in dict.fromkeys(row["suite"] for row in found):
        yield suite, [
            {"rule": row["rule"], "met": row["met"] is not None and row["met"] == row["of"],
             "text": "does not apply" if row["met"] is None else f"{row['met']} of {row['of']}"}
            for row in found if row["suite"] == suite
        ]  # fmt: skip


def _flat(environment: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield an environment's entries as (name, text), nested names joined by a space."""
    for name, value in environment.items():
        label = f"{prefix}{name}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{label} ")
        elif isinstance(value, (list, tuple)):
            yield label, ", ".join(map(str, value)) or rows.NOTHING
        elif isinstance(value, float):
            yield label, f"{value:.4g}"
        else:
            yield label, rows.NOTHING if value is None else str(value)


def _cell(value: Any) -> str:
    """Escape what would break out of a Markdown cell or drive a terminal (control characters)."""
    text = "".join(character if character.isprintable() else "�" for character in str(value))
    return text.replace("|", "\\|").replace("`", "'")

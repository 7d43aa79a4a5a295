"""A run's results as rows of text, cell by cell, for the page and for the terminal alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ... import metrics
from ..verdict import words
from ..verdict.results import SIMULATED

NOTHING = "–"
KINDS = ("pass", "slower", "fail", "inconclusive")  # of verdicts, as they are counted
MANY_ZEROS = 0.1  # a share of weights that nothing but pruning makes
LOOKED_AT = 20  # classes beyond which nobody looks at a picture of them
_BY_CLASS = ("precision", "recall", "f1", "specificity", "npv")


def metric_of(results: Mapping[str, Any]) -> str:
    """Return what the metric of a run is called, or "metric" where it has none."""
    measured = [*results["measurements"], *results.get("bundles", [])]
    return next((str(row["metric"]) for row in measured if row.get("metric")), "metric")


def known_metric(name: Any) -> metrics.Metric:
    """Return a metric by the name in a document; one that is not known here is told in points, as all once were."""
    return metrics.get(name) if name and metrics.known(str(name)) else metrics.METRICS["accuracy"]


def verdict_row(verdict: Mapping[str, Any], metric: str = "") -> dict[str, str]:
    """Return a verdict as text. metric: what was judged, where the verdict itself does not say."""
    judged = known_metric(verdict.get("metric") or metric)
    delta = verdict.get("metric_delta")
    delta_ci95 = verdict.get("metric_delta_ci95")
    return {
        "artifact": verdict["artifact"],
        "verdict": verdict["verdict"],
        "kind": kind(verdict["verdict"]),
        "reason": _remark(verdict),
        "why": _why(verdict),
        "speedup": number(verdict.get("speedup"), ".2f", "×"),
        "speedup_ci95": interval(verdict.get("speedup_ci95"), ".2f"),
        "tail": number(verdict.get("speedup_p90"), ".2f", "×"),
        "tail_ci95": interval(verdict.get("speedup_p90_ci95"), ".2f"),
        "delta": NOTHING if delta is None else _minus(words.change(judged, delta).removesuffix(" points")),
        "delta_ci95": _minus(words.ends(judged, delta_ci95)) if delta_ci95 else "",
        "agreement": number(verdict.get("agreement"), ".2%"),
        "baseline": verdict["baseline"],
        "device": str(verdict.get("device") or ""),
    }


def kind(word: str) -> str:
    """Return how a verdict is shown; a word that is not known here is no pass."""
    return word if word in KINDS else "inconclusive"


def _why(verdict: Mapping[str, Any]) -> str:
    """Return what decided a verdict, and that the file is slower where that did not."""
    decided = verdict.get("because") or verdict.get("reason") or ""
    return "; ".join(filter(None, [decided, _remark(verdict) if verdict["verdict"] == "pass" else ""]))


def _remark(verdict: Mapping[str, Any]) -> str:
    """Return what the numbers beside a verdict leave unsaid: why it is no pass, that the file is slower or untimed."""
    if verdict["verdict"] == "slower":
        return verdict.get("because") or ""
    if verdict["verdict"] != "pass":
        return verdict.get("reason") or ""
    if SIMULATED in (verdict.get("reason") or ""):
        return SIMULATED
    return "slower than its baseline" if verdict.get("speed") == "slower" else ""


def class_rows(results: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what accuracy does not tell of each file and output that has classes: by class too, with the confusion.

    The lowest recall is that of a class which occurs: where a rare one is lost, it is seen here.
    """
    labels = results.get("labels") or {}
    for name, head, found in _figures(results):
        if "recall" not in found:
            continue
        names = labels.get(head) or [str(number) for number in range(len(found["recall"]))]
        occurring = [number for number, count in enumerate(found["support"]) if count]
        lowest = min(occurring, key=lambda number: found["recall"][number])
        yield {
            "artifact": name,
            "f1": f"{found['macro']['f1']:.4f}",
            "recall": f"{found['recall'][lowest]:.4f}",
            "part": f"{names[lowest]} ({found['support'][lowest]:,})",
            "auc": number(found.get("roc_auc"), ".4f"),
            "rows": [
                {"name": names[number], "support": f"{found['support'][number]:,}",
                 **{key: f"{found[key][number]:.4f}" for key in _BY_CLASS},
                 "said": found.get("confusion", [[]] * len(found["recall"]))[number]}
                for number in range(len(found["recall"]))
            ],
            "names": names,
            "confused": "confusion" in found,
        }  # fmt: skip


def error_rows(results: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Yield how far off each file and output is whose answers are values, in the unit of the targets."""
    for name, _, found in _figures(results):
        if "rmse" in found:
            yield {"artifact": name, "mae": number(found["mae"], ".4g"), "rmse": number(found["rmse"], ".4g")}


def _figures(results: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield of each file and output what both are called together, the output, and its figures."""
    for measured in results["measurements"]:
        for head, found in (measured.get("figures") or {}).items():
            yield f"{measured['artifact']}, {head}" if head else measured["artifact"], head, found


class Confused(NamedTuple):
    """Which classes a file takes for which, beside its baseline: counts (K, K), rows true."""

    artifact: str
    baseline: str
    names: list[str]
    ours: np.ndarray
    base: np.ndarray


def confused(results: Mapping[str, Any]) -> Confused | None:
    """Return the confusion of the first file of 8-bit activations, one retrained before one not.

    None where there is none, or its classes are too many to be looked at.
    """
    figures = {row["artifact"]: row.get("figures") or {} for row in results["measurements"]}
    precision = {row["name"]: str(row.get("precision") or "") for row in results["artifacts"]}
    judged = [row for row in results["verdicts"] if "a8" in precision.get(row["artifact"], "")]
    for row in sorted(judged, key=lambda row: not precision[row["artifact"]].endswith("qat")):
        ours, base = figures.get(row["artifact"], {}), figures.get(row["baseline"], {})
        for head in ours:
            tables = [np.array(found.get(head, {}).get("confusion") or []) for found in (ours, base)]
            if tables[0].ndim == 2 and tables[0].shape == tables[1].shape and len(tables[0]) <= LOOKED_AT:
                names = (results.get("labels") or {}).get(head) or [str(number) for number in range(len(tables[0]))]
                return Confused(row["artifact"], row["baseline"], [str(name) for name in names], *tables)
    return None


def measurement_rows(results: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Yield what was measured on each file."""
    measured = {measurement["artifact"]: measurement for measurement in results["measurements"]}
    for artifact in results["artifacts"]:
        found = measured.get(artifact["name"], {})
        latency = found.get("latency_us") or {}
        ram, size, packed = found.get("peak_ram_bytes"), artifact.get("bytes"), artifact.get("gzip_bytes")
        integer, floating = artifact.get("quantized_ops"), artifact.get("float_ops")
        yield {
            "artifact": artifact["name"],
            "runtime": str(found.get("runtime") or NOTHING),
            "value": number(found.get("value"), ".4f"),
            "value_ci95": interval(found.get("value_ci95"), ".4f"),
            "p50": number(latency.get("p50"), ",.1f", " (emulated)" if found.get("emulated") else "")
            if latency or not found.get("simulated")
            else SIMULATED,
            "p50_ci95": interval(found.get("latency_us_ci95"), ",.1f"),
            "p90": number(latency.get("p90"), ",.1f"),
            "p99": number(latency.get("p99"), ",.1f"),
            "ram": number(ram and ram / 1e6, ",.1f"),
            "size": number(size and size / 1e3, ",.1f"),
            "packed": number(packed and packed / 1e3, ",.1f"),
            "sparsity": number(artifact.get("sparsity"), ".0%"),
            "operators": NOTHING if integer is None else f"{integer} / {floating}",
        }


def note_on_zeros(results: Mapping[str, Any]) -> str:
    """Return what zeros in a file do to its time where it was measured; nothing if no file has many."""
    sparse = {artifact["name"] for artifact in results["artifacts"] if (artifact.get("sparsity") or 0) >= MANY_ZEROS}
    found = [one for one in results["measurements"] if one["artifact"] in sparse]
    runtimes = dict.fromkeys(str(one["runtime"]) for one in found if one.get("runtime"))
    if not runtimes:
        return ""
    return (
        f"today's kernels of {' and '.join(runtimes)} multiply zeros like any number: pruned weights make a file "
        "smaller once it is packed, and no faster"
    )


def _beside(bundle: Mapping[str, Any]) -> str:
    """Return what a task tells of files beside its metric."""
    return ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in (bundle.get("beside") or {}).items())


def bundle_rows(results: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Yield what files answered together, for bundles of several."""
    for bundle in results.get("bundles", []):
        if len(bundle["files"]) > 1:
            yield {
                "bundle": bundle["name"],
                "value": number(bundle.get("value"), ".4f"),
                "value_ci95": interval(bundle.get("value_ci95"), ".4f"),
                "files": ", ".join(f"{network}: {file}" for network, file in bundle["files"].items()),
                "reason": bundle.get("reason") or _beside(bundle),
            }


def estimate_row(estimate: Mapping[str, Any]) -> dict[str, str]:
    """Return a compiler's estimate as text, cell by cell."""
    accelerator, processor = estimate.get("accelerator_operators"), estimate.get("cpu_operators")
    sram, flash = estimate.get("sram_bytes"), estimate.get("flash_bytes")
    return {
        "artifact": str(estimate["artifact"]),
        "target": str(estimate["target"]),
        "latency": number(estimate.get("latency_us"), ",.1f"),
        "cycles": number(estimate.get("cycles"), ",.0f"),
        "sram": number(sram and sram / 1e3, ",.1f"),
        "flash": number(flash and flash / 1e3, ",.1f"),
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
        "total": number(sum(row["us"] for row in rows), ",.1f"), "inference": number(inference_us, ",.1f"),
        "bars": [
            {"operator": row["operator"], "name": row["name"],
             "us": number(row["us"], ",.1f") if row["us"] >= 0.05 else "< 1",  # counted as 0
             "calls": f"{row['calls']} ×" if row["calls"] > 1 else "", "share": number(row["share"], ".0%"),
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


def layer_rows(results: Mapping[str, Any]) -> Iterator[tuple[str, str, list[dict[str, str]]]]:
    """Yield of each file its name, how many operators it has of each format, and the operators."""
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
                    "sparsity": number(layer.get("sparsity"), ".0%"),
                }
                for layer in layers
            ],
        )


def number(value: float | None, form: str, unit: str = "") -> str:
    """Return a number as text, or a dash for none."""
    return NOTHING if value is None else f"{value:{form}}{unit}".replace("-", "−")


def _minus(text: str) -> str:
    return text.replace("-", "−")


def interval(bounds: Sequence[float] | None, form: str) -> str:
    """Return the ends of an interval as text, or nothing."""
    return f"[{number(bounds[0], form)}, {number(bounds[1], form)}]" if bounds else ""

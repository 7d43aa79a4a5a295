"""The zoo judged: models x stages, one cell each with status, value and reason."""

import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..devices.report.report import table
from ..errors import BadInput, EdgewrightError
from ..files import write, write_json
from ..models import registry
from ..progress import say
from ..workers import Order, workers
from .run import FILES, RunConfig, RunPlan, execute

STAGES = ("build", "train", "prune", "qat", "tflite_float", "tflite_int8", "onnx_float", "onnx_int8", "device")
ARGMAX_BAR, STEP_BAR = 0.995, 0.99
MOST_ORDERS = 8  # of one process: TensorFlow keeps what it once traced, some 300 MB for each model
LIMIT_S = {"quick": 1800, "full": 6 * 3600}  # a model that takes longer hangs
MOST_JOBS = 8  # each takes two processes of TensorFlow, one to train and one to convert
FULL = RunPlan(files=tuple(row for row in FILES if row[2] in ("float32", "w8a8-qat")), apart=True)
QUICK = RunPlan(
    files=(
        ("float", "tflite", "float32"),
        ("qat-pruned", "tflite", "w8a8-qat"),
        ("float", "onnx", "float32"),
        ("qat-pruned", "onnx", "w8a8-qat"),
    ),
    brief=True,
    timed=("tflite",),
    apart=True,
)
# What a wrong implementation would miss on the data: far above chance, below what each reaches in a quick run.
FLOOR = {"accuracy": 0.6, "explained_variance": 0.5, "auc": 0.6}
FLOOR_ON = {"breast_cancer": 0.92, "cifar10": 0.4, "diabetes": 0.35, "digits": 0.65, "setosa": 0.95, "xor": 0.9}
PRUNED_BAR = 0.5


def matrix(
    models: Sequence[str], families: Sequence[str], folder: Path, *, quick: bool, seed: int, jobs: int | None = None
) -> dict[str, Any]:
    """Run each model into a folder of its own below `folder`; write matrix.json and matrix.md; return the document.

    jobs: models trained at once, by default one a core up to `MOST_JOBS`. Files are timed afterwards, one model after
    the other, with nothing else running. A quick matrix goes one way for each model, float -> pruned -> QAT -> int8,
    with the least training that a wrong implementation would not survive; else the cells are those of `edgewright run`.
    """
    chosen = _chosen(models, families)
    jobs = min(len(chosen), cores(), MOST_JOBS) if jobs is None else jobs
    if jobs < 1:
        raise BadInput(f"--jobs {jobs}: must be at least 1")
    start = time.monotonic()
    orders = [
        {"model": name, "folder": str(folder / name), "log": str(folder / "logs" / f"{name}.txt"), "quick": quick,
         "seed": seed, "timing": False}
        for name in chosen
    ]  # fmt: skip
    rows: dict[str, dict[str, Any]] = {}

    def note(order: Order, answer: Order | EdgewrightError) -> None:
        name = order["model"]
        row = answer if isinstance(answer, dict) else _failing(name, str(answer))
        rows[name] = {**row, "stages": {**rows.get(name, {}).get("stages", {}), **row["stages"]}}
        say(f"{name}: {'failed' if _bad(rows[name]) else 'timed' if order['timing'] else 'trained and exported'}")

    def save() -> dict[str, Any]:
        done = [rows[name] for name in chosen if name in rows and len(rows[name]["stages"]) == len(STAGES)]
        seconds = round(time.monotonic() - start, 1)
        document = {"schema": 1, "quick": quick, "jobs": jobs, "seconds": seconds, "rows": done}
        write_json(folder / "matrix.json", document)
        write(folder / "matrix.md", markdown(document))
        return document

    limit_s = LIMIT_S["quick" if quick else "full"]
    settings = (str(max(1, cores() // jobs)), *(["brief"] if quick else []))
    with workers(jobs, f"{__package__}.matrix_worker", *settings, most_orders=MOST_ORDERS) as several:
        for order, answer in several.serve(orders, limit_s):
            note(order, answer)
        waiting = [{**order, "timing": True} for order in orders if not _bad(rows[order["model"]])]
        for order, answer in several.serve(waiting, limit_s, at_once=1):
            note(order, answer)
            save()
    return save()


def serve(order: Order) -> dict[str, Any]:
    """Return the row of one model: before timing with the stage `build` alone, after it with all others."""
    name, folder = order["model"], Path(order["folder"])
    try:
        stages = {} if order["timing"] else {"build": _cell(True, _parameters(name))}
        scope = replace(QUICK if order["quick"] else FULL, timing=order["timing"])
        config = RunConfig(model=name, quick=order["quick"], seed=order["seed"])
        results, where = execute(config, folder, scope)
    except EdgewrightError as error:
        return _failing(name, str(error))
    if not results:
        return {"model": name, "data": None, "seconds": None, "stages": stages}
    seconds = sum(results["seconds"].values())
    return {"model": name, "data": results["data"], "seconds": seconds, "stages": stages | _cells(results, where)}


def _parameters(name: str) -> int:
    networks = registry.deployables(name, registry.networks(name, "edge"))
    return sum(model.count_params() for model in networks.values())


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _chosen(models: Sequence[str], families: Sequence[str]) -> list[str]:
    known = registry.describe()
    unknown = set(families) - {row["family"] for row in known}
    if unknown:
        raise BadInput(
            f"--family {sorted(unknown)[0]!r}: unknown; allowed: {', '.join(sorted({row['family'] for row in known}))}"
        )
    return [registry.get(name).name for name in models] or [
        row["name"] for row in known if not families or row["family"] in families
    ]


def markdown(document: Mapping[str, Any]) -> str:
    """Return the matrix as a Markdown table; a failed cell shows its reason below."""
    marks = {"pass": "", "fail": "FAIL ", "skip": "skip "}
    cells, reasons = [], []
    for row in document["rows"]:
        shown = [f"{marks[cell['status']]}{_shown(cell['value'])}".strip() for cell in row["stages"].values()]
        cells.append((row["model"], *shown))
        reasons += [
            f"- {row['model']} {stage}: {cell['reason']}" for stage, cell in row["stages"].items() if cell["reason"]
        ]
    return table(("model", *STAGES), cells) + "\n" + "\n".join(reasons) + "\n"


def failed(document: Mapping[str, Any]) -> int:
    """Return the number of failing cells."""
    return sum(map(_bad, document["rows"]))


def _bad(row: Mapping[str, Any]) -> int:
    return sum(cell["status"] == "fail" for cell in row["stages"].values())


def _failing(name: str, reason: str) -> dict[str, Any]:
    stages = {stage: {"status": "fail", "value": None, "reason": reason} for stage in STAGES}
    return {"model": name, "data": None, "seconds": None, "stages": stages}


def _cells(results: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    def result(step: str) -> dict[str, Any]:
        return json.loads((folder / "steps" / f"{step}.json").read_text())["result"]

    def metric(step: str) -> float:
        return result(step)["metric"]

    found = {one["artifact"]: one for one in results["measurements"]}
    made = {one["name"]: one for one in results["artifacts"]}
    verdicts = {one["artifact"]: one for one in results["verdicts"]}
    base = metric("train")
    floor = FLOOR_ON.get(results["data"], FLOOR[next(iter(found.values()))["metric"]])

    def pick(kind: str, precision: str) -> str:
        """Return the file to judge; of a dense and a pruned one the dense."""
        found = [name for name, one in made.items() if (one["format"], one["precision"]) == (kind, precision)]
        return min(found, key=lambda name: "pruned" in name)

    qat = metric("qat-pruned" if "pruned" in pick("tflite", "w8a8-qat") else "qat")
    cells = {
        "train": _cell(base >= floor, base, f"below {floor}"),
        "prune": _pruned(result("prune"), base),
        "qat": _cell(qat >= base - 0.03, qat, "more than 3 points below float"),
    }
    for kind in ("tflite", "onnx"):
        name = pick(kind, "float32")
        cells[f"{kind}_float"] = _measured(found[name], base)
        cells[f"{kind}_int8"] = _int8(pick(kind, "w8a8-qat"), found, made, results["parity"], qat, kind)
    verdict = verdicts[pick("tflite", "w8a8-qat")]
    cells["device"] = _cell(verdict["verdict"] != "fail", verdict["speedup"], verdict["reason"]) | {
        "verdict": verdict["verdict"]
    }
    return {stage: cells[stage] for stage in STAGES if stage in cells}


def _pruned(result: Mapping[str, Any], base: float) -> dict[str, Any]:
    """Judge what pruning left of the metric, and how many of the weights that it chose from are zero."""
    sizes = [(math.prod(row["shape"]), row["sparsity"]) for row in result["rows"] if row["sparsity"] is not None]
    if not sizes:
        reasons = sorted({row["reason"] for row in result["rows"]})
        return {"status": "skip", "value": None, "reason": f"nothing to prune: {'; '.join(reasons)}"}
    sparsity = sum(size * share for size, share in sizes) / sum(size for size, _ in sizes)
    short = [f"{sparsity:.0%} of the weights pruned, bar {PRUNED_BAR:.0%}"] if sparsity < PRUNED_BAR else []
    short += ["more than 3 points below float"] if result["metric"] < base - 0.03 else []
    return _cell(not short, result["metric"], "; ".join(short)) | {"sparsity": sparsity}


def _measured(one: Mapping[str, Any], expected: float) -> dict[str, Any]:
    if one["status"] != "ok":
        return _cell(False, None, f"{one['status']}: {one['reason']}")
    return _cell(abs(one["value"] - expected) <= 0.02, one["value"], f"model {expected:.4f}, file {one['value']:.4f}")


def _int8(name: str, found: Any, made: Any, parity: Any, expected: float, kind: str) -> dict[str, Any]:
    cell = _measured(found[name], expected)
    agreed = parity.get(name, {})
    more = {"float_ops": made[name]["float_ops"], **agreed}
    short = []
    if kind == "tflite" and more["float_ops"]:
        short.append(f"{more['float_ops']} float operators")
    judged_by_class = found[name]["metric"] == "accuracy"
    if judged_by_class and agreed.get("argmax_agreement", 0) < ARGMAX_BAR:
        short.append(f"argmax agreement {agreed.get('argmax_agreement', 0):.4f} below {ARGMAX_BAR}")
    if agreed.get("within_one_step", 0) < STEP_BAR:
        short.append(f"{agreed.get('within_one_step', 0):.4f} of outputs within one step, bar {STEP_BAR}")
    if cell["status"] == "pass" and short:
        cell = _cell(False, cell["value"], "; ".join(short))
    return cell | more


def _cell(ok: bool, value: Any, reason: str = "") -> dict[str, Any]:
    return {"status": "pass" if ok else "fail", "value": value, "reason": "" if ok else reason}


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"

"""The zoo judged: models x stages, one cell each with status, value and reason."""

import json
import os
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, cast

from ..children import forkable
from ..devices.report.report import table
from ..errors import BadInput, EdgewrightError
from ..files import write, write_json
from ..models import registry
from ..progress import say
from ..workers import Order, workers
from . import cells
from .budget import RECOVERIES
from .cells import STAGES, Cell, Held
from .run import FILES, RunConfig, RunPlan, execute

MOST_ORDERS = 8  # of one process that is not forked: TensorFlow keeps what it once traced, 300 MB for each model
LIMIT_S = {"quick": 1800, "full": 6 * 3600}  # a model that takes longer hangs
WAYS = tuple(RECOVERIES)  # tried in this order, while a model loses more by brief pruning and QAT than it may
RECOVERED = ("prune", "qat", "device")  # the cells that tell so
KEPT = "recovery.json"  # in the folder of such a model: a call that goes on does not begin with too little again
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


class Row(TypedDict):
    """A row of matrix.json. data, seconds: None before the run is finished. recovery: see `RunPlan`."""

    model: str
    data: str | None
    seconds: float | None
    recovery: str
    stages: dict[str, Cell]


def matrix(
    models: Sequence[str],
    families: Sequence[str],
    folder: Path,
    *,
    quick: bool,
    seed: int,
    jobs: int | None = None,
    device: str = "local",
) -> dict[str, Any]:
    """Run each model into a folder of its own below `folder`; write matrix.json and matrix.md; return the document.

    jobs: models trained at once, by default one a core up to `MOST_JOBS`. Files run on `device` and are timed last, one
    model after the other, with nothing else running. The same call goes on with a matrix that was interrupted. A quick
    matrix goes one way for each model, float -> pruned -> QAT -> int8, with the least training that a wrong
    implementation would not survive; a model that loses more than it may is pruned and retrained once more, for
    longer, and if that is no help, more slowly: some learn few samples by heart. Else the cells are those of
    `edgewright run`.
    """
    chosen = _chosen(models, families)
    jobs = min(len(chosen), cores(), MOST_JOBS) if jobs is None else jobs
    if jobs < 1:
        raise BadInput(f"--jobs {jobs}: must be at least 1")
    start = time.monotonic()
    orders = [
        {"model": name, "folder": str(folder / name), "log": str(folder / "logs" / f"{name}.txt"), "quick": quick,
         "seed": seed, "device": device, "timing": False, "recovery": _recovery(folder / name) if quick else ""}
        for name in chosen
    ]  # fmt: skip
    rows: dict[str, Row] = {}

    def note(order: Order, answer: Order | EdgewrightError) -> None:
        name = order["model"]
        row = _failing(order, str(answer)) if isinstance(answer, EdgewrightError) else cast(Row, answer)
        before = rows[name]["stages"] if name in rows else {}
        rows[name] = {**row, "stages": {**before, **row["stages"]}}
        say(f"{name}: {'failed' if _bad(rows[name]) else 'timed' if order['timing'] else 'trained and exported'}")

    def save() -> dict[str, Any]:
        done = [rows[name] for name in chosen if name in rows and len(rows[name]["stages"]) == len(STAGES)]
        seconds = round(time.monotonic() - start, 1)
        document = {"schema": 1, "quick": quick, "jobs": jobs, "seconds": seconds, "rows": done}
        write_json(folder / "matrix.json", document)
        write(folder / "matrix.md", markdown(document))
        return document

    save()  # which marks the folder as a matrix's, for one that is interrupted before its first row is done
    limit_s = LIMIT_S["quick" if quick else "full"]
    settings = (str(max(1, cores() // jobs)), *(["brief"] if quick else []))
    most = None if forkable() else MOST_ORDERS
    with workers(jobs, f"{__package__}.matrix_worker", *settings, most_orders=most) as several:

        def go(orders: Sequence[Order]) -> None:
            for order, answer in several.serve(orders, limit_s):
                note(order, answer)
            waiting = [{**order, "timing": True, "light": True} for order in orders if not _bad(rows[order["model"]])]
            for order, answer in several.serve(waiting, limit_s, at_once=1):
                note(order, answer)
                save()

        go(orders)
        while orders := [again for order in orders if quick and (again := _again(order, rows[order["model"]]))]:
            for order in orders:
                rows.pop(order["model"])
                write_json(folder / order["model"] / KEPT, {"recovery": order["recovery"]})
            go(orders)
    return save()


def serve(order: Order) -> Row:
    """Return the row of one model: before timing with the stage `build` alone, after it with all others."""
    name, folder = order["model"], Path(order["folder"])
    plan = replace(QUICK if order["quick"] else FULL, timing=order["timing"], recovery=order["recovery"])
    if not registry.get(name).deploy:
        plan = replace(plan, files=())
    try:
        built = {} if order["timing"] else {"build": cells.cell("", _parameters(name))}
        config = RunConfig(model=name, quick=order["quick"], seed=order["seed"], device=order["device"])
        results, folder = execute(config, folder, plan)
    except EdgewrightError as error:
        return _failing(order, str(error))
    except Exception as error:  # a fault of ours in one row is no reason to lose its words, or the process
        traceback.print_exc()
        return _failing(order, f"{type(error).__name__}: {error}")
    row: Row = {"model": name, "data": None, "seconds": None, "recovery": order["recovery"], "stages": built}
    if not order["timing"]:
        return row
    held = Held.of(name, results["data"], results["metric"])
    reason = registry.get(name).undeployed
    found = cells.of_run(results, folder, held) if plan.files else cells.of_training(folder, held, reason)
    return {**row, "data": results["data"], "seconds": sum(results["seconds"].values()), "stages": found}


def _recovery(folder: Path) -> str:
    """Return how pruning and QAT of a model were found to have to go on, "" where nobody knows."""
    kept = folder / KEPT
    return json.loads(kept.read_text())["recovery"] if kept.is_file() else ""


def _parameters(name: str) -> int:
    networks = registry.trained(registry.networks(name, "edge"), registry.get(name).deploy)
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


def _again(order: Order, row: Row) -> Order | None:
    """Return the next order for a model that fails by what other pruning and QAT may win back, and by nothing else."""
    failing = {stage for stage, cell in row["stages"].items() if cell["status"] == "fail"}
    left = WAYS[WAYS.index(order["recovery"]) + 1 :]
    return {**order, "recovery": left[0]} if left and failing and failing <= set(RECOVERED) else None


def _failing(order: Order, reason: str) -> Row:
    return {"model": order["model"], "data": None, "seconds": None, "recovery": order["recovery"],
            "stages": cells.failing(reason)}  # fmt: skip


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"

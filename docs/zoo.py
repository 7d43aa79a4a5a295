"""Writes docs/zoo.md from runs of `edgewright matrix`: python docs/zoo.py FOLDER [FOLDER ...], later ones win."""

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

from edgewright.devices.report.report import table
from edgewright.models import registry
from edgewright.pipeline.cost import multiply_adds

ROOT = Path(__file__).parent.parent
INTRODUCTION = """# The zoo

{count} architectures and variants, {measured} of them measured here from training to device. `paper` sizes are the
published ones, which a test counts; what is trained and measured is the `edge` preset: the same topology, small enough
for two cores.

{how}

Metric: accuracy, area under the curve (anomaly detectors) or explained variance (regression, reconstruction) on the
whole test set. Int8: the w8a8-qat TFLite file, measured on the device, and by how many points it differs. Size and
speed-up: of that file over the float32 file, in LiteRT on one thread, with the 95% interval. MACs: multiply-adds of one
sample.

Find a model by task and budget; `edgewright models --json` says the same to programs. Made by `python docs/zoo.py`.
"""
QUICK = """{count} of the runs are `--quick` (data marked *): data that needs no download, training that ends
as soon as the net is seen to work, and int8 of the pruned net, measured for a few seconds while others may load the
machine: they show that every stage works, not how good a model is."""


def load(folders: list[Path]) -> dict[str, dict[str, Any]]:
    """Return the row of each model that was run, with its results."""
    rows = {}
    for folder in folders:
        document = json.loads((folder / "matrix.json").read_text())
        for row in document["rows"]:
            results = folder / row["model"] / "results.json"
            if results.is_file():
                rows[row["model"]] = {**row, "quick": document["quick"], "results": json.loads(results.read_text())}
    return rows


def text(rows: dict[str, dict[str, Any]]) -> str:
    """Return the page."""
    names = [row["name"] for row in registry.describe()]
    machines = {_machine(row["results"]) for row in rows.values()}
    quick = sum(row["quick"] for row in rows.values())
    how = f"Machine: {'; '.join(sorted(machines))}.{' ' + QUICK.format(count=quick) if quick else ''}"
    batches = {row["results"]["source"].count("data_batch_") for row in rows.values() if row["data"] == "cifar10"}
    if batches - {0, 5}:  # 0: the whole archive
        how += f" Of cifar10's five training batches {max(batches)} was at hand: its rows would do better with all."
    page = INTRODUCTION.format(count=len(names), measured=len(rows), how=textwrap.fill(how, 120))
    tasks = sorted({registry.get(name).task for name in names})
    for task in tasks:
        chosen = [name for name in names if registry.get(name).task == task]
        lines = sorted((_line(name, rows.get(name)) for name in chosen), key=lambda line: line[0])
        header = ("model", "family", "parameters", "edge parameters", "edge MACs", "data", "float", "int8", "size",
                  "speed-up", "stages")  # fmt: skip
        page += f"\n## {task.replace('_', ' ').capitalize()}\n\n{table(header, [line[1] for line in lines])}\n"
    papers = [(name, registry.get(name).paper) for name in names]
    notes = [f"- {name}, {stage}: {cell['reason']}" for name, row in sorted(rows.items())
             for stage, cell in row["stages"].items() if cell["reason"]]  # fmt: skip
    page += "\n## What a stage says\n\n" + ("\n".join(notes) or "Every stage passed.") + "\n"
    return page + f"\n## Papers\n\n{table(('model', 'source'), papers)}\n"


def _line(name: str, row: dict[str, Any] | None) -> tuple[int, tuple[str, ...]]:
    known, model = registry.get(name), registry.build(name, "edge")
    macs = multiply_adds(model)
    start = (name, known.family, f"{known.params:,}", f"{model.count_params():,}", f"{macs:,}")
    if row is None:
        return macs, (*start, "", "", "", "", "", "not run yet")
    results, stages = row["results"], row["stages"]
    sizes = {one["name"]: one["bytes"] for one in results["artifacts"] if one["format"] == "tflite"}
    judged = min((one for one in results["verdicts"] if one["artifact"].endswith("w8a8-qat.tflite")),
                 key=lambda one: "pruned" in one["artifact"])  # fmt: skip
    low, high = judged["speedup_ci95"] or (0, 0)
    speed = f"{judged['speedup']:.2f}x [{low:.2f}, {high:.2f}]" if judged["speedup"] else ""
    base, int8 = stages["tflite_float"]["value"], stages["tflite_int8"]["value"]
    lost = "" if None in (base, int8) else f"{int8:.3f} ({100 * (int8 - base):+.1f})"
    ratio = sizes[judged["artifact"]] / sizes[results["baselines"][judged["artifact"]]]
    bad = [stage for stage, cell in stages.items() if cell["status"] == "fail"]
    skipped = [stage for stage, cell in stages.items() if cell["status"] == "skip"]
    verdict = f"fails: {', '.join(bad)}" if bad else f"pass; {', '.join(skipped)} skipped" if skipped else "pass"
    return macs, (*start, row["data"] + "*" * row["quick"], f"{base:.3f}", lost, f"{ratio:.2f}", speed, verdict)


def _machine(results: dict[str, Any]) -> str:
    found = results["environment"]
    return f"{found['cpu']}, {found['cores']} cores, LiteRT {found['packages'].get('ai-edge-litert', '?')}"


if __name__ == "__main__":
    (ROOT / "docs" / "zoo.md").write_text(text(load([Path(name) for name in sys.argv[1:]])))

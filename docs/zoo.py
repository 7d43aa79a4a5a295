"""Writes docs/zoo.md from docs/zoo.json: python docs/zoo.py [FOLDER ...]

Rows of the folders, runs of `edgewright matrix`, are entered into zoo.json first; later ones win.
"""

import json
import math
import sys
import textwrap
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

from edgewright import metrics
from edgewright.devices.report.report import table
from edgewright.models import registry
from edgewright.pipeline.budget import RECOVERIES
from edgewright.pipeline.cells import Files
from edgewright.pipeline.cost import multiply_adds

DOCS = Path(__file__).parent
KEPT = DOCS / "zoo.json"
INTRODUCTION = """# The zoo

{count} architectures and variants, {measured} of them measured here from training to device. `paper` sizes are the
published ones, which a test counts; what is trained and measured is the `edge` preset: the same topology, small enough
for two cores.

{how}

Metric: accuracy, area under the curve (anomaly detectors), explained variance (regression, reconstruction), perplexity
(language models; lower is better), BLEU (translations), F1 of chunks (taggers), log-likelihood of a value in nats
(generation), mean IoU (masks), mean average precision (boxes), decibels (pictures drawn anew), root mean square of log
depth, accuracy over episodes (few-shot), accuracy of a linear probe (surrogate tasks), mean reciprocal rank, hits@1 or
hits@10 (tables of vectors), symbol error rate (lower is better), share of bits (memories) or mean return (games), on
the whole test set. Int8: the w8a8-qat TFLite file, measured on the device, and by how many points it is better, with
the 95% interval. Size and speed-up: of that file over the float32 file, in LiteRT on one thread, with the 95% interval;
of several files that go together the size of all and the speed-up of the one that gains least. MACs: multiply-adds of
one sample. Each table is ordered by them.

Index: [by task](#by-task), [by budget](#by-budget), [by what goes to a device](#by-what-goes-to-a-device);
[sizes](#sizes) and [papers](#papers) are at the end. `edgewright models --json` says the same to programs. Made by
`python docs/zoo.py`.
"""
QUICK = """Data marked *: a `--quick` run, on data that needs no download, with training that ends as soon as the net is
seen to work and int8 of the pruned net, measured for a few seconds while others may load the machine. It shows that
every stage works, not how good a model is."""
RECOVERED = {
    "longer": """Data marked **: at first it lost more than it may; pruning and retraining for four times the steps of
such a run won that back, or as much as is shown.""",
    "slower": """Data marked ***: that was no help, and a tenth of the learning rate was tried for as many steps as at
first: some nets learn a small training set by heart. The bars that decide so are on the test set: these rows look
better than a single try would.""",
}
FEW = "Of cifar10's five training batches {batches} was at hand: its rows would do better with all."
LOST = 1  # points of the metric, or percent of a perplexity
ALONE = """An int8 file beside the pruned net that it was made of, after quantization-aware retraining: {worse} of
{known} lose more than {lost} point by that. What `edgewright diagnose` tells of them, and what 16 bits win and cost, is
[told there](quantization.md#what-16-bits-win-and-cost)."""
ALONE_IN = ("model", "float", "pruned", "int8", "points")
MEASURED = ("model", "data", "float", "int8", "size", "speed-up", "stages")
SIZES = ("model", "family", "parameters", "edge parameters", "edge MACs", "int8 bytes")
KINDS = (ONE, SEVERAL, STEP, STEP_AMONG, TABLES, NONE) = (
    "one network",
    "several networks",
    "a step, its states fed back",
    "a step and other networks",
    "networks and tables for the host",
    "none",
)
BUDGETS = {  # a fact of a row -> what it is called, and the bounds of its groups
    "parameters": ("Parameters of the edge preset", (1_000, 10_000, 100_000, 1_000_000)),
    "macs": ("MACs of the edge preset", (10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)),
    "bytes": ("Bytes of the int8 files", (8 << 10, 32 << 10, 128 << 10, 512 << 10)),
}


def entered(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what is kept of each model that was run in a folder of `edgewright matrix`."""
    document = json.loads((folder / "matrix.json").read_text())
    found = {}
    for row in document["rows"]:
        results = folder / row["model"] / "results.json"
        if results.is_file():
            found[row["model"]] = _facts(row, json.loads(results.read_text())) | {"quick": document["quick"]}
    return found


def text(rows: dict[str, dict[str, Any]]) -> str:
    """Return the page."""
    names = sorted((row["name"] for row in registry.describe()), key=lambda name: (_macs(rows, name), name))
    page = INTRODUCTION.format(count=len(names), measured=sum(name in rows for name in names), how=_how(rows))
    page += _index(rows, sorted(names))
    for task in _tasks(names):
        lines = [_line(name, rows.get(name)) for name in names if registry.get(name).task == task]
        page += f"\n## {_title(task)}\n\n{table(MEASURED, lines)}\n"
    notes = [f"- {name}, {stage}: {reason}" for name, row in sorted(rows.items())
             for stage, reason in row["notes"].items()]  # fmt: skip
    page += _int8_alone(rows)
    page += "\n## What a stage says\n\n" + ("\n".join(notes) or "Every stage passed.") + "\n"
    page += f"\n## Sizes\n\n{table(SIZES, [_size(name, rows.get(name)) for name in names])}\n"
    papers = "\n".join(f"- {name}: {registry.get(name).paper}" for name in sorted(names))
    return page + f"\n## Papers\n\n{papers}\n"


def _index(rows: dict[str, dict[str, Any]], names: list[str]) -> str:
    """Return the three lists by which a model is found."""
    entries = {name: registry.get(name) for name in names}
    by_task = {
        f"[{_title(task)}](#{task.replace('_', '-')})": [name for name in names if entries[name].task == task]
        for task in _tasks(names)
    }
    kinds = {kind: [name for name in names if _kind(entries[name]) == kind] for kind in KINDS}
    page = f"\n## By task\n\n{_lists(by_task)}\n\n## By budget\n"
    for fact, (called, bounds) in BUDGETS.items():
        known = {name: rows[name][fact] for name in names if name in rows and rows[name].get(fact) is not None}
        groups = {}
        for low, high in pairwise((-1, *bounds, math.inf)):
            group = f"over {low:,}" if high == math.inf else f"up to {high:,}"
            groups[group] = [name for name, value in known.items() if low < value <= high]
        page += f"\n### {called}\n\n{_lists(groups)}\n"
    return page + f"\n## By what goes to a device\n\n{_lists(kinds)}\n"


def _int8_alone(rows: dict[str, dict[str, Any]]) -> str:
    """Return what the int8 file loses of the pruned net that it was made of."""
    known = {name: row for name, row in rows.items() if row.get("points_of_int8") is not None}
    worse = sorted((row["points_of_int8"], name) for name, row in known.items() if row["points_of_int8"] < -LOST)
    figures = itemgetter("float", "pruned", "int8")
    lines = [(name, *(f"{value:.3f}" for value in figures(rows[name])), f"{lost:+.1f}") for lost, name in worse]
    said = textwrap.fill(ALONE.format(lost=LOST, worse=len(worse), known=len(known)).replace("\n", " "), 120)
    return f"\n## What int8 takes by itself\n\n{said}\n\n{table(ALONE_IN, lines)}\n"


def _lists(groups: dict[str, list[str]]) -> str:
    return "\n".join(f"- {group} ({len(each)}): {', '.join(each)}" for group, each in groups.items() if each)


def _tasks(names: list[str]) -> list[str]:
    return sorted({registry.get(name).task for name in names})


def _title(task: str) -> str:
    return task.replace("_", " ").capitalize()


def _kind(entry: registry.Architecture) -> str:
    """Return what goes to a device, one of `KINDS`."""
    if not entry.deploy:
        return NONE
    if any(each.states for each in entry.deploy):
        return STEP if len(entry.deploy) == 1 else STEP_AMONG
    if any(each.tables for each in entry.deploy):
        return TABLES
    return ONE if len(entry.deploy) == 1 else SEVERAL


def _how(rows: dict[str, dict[str, Any]]) -> str:
    """Say on what the rows were measured, and what was less than it might be."""
    said = [f"Machine: {'; '.join(sorted({row['machine'] for row in rows.values()}))}."]
    if any(row["quick"] for row in rows.values()):
        said.append(QUICK.replace("\n", " "))
    ways = {row["recovery"] for row in rows.values()}
    said += [told.replace("\n", " ") for way, told in RECOVERED.items() if way in ways]
    few = {row.get("cifar10_batches") for row in rows.values()} - {None, 0, 5}  # 0: the whole archive
    if few:
        said.append(FEW.format(batches=max(few)))
    return textwrap.fill(" ".join(said), 120)


def _macs(rows: dict[str, dict[str, Any]], name: str) -> int:
    return rows[name]["macs"] if name in rows else 0


def _line(name: str, row: dict[str, Any] | None) -> tuple[str, ...]:
    if row is None:
        return (name, "", "", "", "", "", "not run yet")
    low, high = row["speedup_ci95"] or (0, 0)
    speed = f"{row['speedup']:.2f}x [{low:.2f}, {high:.2f}]" if row["speedup"] else ""
    between = " [{:+.1f}, {:+.1f}]".format(*row["points_ci95"]) if row.get("points_ci95") else ""
    int8 = "" if row["int8"] is None else f"{row['int8']:.3f} ({row['points']:+.1f}{between})"
    base = "" if row["float"] is None else f"{row['float']:.3f}"
    stars = "*" * (row["quick"] + list(RECOVERIES).index(row["recovery"]))
    return (name, row["data"] + stars, base, int8, f"{row['size']:.2f}", speed, row["stages"])


def _size(name: str, row: dict[str, Any] | None) -> tuple[str, ...]:
    known = registry.get(name)
    edge = ("", "", "") if row is None else tuple("" if row.get(fact) is None else f"{row[fact]:,}" for fact in BUDGETS)
    return (name, known.family, f"{known.params:,}", *edge)


def _facts(row: dict[str, Any], results: dict[str, Any]) -> dict[str, Any]:
    """Return what the page says of one model."""
    networks = registry.deployables(row["model"], registry.networks(row["model"], "edge")).values()
    stages = row["stages"]
    sizes = {file["name"]: file["bytes"] for file in results["artifacts"] if file["format"] == "tflite"}
    files = Files.of(results, "tflite", "w8a8-qat")
    judged, verdicts = [file["name"] for file in files.made], {each["artifact"]: each for each in results["verdicts"]}
    interval = verdicts.get(files.together.get("name"), verdicts[judged[0]])["metric_gain_ci95"]
    slowest = min((verdicts[name] for name in judged if verdicts[name]["speedup"]), key=itemgetter("speedup"),
                  default={"speedup": None, "speedup_ci95": None})  # fmt: skip
    base, int8 = stages["tflite_float"]["value"], stages["tflite_int8"]["value"]
    return {
        "data": row["data"],
        "float": base,
        "int8": int8,
        "points": _points(results, int8, base),
        "pruned": stages["prune"]["value"],
        "points_of_int8": _points(results, int8, stages["prune"]["value"]),
        "points_ci95": interval and [100 * end for end in interval],
        "recovery": row["recovery"],
        "size": sum(sizes[name] for name in judged) / sum(sizes[results["baselines"][name]] for name in judged),
        "bytes": sum(sizes[name] for name in judged),
        "speedup": slowest["speedup"],
        "speedup_ci95": slowest["speedup_ci95"],
        "stages": _stages(stages),
        "parameters": sum(network.count_params() for network in networks),
        "macs": sum(multiply_adds(network) for network in networks),
        "machine": _machine(results["environment"]),
        "notes": {stage: cell["reason"] for stage, cell in stages.items() if cell["reason"]},
        "cifar10_batches": results["source"].count("data_batch_") if row["data"] == "cifar10" else None,
    }


def _machine(environment: dict[str, Any]) -> str:
    litert = environment["packages"].get("ai-edge-litert", "?")
    return f"{environment['cpu']}, {environment['cores']} cores, LiteRT {litert}"


def _metric(results: dict[str, Any]) -> metrics.Metric:
    """Return the metric of a run, which may be that of its bundles."""
    rows = [*results["measurements"], *results.get("bundles", ())]
    return metrics.get(next(row["metric"] for row in rows if row.get("metric")))


def _points(results: dict[str, Any], value: float | None, base: float | None) -> float | None:
    """Return how many points better one value of the metric is than another."""
    return None if value is None or base is None else 100 * _metric(results).gain(value, base)


def _stages(stages: dict[str, dict[str, Any]]) -> str:
    bad = [stage for stage, cell in stages.items() if cell["status"] == "fail"]
    skipped = [stage for stage, cell in stages.items() if cell["status"] == "skip"]
    return f"fails: {', '.join(bad)}" if bad else f"pass; {', '.join(skipped)} skipped" if skipped else "pass"


def main(folders: list[Path]) -> None:
    """Enter the runs of these folders and write the page."""
    rows = json.loads(KEPT.read_text())
    for folder in folders:
        rows |= entered(folder)
    kept = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in sorted(rows.items()))
    KEPT.write_text(f"{{\n{kept}\n}}\n")
    (DOCS / "zoo.md").write_text(text(rows))


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])

"""Trained nets in interpreters, engines and simulators of accelerators: accuracy on whole test sets, steps off LiteRT.

    python benchmarks/simulators.py FOLDER [--only NET] [--engine NAME] [--samples N]

FOLDER holds what `edgewright train --quick`, `qat --quick` and `export` made of NETS: NET-float32.tflite,
NET-w8a8.tflite and .onnx, and lstm-fused.tflite. Rows are kept in docs/simulators.json as they come, and
docs/simulators.md is written from all rows there. Needs the environments of `edgewright devices setup tflite-micro`,
`openvino` and `onnxruntime-qnn`.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from edgewright import metrics
from edgewright.devices.asking import inspect
from edgewright.devices.measure import ModelFile, answers
from edgewright.devices.report.report import table
from edgewright.devices.report.rows import verdict_row
from edgewright.devices.verdict.compare import compare
from edgewright.devices.verdict.results import Raw, Run
from edgewright.devices.workbench import placed
from edgewright.errors import EdgewrightError
from edgewright.files import write, write_json
from edgewright.training import data as datasets

PAGES = Path(__file__).parent.parent / "docs"
LIMIT_S = 3600.0
NETS = {  # net: data, shape of a sample, words that it knows
    "lenet5": ("mnist", (32, 32, 1), None),
    "resnet8": ("cifar10", (32, 32, 3), None),
    "ds_cnn": ("fsdd", (49, 10, 1), None),
    "lstm": ("fsdd", (24, 16), None),
    "transformer_classifier": ("rt_polarity", (64,), 8000),
}
INTRODUCTION = """Trained nets (edge presets, `--quick`, w8a8 by QAT, float borders) in what stands in for accelerators
and in other engines: accuracy on the test set, the verdict against the float file in LiteRT (at most 1 point lost, with
95% confidence, paired by sample), and how far the answers are from LiteRT's (XNNPACK) of the same net, in steps of the
output's scale. **There is no latency here**: these are interpreters of other machines and simulators. Made by
`python benchmarks/simulators.py`; how to use them is in [devices](devices.md#simulators)."""
HEADER = ("net", "engine", "samples", "accuracy", "float", "change, points [95%]", "verdict", "steps off LiteRT",
          "share that differs", "where", "date")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Engine:
    """What runs files of one format. most: samples, of a slow simulator; cpu: how the processor is to call itself."""

    device: str
    format: str
    title: str
    most: int | None = None
    cpu: str | None = None


ENGINES = {
    "litert": Engine(device="local", format="tflite", title="LiteRT"),
    "tflite-micro": Engine(device="tflite-micro", format="tflite", title="TensorFlow Lite Micro"),
    # A processor that hides what it has gets the key that one without VNNI needs.
    "onnxruntime": Engine(device="local", format="onnx", title="ONNX Runtime, x64quantprecision=1", cpu="hidden"),
    "openvino": Engine(device="openvino", format="onnx", title="OpenVINO"),
    "onnxruntime-qnn": Engine(device="onnxruntime-qnn", format="onnx", title="Qualcomm HTP, simulated", most=500),
    "haswell": Engine(device="qemu-x86_64", format="onnx", title="ONNX Runtime on Haswell (QEMU)", most=64),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=NETS, action="append", help="only this net")
    parser.add_argument("--engine", choices=ENGINES, action="append", help="only this engine")
    parser.add_argument("--samples", type=int, help="only so many test samples")
    given = parser.parse_args()
    kept = PAGES / "simulators.json"
    rows = {(row["net"], row["engine"]): row for row in (json.loads(kept.read_text()) if kept.is_file() else [])}
    for net in given.only or NETS:
        for row in measured(given.folder, net, given.engine or ENGINES, given.samples):
            rows[row["net"], row["engine"]] = row
            print(json.dumps(row), flush=True)
            write_json(kept, list(rows.values()))
    write(PAGES / "simulators.md", page(list(rows.values())))
    return 0


def measured(folder: Path, net: str, engines: Sequence[str], limit: int | None):
    """Yield a row for each form of a net in each engine."""
    data, shape, words = NETS[net]
    test = datasets.load(data, input_shape=shape, task="classification", vocabulary=words).test
    x, y = np.asarray(test.x)[:limit], np.asarray(test.y)[:limit]
    reference = answers(folder / f"{net}-float32.tflite", x, time_limit_s=LIMIT_S)
    forms = {net: "w8a8"} | ({f"{net}, fused": "fused"} if (folder / f"{net}-fused.tflite").is_file() else {})
    for title, form in forms.items():
        tflite = ModelFile.read(folder / f"{net}-{form}.tflite")
        usual = answers(tflite, x, time_limit_s=LIMIT_S)
        for name in engines:
            path = folder / f"{net}-{form}.{ENGINES[name].format}"
            if path.is_file():
                row = in_engine(path, ENGINES[name], x, y, (reference, usual))
                yield {"net": title, "data": data, "engine": name, "date": time.strftime("%Y-%m-%d"), **row}


def in_engine(
    path: Path, engine: Engine, x: np.ndarray, y: np.ndarray, known: tuple[np.ndarray, np.ndarray]
) -> dict[str, Any]:
    """Return what an engine makes of a file. known: answers of the float file, and LiteRT's of this net."""
    chosen = np.sort(np.random.default_rng(0).permutation(len(x))[: engine.most])  # some sets come class by class
    few, truth, reference, usual = (each[chosen] for each in (x, y, *known))
    file = ModelFile.read(path)
    with calling_itself(engine.cpu):
        told = inspect(file, device=engine.device)
        if not told.ok:
            return {"refused": told.reason}
        packages = {name: version for name, version in told.one("start")["packages"].items() if name != "numpy"}
        try:
            found = answers(file, few, device=engine.device, time_limit_s=LIMIT_S)
        except EdgewrightError as error:
            return {"packages": packages, "refused": str(error).replace(f"{path}: ", "")}
    steps = np.rint(np.abs(found - usual) / file.manifest["outputs"][0]["scale"])
    return {
        "packages": packages, "n": len(few), "of": len(x), "steps": int(steps.max()),
        "differ": float(np.mean(steps > 0)), **judged(reference, found, truth, engine),
        **placed(told.one("model")),
    }  # fmt: skip


def judged(reference: np.ndarray, found: np.ndarray, y: np.ndarray, engine: Engine) -> dict[str, Any]:
    """Return the verdict on answers against those of the float file."""
    metric = metrics.get("accuracy")
    scores = {"float": metric.scores(reference, y), "file": metric.scores(found, y)}
    ran = {"status": "ok", "reason": "", "agreement": metrics.fidelity(reference, found)}
    run = Run(device=engine.device, metric="accuracy", baselines={"float": "float", "file": "float"}, artifacts=[],
              simulated=True, measured={name: dict(ran) for name in scores}, raw=Raw(scores=scores))  # fmt: skip
    (verdict,) = compare(run)
    values = {name: metric.reduce(rows) for name, rows in scores.items()}
    return {"value": values["file"], "float": values["float"], "verdict": verdict.to_json()}


@contextmanager
def calling_itself(cpu: str | None):
    """Let agents on this machine believe that they have no more than the name of a processor."""
    with mock.patch.dict(os.environ, {} if cpu is None else {"EDGEWRIGHT_CPU": cpu}):
        yield


def page(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the page of all rows."""
    order = {name: place for place, name in enumerate(ENGINES)}
    nets = {name: place for place, name in enumerate(NETS)}
    ordered = sorted(rows, key=lambda row: (nets[row["net"].split(",")[0]], row["net"], order[row["engine"]]))
    versions = sorted({f"{name} {version}" for row in rows for name, version in row.get("packages", {}).items()})
    parts = ["# Simulators", INTRODUCTION, table(HEADER, [cells(row) for row in ordered]),
             f"Versions: {', '.join(versions)}."]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    first = (f"{row['net']} ({row['data']})", ENGINES[row["engine"]].title)
    if "refused" in row:
        return (*first, "–", "–", "–", "–", "refused", "–", "–", row["refused"][:160], row["date"])
    told = verdict_row(row["verdict"], "accuracy")
    samples = f"{row['n']:,}" + ("" if row["n"] == row["of"] else f" of {row['of']:,}")
    return (*first, samples, f"{row['value']:.4f}", f"{row['float']:.4f}", f"{told['delta']} {told['delta_ci95']}",
            row["verdict"]["verdict"], str(row["steps"]), f"{row['differ']:.1%}", where(row), row["date"])  # fmt: skip


def where(row: Mapping[str, Any]) -> str:
    """Say where operators ran, as far as the runtime tells."""
    if "arena_bytes" in row:
        return f"arena {row['arena_bytes']:,} B"
    placement = row.get("placement") or {}
    return "; ".join(f"{sum(operators.values())} {place}" for place, operators in placement.items()) or "–"


if __name__ == "__main__":
    sys.exit(main())

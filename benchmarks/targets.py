"""Does `edgewright check` say what the tools of microcontrollers and accelerators say?

For nets, precisions and borders: what `check` predicts from its tables alone and with the compiler, against TensorFlow
Lite Micro's interpreter and vela themselves (which must be here: `edgewright devices setup tflite-micro`, extra
ethos-u); and the arena that `check` writes against the smallest in which the interpreter runs. No prediction may be
wrong, and an arena between what is needed and 1.15 times that.

python benchmarks/targets.py [--files FOLDER] [--nets NET ...] [--out RESULTS.json]
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import edgewright as ew
from common import emit
from edgewright.devices.asking import inspect
from edgewright.devices.model_file import ModelFile
from edgewright.devices.preflight.check import OK, Check, Looked, judged, look
from edgewright.devices.preflight.compile import compile_file
from edgewright.devices.targets import kernels
from edgewright.devices.targets.memory import arena_bytes
from edgewright.devices.targets.target import Target, load
from edgewright.errors import EdgewrightError
from edgewright.pipeline.check import stand_ins
from edgewright.quantize import QatConfig

NETS = ("resnet8", "ds_cnn", "anomaly_detector", "lenet5", "mobilenet_v2", "mobilenet_v3_small",
        "transformer_classifier", "lstm")  # fmt: skip
PAPER = ("resnet8", "anomaly_detector")  # small enough as published
PRECISIONS = ("w8a8", "w8a16", "w4a8")
BORDERS = ("float", "int")
MICRO, ACCELERATORS = "cortex-m", ("ethos-u55-128", "ethos-u65-256", "ethos-u85-256")
# The wheel's interpreter is compiled for 64 bits and records what it allocates
WIDE = {"pointer_bytes": 8, "fixed_bytes": 512}


def write_files(nets: Sequence[str], folder: Path, precisions: Sequence[str], borders: Sequence[str]) -> None:
    """Write files of untrained nets: each precision, with each kind of borders, recurrences both ways."""
    for name in nets:
        network = ew.build(name, "paper" if name in PAPER else "edge")
        samples = stand_ins(network)
        _write(folder / f"{name}-float32.tflite", network)
        for precision in precisions:
            for recurrence in ("unrolled", "fused") if "lstm" in name else ("unrolled",):
                config = QatConfig(default=precision, recurrence=recurrence)
                try:
                    quantized, _ = ew.prepare_qat(network, config, calibration=samples)
                except EdgewrightError as error:
                    print(f"{name} in {precision}: {error}", file=sys.stderr)
                    continue
                stem = f"{name}-{precision}{'-fused' if recurrence == 'fused' else ''}"
                for border in borders:
                    suffix = "-int" if border == "int" else ""
                    _write(folder / f"{stem}{suffix}.tflite", quantized, integer_io=border == "int")


def _write(path: Path, network: Any, **options: Any) -> None:
    try:
        path.write_bytes(ew.export_tflite(network, **options).data)
    except EdgewrightError as error:
        print(f"{path.stem}: {error}", file=sys.stderr)


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """Yield a row for each tool: what was predicted, without and with the compiler, and what the tool did."""
    file = ModelFile.read(path)
    looked = look(file, load(MICRO))
    if not looked.ok:
        print(f"{path.stem}: {looked.problem}", file=sys.stderr)
        return
    yield _interpreted(file, looked)
    for name in ACCELERATORS:
        yield _compiled(file, looked, load(name))


def _interpreted(file: ModelFile, looked: Looked) -> dict[str, Any]:
    target = load(MICRO)
    check = judged(looked, target)
    outcome = inspect(file, device="tflite-micro")
    needed = outcome.one("model").get("arena_bytes") if outcome.ok else None
    assert looked.graph is not None
    wide = arena_bytes(looked.graph, replace(target.memory, **WIDE), kernels.load(target.kernels).bytes_64)
    return {
        "file": file.path.stem, "tool": "tflite-micro",
        "predicted": _word(check), "found": "runs" if outcome.ok else "no",
        "reason": outcome.reason[-300:], "because": _because(check), "with_compiler": None,
        "arena_bytes": check.arena_bytes, "arena_bytes_64": wide, "needed_bytes_64": needed,
    }  # fmt: skip


def _compiled(file: ModelFile, looked: Looked, target: Target) -> dict[str, Any]:
    by_table, compiled = judged(looked, target), compile_file(file.path, target)
    by_tool = judged(looked, target, compiled)
    told = str(compiled.cpu_operators) if compiled.ok else "no file"
    return {
        "file": file.path.stem, "tool": target.name, "predicted": _count(by_table), "found": told,
        "reason": compiled.reason[:300], "because": _because(by_table),
        "with_compiler": _count(by_tool) if compiled.ok else "no file",
        "same_verdict": by_table.fits == by_tool.fits, "runs": [by_table.runs, by_tool.runs],
        "refused": sorted(f"{one.op}: {one.reason}" for one in compiled.refused)[:20],
    }  # fmt: skip


def _word(check: Check) -> str:
    return "runs" if check.runs else "no"


def _count(check: Check) -> str:
    """Return how many operators an accelerator leaves over, or that its compiler gives up the file."""
    if any(row.against == "tool" for row in check.rows):
        return "no file"
    return str(sum(row.supported != OK for row in check.rows))


def _because(check: Check) -> list[str]:
    return sorted({f"{row.operator}: {row.reason}" for row in check.rows if row.supported != OK})[:20]


def is_right(row: dict[str, Any]) -> bool:
    """Tell if a prediction is what the tool did, and the same whether or not the compiler was asked."""
    if row["with_compiler"] is None:
        return row["predicted"] == row["found"]
    return row["predicted"] == row["found"] == row["with_compiler"] and row["runs"][0] == row["runs"][1]


def is_enough(row: dict[str, Any]) -> bool:
    """Tell if an arena is at least what is needed and at most 1.15 times that."""
    return row["needed_bytes_64"] <= row["arena_bytes_64"] <= 1.15 * row["needed_bytes_64"]


def _emit(name: str, hits: int, n: int, least: float) -> None:
    """Print a share of all the files there are: no sample of others, so without an interval."""
    value = hits / max(1, n)
    emit(name, [value, value], n, f">= {least}", value=value)


def main() -> int:
    """Make the files, ask everybody, and say what was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nets", nargs="+", default=NETS)
    parser.add_argument("--precisions", nargs="+", default=PRECISIONS)
    parser.add_argument("--borders", nargs="+", default=BORDERS, choices=BORDERS)
    parser.add_argument("--files", type=Path, help="folder of files that are there already, or are put there")
    parser.add_argument("--least", type=float, default=1.0, help="share of predictions that must be right")
    parser.add_argument("--out", type=Path, help="where all rows go, as JSON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.files or Path(scratch)
        if not any(folder.glob("*.tflite")):
            folder.mkdir(parents=True, exist_ok=True)
            write_files(given.nets, folder, given.precisions, given.borders)
        paths = [path for path in sorted(folder.glob("*.tflite")) if path.stem.split("-")[0] in given.nets]
        rows = []
        for path in paths:
            rows += rows_of(path)
            print(path.stem, [is_right(row) for row in rows[-4:]], file=sys.stderr, flush=True)
            if given.out:
                given.out.write_text(json.dumps(rows, indent=1) + "\n")
    for row in rows:
        if not is_right(row):
            print(json.dumps(row), file=sys.stderr)
    right = sum(map(is_right, rows))
    _emit("predictions of check that are right", right, len(rows), given.least)
    arenas = [row for row in rows if row.get("needed_bytes_64")]
    enough = sum(map(is_enough, arenas))
    for row in arenas:
        if not is_enough(row):
            print(json.dumps(row), file=sys.stderr)
    _emit("arenas between 1 and 1.15 of what is needed", enough, len(arenas), 1.0)
    return 0 if right >= given.least * len(rows) and enough == len(arenas) else 1


if __name__ == "__main__":
    sys.exit(main())

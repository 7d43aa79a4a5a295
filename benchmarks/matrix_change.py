"""What changed from one matrix to another: `python benchmarks/matrix_change.py BEFORE AFTER`, each a folder of
`edgewright matrix --out`.

Prints a JSON line for each row with a difference, in status or value of a stage (speed-ups apart, which no two runs
share) and in bytes or content of its files, and a last line that counts them. An ONNX file whose nodes are called or
ordered otherwise is the same graph: tf2onnx numbers nodes through all that a process converts, and merges equal
constants in the order of a set, which no two processes share. Code 0 if nothing became worse: no new
failing cell, no file larger by more than 1%, no metric lower by more than half a point.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import onnx

LOWER, LARGER = 0.005, 1.01


def main(before: Path, after: Path) -> int:
    """Compare every row that both matrices have."""
    old, new = _rows(before), _rows(after)
    worse = 0
    for model in old.keys() & new.keys():
        cells = _cells(old[model], new[model])
        files = _files(before / model, after / model)
        worse += any(cell["worse"] for cell in cells.values()) or any(file["worse"] for file in files.values())
        if cells or files:
            print(json.dumps({"model": model, "cells": cells, "files": files}))
    counts = {"rows": len(old.keys() & new.keys()), "gone": sorted(old.keys() - new.keys()), "worse": worse}
    print(json.dumps({"name": "matrix_change", **counts, "new": sorted(new.keys() - old.keys())}))
    return int(bool(worse or counts["gone"]))


def _rows(folder: Path) -> dict:
    return {row["model"]: row["stages"] for row in json.loads((folder / "matrix.json").read_text())["rows"]}


def _cells(old: dict, new: dict) -> dict:
    changed = {}
    for stage in old.keys() - {"device"}:
        was, now = old[stage], new[stage]
        if (was["status"], was["value"]) == (now["status"], now["value"]):
            continue
        fell = (was["value"] or 0) - (now["value"] or 0) > LOWER
        failed = now["status"] == "fail" != was["status"]
        values = {"was": [was["status"], was["value"]], "now": [now["status"], now["value"]]}
        changed[stage] = {**values, "worse": failed or fell, "reason": now["reason"]}
    return changed


def _files(before: Path, after: Path) -> dict:
    """Compare the files of a row by name: bytes, and where those agree, content."""
    changed = {}
    for path in sorted((before / "artifacts").glob("*")):
        other = after / "artifacts" / path.name
        if path.suffix == ".json":
            continue
        if not other.is_file():
            changed[path.name] = {"was": path.stat().st_size, "now": None, "worse": True}
        elif not same(path, other):
            was, now = path.stat().st_size, other.stat().st_size
            changed[path.name] = {"was": was, "now": now, "worse": now > LARGER * was}
    return changed


def same(path: Path, other: Path) -> bool:
    """Tell if two files are one: byte for byte, or as graphs of the same operators on the same constants."""
    if path.read_bytes() == other.read_bytes():
        return True
    return path.suffix == ".onnx" and _graph(path) == _graph(other)


def _graph(path: Path) -> list[tuple[str, str]]:
    """Return each output with a digest of what it is computed by, in which names within have no part."""
    graph = onnx.load(path).graph
    known = {"": "", **{each.name: f"{each.name} {_digest(each.type)}" for each in graph.input}}
    known |= {each.name: _digest(each, "name") for each in graph.initializer}
    for node in graph.node:
        given = [_digest(node, "name", "input", "output"), *(known[name] for name in node.input)]
        made = hashlib.sha256(" ".join(given).encode()).hexdigest()
        known |= {name: f"{made} {place}" for place, name in enumerate(node.output)}
    return [(each.name, known[each.name]) for each in graph.output]


def _digest(message: Any, *but: str) -> str:
    copy = type(message)()
    copy.CopyFrom(message)
    for field in but:
        copy.ClearField(field)
    return hashlib.sha256(copy.SerializeToString(deterministic=True)).hexdigest()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))

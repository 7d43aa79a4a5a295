"""Writes docs/targets.md from devices/targets and docs/targets.json: python docs/targets.py [ROWS.json ...]

Rows, as `benchmarks/targets.py --out` leaves them, are entered into targets.json first; those of a file replace its
own.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgewright.devices.report.report import table
from edgewright.devices.targets import kernels, target

DOCS = Path(__file__).parent
KEPT = DOCS / "targets.json"
TEXT = DOCS / "targets_text.txt"
KEYS = ("file", "tool", "predicted", "found", "with_compiler", "arena_bytes", "arena_bytes_64", "needed_bytes_64")
WRITTEN_FROM = ("anomaly_detector", "ds_cnn", "lenet5", "lstm", "mobilenet_v2", "mobilenet_v3_small", "resnet8",
                "transformer_classifier")  # fmt: skip


def entered(kept: dict[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Enter the rows of a run."""
    files = {row["file"] for row in rows}
    others = [row for row in kept.get("rows", []) if row["file"] not in files]
    kept["rows"] = sorted([*others, *({key: row[key] for key in KEYS if row.get(key) is not None} for row in rows)],
                          key=lambda row: (row["file"], row["tool"]))  # fmt: skip


def text(kept: Mapping[str, Any]) -> str:
    """Return the page: what is written, with what is counted in its places."""
    parts = {
        "targets": table(
            ("target", "files", "operators", "numbers are", "channels by", "memory"), list(map(_target, target.names()))
        ),
        "kernels": table(("table", "tool", "asked", "operators", "forms"), list(_tables())),
        "predictions": _predictions(kept, within=True),
        "others": _predictions(kept, within=False),
        "arenas": table(("file", "ours, 32 bits", "ours, 64 bits", "needed, 64 bits", "ratio"), list(_arenas(kept))),
        "arenas32": table(("file", "ours", "needed", "ratio"), list(_arenas_32(kept))),
    }
    page = TEXT.read_text()
    for name, part in parts.items():
        page = page.replace(f"<!-- {name} -->", part)
    return page


def _target(name: str) -> tuple[str, ...]:
    one = target.load(name)
    if one.kernels:
        runs = f"by type: `{one.kernels}`"
    else:
        lists = {form: "whatever the runtime loads" if known == target.ANY else f"{len(known)} operators"
                 for form, known in one.operators.items()}  # fmt: skip
        runs = ", ".join(sorted(set(lists.values())))
    limits = (one.memory.arena_bytes, "arena"), (one.memory.flash_bytes, "flash")
    memory = ", ".join(f"{size // 1024:,} KiB {what}" for size, what in limits if size)
    return f"`{name}`", ", ".join(one.model.formats), runs, one.figures, str(one.channel_multiple), memory or "-"


def _tables() -> Iterator[tuple[str, ...]]:
    for path in sorted(kernels.FOLDER.glob("*.toml")):
        known = kernels.load(path.stem)
        forms = sum(map(len, known.kernels.values()))
        yield f"`{path.stem}`", known.tool, known.date, str(len(known.kernels)), str(forms)


def _is_right(row: Mapping[str, Any]) -> bool:
    return row["predicted"] == row["found"] == row.get("with_compiler", row["found"])


def _predictions(kept: Mapping[str, Any], within: bool) -> str:
    """Return a table, a row a file, of what was predicted and what the tool did where that differs."""
    rows = [row for row in kept.get("rows", []) if (row["file"].split("-")[0] in WRITTEN_FROM) == within]
    cells: dict[str, dict[str, str]] = {}
    for row in rows:
        shown = row["found"] if _is_right(row) else f"**{row['predicted']}**, in truth {row['found']}"
        cells.setdefault(row["file"], {})[row["tool"]] = shown
    tools = sorted({row["tool"] for row in rows})
    right = sum(map(_is_right, rows))
    lines = [(name, *(found.get(tool, "") for tool in tools)) for name, found in cells.items()]
    return f"{right} of {len(rows)} right.\n\n" + table(("file", *tools), lines)


def _arenas(kept: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for row in kept.get("rows", []):
        if row.get("needed_bytes_64") and row["file"].split("-")[0] in WRITTEN_FROM:
            ours, needed = row["arena_bytes_64"], row["needed_bytes_64"]
            yield row["file"], f"{row['arena_bytes']:,}", f"{ours:,}", f"{needed:,}", f"{ours / needed:.3f}"


def _arenas_32(kept: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, (ours, needed) in sorted(kept.get("arenas_32", {}).items()):
        yield name, f"{ours:,}", f"{needed:,}", f"{ours / needed:.3f}"


def main() -> None:
    """Enter what is given and write the page."""
    kept = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
    for path in sys.argv[1:]:
        entered(kept, json.loads(Path(path).read_text()))
    KEPT.write_text(json.dumps(kept, indent=1) + "\n")
    (DOCS / "targets.md").write_text(text(kept))


if __name__ == "__main__":
    main()

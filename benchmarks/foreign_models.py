"""Models that others wrote, through tracing, quantization, both exports and both runtimes.

    python benchmarks/foreign_models.py [--only PATTERN] [--failed] [--resume] [--list]

Backbones of keras-hub in small sizes, nets of keras.applications, kimm, keras-rs and keras-tcn, and nets after the
structure of public tutorials, all untrained. The packages are installed into an environment of the benchmark's own, in
the cache, laid over the one that runs it. Each net is worked on by a process that may crash or hang. Rows are kept in
docs/foreign_models.json as they come; docs/foreign_models.md is written from all rows there.
"""

import argparse
import fnmatch
import json
import sys
from collections import Counter
from pathlib import Path

from foreign import environment

PAGES = Path(__file__).parent.parent / "docs"
BAR = 0.95
LIMIT_S = 600.0
INTRODUCTION = """Models that others wrote: backbones of keras-hub 0.32 in small sizes, nets of keras.applications,
kimm, keras-rs and keras-tcn, and nets after the structure of public tutorials. All are untrained, with random biases
and batch statistics, calibrated on 16 random samples. SNR is that of the fake-quantized model against the float one;
"TFLite" and "ONNX" are the shares of the file's values within one step of the fake-quantized model's, run on those
samples in LiteRT and ONNX Runtime (`session.x64quantprecision=1`), the worst output of several.

A row is **ok** if both files run, both shares are at least 99%, and SNR is at least 20 dB or the report names the
operator that costs it. In a deep untrained net a single step is enlarged from layer to layer. Where the ends of a net
of 50 operators or more agree less, the row is ok if each operator, given the inputs that it had in the TFLite file,
gives 99% within one step (the worst of them under "kernels"), and if the file's own SNR against the float model is at
most 2 dB below the fake-quantized one's. A row is **refused** if `prepare_qat` says so in one line that names the layer
or operation. All else is **FAILED**. Made by `python benchmarks/foreign_models.py`."""
HEADER = (
    "model",
    "parameters",
    "traced",
    "operators",
    "float operators",
    "SNR dB",
    "TFLite",
    "ONNX",
    "kernels",
    "result",
)

SUMMARY = ("group", "models", "ok", "of these warned", "refused", "FAILED")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="PATTERN", default="*", help="names or groups, such as 'hub_*' or 'kimm'")
    parser.add_argument("--json", type=Path, default=PAGES / "foreign_models.json", help="where rows are kept")
    parser.add_argument("--failed", action="store_true", help="only those that have not come through yet")
    parser.add_argument("--resume", action="store_true", help="only those without a row")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--list", action="store_true", help="list the nets and end")
    given = parser.parse_args()
    environment.enter()

    from foreign import nets

    known = nets.load_all()
    rows = {row["name"]: row for row in json.loads(given.json.read_text())} if given.json.is_file() else {}
    names = [
        name
        for name, net in known.items()
        if (fnmatch.fnmatch(name, given.only) or fnmatch.fnmatch(net.group, given.only))
        and not (given.resume and name in rows)
        and not (given.failed and rows.get(name, {}).get("status") == "ok")
    ]
    if given.list:
        print("\n".join(f"{known[name].group}: {name}" for name in names))
        return 0
    for done, row in enumerate(examined(names, given.jobs), 1):
        rows[row["name"]] = {"group": known[row["name"]].group} | row
        keep(given.json, [rows[name] for name in known if name in rows])
        print(f"[{done}/{len(names)}] {row['name']}: {words(row)}", file=sys.stderr, flush=True)
    kept = [rows[name] for name in known if name in rows]
    if given.json.parent == PAGES:
        (PAGES / "foreign_models.md").write_text(page(kept))
    return 0 if summary(kept, len(known)) else 1


def examined(names, jobs):
    """Yield the row of each net as it comes; a process that died or hung is a row as well."""
    from edgewright.errors import EdgewrightError
    from edgewright.workers import Worker, Workers

    # Renewed now and then: what Keras, TensorFlow and the runtimes leave behind grows.
    several = [Worker("foreign.worker", most_orders=12, quiet=True) for _ in range(max(1, min(jobs, len(names))))]
    try:
        for order, answer in Workers(several).serve([{"name": name} for name in names], LIMIT_S):
            lost = isinstance(answer, EdgewrightError)
            yield {"name": order["name"], "stage": "?", "status": "FAILED", "error": str(answer)} if lost else answer
    finally:
        for worker in several:
            worker.stop()


def keep(path, rows):
    from edgewright.files import write

    write(path, "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


def words(row):
    if row["status"] != "ok":
        return f"{row['status']} at {row['stage']}: {row['error']}"
    return f"ok, {row['snr_db']} dB, {row['tflite']:.1%}, {row['onnx']:.1%}, {row['seconds']} s"


def summary(rows, total):
    """Print the JSON line; return whether enough came through and all others were refused in words."""
    counts = Counter(row["status"] for row in rows)
    groups = {}
    for row in rows:
        groups.setdefault(row["group"], Counter())[row["status"]] += 1
    through = counts["ok"] / max(len(rows), 1)
    ok = through >= BAR and not counts["FAILED"] and len(rows) == total
    print(json.dumps({"name": "foreign_models", "value": through, "n": len(rows), "of": total, "bar": f">= {BAR}",
                      "ok": ok, "counts": counts, "warned": sum(map(is_weak, rows)), "groups": groups}))  # fmt: skip
    return ok


def page(rows):
    """Return the document: a summary, then a table a group, then why nets were refused or failed."""
    from edgewright.devices.report.report import table

    counts = Counter(row["status"] for row in rows)
    text = [f"# Models that others wrote\n\n{INTRODUCTION}\n"]
    shares = [f"{counts[kind]} {kind} ({counts[kind] / len(rows):.1%})" for kind in ("ok", "refused", "FAILED")]
    weak = sum(map(is_weak, rows))
    text.append(f"{', '.join(shares)}, of {len(rows)}; {weak} of the ok below 20 dB, with a warning.\n")
    groups = list(dict.fromkeys(row["group"] for row in rows))
    text.append(f"{table(SUMMARY, [summed(group, rows) for group in groups])}\n")
    for group in groups:
        text.append(f"## {group}\n\n{table(HEADER, [cells(row) for row in rows if row['group'] == group])}\n")
    rest = [row for row in rows if row["status"] != "ok"]
    if rest:
        text.append("## Refused or failed\n")
        text += [f"- {row['name']} ({row['status']}, {row['stage']}): {row['error']}" for row in rest]
    return "\n".join(text) + "\n"


def summed(group, rows):
    """Return the line of one group in the summary."""
    own = [row for row in rows if row["group"] == group]
    counts = Counter(row["status"] for row in own)
    return (group, len(own), counts["ok"], sum(map(is_weak, own)), counts["refused"], counts["FAILED"])


def is_weak(row):
    """Return whether a net came through with little signal, and the report said so."""
    return row["status"] == "ok" and row["snr_db"] < 20


def cells(row):
    def shown(key, form):
        return form.format(row[key]) if key in row else "–"

    return (row["name"], shown("params", "{:,}"), "yes" if "operators" in row else "no", shown("operators", "{}"),
            ", ".join(row.get("float_ops", ())) or "–", shown("snr_db", "{:.1f}"), shown("tflite", "{:.1%}"),
            shown("onnx", "{:.1%}"), shown("kernels", "{:.1%}"),
            "ok, warned" if is_weak(row) else row["status"])  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

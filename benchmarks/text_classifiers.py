"""Classifiers of movie-review sentences side by side: accuracy and LiteRT latency, float and w8a8-qat.

    python benchmarks/text_classifiers.py [--full] [--device local] [NAME...]

One JSON line a model and precision, on the test sentences of rt_polarity; the first words of each, as many as the edge
preset reads. --full: train as `edgewright run` would by default rather than with its `--quick`. The latency of a
network with a step is that of the whole text. No bar: figures to be reported.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DATA = {
    "text_cnn": "rt_polarity",
    "text_rnn": "rt_polarity",
    "text_lstm": "rt_polarity",
    "sentence_mlp": "rt_polarity",
    "fasttext_classifier": "rt_polarity_bigrams",
}
RECIPE = "steps:\n- qat: {precision: w8a8}\nfiles: [tflite float32, tflite w8a8-qat]\n"


def figures(name: str, folder: Path, options: list[str]) -> Iterator[dict[str, Any]]:
    """Run a model the whole way and return what each of its precisions came to."""
    (recipe := folder / "recipe.yaml").write_text(RECIPE)
    command = [sys.executable, "-m", "edgewright", "run", name, "--data", DATA[name], "--recipe", str(recipe), "--out",
               str(folder / name), *options]  # fmt: skip
    finished = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    found = folder / name / "results.json"
    if not found.exists():
        raise RuntimeError(f"{name}: {finished.stderr[-2000:]}")
    results = json.loads(found.read_text())
    rows = {row["artifact"]: row for row in results["measurements"]}
    for file in results["artifacts"]:
        row = rows[file["name"]]
        if "step" in file["name"]:
            continue
        bundles = [each for each in results.get("bundles", []) if file["name"] in each["files"].values()]
        judged = bundles[0] if bundles else row
        yield {"name": name, "precision": file["precision"], "accuracy": judged["value"], "n": judged["n"],
               "latency_us": row["latency_us"]["p50"], "bytes": file["bytes"], "runtime": row["runtime"]}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(DATA), metavar="NAME", help=f"of {', '.join(DATA)}")
    parser.add_argument("--full", action="store_true", help="train as long as `edgewright run` does")
    parser.add_argument("--device", default="local", help="where files run, see `edgewright devices`")
    given = parser.parse_args()
    options = ["--device", given.device, *([] if given.full else ["--quick"])]
    with tempfile.TemporaryDirectory() as folder:
        for name in given.names:
            for line in figures(name, Path(folder), options):
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()

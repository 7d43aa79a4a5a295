"""Wall time of the zoo's matrix, per model.

    python benchmarks/zoo_cost.py [--out FOLDER] [--family linear --family mlp --family cnn | --model NAME ...] [--read]

Runs `edgewright matrix --quick` into FOLDER (a temporary one by default), or with --read takes the one that lies there.
The value is the wall time of the whole command over the number of models. Its interval is a bootstrap over models, each
with its share of the wall time: that of its steps in the time of all steps. A matrix that found steps done before tells
nothing about cost and is refused. Beside it the processor time of the command and all that it started, over the number
of models: by that, two builds can be compared on a machine that others use too.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import emit
from scipy import stats

BAR = "<= 20"


def run(out: Path, chosen: list[str]) -> float:
    """Run the matrix; a failing cell makes it end with 1, which is not this benchmark's subject.

    chosen: the arguments that say of what. Returns the processor time, in seconds.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "edgewright", "matrix", *chosen, "--quick", "--out", str(out)]
    ended = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    if ended.returncode not in (0, 1):
        sys.exit(f"{' '.join(command)}: ended with code {ended.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def shares(document: dict) -> np.ndarray:
    """Return each model's share of the wall time, in seconds.

    Raises: SystemExit if a model has no time, or if the steps cannot have run in this wall time.
    """
    seconds = [row["seconds"] for row in document["rows"]]
    if None in seconds:
        missing = [row["model"] for row in document["rows"] if row["seconds"] is None]
        sys.exit(f"no time of {', '.join(missing)}: they failed")
    total = sum(seconds)
    if total > 1.05 * document["jobs"] * document["seconds"]:
        sys.exit(f"{total:.0f} s of steps in {document['seconds']:.0f} s: some were done before; give an empty folder")
    return np.array(seconds) * document["seconds"] / total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--family", action="append")
    parser.add_argument("--model", action="append")
    parser.add_argument("--read", action="store_true")
    arguments = parser.parse_args()
    if arguments.read and arguments.out is None:
        parser.error("--read needs --out FOLDER")
    with tempfile.TemporaryDirectory() as temporary:
        out, processor_s = arguments.out or Path(temporary), None
        if not arguments.read:
            families = arguments.family or ([] if arguments.model else ["linear", "mlp", "cnn"])
            chosen = [word for name in arguments.model or () for word in ("--model", name)]
            processor_s = run(out, chosen + [word for family in families for word in ("--family", family)])
        document = json.loads((out / "matrix.json").read_text())
    each = shares(document)
    interval = stats.bootstrap((each,), np.mean, n_resamples=5000, rng=np.random.default_rng(0)).confidence_interval
    slowest = max(document["rows"], key=lambda row: row["seconds"])["model"]
    ok = emit("zoo_cost", [float(end) for end in interval], len(each), BAR, value=float(each.mean()),
              jobs=document["jobs"], slowest=slowest, slowest_s=float(each.max()),
              processor_s=None if processor_s is None else processor_s / len(each))  # fmt: skip
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())

"""How often a model is called different from itself, and how often a 10% slowdown is noticed.

    python benchmarks/honesty.py [--model FILE.tflite] [--runs 20] [--copies 10]

Each run benchmarks copies of one file against that file, as any benchmark is run, on fresh processes. The slowdown is
injected into the measured samples of the same runs, so that it meets real noise.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import common
import numpy as np
from edgewright.devices.measure import BenchConfig, ModelFile, bench
from edgewright.devices.verdict.compare import Thresholds, compare
from edgewright.devices.verdict.results import Run


def measure(path: Path, copies: int, seed: int) -> Run:
    file = replace(ModelFile.read(path), name="itself")
    same = [replace(file, name=f"copy {i}") for i in range(copies)]
    config = BenchConfig(answers=False, seed=seed, max_rounds=100)
    return bench([file, *same], baseline="itself", inputs=common.samples(16, 32), config=config)


def slowed(run: Run, factor: float) -> Run:
    """Return the run as if every copy had taken `factor` times as long."""
    latency = {
        name: blocks if name == "itself" else [factor * block for block in blocks]
        for name, blocks in run.raw.latency.items()
    }
    return replace(run, raw=replace(run.raw, latency=latency))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--copies", type=int, default=10)
    arguments = parser.parse_args()
    different = noticed = n = 0
    said: list[str] = []
    repeated = 0
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.model or common.write_convnet(Path(folder) / "convnet.tflite", width=8, size=32)
        for seed in range(arguments.runs):
            run = measure(path, arguments.copies, seed)
            verdicts = compare(run, Thresholds(max_drop=None))
            n += len(verdicts)
            repeated += len(run.notes)
            said += [verdict.speed for verdict in verdicts]
            different += sum(verdict.speed in ("faster", "slower") for verdict in verdicts)
            noticed += sum(each.speed == "slower" for each in compare(slowed(run, 1.1), Thresholds(max_drop=None)))
    words = {word: said.count(word) for word in np.unique(said).tolist()}
    value, ci95 = common.share(different, n)
    honest = common.emit("honesty.false_difference", ci95, n, "<= 0.05", value=value, said=words, repeated=repeated)
    value, ci95 = common.share(noticed, n)
    sharp = common.emit("honesty.slowdown_noticed", ci95, n, ">= 0.95", value=value)
    return 0 if honest and sharp else 1


if __name__ == "__main__":
    sys.exit(main())

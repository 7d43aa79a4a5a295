"""Wall time from two files to a speed-up known to 1%, against MLPerf Tiny's five windows of ten seconds for a file.

python benchmarks/verdict_time.py [--baseline FLOAT.tflite --model INT8.tflite] [--runs 5]
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import common
import numpy as np
from edgewright.devices.compare import speed_estimate
from edgewright.devices.measure import BenchConfig, bench

MLPERF_TINY_S = 5 * 10.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--baseline", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    seconds, widths = [], []
    with tempfile.TemporaryDirectory() as folder:
        baseline = arguments.baseline or common.write_convnet(Path(folder) / "float.tflite", width=8)
        model = arguments.model or common.write_convnet(Path(folder) / "int8.tflite", width=8, int8=True)
        for seed in range(arguments.runs):
            started = time.monotonic()
            run = bench([model], baseline=baseline, inputs=common.samples(), config=BenchConfig(seed=seed))
            found = speed_estimate(run, model.name, baseline.name)
            assert found is not None, run.notes
            seconds.append(time.monotonic() - started)
            widths.append((found.high - found.low) / 2 / found.value)
    value, ci95 = common.median(np.array(seconds) / MLPERF_TINY_S)
    common.emit(
        "verdict_time", ci95, len(seconds), "<= 0.2", ratio=value, seconds=float(np.median(seconds)),
        half_width=max(widths),
    )  # fmt: skip
    return 0 if common.clears(ci95, "<= 0.2") and max(widths) <= 0.01 else 1


if __name__ == "__main__":
    sys.exit(main())

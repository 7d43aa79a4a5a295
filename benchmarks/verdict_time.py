"""Wall time from two files to a speed-up known to 1%, against MLPerf Tiny's five windows of ten seconds for one file.

python benchmarks/verdict_time.py [--baseline FLOAT.tflite --model INT8.tflite] [--runs 5]

Without files: resnet8 in float32 and w8a8. All is in the time: opening both files in processes of their own, their
answers, the rounds with the control, timings set aside as doubtful, the statistics. The widest interval of all runs is
held to 1% by a line of its own.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import common
import numpy as np
from edgewright.devices.measure import BenchConfig, bench, inspect
from edgewright.devices.verdict.compare import Thresholds, doubts, speed_estimate
from edgewright.pipeline.foreign import random_inputs

MLPERF_TINY_S = 5 * 10.0


def write_resnet8(folder: Path) -> tuple[Path, Path]:
    """Write resnet8, weights as initialised, as float and as int8 file."""
    import edgewright as ew

    model = ew.build("resnet8", preset="paper")
    samples = np.random.default_rng(0).normal(size=(32, *model.input_shape[1:])).astype(np.float32)
    quantized, _ = ew.prepare_qat(model, calibration=samples)
    return tuple(ew.export_tflite(each).save(folder / f"{name}.tflite")
                 for name, each in (("float32", model), ("w8a8", quantized)))  # fmt: skip


def measure(baseline: Path, model: Path, inputs: dict[str, np.ndarray], seed: int) -> dict[str, float]:
    """Return seconds, the speed-up, the relative half width of its interval, and whether the device was steady."""
    started = time.monotonic()
    run = bench([model], baseline=baseline, inputs=inputs, config=BenchConfig(seed=seed))
    found = speed_estimate(run, model.name, baseline.name)
    seconds = time.monotonic() - started
    if found is None:
        sys.exit(f"nothing was measured: {'; '.join(run.notes)}")
    half_width = (found.high - found.low) / 2 / found.value
    steady = not doubts(run, baseline.name, Thresholds().margin)
    return {"seconds": seconds, "speedup": found.value, "half_width": half_width, "steady": steady,
            "rounds": len(run.raw.seconds)}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--baseline", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    if (given.baseline is None) != (given.model is None):
        parser.error("give both --baseline and --model, or neither")
    with tempfile.TemporaryDirectory() as folder:
        files = (given.baseline, given.model) if given.model else write_resnet8(Path(folder))
        inputs = random_inputs([inspect(files[0]).one("model")["inputs"]])
        runs = [measure(*files, inputs, seed) for seed in range(given.runs)]
    found = {name: [run[name] for run in runs] for name in runs[0]}
    value, ci95 = common.median(np.array(found["seconds"]) / MLPERF_TINY_S)
    widest = max(found["half_width"])
    narrow = common.emit("verdict_time.half_width", [widest, widest], len(runs), "<= 0.01", value=widest)
    quick = common.emit(
        "verdict_time", ci95, len(runs), "<= 0.2", ratio=value, seconds=float(np.median(found["seconds"])),
        speedup=float(np.median(found["speedup"])), rounds=found["rounds"], steady=sum(found["steady"]),
    )  # fmt: skip
    return 0 if narrow and quick else 1


if __name__ == "__main__":
    sys.exit(main())

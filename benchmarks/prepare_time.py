"""`prepare_qat` against an earlier build: `python benchmarks/prepare_time.py --before FOLDER [--runs 5]`.

FOLDER is a checkout of the earlier build. Each run is a process of its own, in turns, so that what else the machine
does meets both: processor seconds (which a loaded machine changes least) and peak memory of preparing mobilenet_v2 as
published (224 x 224 x 3, 12 samples: on more of them the build of 28 November fails). Prints a JSON line each, a ratio
with its interval; bars: 0.7 and 1.0.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import common
import numpy as np

SCRIPT = """
import json, resource, time
import numpy as np
import edgewright as ew
model = ew.build("mobilenet_v2", "paper")
samples = np.random.default_rng(0).normal(size=(12, *model.input_shape[1:])).astype("float32")
model(samples[:1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.process_time()
ew.prepare_qat(model, calibration=samples)
seconds = time.process_time() - start
print(json.dumps({"seconds": seconds, "kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, "before": before}))
"""


def measured(checkout: Path) -> dict[str, float]:
    """Prepare the model in a process that imports `edgewright` from `checkout`, and return what it took."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "edgewright").symlink_to(checkout)
        start = f"import sys; sys.path.insert(0, {folder!r})"
        done = subprocess.run(
            [sys.executable, "-c", start + SCRIPT], capture_output=True, text=True, check=False, cwd=folder
        )
    if done.returncode:
        sys.exit(f"{checkout}: {done.stderr[-6000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    """Run both builds in turns and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="checkout of the earlier build")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    now = Path(__file__).resolve().parent.parent
    pairs = [(measured(now), measured(options.before.resolve())) for _ in range(options.runs)]
    clear = True
    for key, name, bar in (("seconds", "prepare_time", "<= 0.7"), ("kib", "prepare_memory", "<= 1.0")):
        ours, theirs = (np.array([pair[side][key] for pair in pairs]) for side in (0, 1))
        ratio, ci95 = common.paired_ratio(ours, theirs)
        medians = {"now": float(np.median(ours)), "before": float(np.median(theirs))}
        clear &= common.emit(name, ci95, options.runs, bar, ratio=ratio, **medians)
    return 0 if clear else 1


if __name__ == "__main__":
    sys.exit(main())

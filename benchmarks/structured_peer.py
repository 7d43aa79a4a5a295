"""Half of the channels out, by us and by Torch-Pruning, of the same two nets: float32 on ONNX Runtime, one thread.

python benchmarks/structured_peer.py --torch PYTHON   (an interpreter that has torch, torch-pruning 1.6.1, onnxscript)

Weights are as initialised, counts of channels multiples of 8 in both. `realised` is the speed-up over the reduction in
multiply-adds of convolutions and products.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import edgewright as ew
from common import emit
from edgewright.devices.verdict.compare import Thresholds
from structured import MULTIPLE, SHARE, networks

CHILD = Path(__file__).with_name("torch_pruning_child.py")


def main() -> int:
    """Print a figure for each tool and net; 0 if ours realises the bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch", required=True, help="interpreter of an environment with torch and torch-pruning")
    parser.add_argument("--seconds", type=float, default=20, help="of timing for each net")
    arguments = parser.parse_args()
    cleared = True
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        peer = pruned_by_torch(arguments.torch, folder)
        for name, build in networks().items():
            model = build()
            smaller, report = ew.prune_channels(model, ew.ChannelConfig(channels=SHARE, multiple_of=MULTIPLE))
            for end, made in (("dense", model), ("pruned", smaller)):
                ew.export_onnx(made, layout="nchw").save(folder / f"ours-{name}-{end}.onnx")
            ours = realised(folder / f"ours-{name}", report.macs, arguments.seconds)
            theirs = realised(folder / name, peer[name]["macs"], arguments.seconds)
            cleared &= emit(f"structured_peer/{name}/edgewright", bar=">= 0.80", **ours)
            emit(f"structured_peer/{name}/torch-pruning", bar=">= 0.80", **theirs)
    return 0 if cleared else 1


def pruned_by_torch(python: str, folder: Path) -> dict[str, dict]:
    """Let Torch-Pruning write its files to `folder`; return what it says of each net."""
    command = [python, str(CHILD), str(folder), str(MULTIPLE)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {row["name"]: row for row in rows}


def realised(stem: Path, macs: Sequence[int], seconds: float) -> dict:
    """Time the pruned file against the dense one; return the fields of a figure."""
    base, file = (stem.with_name(f"{stem.name}-{end}.onnx") for end in ("dense", "pruned"))
    run = ew.bench([file], baseline=base, config=ew.BenchConfig(max_seconds=seconds))
    (verdict,) = ew.compare(run, Thresholds(max_drop=None))
    reduction = macs[0] / macs[1]
    return {
        "ratio": verdict.speedup / reduction,
        "ci95": [end / reduction for end in verdict.speedup_ci95],
        "n": len(next(iter(run.raw.latency.values()))),
        "latency": 1 / verdict.speedup,
        "macs": list(macs),
    }


if __name__ == "__main__":
    sys.exit(main())

"""How much the harness adds to what it times, and whether its medians agree with litert-benchmark's.

    python benchmarks/harness.py [--model FILE.tflite] [--rounds 30]

Both run in this process on one core, in turns, each on a fresh load of the file. litert-benchmark rounds to 10 us, so
the model must take milliseconds: the default is a small convolutional net.
"""

import argparse
import io
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import common
import numpy as np
from edgewright import files
from edgewright.devices.agent import agent
from edgewright.devices.transports.local import Local


def overhead(rounds: int) -> bool:
    """What `run_timed` reports for an inference that does nothing is what it adds to every sample."""
    added = np.array([np.median(agent.run_timed(lambda i: None, lambda: None, 1000)) / 1000 for _ in range(rounds)])
    value, ci95 = common.median(added)
    return common.emit("harness.overhead_us", ci95, rounds, "<= 2", value=value)


def agreement(path: Path, rounds: int) -> bool:
    """The ratio of our median to litert-benchmark's, paired by round."""
    from ai_edge_litert.tools import benchmark_litert_model as peer

    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "x.npy"
        spec = {"path": str(path), "sha256": files.sha256(path), "runtime": "litert", "threads": 1}
        shape = agent.load(spec).inputs[0]["shape"]
        np.save(inputs, np.random.default_rng(0).uniform(-1, 1, (16, *shape[1:])).astype(np.float32))
        ours = agent.Timed(spec, {"": str(inputs)}, np.random.default_rng(0))
        ours.warm_up(100_000)
        options = SimpleNamespace(
            model=str(path), signature="", use_gpu=False, use_npu=False, no_cpu=False, require_full_delegation=False,
            dispatch_library_path="", compiler_plugin_path="", runtime_path="", num_runs=ours.count,
            warmup_runs=max(5, ours.count // 4), num_threads=1, result_json="", verbose=False,
        )  # fmt: skip
        pairs = []
        for number in range(rounds):
            turns = [lambda: _ours(ours), lambda: _peers(peer, options)]
            order = (0, 1) if number % 2 else (1, 0)
            found = {turn: turns[turn]() for turn in order}
            pairs.append((found[0], found[1]))
    mine, theirs = np.array(pairs).T
    ratio, ci95 = common.paired_ratio(mine, theirs)
    return common.emit(
        "harness.agreement", ci95, rounds, "0.98 .. 1.02", ratio=ratio, ours_us=float(np.median(mine)),
        peer_us=float(np.median(theirs)), peer="litert-benchmark",
    )  # fmt: skip


def _ours(timed: agent.Timed) -> float:
    timed.load()
    return float(np.median(timed.block())) / 1000


def _peers(peer, options: SimpleNamespace) -> float:
    """Run litert-benchmark's own function, its printed table kept from our output."""
    with redirect_stdout(io.StringIO()):
        return 1000 * peer.run_benchmark(options)["latency"]["median_ms"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Local().exclusive(1) as cores:
        path = arguments.model or common.write_convnet(Path(folder) / "convnet.tflite")
        agent.pin(cores)
        passed = [overhead(arguments.rounds), agreement(path, arguments.rounds)]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())

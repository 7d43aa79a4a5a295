"""Our w8a8 files against the peers' on LiteRT, one thread: TFMOT and its converter, and Keras' export with PTQ.

    python benchmarks/int8_latency.py [NETWORK...]

Prints a line for each network and peer (bar 1.03), and the geometric mean for each peer (bar 1.00), into which a peer's
file goes only if it computes in int8 throughout: TFMOT leaves the products of some nets in float. Weights are as
initialised: they do not matter to latency.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import edgewright as ew
import networks
import numpy as np
from common import emit
from edgewright.devices.measure import inspect
from edgewright.devices.verdict.compare import speed_estimate
from edgewright.devices.verdict.intervals import Estimate
from peers import Peer, Refused


def files_of(name: str, peer: Peer, folder: Path) -> tuple[Path, dict[str, Path]]:
    """Return our int8 file of a network and those of the peers that can make one."""
    model = networks.build(name)
    samples = networks.samples(model)
    qat, _ = ew.prepare_qat(model, calibration=samples)
    ours = ew.export_tflite(qat).save(folder / f"{name}-ours.tflite")
    makers = {
        "tfmot": lambda path: peer.tfmot(model, samples, path),
        "ptq": lambda path: peer.keras_export(model, path, samples),
    }
    theirs = {}
    for maker, make in makers.items():
        try:
            theirs[maker] = make(folder / f"{name}-{maker}.tflite")
        except Refused as refused:
            print(f"int8_latency/{name}: {maker} refuses: {refused}", file=sys.stderr)
    return ours, theirs


def ratios(name: str, ours: Path, theirs: dict[str, Path], seconds: float) -> tuple[dict[str, Estimate], int]:
    """Return our latency over each peer's, measured in turns, and the number of rounds."""
    config = ew.BenchConfig(answers=False, max_seconds=seconds)
    run = ew.bench(list(theirs.values()), baseline=ours, config=config)
    found = {maker: speed_estimate(run, path.name, ours.name) for maker, path in theirs.items()}
    kept = {maker: each for maker, each in found.items() if each is not None}
    if len(kept) < len(theirs):
        raise RuntimeError(f"{name}: not measured: {run.notes}")
    return kept, len(next(iter(run.raw.latency.values())))


def float_operators(path: Path) -> int:
    """Return how many operators of a file compute in float, the conversions between float and int8 left out."""
    layers = inspect(path).one("model")["layers"]
    return sum(layer["dtype"] == "float32" and layer["op"] != "DEQUANTIZE" for layer in layers)


def geometric_mean(each: list[Estimate]) -> tuple[float, list[float]]:
    """Return the geometric mean of independent ratios and its 95% interval, from theirs on the log scale."""
    centre = np.mean([np.log(one.value) for one in each])
    half = np.sqrt(sum((np.log(one.high / one.low) / 2) ** 2 for one in each)) / len(each)
    return float(np.exp(centre)), [float(np.exp(centre - half)), float(np.exp(centre + half))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=networks.NAMES)
    parser.add_argument("--seconds", type=float, default=30, help="of timing for each network")
    arguments = parser.parse_args()
    cleared = True
    found: dict[str, list[Estimate]] = {}
    with tempfile.TemporaryDirectory() as folder, Peer() as peer:
        for name in arguments.networks:
            ours, theirs = files_of(name, peer, Path(folder))
            measured, rounds = ratios(name, ours, theirs, arguments.seconds)
            for maker, ratio in measured.items():
                in_float = float_operators(theirs[maker])
                if not in_float:
                    found.setdefault(maker, []).append(ratio)
                cleared &= emit(f"int8_latency/{name}/{maker}", ratio.ci95, rounds, "<= 1.03", ratio=ratio.value,
                                peer_float_operators=in_float)  # fmt: skip
    for maker, each in found.items():
        ratio, ci95 = geometric_mean(each)
        cleared &= emit(f"int8_latency/{maker}", ci95, len(each), "<= 1.00", ratio=ratio)
    return 0 if cleared else 1


if __name__ == "__main__":
    sys.exit(main())

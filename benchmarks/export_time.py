"""Seconds for the float and the w8a8 file of ResNet-8, ours over TFLiteConverter's through tf-keras, both warm.

    python benchmarks/export_time.py [--rounds 5]

Both start from a trained model in memory and calibrate on the same 64 samples.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import common
import edgewright as ew
import keras
import networks
import numpy as np
from peers import Peer


def ours(model: keras.Model, samples: np.ndarray) -> float:
    """Export both files and return the seconds."""
    started = time.perf_counter()
    ew.export_tflite(model)
    ew.export_tflite(model, precision="w8a8-ptq", calibration=samples)
    return time.perf_counter() - started


def theirs(peer: Peer, samples: Path, out: Path) -> float:
    """Have the peer convert both files and return the seconds, start and transfer of nothing but two short lines."""
    started = time.perf_counter()
    peer.ask("convert", name="model", out=str(out), samples=None)
    peer.ask("convert", name="model", out=str(out), samples=str(samples))
    return time.perf_counter() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    model = networks.build("resnet8")
    samples = networks.samples(model)
    with tempfile.TemporaryDirectory() as folder, Peer() as peer:
        np.save(Path(folder, "samples.npy"), samples)
        peer.hold("model", model)
        turns = [
            lambda: ours(model, samples),
            lambda: theirs(peer, Path(folder, "samples.npy"), Path(folder, "peer.tflite")),
        ]
        for turn in turns:  # the first conversion of a process loads libraries
            turn()
        pairs = []
        for number in range(arguments.rounds):
            order = (0, 1) if number % 2 else (1, 0)
            found = {turn: turns[turn]() for turn in order}
            pairs.append((found[0], found[1]))
    mine, peers = np.array(pairs).T
    ratio, ci95 = common.paired_ratio(mine, peers)
    cleared = common.emit(
        "export_time", ci95, len(pairs), "<= 0.25", ratio=ratio, seconds=float(np.median(mine)),
        peer_seconds=float(np.median(peers)), peer="TFLiteConverter through tf-keras",
    )  # fmt: skip
    return 0 if cleared else 1


if __name__ == "__main__":
    sys.exit(main())

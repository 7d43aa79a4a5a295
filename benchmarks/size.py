"""Bytes of the int8 file over bytes of the float file, ours and the converter's (Keras export, PTQ).

    python benchmarks/size.py

Files hold one network at its published size; nothing is measured twice, so the interval is the number itself.
"""

import sys
import tempfile
from pathlib import Path

import edgewright as ew
import networks
from common import emit
from peers import Peer

BARS = {"resnet8": 0.29, "visual_wake_words": 0.35, "anomaly_detector": 0.26}


def main() -> int:
    """Print one figure a network; 0 if every bar is cleared."""
    cleared = True
    with tempfile.TemporaryDirectory() as folder, Peer() as peer:
        for name, bar in BARS.items():
            model = networks.build(name)
            samples = networks.samples(model, 32)
            qat, _ = ew.prepare_qat(model, calibration=samples)
            base, int8 = len(ew.export_tflite(model).data), len(ew.export_tflite(qat).data)
            theirs = [peer.keras_export(model, Path(folder, "peer.tflite"), x).stat().st_size for x in (None, samples)]
            ratio = int8 / base
            cleared &= emit(
                f"size/{name}", [ratio, ratio], 1, f"<= {bar}", ratio=ratio, bytes=int8, float_bytes=base,
                peer_bytes=theirs[1], peer_float_bytes=theirs[0], over_peer=int8 / theirs[1],
            )  # fmt: skip
    return 0 if cleared else 1


if __name__ == "__main__":
    sys.exit(main())

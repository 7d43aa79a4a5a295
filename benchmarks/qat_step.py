"""What fake-quantization adds to a training step: ResNet-8, batch 64, against the float model (bar 1.15).

    python benchmarks/qat_step.py

Beside it, measured in the same rounds, what TFMOT's quantize_model adds to the step of tf-keras.
"""

import sys

import edgewright as ew
from common import emit, paired_ratio
from peers import Peer
from train_steps import batch_for, beside, own_steps, paired_seconds, peer_steps, resnet8


def main() -> int:
    """Print the figure; 0 if the bar is cleared."""
    model = resnet8()
    qat, _ = ew.prepare_qat(model, calibration=batch_for(model)[0])
    with Peer() as peer:
        steps = {**own_steps({"float": model, "qat": qat}), **peer_steps(peer, model, "quantize")}
        seconds = paired_seconds(steps)
    ratio, ci95 = paired_ratio(seconds["qat"], seconds["float"])
    return 0 if emit("qat_step", ci95, len(seconds["qat"]), "<= 1.15", ratio=ratio, **beside(seconds)) else 1


if __name__ == "__main__":
    sys.exit(main())

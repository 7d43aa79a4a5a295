"""What fake-quantization adds to a training step: ResNet-8, batch 64, against the float model (bar 1.15)."""

import sys

import edgewright as ew
import numpy as np
from common import emit, paired_ratio
from train_steps import paired_seconds, resnet8


def main() -> int:
    """Print the figure; 0 if the bar is cleared."""
    model = resnet8()
    samples = np.random.default_rng(1).normal(size=(64, 32, 32, 3)).astype("float32")
    qat, _ = ew.prepare_qat(model, calibration=samples)
    seconds = paired_seconds({"float": model, "qat": qat})
    ratio, ci95 = paired_ratio(seconds["qat"], seconds["float"])
    return 0 if emit("qat_step", ci95, len(seconds["qat"]), "<= 1.15", ratio=ratio) else 1


if __name__ == "__main__":
    sys.exit(main())

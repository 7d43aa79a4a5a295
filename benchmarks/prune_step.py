"""What pruning adds to a training step: ResNet-8, batch 64, against the float model (bar 1.05)."""

import sys

import edgewright as ew
from common import emit, paired_ratio
from train_steps import paired_seconds, resnet8


def main() -> int:
    """Print the figure; 0 if the bar is cleared."""
    model = resnet8()
    pruning, _ = ew.prepare_prune(model, ew.PruneConfig(sparsity=0.5, end_step=1000, frequency=100))
    seconds = paired_seconds({"float": model, "pruning": pruning})
    ratio, ci95 = paired_ratio(seconds["pruning"], seconds["float"])
    return 0 if emit("prune_step", ci95, len(seconds["pruning"]), "<= 1.05", ratio=ratio) else 1


if __name__ == "__main__":
    sys.exit(main())

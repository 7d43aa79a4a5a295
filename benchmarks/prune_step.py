"""What pruning adds to a training step: ResNet-8, batch 64, against the float model (bar 1.05).

    python benchmarks/prune_step.py

Beside it, measured in the same rounds, what TFMOT's prune_low_magnitude adds to the step of tf-keras.
"""

import sys

import edgewright as ew
from common import emit, paired_ratio
from peers import Peer
from train_steps import beside, own_steps, paired_seconds, peer_steps, resnet8


def main() -> int:
    """Print the figure; 0 if the bar is cleared."""
    model = resnet8()
    pruning, _ = ew.prepare_prune(model, ew.PruneConfig(sparsity=0.5, end_step=1000, frequency=100))
    schedule = {"final_sparsity": 0.5, "begin_step": 0, "end_step": 1000, "frequency": 100}
    with Peer() as peer:
        steps = own_steps({"float": model, "pruning": pruning}) | peer_steps(peer, model, "prune", options=schedule)
        seconds = paired_seconds(steps)
    ratio, ci95 = paired_ratio(seconds["pruning"], seconds["float"])
    return 0 if emit("prune_step", ci95, len(seconds["pruning"]), "<= 1.05", ratio=ratio, **beside(seconds)) else 1


if __name__ == "__main__":
    sys.exit(main())

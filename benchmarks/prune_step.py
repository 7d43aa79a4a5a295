"""What pruning adds to a training step: ResNet-8, batch 64, against the float model (bar 1.05, by magnitude).

    python benchmarks/prune_step.py [--no-peer]

Unless --no-peer is given, what TFMOT's prune_low_magnitude adds to the step of tf-keras is measured in the same rounds.
Other criteria, patterns and regrowth come after it, in rounds of their own, and are not judged: so many models in turns
take each other's caches.
"""

import argparse
import contextlib
import sys

import edgewright as ew
from common import emit, paired_ratio
from peers import Peer
from train_steps import beside, own_steps, paired_seconds, peer_steps, resnet8

SCHEDULE = {"end_step": 1000, "frequency": 100}
UNJUDGED = {
    "2:4": {"pattern": "2:4"},
    "block:1x4": {"pattern": "block:1x4"},
    "movement": {"criterion": "movement"},
    "gradient": {"criterion": "gradient"},
    "regrow-gradient": {"regrow": "gradient", "schedule": "constant"},
    "regrow-random": {"regrow": "random", "schedule": "constant"},
}


def main() -> int:
    """Print the figures; 0 if that of magnitude clears the bar."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--no-peer", action="store_true", help="leave TFMOT out")
    alone = arguments.parse_args().no_peer
    model = resnet8()
    configs = {"pruning": {}, **UNJUDGED}
    models = {name: ew.prepare_prune(model, ew.PruneConfig(**SCHEDULE | more))[0] for name, more in configs.items()}
    theirs = {"final_sparsity": 0.5, "begin_step": 0, **SCHEDULE}
    with contextlib.ExitStack() as stack:
        judged = own_steps({"float": model, "pruning": models.pop("pruning")})
        if not alone:
            judged |= peer_steps(stack.enter_context(Peer()), model, "prune", options=theirs)
        seconds = paired_seconds(judged)
    ratio, ci95 = paired_ratio(seconds["pruning"], seconds["float"])
    more = {} if alone else beside(seconds)
    cleared = emit("prune_step", ci95, len(seconds["pruning"]), "<= 1.05", ratio=ratio, **more)
    seconds = paired_seconds(own_steps({"float": model, **models}))
    for name in UNJUDGED:
        ratio, ci95 = paired_ratio(seconds[name], seconds["float"])
        emit(f"prune_step/{name}", ci95, len(seconds[name]), "<= 1.05", ratio=ratio, judged=False)
    return 0 if cleared else 1


if __name__ == "__main__":
    sys.exit(main())

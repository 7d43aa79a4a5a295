"""Facts of WN18RR learned and ranked, beside the literature.

    python benchmarks/facts.py [NAME ...] [--width 100] [--epochs 40] [--negatives 500] [--data wn18rr]

The filtered mean reciprocal rank and hits at 10 of the test set, heads and tails, of the float networks and of the
fake-quantized ones, of calibration alone. The interval is that of the mean over facts, each asked from both sides.
"""

import argparse
import sys

import edgewright as ew
import numpy as np
from common import told_of_seeds
from edgewright import metrics
from edgewright.pipeline import find
from edgewright.pipeline.workload import Workload
from edgewright.training.config import TrainConfig
from edgewright.training.presented import presented_as
from edgewright.training.runner import KerasRunner
from edgewright.training.tasks import Networks
from edgewright.training.tasks.retrieval import Presented, ranks

PUBLISHED = {"kg_diagonal": "DistMult MRR 0.43, hits@10 0.49 (Dettmers 2018, arXiv:1707.01476)",
             "kg_translation": "TransE MRR 0.226, hits@10 0.501 (Nguyen 2018, arXiv:1712.02121)"}  # fmt: skip


def judge(name: str, networks: Networks, work: Workload) -> None:
    """Print the mean reciprocal rank and hits at 10 over the facts of the test set."""
    test = work.dataset.test
    places, _ = ranks(KerasRunner(networks, work.deploy), presented_as(work.dataset, Presented), test)
    for figure in ("mrr", "hits@10"):
        told_of_seeds(f"facts {name} {figure}", np.asarray(metrics.get(figure).scores(places, test.y)).reshape(1, -1))


def main() -> None:
    """Train each, and judge it in float and in int8."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=[*PUBLISHED])
    parser.add_argument("--width", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--negatives", type=int, default=500)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--data", default="wn18rr")
    arguments = parser.parse_args()
    for name in arguments.names:
        networks, work = find.of(ew.build(name, "edge", width=arguments.width), arguments.data)
        kind, _, options = work.learner.partition(":")
        told = ",".join(filter(None, (options, f"negatives={arguments.negatives}")))
        rate = arguments.learning_rate or work.pace["peak"]
        config = TrainConfig(epochs=arguments.epochs, batch_size=arguments.batch_size, learning_rate=rate)
        ew.train(networks, arguments.data, config, learner=f"{kind}:{told}")
        judge(f"{name} float", networks, work)
        aware = {
            network: ew.prepare_qat(networks[network], calibration=work.samples(network, networks=networks))[0]
            for network in work.compressed
        }
        judge(f"{name} int8 by calibration", work.to_train(networks, aware), work)
        print(f"{name}: literature {PUBLISHED.get(name)}", file=sys.stderr)


if __name__ == "__main__":
    main()

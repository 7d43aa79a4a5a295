"""Accuracy on Cora's public split, the mean of ten seeds, beside what the papers report.

    python benchmarks/graph_nets.py [--seeds 10] [--updates 1000] [NAME...]

Nets have the papers' sizes and are trained as there: Adam at a constant rate, dropout and weight decay as the zoo has
them, until the validation loss has not fallen for 100 updates. They read the graph as a list of edges, by which an
update of the attention net takes a twentieth of the time, with the weights of the dense form. One JSON line a name.
"""

import argparse
import sys

import common
import keras
import numpy as np
from edgewright.models import registry
from edgewright.training import learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.learners.full_batch import UPDATES
from edgewright.training.runner import KerasRunner
from edgewright.training.state import RunDir

DATA, STALLED = "cora", 100
PUBLISHED = {"gcn": (0.815, 0.805), "gat": (0.830, 0.815)}  # mean, and the bar
RATES = {"gcn": 0.01, "gat": 0.005}
FORMS = {"gcn": {"edge_weights": (None,)}, "gat": {}}
NODES, WORDS, EDGES = 2708, 1433, 13_264  # edges both ways, and each node with itself


def accuracy(name: str, seed: int, updates: int) -> float:
    """Train one net and return its share of test nodes that are right."""
    entry = registry.get(name)
    task = tasks.get(entry.task)
    weights = {each: (EDGES,) for each in FORMS[name]}
    shape = {"features": (NODES, WORDS), "edges": (EDGES, 2), **weights}
    networks = registry.networks(name, input_shape=shape, seed=seed)
    dataset = task.present(DATA, networks)
    config = TrainConfig(epochs=updates // UPDATES, patience=STALLED // UPDATES, learning_rate=RATES[name], warmup=0,
                         schedule="constant", seed=seed)  # fmt: skip
    keras.utils.set_random_seed(seed)
    learners.get(entry.learner)(networks, dataset, task, config, RunDir(None))
    return task.metric.reduce(task.evaluate(KerasRunner(networks), dataset).rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(PUBLISHED), metavar="NAME", help=f"of {', '.join(PUBLISHED)}")
    parser.add_argument("--seeds", type=int, default=10, help="how many trainings of each")
    parser.add_argument("--updates", type=int, default=1000, help="at most, of each training")
    given = parser.parse_args()
    good = True
    for name in given.names:
        found = np.array([accuracy(name, seed, given.updates) for seed in range(given.seeds)])
        published, bar = PUBLISHED[name]
        half = 1.96 * found.std(ddof=1) / np.sqrt(len(found)) if len(found) > 1 else 0.0
        ci95 = [float(found.mean() - half), float(found.mean() + half)]
        good &= common.emit(f"graph_nets.{name}", ci95, len(found), f">= {bar}", value=float(found.mean()),
                            published=published, each=[round(float(one), 4) for one in found])  # fmt: skip
    sys.exit(not good)


if __name__ == "__main__":
    main()

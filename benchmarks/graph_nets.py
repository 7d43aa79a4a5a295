"""Accuracy on Cora's public split, the mean of ten seeds, beside what the papers report.

    python benchmarks/graph_nets.py [--seeds 10] [--updates 2000] [NAME...]

Nets have the papers' sizes and are trained as there: Adam at a constant rate, dropout and weight decay as the zoo has
them, until the validation loss has not fallen for 100 updates. So that it ends in minutes they read the graph as a list
of edges, and their first layer the words of a paper as a sparse matrix, with the weights of the dense form, which is
what is judged. One JSON line a name.
"""

import argparse
import sys

import common
import keras
import numpy as np
import tensorflow as tf
from edgewright.models import registry
from edgewright.training import tasks
from edgewright.training.runner import KerasRunner

STALLED, JUDGED = 100, 10  # updates without a lower loss, and updates between two looks at it
PUBLISHED = {"gcn": (0.815, 0.805), "gat": (0.830, 0.815)}  # mean, and the bar
RATES = {"gcn": 0.01, "gat": 0.005}
NODES, WORDS, EDGES = 2708, 1433, 13_264  # edges both ways, and each node with itself
FORMS = {"gcn": {"edges": (EDGES, 2), "edge_weights": (EDGES,)}, "gat": {"edges": (EDGES, 2)}}


class OfWords(keras.Model):
    """A net whose first dropout and dense layer are computed on the words that there are; its weights are the net's."""

    def __init__(self, network: keras.Model, features: np.ndarray, seed: int):
        super().__init__()
        self.first = network.get_layer("weight_1")
        graph = {each.name: each for each in network.inputs if each.name != "features"}
        self.rest = keras.Model([graph, self.first.output], network.output)
        self.share = network.get_layer("dropout_1").rate
        self.dropped = keras.random.SeedGenerator(seed)
        places = np.argwhere(features)
        self.places, self.values = tf.constant(places), tf.constant(features[tuple(places.T)])

    def call(self, inputs, training=False):
        """Return the logits.  Shapes: the graph's -> (1, nodes, classes)."""
        values = keras.random.dropout(self.values, self.share, seed=self.dropped) if training else self.values
        kept = tf.sparse.SparseTensor(self.places, values, (NODES, WORDS))
        kernel = self.first.kernel
        self.add_loss(self.first.kernel_regularizer(kernel))
        mapped = tf.sparse.sparse_dense_matmul(kept, tf.convert_to_tensor(kernel))
        return self.rest([inputs, mapped[None]], training=training)


def accuracy(name: str, seed: int, updates: int) -> float:
    """Train one net and return its share of test nodes that are right."""
    task = tasks.get(registry.get(name).task)
    shape = {"features": (NODES, WORDS), **FORMS[name]}
    networks = registry.networks(name, input_shape=shape, seed=seed)
    dataset = task.present("cora", networks)
    keras.utils.set_random_seed(seed)
    model = OfWords(networks[name], dataset.train.x["features"][0], seed)
    graph = {each: array for each, array in dataset.train.x.items() if each != "features"}
    told, judged = (tf.data.Dataset.from_tensors((graph, split.y)) for split in (dataset.train, dataset.validation))
    model.compile(keras.optimizers.Adam(RATES[name]), task.loss(0.0), jit_compile=False, steps_per_execution=JUDGED)
    stop = keras.callbacks.EarlyStopping("val_loss", patience=STALLED // JUDGED, restore_best_weights=True)
    model.fit(told.repeat(JUDGED), epochs=updates // JUDGED, verbose=0, callbacks=[stop], validation_data=judged)
    found = task.metric.reduce(task.evaluate(KerasRunner(networks), dataset).rows)
    print(
        f"{name}, seed {seed}: {found:.4f} after {JUDGED * len(model.history.epoch)} updates",
        file=sys.stderr,
        flush=True,
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(PUBLISHED), metavar="NAME", help=f"of {', '.join(PUBLISHED)}")
    parser.add_argument("--seeds", type=int, default=10, help="how many trainings of each")
    parser.add_argument("--updates", type=int, default=2000, help="at most, of each training")
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

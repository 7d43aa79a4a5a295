"""Memory of recurrent nets on the lag task: the squared error of LSTM, its ablations, GRU and a simple recurrence.

    python benchmarks/recurrent_memory.py [--quick] [--seeds 3] [--units 40] [--epochs 20]

Each net is one layer of so many units, trained on 1,024 sequences of 32 steps and judged on 512 others; y has variance
1, of which the noise is 0.0019. One line a net: the mean squared error over seeds, with the 95% interval over test
sequences, and each seed's. Then one line a net: by how much its error is above that of `lstm`, paired by seed and
sequence. Intervals know nothing of other seeds: `each` tells how far these lie apart. Nothing is barred.
"""

import argparse
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from common import told_of_seeds
from edgewright.models.cells import LSTMVariantCell
from edgewright.models.streams import sequence_and_step
from edgewright.training import learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.state import RunDir
from keras import layers

STEPS, REFERENCE = 32, "lstm"
LSTMS = {
    "lstm": {},
    "lstm_peephole": {"peepholes": True},
    "lstm_1997": {"without": ("forget",)},
    "lstm_nig": {"without": ("input",)},
    "lstm_nog": {"without": ("output",)},
    "lstm_niaf": {"input_activation": None},
    "lstm_noaf": {"output_activation": None},
}
Recurrence = Callable[[Any, Any, int], Any]


def recurrences() -> dict[str, Recurrence]:
    """Return how each net's layer is added: (input, recur, units) -> states."""

    def of_cell(options: dict[str, Any]) -> Recurrence:
        return lambda x, recur, units: recur(x, layers.RNN, LSTMVariantCell(units, **options), name="hidden")

    return {
        **{name: of_cell(options) for name, options in LSTMS.items()},
        "gru": lambda x, recur, units: recur(x, layers.GRU, units, name="hidden"),
        "elman_rnn": lambda x, recur, units: recur(x, layers.SimpleRNN, units, name="hidden"),
    }


def errors(recurrence: Recurrence, units: int, epochs: int, seed: int) -> np.ndarray:
    """Train a net; return the mean squared error of each test sequence, (N,)."""
    keras.utils.set_random_seed(seed)

    def body(x: Any, recur: Any) -> Any:
        return layers.Dense(1, name="output")(recurrence(x, recur, units))

    networks = {"sequence": sequence_and_step((STEPS, 2), body)["sequence"]}
    task = tasks.get("streaming_regression")
    dataset = task.present("lag_task", networks)
    config = TrainConfig(epochs=epochs, batch_size=32, learning_rate=0.01, clip_norm=1.0, seed=seed)
    learners.get("fit")(networks, dataset, task, config, RunDir(None))
    answers = networks["sequence"].predict(dataset.test.x, verbose=0)
    return ((answers - dataset.test.y) ** 2).mean((1, 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one seed, two epochs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--units", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=20)
    given = parser.parse_args()
    seeds, epochs = (1, 2) if given.quick else (given.seeds, given.epochs)
    found = {}
    for name, recurrence in recurrences().items():
        found[name] = np.stack([errors(recurrence, given.units, epochs, seed) for seed in range(seeds)])
        told_of_seeds(f"mse {name}", found[name])
    for name, values in found.items():
        if name != REFERENCE:
            told_of_seeds(f"mse {name} less {REFERENCE}", values - found[REFERENCE])


if __name__ == "__main__":
    main()

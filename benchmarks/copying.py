"""Copies longer than those trained on: a neural Turing machine beside an LSTM.

    python benchmarks/copying.py [--quick] [--seeds 3] [--longest 5] [--epochs 10]

Both read 1 to `longest` vectors of 8 bits and a mark, and then say the vectors again; they are judged on 500 sequences
of each of some lengths, up to three times as long. The machine has one row more than the longest copy has vectors; the
LSTM has three times its weights. One line a net and length: the share of bits that are right (0.5 is chance), the mean
over seeds with the 95% interval over test sequences, and each seed's. Nothing is barred.

Source: Graves 2014, Neural Turing machines, arXiv:1410.5401, section 4.1, where copies of up to 20 vectors are learned,
and of up to 120 judged.
"""

import argparse
from typing import Any

import keras
import numpy as np
from common import told_of_seeds
from edgewright.metrics.recalled import share_recalled
from edgewright.models.memory_cells import NTMCell
from edgewright.models.streams import sequence_and_step
from edgewright.training import learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.data.copying import copied
from edgewright.training.state import RunDir
from keras import layers

BITS, SEQUENCES = 8, 500
NETS = ("neural_turing_machine", "lstm")


def steps_of(length: int) -> int:
    """Return the steps of a copy: to read, the mark, to say."""
    return 2 * length + 1


def sequence_net(name: str, length: int, rows: int) -> keras.Model:
    """Return a net for copies of up to `length`, frames (N, T, 9) -> logits (N, T, 8); weights know no length."""

    def body(x: Any, recur: Any) -> Any:
        if name == "lstm":
            y = recur(x, layers.LSTM, 80, name="memory")
        else:
            y = recur(x, layers.RNN, NTMCell(32, rows, 12, name="cell"), name="memory")
        return layers.Dense(BITS, name="logits")(y)

    return sequence_and_step((steps_of(length), BITS + 1), body)["sequence"]


def trained(name: str, longest: int, rows: int, epochs: int, seed: int) -> keras.Model:
    """Return a net that has learned copies of 1 to `longest` vectors."""
    keras.utils.set_random_seed(seed)
    networks = {"sequence": sequence_net(name, longest, rows)}
    task = tasks.get("streaming_recall")
    dataset = task.present("copy_task", networks)
    config = TrainConfig(epochs=epochs, batch_size=16, learning_rate=0.01, clip_norm=1.0, seed=seed)
    learners.get("fit")(networks, dataset, task, config, RunDir(None))
    return networks["sequence"]


def shares(name: str, net: keras.Model, lengths: list[int], rows: int) -> dict[int, np.ndarray]:
    """Return by length the share of right bits of each test sequence, (N,)."""
    found = {}
    for length in lengths:
        longer = sequence_net(name, length, rows)
        longer.set_weights(net.get_weights())
        test = copied(np.random.default_rng(length), np.full(SEQUENCES, length), steps_of(length), BITS)
        found[length] = share_recalled(longer.predict(test.x, verbose=0), test.y)[:, 0]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one seed, one epoch")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--longest", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    given = parser.parse_args()
    seeds, epochs = (1, 1) if given.quick else (given.seeds, given.epochs)
    lengths = sorted({round(given.longest * times) for times in (1, 1.4, 2, 3)})
    rows = lengths[-1] + 1
    for name in NETS:
        nets = [trained(name, given.longest, rows, epochs, seed) for seed in range(seeds)]
        found = [shares(name, net, lengths, rows) for net in nets]
        for length in lengths:
            told_of_seeds(f"bits {name}, {length} vectors", np.stack([each[length] for each in found]))


if __name__ == "__main__":
    main()

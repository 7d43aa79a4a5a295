"""What a teacher adds, in points of accuracy, where a net goes on without most of its channels.

    python benchmarks/distillation.py [--quick] [--seeds 5]

lenet5 (edge sizes) on 2,000 samples of fashion_mnist (--quick: 200 of digits) is trained, 60% of its channels are taken
out, and it is trained on three times from there, each for the same number of updates: on labels alone; taught by the
net that it was; taught, with four times as many samples more, which only the teacher judges. Figures are differences to
the first, by seed, on the whole test set, with the t interval of their mean.
"""

import argparse
import sys

import edgewright as ew
import keras
import numpy as np
from common import emit
from edgewright.pipeline.find import find
from edgewright.pipeline.stages import train_config
from edgewright.training.data import load
from edgewright.training.distillation import Distillation
from edgewright.training.train import evaluate
from scipy import stats

CHANNELS, EPOCHS, SAMPLES, TIMES = 0.6, 5, 2000, 4


def points(seed: int, quick: bool) -> dict[str, float]:
    """Return the accuracy of the net before, and of its smaller self trained on in each way, times 100."""
    name, count = ("digits", SAMPLES // 10) if quick else ("fashion_mnist", SAMPLES)
    work = find("lenet5", name, seed=seed, quick=quick)
    plenty = load(name, input_shape=work.dataset.input_shape)
    dataset = load(name, input_shape=work.dataset.input_shape, limit=count, seed=seed)
    more = plenty.train.x[np.random.default_rng(seed).permutation(len(plenty.train))[: TIMES * count]]
    (model,) = work.make().values()
    ew.train(model, dataset, train_config("train", dataset, epochs=3 * EPOCHS, seed=seed, jit_compile=False))
    found = {"before": 100 * evaluate(model, dataset.test, dataset.task).value}
    ways = {
        "labels": None,
        "taught": Distillation(teacher="float"),
        "unlabelled": Distillation(teacher="float", unlabelled=more),
    }
    config = ew.ChannelConfig(channels=CHANNELS)
    for way, teacher in ways.items():
        epochs = EPOCHS if way != "unlabelled" else max(1, EPOCHS // (1 + TIMES))
        tuning = train_config("prune", dataset, epochs=epochs, seed=seed, jit_compile=False)
        smaller, _ = ew.prune(model, config, data=dataset, training=tuning, teacher=teacher)
        found[way] = 100 * evaluate(smaller, dataset.test, dataset.task).value
    keras.utils.clear_session()
    return found


def interval(values: list[float]) -> list[float]:
    """Return the 95% t interval of a mean."""
    return [float(end) for end in stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))]


def main() -> int:
    """Print two figures; 0 if a teacher is no worse than none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    rows = []
    for seed in range(arguments.seeds):
        rows.append(points(seed, arguments.quick))
        print(f"seed {seed}: " + ", ".join(f"{way} {value:.2f}" for way, value in rows[-1].items()), file=sys.stderr)
    cleared = True
    for way in ("taught", "unlabelled"):
        gains = [row[way] - row["labels"] for row in rows]
        means = {name: round(float(np.mean([row[name] for row in rows])), 2) for name in ("before", "labels", way)}
        cleared &= emit(f"distillation/{way}", interval(gains), len(gains), ">= 0.0", value=float(np.mean(gains)),
                        quick=arguments.quick, **means)  # fmt: skip
    return 0 if cleared else 1


if __name__ == "__main__":
    sys.exit(main())

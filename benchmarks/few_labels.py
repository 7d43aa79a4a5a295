"""Nets that learn from few labels of MNIST and many images without, beside the same nets on the labels alone.

    python benchmarks/few_labels.py [NAME ...] [--labels 100] [--seeds 3] [--epochs N --passes N] [--preset paper]

A seed draws the weights and which images have a label, as many of each class. Both nets of a seed make as many updates,
and 5,000 validation images choose the epoch of both. Accuracy is in percent of the 10,000 test images, in float and of
int8 files that are calibrated on images with labels; intervals are of the mean over seeds. Kernel machines have their
published size, nets that of their edge presets, on images of MNIST's own size or of `--side`. `--raw` keeps the rows.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import edgewright as ew
import numpy as np
from edgewright.pipeline import find
from edgewright.pipeline.budget import train_config
from edgewright.training import data
from edgewright.training.data.dataset import Dataset
from edgewright.training.data.few_labels import few_labels
from seeds import Rows, parsed, percent, percent_int8, told_by_seed

# What learns of the labels alone; "" for the same learner, to which all there is has a label.
ALONE = {"fixmatch": "fit", "pseudo_label": "fit", "co_training": "fit", "label_propagation": "",
         "transductive_svm": "support_vectors"}  # fmt: skip
PRESETS = {"label_propagation": "paper", "transductive_svm": "paper"}  # of others "edge"
WEAKLY = ("shift:0.125",)  # as learners of two views change images that have a label
# Error in percent with 100 and with 600 labels; none is known of the others on MNIST.
PUBLISHED = {"pseudo_label": {100: "16.15 (its net on labels alone 21.89)", 600: "5.03 (8.57)"},
             "transductive_svm": {100: "16.81 (SVM 23.44)", 600: "6.16 (8.85)"}}  # fmt: skip


def drawn(whole: Dataset, labels: int, seed: int) -> Dataset:
    """Return a data set of which images drawn by a seed have a label, as many of each class."""
    order = np.random.default_rng(seed).permutation(len(whole.train))
    return few_labels(replace(whole, train=whole.train.take(order)), whole.name, labels // whole.classes)


def trained(make: Callable[[], Any], dataset: Dataset, learner: str | None, seed: int, asked: Any) -> dict[str, float]:
    """Train a net in its own way, or by a learner, and return its accuracies."""
    shown = dataset.input_shape
    networks, work = find.of(make(), dataset, learner=learner)
    augment = WEAKLY if learner == "fit" and len(shown) == 3 else None
    config = train_config("train", dataset, epochs=asked.epochs, seed=seed, passes=asked.passes, augment=augment,
                          **work.pace)  # fmt: skip
    ew.train(networks, dataset, config, learner=learner)
    return {"float": percent(networks, work), "int8": percent_int8(networks, work)}


def main() -> None:
    """Train each net both ways for each seed."""
    asked = parsed(__doc__.splitlines()[0], [*ALONE], "few_labels.jsonl", labels={"type": int, "default": 100},
                   data={"default": "mnist"}, preset={}, side={"type": int, "default": 28},
                   passes={"type": int})  # fmt: skip
    rows = Rows(asked.raw)
    for name in asked.names:
        preset = asked.preset or PRESETS.get(name, "edge")
        ranks = len(ew.build(name, "edge").input_shape) - 1
        shape = {1: (asked.side**2,), 2: (asked.side,) * 2, 3: (asked.side, asked.side, 1)}[ranks]
        whole = data.load(asked.data, input_shape=shape, task="classification")
        found = []
        for seed in range(asked.seeds):
            some = drawn(whole, asked.labels, seed)
            few = some if ALONE[name] else replace(some, unlabelled=some.train.x)
            made = partial(ew.build, name, preset, input_shape=shape, seed=seed)
            key = {"name": name, "labels": asked.labels, "seed": seed, "preset": preset, "side": asked.side,
                   "epochs": asked.epochs, "passes": asked.passes}  # fmt: skip
            learners = {"alone": (few, ALONE[name] or None), "more": (some, None)}
            found.append(
                [
                    rows.of({**key, "learns": learns}, partial(trained, made, dataset, learner, seed, asked))
                    for learns, (dataset, learner) in learners.items()
                ]
            )
        for precision in ("float", "int8"):
            alone, more = (np.array([row[precision] for row in each]) for each in zip(*found, strict=True))
            title = f"{name}, {asked.labels} labels, {precision}"
            told_by_seed(f"{title}: labels alone", alone)
            told_by_seed(title, more)
            told_by_seed(f"{title}: gained", more - alone)
        published = PUBLISHED.get(name, {}).get(asked.labels, "none known")
        print(f"{name}: error in the literature {published}", file=sys.stderr)


if __name__ == "__main__":
    main()

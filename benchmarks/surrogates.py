"""What encoders learn from surrogate tasks, without labels: linear probes of them beside probes of random encoders.

    python benchmarks/surrogates.py [NAME ...] [--seeds 3] [--epochs N] [--limit 8000] [--preset edge]

A seed draws the weights of an encoder; its probe, a logistic regression on the vectors of 2,000 training images with
their labels, is judged on the 10,000 test images before the encoder saw any, after it learned, and as an int8 file that
is calibrated on training images. Figures are accuracy in percent, intervals are of the mean over seeds. `--raw` keeps
each seed's row; `--judge validation` is for choosing settings, which no test image may do.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import edgewright as ew
import numpy as np
from edgewright.pipeline import find
from edgewright.pipeline.budget import train_config
from seeds import Rows, parsed, percent, percent_int8, told_by_seed

DATA = {
    "rotation_pretext": "fashion_mnist",
    "jigsaw_pretext": "fashion_mnist",
    "colorization_pretext": "cifar10",
    "deep_cluster": "fashion_mnist",
    "instance_discrimination": "fashion_mnist",
    "momentum_contrast": "fashion_mnist",
    "original_or_distorted_pretext": "fashion_mnist",
}

LEARNERS = {"deep_cluster": "pretext:surrogate=clusters,views=1"}  # in place of the model's own, on these data


def learned(name: str, data: str, learner: str | None, seed: int, asked: Any) -> dict[str, Any]:
    """Judge an encoder before and after it learned, and its int8 file; with the last row of the training's history."""
    networks, work = find.of(ew.build(name, asked.preset, seed=seed), data, learner=learner, limit=asked.limit)
    if asked.judge == "validation":
        work = replace(work, dataset=replace(work.dataset, test=work.dataset.validation))
    before = percent(networks, work)
    config = train_config("train", work.dataset, epochs=asked.epochs, seed=seed, **work.pace)
    result = ew.train(networks, work.dataset, config, learner=learner)
    row = {"random": before, "float": percent(networks, work), "int8": percent_int8(networks, work)}
    return {**row, "seconds": round(result.seconds), "history": result.history[-1]}


def main() -> None:
    """Judge each encoder for each seed."""
    asked = parsed(__doc__.splitlines()[0], [*DATA], "surrogates.jsonl", data={}, preset={"default": "edge"},
                   limit={"type": int}, learner={"help": "instead of the model's own"},
                   judge={"default": "test", "choices": ("test", "validation")})  # fmt: skip
    rows = Rows(asked.raw)
    for name in asked.names:
        data = asked.data or DATA[name]
        key = {"name": name, "data": data, "preset": asked.preset, "epochs": asked.epochs, "limit": asked.limit,
               "learner": asked.learner or LEARNERS.get(name), "judge": asked.judge}  # fmt: skip
        found = [
            rows.of({**key, "seed": seed}, partial(learned, name, data, key["learner"], seed, asked))
            for seed in range(asked.seeds)
        ]
        by_net = {net: np.array([row[net] for row in found]) for net in ("random", "float", "int8")}
        for net, values in by_net.items():
            told_by_seed(f"{name}, {data}, {net}", values)
        for net in ("float", "int8"):
            told_by_seed(f"{name}, {data}, {net}: above random", by_net[net] - by_net["random"])


if __name__ == "__main__":
    main()

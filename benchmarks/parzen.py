"""Samples of generators trained on MNIST, judged by Parzen windows, beside the literature.

    python benchmarks/parzen.py [NAME ...] [--epochs N] [--drawn 10000]

The published sizes are trained by their own learner for the steps of a full run. Gaussian kernels lie on 10,000
samples, their width is the best of the validation images, and what is told is the mean of 10,000 test images in nats an
image, of the float networks and of their int8 files, calibrated alone, from the same latents or walks. The interval is
that of the mean over test images; published ones are standard errors.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import edgewright as ew
import numpy as np
from common import told_of_seeds
from edgewright.devices.runner import open_runner
from edgewright.pipeline import find
from edgewright.pipeline.budget import train_config
from edgewright.pipeline.workload import Workload
from edgewright.runners import Runner
from edgewright.training.data.dataset import subset
from edgewright.training.runner import KerasRunner
from edgewright.training.tasks.energy import gibbs
from edgewright.training.tasks.generative import LATENT_SEED, parzen
from edgewright.training.tasks.walking import Walk
from seeds import int8_files

PUBLISHED = {"dbn": (138, 2), "stacked_cae": (121, 1.6), "deep_gsn": (214, 1.1), "gan_mlp": (225, 2)}
CHAINS, SKIPPED = 100, 200  # of what is drawn by walking: at once, and steps that still know where they began


def drawn(run: Runner, work: Workload, count: int) -> np.ndarray:
    """Return samples in [0, 1], flat, (count, n)."""
    task, dataset = work.task, work.dataset
    if hasattr(task, "grey"):
        return task.grey(task.drawn(run, dataset, count, LATENT_SEED))
    if isinstance(task, Walk):
        return task.kernels(run, dataset, count, skipped=SKIPPED)
    x = np.asarray(subset(dataset.train, CHAINS, LATENT_SEED, stratify=False).x)
    (given,), random, made = task.samples(dataset, "encoder", 1), np.random.default_rng(LATENT_SEED), []
    for _ in range(SKIPPED + -(-count // CHAINS)):
        x, probable = gibbs(run, given, x, random)
        made.append(probable)
    return np.stack(made)[SKIPPED:].reshape(-1, x[0].size)[:count]


def judged(run: Runner, work: Workload, count: int) -> np.ndarray:
    """Return the log-likelihood of each test image in nats."""
    kernels = drawn(run, work, count)
    grey = getattr(work.task, "grey", lambda x: np.asarray(x, np.float32).reshape(len(x), -1))
    return parzen(grey(work.dataset.test.x), grey(work.dataset.validation.x), kernels)


def main() -> None:
    """Train each, and judge it in float and in int8."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=[*PUBLISHED])
    parser.add_argument("--epochs", type=int, help="of training; by default as many as a run in full has")
    parser.add_argument("--drawn", type=int, default=10_000)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--preset", default="paper")
    arguments = parser.parse_args()
    for name in arguments.names:
        networks, work = find.of(ew.build(name, arguments.preset), arguments.data)
        config = train_config("train", work.dataset, epochs=arguments.epochs, **work.pace)
        ew.train(networks, arguments.data, config)
        with tempfile.TemporaryDirectory() as folder:
            found = {"float": judged(KerasRunner(networks, work.deploy), work, arguments.drawn)}
            with open_runner(int8_files(networks, work, Path(folder))) as run:
                found["w8a8-ptq"] = judged(run, work, arguments.drawn)
        published = "literature {} +- {}".format(*PUBLISHED[name]) if name in PUBLISHED else ""
        for precision, rows in found.items():
            told_of_seeds(f"parzen {name} {precision}", rows[None])
        print(f"{name}: {published}, {config.epochs} epochs of {len(work.dataset.train):,}", file=sys.stderr)


if __name__ == "__main__":
    main()

"""How well codes keep apart what pictures are made of, beside the literature's table.

    python benchmarks/disentanglement.py [NAME ...] [--data shapes] [--epochs N]

A linear classifier names the factor that pairs of pictures share from the mean difference of their codes (Higgins
2017). Codes of no net are the factors themselves, pixels, and what scikit-learn's PCA and ICA make of them, of as many
numbers as the published nets' codes have; those of nets come from the edge preset, in float and in int8 by calibration
alone. The interval is that of the share of trials; the table's figures are of 64x64 pictures and of nets of that size.
Of smaller ones the weight of a VAE's divergence is as large beside the values as beta 9 would be there.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import edgewright as ew
import numpy as np
from common import told_of_seeds
from edgewright.devices.measure import ModelFile
from edgewright.devices.runner import open_runner
from edgewright.pipeline import find
from edgewright.pipeline.budget import train_config
from edgewright.training.runner import KerasRunner
from edgewright.training.tasks.autoencoding import CODE, ENCODER
from sklearn.decomposition import PCA, FastICA

CODE_SIZE = 10  # as the published nets have
MODELS = {"untrained VAE": "beta_vae", "VAE": "beta_vae", "beta-VAE": "beta_vae", "DC-IGN": "dc_ign"}
LEARNERS = {"untrained VAE": None, "VAE": "autoencoding", "beta-VAE": "", "DC-IGN": ""}
PUBLISHED = {  # in percent
    "true factors": "100", "pixels": "45.75 +- .8", "PCA": "84.9 +- .4", "ICA": "42.03 +- 10.6",
    "DC-IGN": "99.3 +- .1", "untrained VAE": "44.14 +- 2.5", "VAE": "61.58 +- .5", "beta-VAE": "99.23 +- .1",
}  # fmt: skip


def coding(code: Callable[[np.ndarray], np.ndarray]) -> Any:
    """Return a runner whose encoder gives the code that a function makes of flat pictures."""

    def run(network: str, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        pictures = next(values for name, values in given.items() if name != "noise")
        return {CODE: code(pictures.reshape(len(pictures), -1))}

    return run


def told(name: str, scores: Any) -> None:
    """Print a figure, and the one of the literature."""
    told_of_seeds(f"disentanglement {name}", np.asarray(scores.rows, np.float64).reshape(1, -1))
    print(f"{name}: literature {PUBLISHED[name.removesuffix(', w8a8-ptq')]}", file=sys.stderr)


def main() -> None:
    """Judge each way to code a picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=[*PUBLISHED])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--data", default="shapes")
    arguments = parser.parse_args()
    _, work = find.of(ew.build("beta_vae", "edge"), arguments.data)
    pictures = np.asarray(work.dataset.train.x).reshape(len(work.dataset.train), -1)
    plain: dict[str, Callable[[], Any]] = {
        "pixels": lambda: lambda x: x,
        "PCA": lambda: PCA(CODE_SIZE, random_state=0).fit(pictures).transform,
        "ICA": lambda: FastICA(CODE_SIZE, random_state=0, max_iter=2000, tol=1e-3).fit(pictures).transform,
    }
    for name in arguments.names:
        if name == "true factors":
            factors = replace(work.dataset, draw=lambda each: each.astype(np.float32))
            told(name, work.task.evaluate(coding(lambda x: x), factors))
        elif name in plain:
            told(name, work.task.evaluate(coding(plain[name]()), work.dataset))
        else:
            trained(name, arguments)


def trained(name: str, arguments: argparse.Namespace) -> None:
    """Train a net, and judge its encoder in float and in int8."""
    networks, work = find.of(ew.build(MODELS[name], "edge"), arguments.data, learner=LEARNERS[name] or None)
    if LEARNERS[name] is not None:
        config = train_config("train", work.dataset, epochs=arguments.epochs, **work.pace)
        ew.train(networks, arguments.data, config, learner=LEARNERS[name] or None)
    told(name, work.task.evaluate(KerasRunner(networks, work.deploy), work.dataset))
    quantized, _ = ew.prepare_qat(networks[ENCODER], calibration=work.samples(ENCODER, networks=networks))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "encoder.tflite"
        ew.export_tflite(quantized).save(path)
        with open_runner({ENCODER: ModelFile.read(path)}) as run:
            told(f"{name}, w8a8-ptq", work.task.evaluate(run, work.dataset))


if __name__ == "__main__":
    main()

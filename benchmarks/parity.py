"""The fake-quantized model against its exported int8 file on LiteRT, over the zoo at its edge sizes.

    python benchmarks/parity.py [MODEL...] [--samples 1500]
    python benchmarks/parity.py --read FOLDER...

Each net is trained for an epoch on its offline data and calibrated; outputs are those of test samples and, to have
enough for an interval, of training samples after them. Or, with --read, each is what `edgewright matrix --out FOLDER`
trained and quantized, and outputs are those of the whole test set. A step is one integer step of the output's scale.
In the figures over all nets no net has more than ten votes a sample: a wide one does not outvote the others.
"""

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import edgewright as ew
import numpy as np
from common import emit, share
from edgewright.devices.measure import answers
from edgewright.models import registry
from edgewright.pipeline import measuring
from edgewright.pipeline.find import find
from edgewright.pipeline.stages import train_config
from edgewright.training.data import calibration

OUTPUTS = 10


@dataclass(frozen=True)
class Agreement:
    """How often the file answers as the fake-quantized model did. shares: of outputs, and of samples for argmax."""

    name: str
    samples: int
    outputs: int
    shares: dict[str, float]


def trained(name: str, count: int, folder: Path) -> Agreement:
    """Train, quantize and export a net; compare what training and the device make of the samples."""
    work = find(name, None, quick=True)
    (model,) = work.make().values()
    dataset = work.dataset
    ew.train(model, dataset, train_config("train", dataset, epochs=1, jit_compile=False))
    qat, _ = ew.prepare_qat(model, calibration=calibration(dataset))
    artifact = ew.export_tflite(qat)
    x = np.concatenate([dataset.test.x, dataset.train.x])[:count]
    expected = qat.predict(x, batch_size=64, verbose=0)
    actual = answers(artifact.save(folder / f"{name}.tflite"), x)
    found = measuring.parity(expected, actual, artifact.manifest["outputs"][0]["scale"])
    return agreement(name, found, expected.shape, dataset.task)


def read(folder: Path) -> Iterator[Agreement]:
    """Yield the agreement of each net's own QAT (not of the pruned one, where there are both) of a matrix."""
    for row in json.loads((folder / "matrix.json").read_text())["rows"]:
        results = folder / row["model"] / "results.json"
        if not results.is_file():
            continue
        found = json.loads(results.read_text())["parity"]
        file = min((name for name in found if name.endswith(".tflite")), key=lambda name: "-pruned-" in name)
        role = "qat-pruned" if "-pruned-" in file else "qat"
        expected = np.load(folder / row["model"] / "models" / f"{role}-outputs.npy", mmap_mode="r")
        yield agreement(row["model"], found[file], expected.shape, registry.get(row["model"]).task)


def agreement(name: str, found: dict[str, float], shape: tuple[int, ...], task: str) -> Agreement:
    """Say what a comparison of the pipeline found; classes are chosen by classifiers only."""
    kinds = {"exact": found["exact"], "within_one_step": found["within_one_step"]}
    if task == "classification":
        kinds["argmax"] = found["argmax_agreement"]
    return Agreement(name, int(found["n"]), math.prod(shape[1:]), kinds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=registry.names())
    parser.add_argument("--samples", type=int, default=1500)
    parser.add_argument("--read", type=Path, nargs="+", metavar="FOLDER")
    arguments = parser.parse_args()
    counts = {"argmax": [0, 0], "within_one_step": [0, 0], "exact": [0, 0]}
    cleared = True
    with tempfile.TemporaryDirectory() as folder:
        nets = (
            (one for place in arguments.read for one in read(place))
            if arguments.read
            else (trained(name, arguments.samples, Path(folder)) for name in arguments.models)
        )
        for net in nets:
            for kind, value in net.shares.items():
                several = 1 if kind == "argmax" else min(net.outputs, OUTPUTS)
                counts[kind][0] += round(value * net.samples * several)
                counts[kind][1] += net.samples * several
            every = net.samples * net.outputs
            value, ci95 = share(round(net.shares["within_one_step"] * every), every)
            ok = emit(f"parity/{net.name}", ci95, every, ">= 0.999", value=value, **net.shares)
            cleared &= ok or value == 1  # the interval of a few hundred outputs is wide, however well they agree
    for kind, bar in (("argmax", ">= 0.999"), ("within_one_step", ">= 0.999"), ("exact", ">= 0.99")):
        value, ci95 = share(*counts[kind])
        ok = emit(f"parity/{kind}", ci95, counts[kind][1], bar, value=value)
        cleared &= ok or kind == "exact"  # exact is a stretch
    return 0 if cleared else 1


if __name__ == "__main__":
    sys.exit(main())

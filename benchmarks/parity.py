"""The fake-quantized model against its exported int8 file on LiteRT, over the zoo at its edge sizes.

    python benchmarks/parity.py [MODEL...] [--samples 1500]

Each net is trained for an epoch on its offline data and calibrated; outputs are those of test samples and, to have
enough for an interval, of training samples after them. A step is one integer step of the output's scale. Into the
figures over all nets go at most ten outputs of a sample, drawn at random: a wide net does not outvote the others.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import edgewright as ew
import numpy as np
from common import emit, share
from edgewright.devices.measure import answers
from edgewright.models import registry
from edgewright.pipeline.stages import train_config
from edgewright.pipeline.subject import find
from edgewright.training.data import calibration

OUTPUTS = 10


def outputs(name: str, count: int, folder: Path) -> tuple[np.ndarray, np.ndarray, float, bool]:
    """Return what training and the device make of the test samples, one output step, and whether outputs are logits."""
    subject = find(name, None, quick=True)
    model, dataset = subject.make(), subject.dataset
    ew.train(model, dataset, train_config("train", dataset, epochs=1, jit_compile=False))
    qat, _ = ew.prepare_qat(model, calibration=calibration(dataset))
    artifact = ew.export_tflite(qat)
    x = np.concatenate([dataset.test.x, dataset.train.x])[:count]
    expected = qat.predict(x, batch_size=64, verbose=0)
    actual = answers(artifact.save(folder / f"{name}.tflite"), x)
    return expected, actual, artifact.manifest["outputs"][0]["step"], dataset.task == "classification"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=registry.names())
    parser.add_argument("--samples", type=int, default=1500)
    arguments = parser.parse_args()
    cleared, random = True, np.random.default_rng(0)
    counts = {"argmax": [0, 0], "within_one_step": [0, 0], "exact": [0, 0]}
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.models:
            expected, actual, step, is_logits = outputs(name, arguments.samples, Path(folder))
            off = np.abs(expected - actual) / step
            agreed = {"exact": off < 0.5, "within_one_step": off < 1.5}
            if is_logits:
                agreed["argmax"] = expected.argmax(-1) == actual.argmax(-1)
            for kind, values in agreed.items():
                drawn = random.permuted(values.reshape(len(values), -1), axis=1)[:, :OUTPUTS]
                counts[kind][0] += int(drawn.sum())
                counts[kind][1] += drawn.size
            figures = {kind: float(values.mean()) for kind, values in agreed.items()}
            value, ci95 = share(int(agreed["within_one_step"].sum()), off.size)
            cleared &= emit(f"parity/{name}", ci95, off.size, ">= 0.999", value=value, **figures)
    for kind, bar in (("argmax", ">= 0.999"), ("within_one_step", ">= 0.999"), ("exact", ">= 0.99")):
        value, ci95 = share(*counts[kind])
        ok = emit(f"parity/{kind}", ci95, counts[kind][1], bar, value=value)
        cleared &= ok or kind == "exact"  # exact is a stretch
    return 0 if cleared else 1


if __name__ == "__main__":
    sys.exit(main())

"""A Transformer encoder of two layers in int8: partitions, float operators, signal to noise, speed over Keras' PTQ.

    python benchmarks/encoder_int8.py [--quick] [--seconds 30]

The encoder is trained on film reviews, then taught by QAT to return the float model's own logits. Signal to noise is
that of the file's logits against the float model's, on the test set. --quick trains on 2,000 samples for three epochs.
Two files are judged: the one for this machine's target, which keeps softmax and reciprocal roots in float because that
is faster, and one of integers alone.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import edgewright as ew
import keras
import numpy as np
from common import emit
from edgewright.devices.measure import answers, bench, inspect
from edgewright.devices.verdict.compare import speed_estimate
from edgewright.pipeline.check import quantization_for
from edgewright.training import data as datasets
from edgewright.training.data import Dataset
from edgewright.training.train import data_for
from peers import Peer

# Without dropout: it would be noise in what QAT is taught, the float model's logits.
SIZES = {"vocabulary": 2000, "depth": 2, "width": 64, "heads": 4, "feed_forward": 256, "dropout": 0.0}
RESAMPLES = 1000
BATCH = 32


RANGES: dict[str, Any] = {"observer": "mse", "ranges": "learned"}
FORMS = {"": quantization_for("cpu-x86", **RANGES), "integers_": ew.QatConfig(**RANGES)}


def trained(quick: bool) -> tuple[keras.Model, Dataset]:
    """Return the float encoder and its data."""
    model = ew.build("transformer_classifier", preset="edge", seed=0, **SIZES)
    name = datasets.choose(("rt_polarity", "digits"))
    dataset = data_for(model, name, limit=2000 if quick else None)
    epochs = 3 if quick else 8
    ew.train(model, dataset, ew.TrainConfig(epochs=epochs, jit_compile=False))
    return model, dataset


def taught(model: keras.Model, config: ew.QatConfig, dataset: Dataset, epochs: int) -> tuple[ew.Artifact, ew.Artifact]:
    """Return the file of the calibrated encoder, and that of the one taught to return the float model's logits."""
    qat, _ = ew.prepare_qat(model, config, calibration=dataset.train.x[:256])
    calibrated = ew.export_tflite(qat)
    logits = model.predict(dataset.train.x, batch_size=256, verbose=0)
    rate = keras.optimizers.schedules.CosineDecay(1e-4, epochs * (len(logits) // BATCH))
    qat.compile(keras.optimizers.Adam(rate), "mse", jit_compile=False)
    qat.fit(dataset.train.x, logits, batch_size=BATCH, epochs=epochs, verbose=0)
    return calibrated, ew.export_tflite(qat)


def decibels(expected: np.ndarray, actual: np.ndarray) -> tuple[float, list[float]]:
    """Return the signal-to-noise ratio in dB and its 95% bootstrap interval over samples."""
    signal, noise = (expected**2).sum(-1), ((actual - expected) ** 2).sum(-1)
    rows = np.random.default_rng(0).integers(0, len(signal), (RESAMPLES, len(signal)))
    found = 10 * np.log10(signal[rows].sum(1) / noise[rows].sum(1))
    return float(10 * np.log10(signal.sum() / noise.sum())), np.percentile(found, [2.5, 97.5]).tolist()


class Files(NamedTuple):
    """One form of the encoder as files: taught, calibrated only, and the peer's."""

    ours: Path
    before: Path
    theirs: Path


def judge(name: str, files: Files, x: np.ndarray, expected: np.ndarray, seconds: float) -> bool:
    """Emit the figures of one form; `expected` are the float model's logits of `x`."""
    ours, before, theirs = files
    run = bench([ours], baseline=theirs, inputs=x[:64], config=ew.BenchConfig(answers=False, max_seconds=seconds))
    found = speed_estimate(run, ours.name, theirs.name)
    if found is None:
        raise RuntimeError(f"not measured: {run.notes}")
    looked = {file: inspect(file).one("model") for file in (ours, theirs)}
    quality = {file: decibels(expected, answers(file, x)) for file in files}
    count = {file: one["partitions"] for file, one in looked.items()}
    floats = {file: sum(layer["dtype"] == "float32" and layer["op"] != "DEQUANTIZE" for layer in one["layers"])
              for file, one in looked.items()}  # fmt: skip
    cleared = [
        emit(f"{name}partitions", [count[ours]] * 2, 1, "<= 2", value=count[ours], peer=count[theirs]),
        emit(f"{name}float_operators", [floats[ours]] * 2, len(looked[ours]["layers"]), "<= 0",
             value=floats[ours], peer=floats[theirs]),
        emit(f"{name}snr_db", quality[ours][1], len(x), ">= 35", value=quality[ours][0], peer=quality[theirs][0],
             before_qat=quality[before][0]),
        emit(f"{name}speedup_over_ptq", found.ci95, len(run.raw.latency[ours.name]), ">= 1.3", ratio=found.value),
    ]  # fmt: skip
    return all(cleared)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seconds", type=float, default=30)
    arguments = parser.parse_args()
    model, dataset = trained(arguments.quick)
    x = dataset.test.x[:500]
    expected = model.predict(x, batch_size=256, verbose=0)
    cleared = True
    with tempfile.TemporaryDirectory() as scratch, Peer() as peer:
        folder = Path(scratch)
        theirs = peer.keras_export(model, folder / "ptq.tflite", dataset.train.x[:64])
        for form, config in FORMS.items():
            before, after = taught(model, config, dataset, epochs=3 if arguments.quick else 8)
            ours = after.save(folder / f"{form}ours.tflite")
            files = Files(ours, before.save(folder / f"{form}before.tflite"), theirs)
            cleared &= judge(f"encoder_int8/{form}", files, x, expected, arguments.seconds)
    return 0 if cleared else 1


if __name__ == "__main__":
    sys.exit(main())

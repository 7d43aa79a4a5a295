"""A Transformer encoder of two layers in int8: partitions, float operators, signal to noise, speed over Keras' PTQ.

    python benchmarks/encoder_int8.py [--quick] [--seconds 30]

The encoder is trained on film reviews, then taught by QAT to return the float model's own logits. Signal to noise is
that of the file's logits against the float model's, on the test set. --quick trains on 2,000 samples for three epochs.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import edgewright as ew
import keras
import numpy as np
from common import emit
from edgewright.devices.compare import speed_estimate
from edgewright.devices.measure import answers, bench, inspect
from edgewright.training import data as datasets
from edgewright.training.data import Dataset
from edgewright.training.train import data_for
from peers import Peer

# Without dropout: it would be noise in what QAT is taught, the float model's logits.
SIZES = {"vocabulary": 2000, "depth": 2, "width": 64, "heads": 4, "feed_forward": 256, "dropout": 0.0}
RESAMPLES = 1000


def trained(quick: bool) -> tuple[keras.Model, keras.Model, ew.Artifact, Dataset]:
    """Return the float encoder, the quantization-aware one, its file before QAT and the data."""
    model = ew.build("transformer_classifier", preset="edge", seed=0, **SIZES)
    name = datasets.choose(("rt_polarity", "digits"))
    dataset = data_for(model, name, limit=2000 if quick else None)
    epochs = 3 if quick else 8
    ew.train(model, dataset, ew.TrainConfig(epochs=epochs, jit_compile=False))
    qat, _ = ew.prepare_qat(model, calibration=dataset.train.x[:256])
    calibrated = ew.export_tflite(qat)
    logits = model.predict(dataset.train.x, batch_size=256, verbose=0)
    qat.compile(keras.optimizers.Adam(1e-4), "mse", jit_compile=False)
    qat.fit(dataset.train.x, logits, batch_size=32, epochs=epochs, verbose=0)
    return model, qat, calibrated, dataset


def decibels(expected: np.ndarray, actual: np.ndarray) -> tuple[float, list[float]]:
    """Return the signal-to-noise ratio in dB and its 95% bootstrap interval over samples."""
    signal, noise = (expected**2).sum(-1), ((actual - expected) ** 2).sum(-1)
    rows = np.random.default_rng(0).integers(0, len(signal), (RESAMPLES, len(signal)))
    found = 10 * np.log10(signal[rows].sum(1) / noise[rows].sum(1))
    return float(10 * np.log10(signal.sum() / noise.sum())), np.percentile(found, [2.5, 97.5]).tolist()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seconds", type=float, default=30)
    arguments = parser.parse_args()
    model, qat, calibrated, dataset = trained(arguments.quick)
    x = dataset.test.x[:500]
    expected = model.predict(x, batch_size=256, verbose=0)
    with tempfile.TemporaryDirectory() as name, Peer() as peer:
        folder = Path(name)
        ours = ew.export_tflite(qat).save(folder / "ours.tflite")
        theirs = peer.keras_export(model, folder / "ptq.tflite", dataset.train.x[:64])
        config = ew.BenchConfig(answers=False, max_seconds=arguments.seconds)
        run = bench([ours], baseline=theirs, inputs=x[:64], config=config)
        found = speed_estimate(run, ours.name, theirs.name)
        if found is None:
            raise RuntimeError(f"not measured: {run.notes}")
        looked = {file: inspect(file).one("model") for file in (ours, theirs)}
        before = calibrated.save(folder / "calibrated.tflite")
        quality = {file: decibels(expected, answers(file, x)) for file in (ours, theirs, before)}
    count = {file: one["partitions"] for file, one in looked.items()}
    floats = {file: sum(layer["dtype"] == "float32" and layer["op"] != "DEQUANTIZE" for layer in one["layers"])
              for file, one in looked.items()}  # fmt: skip
    cleared = [
        emit("encoder_int8/partitions", [count[ours]] * 2, 1, "<= 2", value=count[ours], peer=count[theirs]),
        emit("encoder_int8/float_operators", [floats[ours]] * 2, len(looked[ours]["layers"]), "<= 0",
             value=floats[ours], peer=floats[theirs]),
        emit("encoder_int8/snr_db", quality[ours][1], len(x), ">= 35", value=quality[ours][0], peer=quality[theirs][0],
             before_qat=quality[before][0]),
        emit("encoder_int8/speedup_over_ptq", found.ci95, len(run.raw.latency[ours.name]), ">= 1.3", ratio=found.value),
    ]  # fmt: skip
    return 0 if all(cleared) else 1


if __name__ == "__main__":
    sys.exit(main())

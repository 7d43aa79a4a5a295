"""A Transformer encoder of two layers in int8: partitions, float operators, signal to noise, speed over Keras' PTQ.

    python benchmarks/encoder_int8.py [--quick] [--seconds 30]

The encoder is trained on film reviews, then taught by QAT to return the float model's own logits, if that helps on
validation data. Signal to noise is that of the file's logits against the float model's, on the test set. --quick trains
on 2,000 samples for three epochs. Three files are judged:

- the mix that keeps what was asked, as `edgewright qat --target cpu-x86 --residual-stream float32 --keep-db 37` makes
  it: the residual stream and the layers that cost most in float, all other products in 8 bits;
- the one for this machine's target, which keeps softmax and reciprocal roots in float because that is faster;
- one of integers alone.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import edgewright as ew
import keras
import numpy as np
from common import emit
from edgewright.devices.measure import answers, bench, inspect
from edgewright.devices.targets import target as targets
from edgewright.devices.verdict.compare import speed_estimate
from edgewright.pipeline.check import quantization_for
from edgewright.pipeline.mixed import mixed_precision
from edgewright.training import data as datasets
from edgewright.training.data import Dataset
from edgewright.training.train import data_for
from peers import Peer

# Without dropout: it would be noise in what QAT is taught, the float model's logits.
SIZES = {"vocabulary": 2000, "depth": 2, "width": 64, "heads": 4, "feed_forward": 256, "dropout": 0.0}
RESAMPLES = 1000
BATCH = 32


TARGET, MIXED = "cpu-x86", "mixed_"
ASKED_DB = 37.0  # of the mix, on validation samples: what the test set keeps has an interval of 1 dB to both sides
RATE = 1e-5  # at ten times of it the taught encoder is nearer to the float one in training and further off in the test
EPOCHS = 2


def trained(quick: bool) -> tuple[keras.Model, Dataset]:
    """Return the float encoder and its data."""
    model = ew.build("transformer_classifier", preset="edge", seed=0, **SIZES)
    name = datasets.choose(("rt_polarity", "digits"))
    dataset = data_for(model, name, limit=2000 if quick else None)
    epochs = 3 if quick else 8
    ew.train(model, dataset, ew.TrainConfig(epochs=epochs, jit_compile=False))
    return model, dataset


def forms(model: keras.Model, dataset: Dataset) -> dict[str, ew.QatConfig]:
    """Return the configuration of each file by the beginning of its figures' names."""
    stream = quantization_for(TARGET, residual_stream="float32", observer="mse")
    finer = targets.load(TARGET).quantization.finer
    mixed = mixed_precision(model, dataset, config=stream, keep_db=ASKED_DB, ladder=finer)
    print(mixed, file=sys.stderr)
    return {MIXED: mixed.config, "": quantization_for(TARGET, observer="mse"),
            "integers_": ew.QatConfig(observer="mse")}  # fmt: skip


def taught(model: keras.Model, config: ew.QatConfig, dataset: Dataset) -> tuple[ew.Artifact, ew.Artifact]:
    """Return the file of the calibrated encoder, and that of the one taught to return the float model's logits; where
    that is no nearer to these on validation data, both are the calibrated one.
    """
    qat, _ = ew.prepare_qat(model, config, calibration=dataset.train.x[:256])
    calibrated = ew.export_tflite(qat)
    logits, unseen = (model.predict(part.x, batch_size=256, verbose=0) for part in (dataset.train, dataset.validation))
    rate = keras.optimizers.schedules.CosineDecay(RATE, EPOCHS * (len(logits) // BATCH))
    qat.compile(keras.optimizers.Adam(rate), "mse", jit_compile=False)
    before = qat.evaluate(dataset.validation.x, unseen, verbose=0)
    qat.fit(dataset.train.x, logits, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    better = qat.evaluate(dataset.validation.x, unseen, verbose=0) < before
    return calibrated, ew.export_tflite(qat) if better else calibrated


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
        emit(f"{name}partitions", [count[ours]] * 2, 1, "<= 2", value=count[ours], peer=count[theirs],
             bytes=ours.stat().st_size, peer_bytes=theirs.stat().st_size),
        emit(f"{name}snr_db", quality[ours][1], len(x), ">= 35", value=quality[ours][0], peer=quality[theirs][0],
             before_qat=quality[before][0]),
        emit(f"{name}speedup_over_ptq", found.ci95, len(run.raw.latency[ours.name]), ">= 1.3", ratio=found.value),
    ]  # fmt: skip
    if not name.endswith(MIXED):  # which keeps some in float on purpose
        cleared.append(emit(f"{name}float_operators", [floats[ours]] * 2, len(looked[ours]["layers"]), "<= 0",
                            value=floats[ours], peer=floats[theirs]))  # fmt: skip
    return all(cleared)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seconds", type=float, default=30)
    arguments = parser.parse_args()
    model, dataset = trained(arguments.quick)
    x = dataset.test.x
    expected = model.predict(x, batch_size=256, verbose=0)
    cleared = True
    with tempfile.TemporaryDirectory() as scratch, Peer() as peer:
        folder = Path(scratch)
        theirs = peer.keras_export(model, folder / "ptq.tflite", dataset.train.x[:64])
        for form, config in forms(model, dataset).items():
            before, after = taught(model, config, dataset)
            ours = after.save(folder / f"{form}ours.tflite")
            files = Files(ours, before.save(folder / f"{form}before.tflite"), theirs)
            cleared &= judge(f"encoder_int8/{form}", files, x, expected, arguments.seconds)
    return 0 if cleared else 1


if __name__ == "__main__":
    sys.exit(main())

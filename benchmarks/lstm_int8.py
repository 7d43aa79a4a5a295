"""An int8 LSTM (49 steps of 40 features, 128 units) against tf-keras' fused operator, float and int8, on LiteRT.

    python benchmarks/lstm_int8.py [--quick] [--seconds 60] [--folds 10] [--keep FOLDER]

Ours is unrolled: fast and large; its other form, one operator from calibration alone, is measured by its size. Trained
on spoken digits, then with quantization in the loop. The drop is that of the exported file against the exported float
file, in points, over all 3,000 recordings: each is tested once, by the net of a fold that never saw it, trained and
quantized like the others on what is left. --keep holds what folds came to, which a second call goes on from. --quick
trains for two epochs, on two folds.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import edgewright as ew
import keras
import numpy as np
from common import emit
from edgewright.devices.measure import answers, bench, inspect
from edgewright.devices.verdict.compare import speed_estimate
from edgewright.devices.verdict.parts import paired_share
from edgewright.training.data import Dataset, Split
from edgewright.training.data.audio import standardise
from edgewright.training.data.folds import folds
from peers import Peer

FASTER_THAN = {"fused float": ">= 3", "fused int8": ">= 10"}


def trained(dataset: Dataset, quick: bool) -> tuple[keras.Model, keras.Model]:
    """Return the float model and the quantization-aware one."""
    model = ew.build("lstm", preset="paper", seed=0)
    ew.train(model, dataset, ew.TrainConfig(epochs=2 if quick else 30, jit_compile=False))
    qat, _ = ew.prepare_qat(model, calibration=dataset.train.x[:256])
    tuning = ew.TrainConfig(epochs=1 if quick else 5, learning_rate=1e-4, label_smoothing=0.0, jit_compile=False)
    ew.train(qat, dataset, tuning)
    return model, qat


def fused(model: keras.Model, samples: np.ndarray, folder: Path) -> dict[str, Path]:
    """Return the files of tf-keras' fused operator."""
    paths = {name: folder / f"{name.replace(' ', '-')}.tflite" for name in FASTER_THAN}
    with Peer() as peer:
        peer.hold("model", model, batch=1)
        np.save(folder / "samples.npy", samples)
        for path, given in zip(paths.values(), (None, str(folder / "samples.npy")), strict=True):
            peer.ask("convert", name="model", out=str(path), samples=given)
    return paths


def speed(ours: Path, peers: dict[str, Path], samples: np.ndarray, seconds: float) -> bool:
    """Emit how much faster ours is than each peer."""
    config = ew.BenchConfig(answers=False, max_seconds=seconds)
    cleared = True
    for name, bar in FASTER_THAN.items():
        run = bench([ours], baseline=peers[name], inputs=samples, config=config)
        found = speed_estimate(run, ours.name, peers[name].name)
        if found is None:
            raise RuntimeError(f"{name}: not measured: {run.notes}")
        rounds = len(run.raw.latency[ours.name])
        sizes = {"bytes": ours.stat().st_size, "peer_bytes": peers[name].stat().st_size}
        kind = name.replace(" ", "_")
        cleared &= emit(f"lstm_int8/speedup_over_{kind}", found.ci95, rounds, bar, ratio=found.value, **sizes)
    return cleared


def tested_once(dataset: Dataset, count: int) -> Iterator[Dataset]:
    """Yield folds of all recordings, the official test set's too, each standardised by what its net learns from."""
    parts = dataset.train, dataset.test
    everything = Split(x=np.concatenate([part.x for part in parts]), y=np.concatenate([part.y for part in parts]))
    for fold in folds(replace(dataset, train=everything), count):
        learned = fold.train.x

        def standardised(split: Split, learned: np.ndarray = learned) -> Split:
            both = np.concatenate([learned, split.x])
            return replace(split, x=standardise(both, np.arange(len(both)) < len(learned))[len(learned) :])

        yield replace(fold, **{name: standardised(split) for name, split in fold.splits.items()})


def drop(dataset: Dataset, count: int, quick: bool, folder: Path) -> bool:
    """Emit float minus int8 accuracy over the recordings of all folds, in points."""
    for number, fold in enumerate(tested_once(dataset, count)):
        if (saved := folder / f"fold-{number}-of-{count}.npy").exists():
            continue
        model, qat = trained(fold, quick)
        files = [ew.export_tflite(each).save(folder / f"{number}-{kind}.tflite")
                 for each, kind in ((model, "float"), (qat, "int8"))]  # fmt: skip
        np.save(saved, [answers(file, fold.test.x).argmax(-1) == fold.test.y for file in files])
        keras.utils.clear_session()
    each = [np.load(folder / f"fold-{number}-of-{count}.npy") for number in range(count)]
    right = np.concatenate(each, axis=1)  # (float and int8, recordings)
    lost, won = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    low, high = paired_share(lost, won, right.shape[1])
    return emit("lstm_int8/drop_points", [-100 * high, -100 * low], right.shape[1], "<= 0.3",
                value=100 * (lost - won) / right.shape[1], lost=lost, won=won, folds=count,
                float=float(right[0].mean()), by_fold=[100 * float(a.mean() - b.mean()) for a, b in each])  # fmt: skip


def size(model: keras.Model, dataset: Dataset, folder: Path, peer: Path) -> bool:
    """Emit the bytes of the model as one integer operator."""
    config = ew.QatConfig(recurrence="fused")
    artifact = ew.export_tflite(model, precision="w8a8-ptq", config=config, calibration=dataset.train.x[:256])
    found = artifact.save(folder / "one-operator.tflite").stat().st_size
    return emit("lstm_int8/fused_bytes", [found, found], 1, "<= 150000", value=found, peer=peer.stat().st_size)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--folds", type=int)
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    dataset = ew.load_data("fsdd", input_shape=(49, 40))
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        cleared = drop(dataset, arguments.folds or (2 if arguments.quick else 10), arguments.quick, folder)
        model, qat = trained(dataset, arguments.quick)
        ours = ew.export_tflite(qat).save(folder / "ours.tflite")
        samples = dataset.train.x[:64]
        peers = fused(model, samples, folder)
        cleared &= speed(ours, peers, samples, arguments.seconds)
        cleared &= size(model, dataset, folder, peers["fused int8"])
        operators = [layer["op"] for layer in inspect(ours).one("model")["layers"]]
        foreign = sum("Flex" in operator or operator == "CUSTOM" for operator in operators)
        cleared &= emit("lstm_int8/flex_operators", [foreign, foreign], len(operators), "<= 0", value=foreign)
    return 0 if cleared else 1


if __name__ == "__main__":
    sys.exit(main())

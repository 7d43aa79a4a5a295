"""An int8 LSTM (49 steps of 40 features, 128 units) against tf-keras' fused operator, float and int8, on LiteRT.

    python benchmarks/lstm_int8.py [--quick] [--seconds 60]

Ours is unrolled: fast and large; its other form, one operator from calibration alone, is measured by its size. Trained
on spoken digits, then with quantization in the loop; the drop is that of the exported file against the exported float
file on the test set, in points. --quick trains for two epochs.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import edgewright as ew
import keras
import numpy as np
from common import emit
from edgewright.devices.measure import bench, inspect
from edgewright.devices.verdict.compare import Thresholds, speed_estimate
from edgewright.training.data import Dataset
from peers import Peer

FASTER_THAN = {"fused float": ">= 3", "fused int8": ">= 10"}


def trained(quick: bool) -> tuple[keras.Model, keras.Model, Dataset]:
    """Return the float model, the quantization-aware one and their data."""
    model = ew.build("lstm", preset="paper", seed=0)
    dataset = ew.load_data("fsdd", input_shape=(49, 40))
    ew.train(model, dataset, ew.TrainConfig(epochs=2 if quick else 30, jit_compile=False))
    qat, _ = ew.prepare_qat(model, calibration=dataset.train.x[:256])
    tuning = ew.TrainConfig(epochs=1 if quick else 5, learning_rate=1e-4, label_smoothing=0.0, jit_compile=False)
    ew.train(qat, dataset, tuning)
    return model, qat, dataset


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


def drop(base: Path, ours: Path, dataset: Dataset) -> bool:
    """Emit float minus int8 accuracy on the test set, in points."""
    run = ew.bench([ours], baseline=base, data=dataset, config=ew.BenchConfig(latency=False))
    (verdict,) = ew.compare(run, Thresholds(max_drop=0.003))
    low, high = verdict.metric_delta_ci95
    return emit("lstm_int8/drop_points", [-100 * high, -100 * low], len(dataset.test), "<= 0.3",
                value=-100 * verdict.metric_delta, agreement=verdict.agreement)  # fmt: skip


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
    arguments = parser.parse_args()
    model, qat, dataset = trained(arguments.quick)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = ew.export_tflite(qat).save(folder / "ours.tflite")
        base = ew.export_tflite(model).save(folder / "float.tflite")
        samples = dataset.train.x[:64]
        peers = fused(model, samples, folder)
        cleared = speed(ours, peers, samples, arguments.seconds)
        cleared &= size(model, dataset, folder, peers["fused int8"])
        operators = [layer["op"] for layer in inspect(ours).one("model")["layers"]]
        foreign = sum("Flex" in operator or operator == "CUSTOM" for operator in operators)
        cleared &= emit("lstm_int8/flex_operators", [foreign, foreign], len(operators), "<= 0", value=foreign)
        cleared &= drop(base, ours, dataset)
    return 0 if cleared else 1


if __name__ == "__main__":
    sys.exit(main())

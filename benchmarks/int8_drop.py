"""How many points of its metric a net loses from float to w8a8-qat, on the whole test set; TFMOT's QAT beside it.

    python benchmarks/int8_drop.py [--quick] [--seeds 3] [--no-peer] [NETWORK...]

The metric is that of the exported files, run on LiteRT. --quick: edge sizes, offline data, short training, one seed.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import edgewright as ew
import keras
import numpy as np
from common import emit
from edgewright.devices.measure import answers
from edgewright.errors import BadInput
from edgewright.pipeline.find import find
from edgewright.pipeline.stages import quantize_with_tfmot, train_config
from edgewright.training.data import Dataset, calibration
from edgewright.training.tasks import TASKS

NAMES = ("lenet5", "resnet8", "ds_cnn", "anomaly_detector")


def points(file: Path, dataset: Dataset) -> float:
    """Return the metric of a file on the test set, times 100."""
    metric = TASKS[dataset.task].metric
    return 100 * metric.reduce(metric.scores(answers(file, dataset.test.x), dataset.test.y))


def drops(name: str, seed: int, *, quick: bool, peer: bool, folder: Path) -> tuple[float, float | None]:
    """Train, quantize, export; return float minus int8 in points for ours and for TFMOT, None where it refuses."""
    work = find(name, None, preset="edge" if quick else "paper", seed=seed, quick=quick)
    dataset = work.dataset
    (model,) = work.make().values()
    ew.train(model, dataset, train_config("train", dataset, quick=quick, seed=seed, jit_compile=False))
    base = points(ew.export_tflite(model).save(folder / "float.tflite"), dataset)
    tuning = train_config("qat", dataset, quick=quick, seed=seed, jit_compile=False)
    qat, _ = ew.prepare_qat(model, calibration=calibration(dataset))
    ew.train(qat, dataset, tuning)
    ours = points(ew.export_tflite(qat).save(folder / "ours.tflite"), dataset)
    theirs = _tfmot(model, dataset, tuning, folder) if peer else None
    keras.utils.clear_session()
    print(f"{name} on {dataset.name}, seed {seed}: float {base:.2f}, ours {ours:.2f}, TFMOT "
          f"{'-' if theirs is None else f'{theirs:.2f}'}", file=sys.stderr)  # fmt: skip
    return base - ours, None if theirs is None else base - theirs


def _tfmot(model: keras.Model, dataset: Dataset, tuning: ew.TrainConfig, folder: Path) -> float | None:
    try:
        artifact, _, _ = quantize_with_tfmot(model, dataset, tuning)
    except BadInput as refused:
        print(refused, file=sys.stderr)
        return None
    return points(artifact.save(folder / "tfmot.tflite"), dataset)


def mean(values: list[float]) -> tuple[float, list[float]]:
    """Return the mean and its 95% bootstrap interval."""
    rows = np.random.default_rng(0).choice(values, (5000, len(values)))
    return float(np.mean(values)), np.percentile(rows.mean(1), [2.5, 97.5]).tolist()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=NAMES)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--no-peer", action="store_true")
    arguments = parser.parse_args()
    seeds = arguments.seeds or (1 if arguments.quick else 3)
    ours, theirs = {}, []
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.networks:
            found = [
                drops(name, seed, quick=arguments.quick, peer=not arguments.no_peer, folder=Path(folder))
                for seed in range(seeds)
            ]
            ours[name] = [mine for mine, _ in found]
            theirs += [peer for _, peer in found if peer is not None]
            value = float(np.mean(ours[name]))
            emit(f"int8_drop/{name}", [min(ours[name]), max(ours[name])], seeds, "<= 0.3", value=value)
    every = [drop for each in ours.values() for drop in each]
    average, ci95 = mean(every)
    worst = max(float(np.mean(each)) for each in ours.values())
    beside = {"peer": float(np.mean(theirs)), "peer_n": len(theirs)} if theirs else {}
    cleared = emit("int8_drop/mean", ci95, len(every), "<= 0.1", value=average, quick=arguments.quick, **beside)
    cleared &= emit("int8_drop/worst", [worst, worst], len(ours), "<= 0.3", value=worst, quick=arguments.quick)
    return 0 if cleared else 1


if __name__ == "__main__":
    sys.exit(main())

"""How far int8 takes a generator from the data: Frechet distances of its files, in a feature space of our own.

    python benchmarks/frechet.py FOLDER [--data mnist]

FOLDER is that of a run or of a row of the matrix; beside its files the float generator is judged in int8 by ranges of
calibration alone. The ratio is that of the int8 file's distance and the float file's,
less one, over the same latents and test images, with the interval of resampled pairs.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import edgewright as ew
import keras
from common import emit
from edgewright.devices.measure import ModelFile
from edgewright.devices.runner import open_runner
from edgewright.devices.verdict.intervals import metric_gain, metric_value
from edgewright.models import registry
from edgewright.training import tasks
from edgewright.training.data import Dataset

NETWORK = "generator"
CALIBRATION = 512


def calibrated(run: Path, task: Any, dataset: Dataset, folder: Path) -> Path:
    """Return an int8 file of a run's float generator, whose ranges are those of samples."""
    network = keras.models.load_model(run / "models" / "float" / f"{NETWORK}.keras")
    samples = task.samples(dataset, NETWORK, CALIBRATION)
    given = dict(samples) if len(samples) > 1 else next(iter(samples.values()))
    quantized, _ = ew.prepare_qat(network, calibration=given)
    path = folder / f"{NETWORK}-w8a8-ptq.tflite"
    ew.export_tflite(quantized).save(path)
    return path


def main() -> None:
    """Judge each TFLite file of the generator against the float one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--model", default="dcgan")
    arguments = parser.parse_args()
    task = tasks.get("resemblance")
    dataset = task.present(arguments.data, registry.networks(arguments.model, "edge"))
    files = sorted(path for path in arguments.folder.rglob("*.tflite") if NETWORK in path.name)
    scores = {}
    with tempfile.TemporaryDirectory() as folder:
        for path in [*files, calibrated(arguments.folder, task, dataset, Path(folder))]:
            with open_runner({NETWORK: ModelFile.read(path)}) as run:
                scores[path.stem] = task.evaluate(run, dataset)
    base = next(name for name in scores if "float32" in name)
    print(f"accuracy of the space's classifier {dataset.space.accuracy:.4f}, distances: "
          + ", ".join(f"{name} {metric_value(task.metric, found).value:.4f}" for name, found in scores.items()),
          file=sys.stderr)  # fmt: skip
    cleared = []
    for name, found in scores.items():
        if name != base:
            gain = metric_gain(task.metric, scores[base], found)
            ends = [-gain.high, -gain.low]
            cleared.append(emit(f"frechet {name}, worse by", ends, len(found.rows), "<= 0.05", value=-gain.value))
    sys.exit(not all(cleared))


if __name__ == "__main__":
    main()

"""What benchmarks over several seeds share: rows that an interruption leaves, their means, and int8 files to judge."""

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import edgewright as ew
import keras
import numpy as np
from edgewright.devices.measure import ModelFile
from edgewright.devices.runner import open_runner
from edgewright.pipeline.workload import Workload
from edgewright.training.runner import KerasRunner
from scipy import stats

Row = dict[str, Any]


class Rows:
    """Rows of results, a line of JSON each in a file; what is there already is not computed again."""

    def __init__(self, path: Path):
        self.path = path
        self.rows: list[Row] = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def of(self, key: Mapping[str, Any], measure: Callable[[], Mapping[str, Any]]) -> Row:
        """Return the row of a key, measured where it is not there yet."""
        for row in self.rows:
            if key.items() <= row.items():
                return row
        row = {**key, **measure()}
        self.rows.append(row)
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        return row


def parsed(description: str, names: Sequence[str], raw: str, **more: Mapping[str, Any]) -> argparse.Namespace:
    """Return the arguments of a benchmark over seeds. more: those of its own, as `add_argument` takes them."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("names", nargs="*", default=[*names])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="of training; by default as many as a run in full has")
    parser.add_argument("--raw", type=Path, default=Path(raw), help="file of JSON lines; rows that it has are kept")
    for name, how in more.items():
        parser.add_argument(f"--{name}", **how)
    return parser.parse_args()


def told_by_seed(name: str, values: Sequence[float]) -> None:
    """Print the mean over seeds, its 95% interval (Student; none of one seed), and the value of each; no bar."""
    mean, n = float(np.mean(values)), len(values)
    half = float(stats.sem(values) * stats.t.ppf(0.975, n - 1)) if n > 1 else None
    line = {
        "name": name,
        "value": round(mean, 3),
        "ci95": None if half is None else [round(mean - half, 3), round(mean + half, 3)],
        "n": n,
        "each": [round(float(value), 2) for value in values],
    }
    print(json.dumps(line), flush=True)


def percent(networks: Mapping[str, keras.Model], work: Workload) -> float:
    """Return the metric of float networks on the test split, in percent."""
    scores = work.task.evaluate(KerasRunner(networks, work.deploy), work.dataset)
    return 100 * float(work.task.metric.reduce(scores.rows))


def int8_files(networks: Mapping[str, keras.Model], work: Workload, folder: Path) -> dict[str, ModelFile]:
    """Return int8 files of what goes to a device, with ranges of training samples alone."""
    made = {}
    for name in work.compressed:
        quantized, _ = ew.prepare_qat(networks[name], calibration=work.samples(name, networks=networks))
        path = folder / f"{name}.tflite"
        ew.export_tflite(quantized).save(path)
        made[name] = ModelFile.read(path)
    return made


def percent_int8(networks: Mapping[str, keras.Model], work: Workload) -> float:
    """Return the same of their `int8_files`."""
    with tempfile.TemporaryDirectory() as folder, open_runner(int8_files(networks, work, Path(folder))) as run:
        scores = work.task.evaluate(run, work.dataset)
    return 100 * float(work.task.metric.reduce(scores.rows))

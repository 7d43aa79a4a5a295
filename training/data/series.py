"""Time series: the Numenta Anomaly Benchmark (Ahmad et al. 2017), real series whose anomalies have known causes."""

import csv
import io
import json
from typing import Any

import numpy as np

from ...errors import BadInput
from . import sources
from .dataset import Dataset
from .sets import Asked, dataset, present, split_for

LABELS = "nab/labels/combined_windows.json"
SERIES = [
    f"nab/data/realKnownCause/{name}.csv"
    for name in (
        "ambient_temperature_system_failure",
        "cpu_utilization_asg_misconfiguration",
        "ec2_request_latency_system_failure",
        "machine_temperature_system_failure",
        "nyc_taxi",
        "rogue_agent_key_hold",
        "rogue_agent_key_updown",
    )
]
SHARES = {"train": (0.0, 0.4), "validation": (0.4, 0.5), "test": (0.5, 1.0)}  # of each series, in time order
LIMIT = 3.0  # standard deviations: one spike must not outweigh a window
FORMS = {("float32", 1): "(L,)", ("float32", 2): "(L, 1)"}
NORMAL, ANOMALOUS, UNCLEAR = 0, 1, 2


@dataset(
    input_shape=(640,),
    tasks=("anomaly_detection", "reconstruction"),
    here=lambda: all(map(sources.find, [LABELS, *SERIES])),
)
def nab(asked: Asked) -> Dataset:
    """Return windows of seven series: the first 40% in time to train, 10% to validate, the rest to test.

    Training and validation windows touch no labelled anomaly. A test window is anomalous if it holds the middle of a
    labelled anomaly, normal if it touches none; those that only graze one are left out.
    """
    form = present(FORMS, "nab", asked)
    length, channels = (*asked.input_shape, 1)[:2]
    if channels != 1:
        raise BadInput(f"nab cannot be shown as {asked.input_shape}: the series have one channel")
    spans = json.loads(sources.read(LABELS))
    series = [_series(path, spans[path.removeprefix("nab/data/")]) for path in SERIES]
    windows = {part: _windows(series, share, length, part) for part, share in SHARES.items()}
    splits: dict[str, Any] = {
        part: split_for(asked.task, part, x.reshape(-1, *asked.input_shape), truth, ANOMALOUS)
        for part, (x, truth) in windows.items()
    }
    return Dataset(
        name="nab",
        task=asked.task,
        preprocessing=(
            f"each series by mean and deviation of its normal training part, clipped to +-{LIMIT:g}; windows of "
            f"{length} steps, every {_stride(length)}; shown as {form}"
        ),
        source=sources.describe([*SERIES, LABELS]),
        **splits,
    )


def _series(path: str, spans: list[list[str]]) -> tuple[np.ndarray, np.ndarray]:
    """Return standardised values (n,) and marks (n,): ANOMALOUS at the middle of a span, UNCLEAR elsewhere in it."""
    rows = list(csv.reader(io.StringIO(sources.read(path).decode())))[1:]
    times = np.array([time for time, _ in rows])
    values = np.array([value for _, value in rows], np.float64)
    marks = np.full(len(times), NORMAL)
    for start, end in spans:
        first, last = np.searchsorted(times, [start[:19], end[:19]])  # the times are ISO, so they sort as text
        marks[first : last + 1] = UNCLEAR
        marks[(first + last) // 2] = ANOMALOUS
    return standardise(values, marks), marks


def standardise(values: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Bring a series (n,) to the mean and deviation of the normal points of its training part, clipped to +-LIMIT."""
    end = int(SHARES["train"][1] * len(values))
    known = values[:end][marks[:end] == NORMAL]
    return np.clip((values - known.mean()) / known.std(), -LIMIT, LIMIT).astype(np.float32)


def _stride(length: int) -> int:
    return max(1, length // 40)


def _windows(series: Any, share: tuple[float, float], length: int, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Cut windows (N, length) that lie wholly within a share of each series, and tell which are anomalous."""
    x, truth = [], []
    for values, marks in series:
        first, last = (int(edge * len(values)) for edge in share)
        for start in range(first, last - length + 1, _stride(length)):
            seen = marks[start : start + length]
            if (seen == NORMAL).all() or (part == "test" and (seen == ANOMALOUS).any()):
                x.append(values[start : start + length])
                truth.append(ANOMALOUS if seen.any() else NORMAL)
    if not x:
        raise BadInput(f"nab: no window of {length} steps fits the {part} part; ask for a shorter input_shape")
    return np.stack(x), np.array(truth)
